"""Whom to ask, for how many guesses, and what may be spent on it."""

from __future__ import annotations

from random import Random

import pytest

from spec_mcp.predict.bandit import TRIAL_S, TRIAL_SHARE, Arm, Bandit, Costs, table_of
from spec_mcp.predict.counts import add_tables
from spec_mcp.predict.guessing import About, Answered, Ending, Question, Spent, Terms
from spec_mcp.predict.prices import FREE, Prices, price_of

CHEAP = Prices(0.1, 0.01, 0.5)
DEAR = Prices(10.0, 1.0, 50.0)
ARM = Arm("model", About.NEXT_CALL, "find")


class World:
    """Turns in which a speculator may be asked; a right answer hides a second."""

    def __init__(self, prices: Prices, price_per_hour: float, seed: int = 0) -> None:
        self.prices = prices
        self.bandit = Bandit({"model": Terms(prices)}, Costs(price_per_hour))
        self.asked = 0
        self._random = Random(seed)

    def live(self, turns: int, right: float, arm: Arm = ARM, open_s: float = 1.0) -> int:
        """So many turns; how often it was asked in them."""
        before = self.asked
        for _ in range(turns):
            k = self.bandit.guesses_worth_asking(arm)
            if k:
                self._ask(arm, k, right)
            self.bandit.turned({(arm.about, arm.after): open_s}, open_s)
        return self.asked - before

    def _ask(self, arm: Arm, k: int, right: float) -> None:
        self.asked += 1
        promised_s = self.bandit.asked(arm, k)
        question = Question("s", arm.speculator, arm.about, k)
        spent = Spent(3_000, 2_000, 60 * k, price_of(self.prices, 3_000, 2_000, 60 * k), 0.5)
        self.bandit.answered(arm, Answered(question, Ending.ANSWERED, (), spent), promised_s)
        if self._random.random() < right:
            self.bandit.earned(arm, 0, 1.0, was_right=True)


def test_a_speculator_that_pays_is_asked_every_time() -> None:
    assert World(FREE, 0.0).live(400, right=0.4) == 400


def test_one_that_never_pays_is_asked_less_then_not_at_all_and_tried_again_now_and_then() -> None:
    world = World(FREE, 0.0)
    first, second = world.live(200, right=0.0), world.live(200, right=0.0)
    assert 10 < first < 80
    assert second < 5
    assert 0 < world.live(20_000, right=0.0) < 500


def test_one_that_went_bad_is_given_up_and_one_that_became_good_is_taken_back() -> None:
    world = World(FREE, 0.0)
    world.live(300, right=0.5)
    assert world.live(3_000, right=0.0) < 800
    world.live(8_000, right=0.8)
    assert world.live(100, right=0.8) == 100


def test_nothing_is_spent_where_nothing_may_be_and_what_is_free_is_asked_all_the_same() -> None:
    assert World(CHEAP, 0.0).live(100, right=1.0) == 0
    assert World(FREE, 0.0).live(100, right=1.0) == 100


def test_the_price_of_an_hour_decides_whether_a_price_is_worth_it() -> None:
    """A right answer every second time hides half a second a question: 0.00012 at 1 an hour, 0.0006 at 4."""
    assert World(CHEAP, 8.0).live(300, right=0.5) == 300
    assert World(CHEAP, 0.5).live(300, right=0.5) < 60
    assert World(DEAR, 8.0).live(300, right=0.5) < 60


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("right", [0.0, 0.05, 0.3, 1.0])
@pytest.mark.parametrize("price_per_hour", [0.1, 1.0, 10.0])
def test_no_more_is_spent_than_was_saved_and_may_be_tried(seed: int, right: float, price_per_hour: float) -> None:
    world = World(CHEAP, price_per_hour, seed)
    world.live(1_500, right)
    account = world.bandit.accounts.get("model")
    if account is not None:
        allowed_s = account.saved_s + TRIAL_SHARE * 1_500 + TRIAL_S
        assert account.price <= price_per_hour / 3600 * allowed_s


def test_processes_that_end_after_a_few_turns_try_it_again_now_and_then_all_the_same() -> None:
    world = World(FREE, 0.0)
    world.live(400, right=0.0)
    dumps, asked = [world.bandit.dump()], []
    for _ in range(60):
        later = World(FREE, 0.0)
        later.bandit.load({name: add_tables(table_of(dump, name) for dump in dumps) for name in dumps[0]})
        asked.append(later.live(10, right=0.0))
        dumps.append(later.bandit.dump())
    assert 0 < sum(asked) < 60


def test_where_history_hides_all_waiting_nobody_is_asked() -> None:
    world = World(FREE, 0.0)
    world.bandit.turned({(ARM.about, ARM.after): 0.0}, 1.0)
    assert world.live(50, right=1.0, open_s=0.0) == 0


def test_each_tool_decides_for_itself() -> None:
    world = World(FREE, 0.0)
    good, bad = Arm("model", About.NEXT_CALL, "find"), Arm("model", About.NEXT_CALL, "chat")
    for _ in range(300):
        world.live(1, 0.6, good)
        world.live(1, 0.0, bad)
    assert world.live(50, 0.6, good) == 50
    assert world.live(50, 0.0, bad) < 10


def test_guesses_that_never_earn_anything_are_not_asked_for() -> None:
    world = World(CHEAP, 4.0)
    assert world.bandit.guesses_worth_asking(ARM) == 4
    world.live(300, right=0.9)
    assert world.bandit.guesses_worth_asking(ARM) == 1


def test_what_several_processes_learned_adds_up() -> None:
    one, other = World(FREE, 0.0), World(FREE, 0.0, seed=1)
    one.live(60, right=0.5)
    other.live(60, right=0.5)
    whole = World(FREE, 0.0)
    for world in (one, other):
        whole.bandit.load(world.bandit.dump())
    assert whole.bandit.accounts["model"].asked == 120
    assert whole.bandit.index_s(ARM) == pytest.approx(0.5, abs=0.2)
    assert not any(one.bandit.dump().values())

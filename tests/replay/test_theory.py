"""The formulas of the paper's analysis by hand, and the engine against what they say it does."""

from __future__ import annotations

import pytest

from benchmarks.theory import NO_COST, simulate, simulate_breadth
from spec_mcp.replay.theory import (
    Branch,
    Setting,
    as_stated,
    bound,
    expected,
    frontier,
    one_step,
    optimal,
    proposition_1,
)

EVEN = Setting(1.0, 3.0, 1.0, 2)
SURE, LIKELY, DEAR = Branch(0.8, 2.0, 0.5), Branch(0.3, 2.0, 0.5), Branch(0.1, 2.0, 2.0)


def test_with_one_boundary_all_three_formulas_say_the_same() -> None:
    # r = 3/4, and one of two calls may be spared half its time: 1 - 3/4 / 4
    assert [formula(EVEN) for formula in (proposition_1, as_stated, one_step)] == [pytest.approx(1 - 3 / 16)] * 3


def test_with_two_boundaries_the_one_after_a_hit_is_worth_less() -> None:
    three = Setting(1.0, 3.0, 1.0, 3)
    assert proposition_1(three) == pytest.approx(1 - 2 / 3 * 3 / 8)
    # hits: 3/4 of the time one and no more, else 3/4 at the second boundary
    assert as_stated(three) == pytest.approx(1 - (3 / 4 + 1 / 4 * 3 / 4) / 6)
    # after a hit half of the calls still run, and may save the same again
    assert one_step(three) == pytest.approx(1 - (3 / 4 * (1 + 3 / 8) + 1 / 4 * 3 / 4) / 6)


def test_a_single_call_and_guesses_that_are_never_right_save_nothing() -> None:
    for setting in (Setting(1.0, 3.0, 1.0, 1), Setting(0.0, 3.0, 1.0, 9)):
        assert [formula(setting) for formula in (proposition_1, as_stated, one_step)] == [1.0] * 3


def test_nothing_goes_below_the_guessing_itself() -> None:
    assert bound(EVEN) == pytest.approx((1 / 4 + 1) / 2)


def test_branches_save_what_the_right_one_hides_and_cost_what_the_wrong_ones_do() -> None:
    point = expected([SURE, DEAR], 5.0)
    assert (point.time_s, point.cost_s) == (pytest.approx(5 - 1.6 - 0.2), pytest.approx(0.1 + 1.8))


def test_the_best_set_holds_what_is_worth_its_price_and_no_more_than_there_is_room_for() -> None:
    assert optimal([DEAR, LIKELY, SURE]) == (SURE, LIKELY)
    assert optimal([DEAR, LIKELY, SURE], price=0.0) == (SURE, LIKELY, DEAR)
    assert optimal([DEAR, LIKELY, SURE], price=2.0) == (SURE,)
    assert optimal([DEAR, LIKELY, SURE], places=1) == (SURE,)


def test_on_the_frontier_time_falls_as_cost_rises() -> None:
    points = frontier([DEAR, SURE, LIKELY], 5.0)
    assert [len(point.branches) for point in points] == [0, 1, 2, 3]
    assert [point.time_s for point in points] == sorted((point.time_s for point in points), reverse=True)
    assert [point.cost_s for point in points] == sorted(point.cost_s for point in points)


@pytest.mark.parametrize(("literal", "formula"), [(True, as_stated), (False, one_step)])
def test_the_engine_takes_as_long_as_the_exact_expectation_says(literal, formula) -> None:
    setting = Setting(0.8, 4.0, 1.0, 6)
    mean, error = simulate(setting, runs=150, seed=1, literal=literal)
    assert abs(mean - formula(setting)) < 4 * error
    assert error < 0.05


def test_breadth_by_worth_follows_many_guesses_only_where_that_pays() -> None:
    setting = Setting(0.6, 10.0, 1.0, 10)
    always, _, made_always = simulate_breadth(setting, 40, 1, 3, NO_COST)
    chosen, error, made = simulate_breadth(setting, 40, 1, 3, 0.02)
    assert made < made_always / 2
    assert chosen < always + 3 * error

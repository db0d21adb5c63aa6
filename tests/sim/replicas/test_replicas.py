"""Clients whose requests go to another replica each see what one process would show; without a rule they do not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.replicas.mutations import RULES
from tests.sim.replicas.plan import THEMES
from tests.sim.replicas.simulation import simulate
from tests.sim.server import Violation

SEEDS = 12
"""Of each theme. `python -m tests.sim.replicas` runs more."""
STEP = 6
SEEDS_TRIED = 500
"""Seeds within which a switched-off rule must show."""
LOOK_FROM = {
    "the cut off wait out their lease": 400,
    "all leases are fresh": 120,
    "a late renewal makes no lease": 120,
    "what the buried asked for counts": 180,
}
"""Where a seed shows it sooner than from the first on."""


@pytest.mark.parametrize("first", list(range(0, SEEDS, STEP)))
def test_nothing_but_time_differs_whichever_replica_is_asked_and_whatever_fails(first: int) -> None:
    worlds = [(seed, theme) for theme in THEMES for seed in range(first, first + STEP)]
    stats: Counter[str] = sum((simulate(seed, theme) for seed, theme in worlds), start=Counter())
    # worlds in which nothing is adopted from others, and nobody dies, prove nothing
    assert stats["own hit"] > len(worlds)
    assert stats["foreign hit"] > len(worlds) / 16
    assert stats["foreign join"]
    assert stats["deaths"] > STEP / 2


@pytest.mark.parametrize("name", list(RULES))
def test_each_rule_of_the_board_that_is_switched_off_is_caught(name: str) -> None:
    rule = RULES[name]
    with rule.off():
        for seed in range(LOOK_FROM.get(name, 0), LOOK_FROM.get(name, 0) + SEEDS_TRIED):
            try:
                simulate(seed, rule.theme)
            except Violation:
                return
    pytest.fail(f"none of {SEEDS_TRIED} seeds shows that the rule `{name}` is off")


def test_a_seed_always_gives_the_same_run() -> None:
    assert simulate(11) == simulate(11)

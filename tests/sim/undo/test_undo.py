"""Worlds of reversible writes end as they would without speculation, whatever dies when; without a rule they do not."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.sim.server import Violation
from tests.sim.undo.mutations import RULES
from tests.sim.undo.plan import THEMES
from tests.sim.undo.simulation import die_everywhere, simulate

SEEDS = 160
"""Of each theme: twice as many as it takes to catch any rule that is off. `python -m tests.sim.undo` runs more."""
STEP = 10
CHUNK = STEP * len(THEMES)
SEEDS_TRIED = 600
"""Seeds within which a switched-off rule must show."""
TURNS = 6
FULL_WORLDS = dict(zip(THEMES, (143, 94, 99, 98, 94, 59, 33, 133, 93), strict=True))
"""Seeds in whose first turns writes are adopted and taken back, by few commands of many kinds."""


@pytest.mark.parametrize("first", list(range(0, SEEDS, STEP)))
def test_nothing_but_time_differs_once_all_is_settled(first):
    worlds = [(seed, theme) for theme in THEMES for seed in range(first, first + STEP)]
    stats: Counter[str] = sum((simulate(seed, theme) for seed, theme in worlds), start=Counter())
    # worlds in which nothing is adopted, taken back or left by a death prove nothing
    assert stats["adopted writes"] > CHUNK / 2
    assert stats["compensated"] > CHUNK
    assert stats["crashes"] > CHUNK / 2
    assert stats["inherited"] > CHUNK / 4
    assert stats["adopted reads"] > CHUNK / 2


@pytest.mark.parametrize(("theme", "seed"), FULL_WORLDS.items())
def test_a_death_after_any_command_leaves_nothing_behind(theme, seed):
    stats = die_everywhere(seed, theme, TURNS)
    assert stats["crashes"] > 90
    assert stats["adopted writes"] > stats["crashes"] / 2
    assert stats["compensated"] > stats["crashes"]


@pytest.mark.parametrize("theme", ["calm", "chains", "crowd"])
def test_where_nothing_fails_nothing_is_stuck_but_an_undo_that_a_death_cut_short(theme):
    stats: Counter[str] = sum((simulate(seed, theme) for seed in range(60)), start=Counter())
    stuck = {name for name, count in stats.items() if name.startswith("stuck: ") and count}
    assert stuck <= {"stuck: outcome-unknown", "stuck: undo-unknown"}


@pytest.mark.parametrize("name", list(RULES))
def test_each_rule_that_is_switched_off_is_caught(name, record_property):
    rule = RULES[name]
    with rule.off():
        for seed in range(SEEDS_TRIED):
            try:
                simulate(seed, rule.theme)
            except Violation as violation:
                record_property("seed", seed)
                record_property("violation", str(violation))
                break
        else:
            pytest.fail(f"no seed up to {SEEDS_TRIED} shows that the rule `{name}` is off")


def test_a_seed_always_gives_the_same_run():
    assert simulate(11) == simulate(11)

"""The cost of a wasted call moves until the wished share of speculations is used, from one run to the next."""

from __future__ import annotations

import json
import math

import pytest

from spec_mcp.engine.policy import Settings
from spec_mcp.predict.keeper import LEAST_S, MOST_S, ShareKeeper, latest


def driven(keeper: ShareKeeper, *used: bool) -> ShareKeeper:
    for one in used:
        keeper.ended(one)
    return keeper


def test_waste_makes_a_wasted_call_dearer_and_use_makes_it_cheaper() -> None:
    start_s = ShareKeeper(0.5, 0.2).wasted_call_s
    assert driven(ShareKeeper(0.5, 0.2), False).apply(Settings()).wasted_call_s > start_s
    assert driven(ShareKeeper(0.5, 0.2), True).apply(Settings()).wasted_call_s < start_s


def test_a_later_run_begins_where_the_last_one_stood() -> None:
    before = driven(ShareKeeper(0.5, 0.2), *[False] * 20)
    after = ShareKeeper(0.5, 0.2)
    after.load(json.loads(json.dumps(before.dump())))
    assert after.wasted_call_s == pytest.approx(before.wasted_call_s, abs=1e-6)


def test_what_has_not_moved_is_not_written_down_again() -> None:
    keeper = ShareKeeper(0.5, 0.2)
    assert keeper.dump() is None
    assert driven(keeper, True).dump() is not None
    assert keeper.dump() is None


def test_what_was_learned_for_another_target_says_nothing() -> None:
    after = ShareKeeper(0.9, 0.2)
    after.load(driven(ShareKeeper(0.5, 0.2), *[False] * 20).dump())
    assert after.wasted_call_s == ShareKeeper(0.9, 0.2).wasted_call_s


def test_of_several_runs_the_last_one_counts() -> None:
    dumps = [driven(ShareKeeper(0.5, 0.2), *[False] * count).dump() for count in (3, 9, 1)]
    assert latest(dumps) == dumps[-1]


@pytest.mark.parametrize("cost", [None, "0.2", -1.0, 0.0, math.nan, math.inf, LEAST_S / 2, MOST_S * 2, [0.2]], ids=repr)
def test_what_is_no_cost_is_left_aside(cost: object) -> None:
    keeper = ShareKeeper(0.5, 0.2)
    with pytest.raises(ValueError, match="another shape"):
        keeper.load({"target": 0.5, "wasted_call_s": cost})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="another shape"):
        keeper.load([])
    assert keeper.wasted_call_s == ShareKeeper(0.5, 0.2).wasted_call_s

"""Killed at every point under a busy client: what it was answered holds, and nothing else.

`python -m tests.robustness.kills --kills N --seed S` kills it as often as you like.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.robustness.deadly import POINTS
from tests.robustness.kills import run

ENOUGH_S = 90.0
"""A slow machine gets as far as it comes."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "seed", "kills", "points"),
    [
        pytest.param("memory", 101, 24, POINTS[::2], id="memory-even"),
        pytest.param("memory", 102, 24, POINTS[1::2], id="memory-odd"),
        pytest.param("retail", 201, 20, POINTS, id="retail"),
    ],
)
def test_whenever_it_is_killed_what_was_answered_was_done_once_and_nothing_else(
    world: str, seed: int, kills: int, points: Sequence[str]
) -> None:
    stats = run(world, kills, seed, ENOUGH_S, points)
    assert stats["kills"] >= kills // 4
    assert stats["kills that left entries"] > 0, "no kill hit a write that was made early"
    assert stats["calls"] > stats["kills"]
    assert sum(point in stats for point in points) >= stats["kills"] // 4, "few kills came at a chosen moment"

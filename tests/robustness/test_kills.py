"""Killed hundreds of times under a busy client: what it was answered holds, and nothing else. See `kills`."""

from __future__ import annotations

import pytest

from tests.robustness.kills import run

ENOUGH_S = 55.0
"""A slow machine gets as far as it comes."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "seed", "kills"),
    [
        ("memory", 101, 50),
        ("memory", 102, 50),
        ("memory", 103, 50),
        ("retail", 201, 24),
        ("retail", 202, 24),
    ],
)
def test_whenever_it_is_killed_what_was_answered_was_done_once_and_nothing_else(
    world: str, seed: int, kills: int
) -> None:
    stats = run(world, kills, seed, ENOUGH_S)
    assert stats["kills"] >= kills // 4
    assert stats["kills that left entries"] > 0, "no kill hit a write that was made early"
    assert stats["calls"] > stats["kills"]

"""The chess benchmark runs: whoever thinks ahead plays the same game."""

from __future__ import annotations

import pytest

from tests.benchmarks.quick import quick_round


@pytest.mark.chess
@pytest.mark.slow
def test_a_quick_round_plays_the_same_game_in_all_arms() -> None:
    said = quick_round("chess")
    guessed = {row["arm"]: row["ours"]["median"] for row in said["rows"] if row["figure"] == "moves guessed"}
    assert list(guessed) == ["k = 1", "k = 3", "k = 5"]
    assert max(guessed.values()) > 0
    assert len(said["details"]["moves"]) == 6

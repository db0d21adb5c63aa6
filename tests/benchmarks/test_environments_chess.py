"""The chess benchmark runs: whoever thinks ahead plays the same game."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.parity.rig import BIN


@pytest.mark.chess
@pytest.mark.slow
def test_a_quick_round_plays_the_same_game_in_all_arms() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "chess", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["identical"], said["differences"]
    guessed = {row["arm"]: row["ours"]["median"] for row in said["rows"] if row["figure"] == "moves guessed"}
    assert list(guessed) == ["k = 1", "k = 3", "k = 5"]
    assert max(guessed.values()) > 0
    assert len(said["details"]["moves"]) == 6

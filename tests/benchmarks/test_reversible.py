"""The benchmark of early writes runs, and finds no difference but in time."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.parity.rig import BIN


@pytest.mark.slow
def test_a_quick_round_finds_the_same_answers_and_takes_every_wrong_write_back() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "reversible", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["identical"]
    off, reads, both = said["arms"]
    assert (off["arm"], off["speculations"]) == ("off", 0)
    assert reads["hits"] + reads["joins"] > 0
    assert reads["early"] == 0, "a write was made early where that was not switched on"
    assert both["early"] == both["adopted"] + both["compensated"]
    assert said["price"]["taken_back"] > 0

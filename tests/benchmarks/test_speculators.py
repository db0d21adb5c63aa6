"""`bench speculators`: injected guesses of known quality on recorded sessions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.injected import Injected, Quality
from benchmarks.speculators import QUICK, main, plot, run
from spec_mcp.predict.guessing import About, Question
from spec_mcp.replay.script import Script, Timings, set_stage, write_script
from tests.replay.recorded import read, session


def script(number: int) -> Script:
    """A session of four calls."""
    recorded = session(*(read("get", {"id": 10 * number + index}) for index in range(4)), name=f"s{number}")
    return write_script(recorded, set_stage([recorded], (), None), Timings(1.0, 3.0))


def test_an_injected_speculator_knows_the_next_call_as_often_as_it_is_told_to() -> None:
    others = [call for number in range(1, 9) for call in script(number).calls]
    for recall in (0.0, 0.5, 1.0):
        known = 0
        for number in range(200):
            injected = Injected({"model": Quality(recall)}, others, seed=number)
            answered = injected.ask(Question("s0", "model", About.NEXT_CALL, 4), script(0), 1)
            known += {"id": 1} in [guess.arguments for guess in answered.guesses]
        assert abs(known / 200 - recall) < 0.12


def test_it_says_the_same_whoever_asks() -> None:
    injected = Injected({"model": Quality(0.5)}, script(1).calls, seed=3)
    question = Question("s0", "model", About.NEXT_CALL, 4)
    assert injected.ask(question, script(0), 2) == injected.ask(question, script(0), 2)


@pytest.mark.shared
@pytest.mark.slow
def test_merging_and_costs_hold_on_recorded_sessions(tmp_path: Path) -> None:
    figures = run(QUICK)
    assert all(row["holds"] for row in (*figures["quality"], *figures["costs"]))
    best = next(row for row in reversed(figures["quality"]) if row["kind"] == "usual")
    assert best["merged_net_share"] > max(best["history_net_share"], best["speculator_net_share"])
    plot(json.loads(json.dumps(figures)), tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").stat().st_size > 10_000


def test_a_plot_to_nowhere_is_refused_before_anything_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["speculators", "--plot", "/nowhere/at/all.png"])
    assert main() == 2
    assert "no folder" in capsys.readouterr().err

"""What `bench prediction` and `replay` show to people: tables that fit, and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.prediction import PUBLISHED, show
from benchmarks.prediction_plots import plots
from spec_mcp.__main__ import run
from spec_mcp.records import write_sessions
from tests.replay.recorded import read, session

NAMES = ("tau-retail-gpt41", "hotpot-fireact-llama13b", "retail")


def figures(speculations: int = 4_000) -> dict[str, Any]:
    """Figures as wide as they come."""
    row = {
        "calls": 12_345,
        "sessions": 1_234,
        "speculations": speculations,
        "answered_share": 1.0,
        "answered_reads_share": 1.0,
        "used_share": 1.0 if speculations else 0.0,
        "waste_per_ten": 12.34,
        "next_call_top1": 1.0,
        "next_call_top3": 1.0,
        "hideable_hidden_share": -0.0001,
        "calibration_error": 0.123,
        "decide_ms_p50": 12.34,
        "decide_ms_p99": 123.45,
        "reliability": [[0.0, 0.0, 10], [0.5, 0.4, 10], [1.0, 1.0, 10]],
    }
    return {"0.7": dict.fromkeys(NAMES, row), "0.5": dict.fromkeys(NAMES, row)}


@pytest.mark.parametrize("columns", [80, 120])
def test_no_number_of_the_benchmark_is_cut_and_what_is_left_out_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show(figures(), (0.7, 0.5))
    said = capsys.readouterr().out
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= columns
    assert sum(line.startswith("hotpot-fireact-llama13b ") for line in said.splitlines()) == 2
    assert ("left out for want of room" in said) == (columns == 80)
    assert "-0.0%" not in said


def test_where_nothing_was_speculated_no_share_of_it_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show(figures(speculations=0), (0.7,))
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("tau-retail"))
    assert "–" in row


def test_both_plots_are_drawn(tmp_path: Path) -> None:
    plots(figures(), PUBLISHED, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prediction.png", "reliability.png"]
    assert all(path.stat().st_size > 10_000 for path in tmp_path.iterdir())


def test_a_replay_is_shown_in_lines_that_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    write_sessions(path, [session(read("a", {}), read("b", {}), name=f"s{number}") for number in range(3)])
    assert run(["replay", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "x.jsonl"
    assert "  calls         6, 6 of them reads, 6 reachable" in lines
    assert max(map(len, lines)) <= 80

"""The report of all comparisons: each has its part, whether it went well or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.environments.everything import PARTS, Found, as_json, as_page, measured_before, report_of
from benchmarks.environments.reporting import Report, Row, spread
from benchmarks.environments.running import ROOT
from spec_mcp.errors import UserError

GOOD = Report(
    "chess", False, 1, 3, [Row("time saved", spread([0.2, 0.3, 0.4]), "%", 0.195, "k = 3", "k = 3")], [], ["<b>"]
)


def test_every_part_is_a_module_of_the_checkout() -> None:
    for part in PARTS:
        assert (ROOT / "benchmarks" / f"{part.module.replace('.', '/')}.py").is_file(), part.module


def test_the_page_holds_every_part_and_says_which_failed() -> None:
    chess, other = PARTS[1], PARTS[0]
    found = [
        Found(chess, 0, 61.0, GOOD.as_json(), "", '<?xml version="1.0"?><svg>drawn</svg>'),
        Found(other, 3, 1.0, None, "Traceback & <so on>", ""),
    ]
    page = as_page(found, quick=False)
    assert "<td>time saved</td><td>k = 3</td>" in page
    assert "30.0 % (20.0 to 40.0)" in page
    assert "19.5 % k = 3" in page
    assert "<p>&lt;b&gt;</p>" in page
    assert "<figure><svg>drawn</svg></figure>" in page
    assert "Ended with exit status 3." in page
    assert "Traceback &amp; &lt;so on&gt;" in page
    assert "Quick runs" not in page
    told = as_json(found, quick=True)
    assert told["parts"][chess.module]["report"]["rows"][0]["ours"]["median"] == 0.3
    assert told["parts"][other.module]["status"] == 3


def test_what_was_measured_before_is_drawn_and_told_again(tmp_path: Path) -> None:
    chess, theory = PARTS[1], PARTS[0]
    rows = [
        Row(figure, spread([number / 10]), "%", arm=f"k = {k}")
        for number, figure in enumerate(("time saved", "moves guessed", "thought for nothing"), 1)
        for k in (1, 3, 5)
    ]
    report = Report("chess", False, 7, 2, rows, ["a move differs"], ["a note"], {"moves": ["e2e4"]})
    (tmp_path / "chess.json").write_text(json.dumps(report.as_json()))
    found = measured_before(chess, tmp_path, tmp_path)
    assert found is not None
    assert found.report is not None
    assert report_of(found.report) == report
    assert found.status == 1, "arms differed then"
    page = as_page([found], quick=False)
    assert "seed 7, 2 repetitions" in page
    assert "<figure><svg" in page
    assert measured_before(theory, tmp_path, tmp_path) is None


def test_what_is_no_report_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "chess.json").write_text("half a rep")
    with pytest.raises(UserError, match=r"chess\.json: it is no report of `spec-mcp bench chess --json`"):
        measured_before(PARTS[1], tmp_path, tmp_path)

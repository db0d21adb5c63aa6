"""The report of all comparisons: each has its part, whether it went well or not."""

from __future__ import annotations

from benchmarks.environments.everything import PARTS, Found, as_json, as_page
from benchmarks.environments.reporting import Report, Row, spread
from benchmarks.environments.running import ROOT

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

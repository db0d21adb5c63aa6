"""What the pages are told of a record."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.dashboard.predictions import interval
from spec_mcp.dashboard.reading import Reader
from spec_mcp.dashboard.words import ENDS, SKIPS
from spec_mcp.engine.events import Mode
from spec_mcp.engine.results import Difference
from spec_mcp.engine.states import Reason
from spec_mcp.store.leftovers import REASONS
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import CallRow, ComparisonRow
from spec_mcp.store.store import StoreError
from tests.dashboard.filled import Page, dashboard, write
from tests.store.rows import FILES, NOW, call, question, session


@pytest.fixture
def page(spec_mcp_home: Path) -> Page:
    write(spec_mcp_home)
    return Page(dashboard(spec_mcp_home))


@pytest.mark.parametrize(
    "name",
    [
        "overview",
        "over-time",
        "tools",
        "parts",
        "sessions",
        "predictions",
        "curve",
        "comparisons",
        "undos",
        "manifests",
    ],
)
def test_where_nothing_is_recorded_every_page_says_so_and_nothing_is_made(spec_mcp_home: Path, name: str) -> None:
    assert isinstance(Page(dashboard(spec_mcp_home)).get(name), dict)
    assert not spec_mcp_home.exists()


def test_the_sums_are_those_of_stats(page: Page) -> None:
    told = page.get("overview")["summary"]
    assert (told["calls"], told["hits"], told["joins"], told["misses"]) == (5, 1, 1, 3)
    assert (told["speculations"], told["wasted"], told["sessions"]) == (3, 1, 2)
    assert (told["saved_s"], told["wasted_s"]) == (pytest.approx(0.8), pytest.approx(0.2))


def test_a_part_of_the_record_is_counted_by_itself(page: Page) -> None:
    assert page.get("overview", server="shop")["summary"]["calls"] == 1
    assert page.get("overview", tool="read")["summary"]["calls"] == 3
    assert page.get("overview", hours=0.03)["summary"]["calls"] == 1
    assert page.get("overview", server="none")["summary"]["saved_s"] == 0


def test_over_time_empty_bars_are_there_too(page: Page) -> None:
    told = page.get("over-time")
    bars = told["bars"]
    assert told["step_s"] == 10
    assert [bar["at"] for bar in bars] == [NOW + 10 * index for index in range(11)]
    assert [bar["calls"] for bar in bars] == [4, *[0] * 9, 1]
    assert (bars[0]["saved_s"], bars[0]["wasted"]) == (pytest.approx(0.8), 1)


def test_a_long_record_has_no_more_bars_than_a_phone_can_show(spec_mcp_home: Path) -> None:
    write(spec_mcp_home, session(), *(call(number, t_start=NOW + number * 86_400.0) for number in range(60)))
    assert len(Page(dashboard(spec_mcp_home)).get("over-time")["bars"]) <= 62


def test_tools_are_told_apart_and_skips_have_words(page: Page) -> None:
    told = page.get("tools")
    assert [(line["server"], line["tool"], line["calls"]) for line in told["tools"]] == [
        ("files", "read", 3),
        ("shop", "look", 1),
        ("files", "write", 1),
    ]
    assert told["skips"] == [{"reason": "not-worth-it", "count": 7, "words": SKIPS["not-worth-it"]}]


def test_every_reason_of_the_engine_has_words() -> None:
    assert {str(reason) for reason in Reason} - {*ENDS, *SKIPS, *REASONS} == set()


def test_what_was_compared_is_told_by_tool_and_side_by_side(spec_mcp_home: Path) -> None:
    different = {"verdict": "different", "differences": (Difference("result.n", False),), "arguments": b'{"path":"/a"}'}
    rows = (compared(), compared(), compared(early=b'{"n":1}', real=b'{"n":2}', **different))
    write(spec_mcp_home, session(), *rows)
    page = Page(dashboard(spec_mcp_home))
    told = page.get("comparisons")
    assert [(line["tool"], line["compared"], line["same"], line["different"]) for line in told["tools"]] == [
        ("read", 3, 2, 1)
    ]
    (found,) = told["differences"]
    assert (found["early"], found["real"], found["places"]) == ('{"n":1}', '{"n":2}', ["result.n"])
    assert page.get("overview")["comparisons"] == told["tools"]


def compared(**more: Any) -> ComparisonRow:
    values: dict[str, Any] = {
        "session": "s1",
        "scope": FILES,
        "tool": "read",
        "entry": "e",
        "arguments": None,
        "is_check": False,
        "how": "hit",
        "verdict": "same",
        "differences": (),
        "saved_s": 0.1,
        "at": NOW,
    }
    return ComparisonRow(**(values | more))


def test_sessions_come_newest_first_and_live_ones_are_known(page: Page) -> None:
    newest, oldest = page.get("sessions")["sessions"]
    assert (newest["session"], newest["live"], newest["calls"]) == ("s2", True, 1)
    assert (oldest["session"], oldest["live"], oldest["client"]) == ("s1", False, "agent 2")
    assert page.get("sessions", before=newest["started_at"])["sessions"] == [oldest]
    assert [one["session"] for one in page.get("sessions", server="shop")["sessions"]] == ["s2"]


def test_a_session_whose_process_is_gone_is_not_live(spec_mcp_home: Path) -> None:
    write(spec_mcp_home, session("gone", pid=2**22 + 1), session("old", started_at=NOW - 9e6, pid=1))
    told = Page(dashboard(spec_mcp_home)).get("sessions")["sessions"]
    assert {one["session"]: one["live"] for one in told} == {"gone": False, "old": False}


def test_a_timeline_tells_what_was_made_ahead_and_why(page: Page) -> None:
    told = page.get("session", id="s1")
    rows = told["rows"]
    assert [row["what"] for row in rows] == ["miss", "hit", "join", "wasted", "miss"]
    hit, wasted = rows[1], rows[3]
    assert (hit["start_s"], hit["saved_s"], hit["ahead"]["start_s"]) == (2, 0.5, pytest.approx(1.1))
    assert (hit["ahead"]["source"], hit["ahead"]["q"]) == ("history", 0.8)
    assert hit["ahead"]["least_wait_s"] == pytest.approx(0.05)  # 0.2 / 0.8 of what a wasted call is worth
    assert (wasted["ahead"]["words"], wasted["number"]) == (ENDS["spoiled"], -3)
    assert (rows[4]["writes"], rows[4]["is_error"]) == (True, True)
    assert told["skips"][0]["reason"] == "not-worth-it"


def test_what_speculators_were_asked_for_a_session_is_told_with_its_price(page: Page, spec_mcp_home: Path) -> None:
    assert page.get("session", id="s1")["speculators"] == []
    write(spec_mcp_home, question("s1"), question("s1", ending="cancelled", price=0.001), question("s2"))
    [told] = page.get("session", id="s1")["speculators"]
    assert (told["speculator"], told["asked"], told["input_tokens"], told["price"]) == ("small", 2, 2000, 0.003)
    assert told["endings"] == {"answered": 1, "cancelled": 1}


def test_a_session_that_is_not_there_is_said_so(page: Page) -> None:
    assert page.get("session", 404, id="s9")["error"]


def test_a_long_session_comes_in_parts(spec_mcp_home: Path) -> None:
    calls: list[CallRow] = [call(number) for number in range(1, 451)]
    write(spec_mcp_home, session(), *calls)
    page = Page(dashboard(spec_mcp_home))
    seen: list[int] = []
    before = None
    for _ in range(3):
        told = page.get("session", id="s1", **({} if before is None else {"before": before}))
        seen += [row["number"] for row in told["rows"]]
        before = told["earlier"]
    assert before is None
    assert sorted(seen) == list(range(1, 451))


def test_calibration_tells_how_often_what_was_expected_came_true(page: Page) -> None:
    told = page.get("predictions")
    assert [(line["bin"], line["count"], line["used"]) for line in told["bins"]] == [(5, 1, 0), (7, 1, 1), (8, 1, 1)]
    assert [line["reason"] for line in told["ends"]] == ["spoiled"]
    (source,) = told["sources"]
    assert (source["source"], source["count"], source["used"]) == ("history", 3, 2)


@pytest.mark.parametrize(
    ("used", "count", "low", "high"), [(0, 10, 0.0, 0.278), (5, 10, 0.237, 0.763), (1, 1, 0.207, 1.0)]
)
def test_an_interval_is_wilsons(used: int, count: int, low: float, high: float) -> None:
    assert interval(used, count) == (pytest.approx(low, abs=0.001), pytest.approx(high, abs=0.001))


def test_the_mode_that_holds_is_told(spec_mcp_home: Path) -> None:
    path = write(spec_mcp_home)
    page = Page(dashboard(spec_mcp_home))
    assert page.get("overview")["mode"] == "on"
    ModeSwitch(path).turn(Mode.SHADOW)
    assert page.get("overview")["mode"] == "shadow"


# --- the store ------------------------------------------------------------------------------------------------------


def test_the_store_is_read_without_a_right_to_write(spec_mcp_home: Path) -> None:
    reader = Reader(write(spec_mcp_home))
    with pytest.raises(StoreError, match="not writable"):
        reader.rows("DELETE FROM calls")
    assert len(reader.rows("SELECT * FROM calls")) == 5
    reader.close()


def test_reading_is_told_of_what_others_write(spec_mcp_home: Path) -> None:
    reader = Reader(write(spec_mcp_home))
    before = reader.version()
    assert reader.version() == before
    write(spec_mcp_home, call(9, "s1"))
    assert reader.version() != before
    assert len(reader.rows("SELECT * FROM calls")) == 6
    reader.close()


def test_a_writer_waits_for_no_reader(spec_mcp_home: Path) -> None:
    reader = Reader(write(spec_mcp_home))
    assert reader.rows("SELECT * FROM calls")
    path = spec_mcp_home / STORE_NAME
    writer = sqlite3.connect(path, timeout=0, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert reader.rows("SELECT * FROM calls")
    writer.execute("COMMIT")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.with_name(path.name + "-wal").stat().st_size == 0
    writer.close()
    reader.close()


def test_another_store_in_its_place_is_opened(spec_mcp_home: Path) -> None:
    path = write(spec_mcp_home)
    reader = Reader(path)
    assert len(reader.rows("SELECT * FROM calls")) == 5
    for file in spec_mcp_home.glob(f"{STORE_NAME}*"):
        file.unlink()
    assert reader.rows("SELECT * FROM calls") == []
    write(spec_mcp_home, session(), call())
    assert len(reader.rows("SELECT * FROM calls")) == 1
    reader.close()


def test_a_question_without_end_is_given_up(spec_mcp_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spec_mcp.dashboard.reading.QUERY_BOUND_S", 0.05)
    reader = Reader(write(spec_mcp_home))
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(StoreError, match="takes too long"):
        reader.rows(endless)
    assert len(reader.rows("SELECT * FROM calls")) == 5
    reader.close()


def test_a_store_that_cannot_be_used_is_told_in_words(spec_mcp_home: Path) -> None:
    spec_mcp_home.mkdir()
    (spec_mcp_home / STORE_NAME).write_bytes(b"no store at all" * 100)
    told = Page(dashboard(spec_mcp_home)).get("overview", 409)
    assert "damaged" in told["error"]

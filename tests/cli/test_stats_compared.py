"""What `stats` says of comparisons: what would have been saved, what differed, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.cli.verdicts import ALWAYS, ENOUGH
from spec_mcp.engine.events import Mode
from spec_mcp.engine.results import Difference
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite import SqliteStore
from tests.store.rows import SHOP, call, comparison, demotion, session


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def store(spec_mcp_home: Path) -> SqliteStore:
    path = spec_mcp_home / STORE_NAME
    store = SqliteStore(path)
    store.write([session(), call()])
    ModeSwitch(path).turn(Mode.SHADOW)
    return store


def told(arguments: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    assert run(arguments.split()) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def test_without_comparisons_nothing_is_said_of_them(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert "omparison" not in told("stats", capsys)
    assert "No divergence in 0 comparisons." in told("stats --divergences", capsys)
    assert "compared" not in json.loads(told("stats --json", capsys))


def test_shadow_mode_says_what_it_would_have_saved_and_when_that_is_enough(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write([comparison(verdict="same") for _ in range(ENOUGH - 1)])
    said = told("stats", capsys)
    assert f"{ENOUGH - 1} calls would have been answered ahead of time, 24.50 s of waiting saved" in said
    assert f"Of {ENOUGH - 1} comparisons none differed" in said
    assert "Not yet enough to judge by: 1 more" in said
    store.write([comparison(verdict="same", how="join")])
    assert "That is enough to judge by: `spec-mcp on` switches on\n" in told("stats", capsys)
    assert json.loads(told("stats --json", capsys))["shadow"] == {
        "compared": ENOUGH,
        "needed": ENOUGH,
        "enough": True,
        "against": [],
        "command": "spec-mcp on",
    }


def test_where_it_is_on_nobody_is_told_to_switch_it_on(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([comparison(verdict="same") for _ in range(ENOUGH)])
    told("on", capsys)
    assert "enough" not in told("stats", capsys)


def test_what_stands_against_switching_on_is_named(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([comparison(verdict="same") for _ in range(ENOUGH)])
    store.write([comparison("list"), demotion("list"), comparison("list", scope=SHOP, is_check=True)])
    said = told("stats", capsys)
    assert "  files.list: 1 of 1 differed; demoted: not called ahead of time until" in said
    assert "  shop.list: 1 of 1 differed\n" in said
    assert "`spec-mcp on` switches on; what is demoted stays off" in said
    stats = json.loads(told("stats --json", capsys))
    assert stats["shadow"]["against"] == ["files.list", "shop.list"]
    assert stats["compared"]["files__list"]["demoted"] is True
    assert stats["compared"]["shop__list"]["checks"] == 1
    assert "files.list" in told("forget --demotions", capsys)
    assert "demoted" not in told("stats", capsys)


def test_divergences_are_shown_side_by_side_the_newest_first(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [json.dumps({"content": [{"type": "text", "text": f'{{"at": {n}}}'}]}).encode() for n in range(3)]
    store.write([comparison(early=texts[0], real=texts[1]), comparison(early=texts[1], real=texts[2], is_check=True)])
    lines = told("stats --divergences", capsys).splitlines()
    assert lines[0] == "files.read  2027-01-15 08:00:00, check of what was answered"
    assert lines[1:3] == ['  path="/a"', "  result.at: differs"]
    assert [line.split() for line in lines if '"at"' in line] == [
        ['"at":', "1", '"at":', "2"],
        ['"at":', "0", '"at":', "1"],
    ]
    found = json.loads(told("stats --divergences --json", capsys))
    assert [one["made_by"] for one in found] == ["check", "shadow"]
    assert found[0]["early"] == json.loads(texts[1])


def test_a_result_that_is_not_kept_is_told_by_its_size(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([comparison(early=None, early_bytes=70_000)])
    said = told("stats --divergences", capsys)
    assert "(70,000 bytes, not kept)" in said
    assert '"at"' not in said


def test_names_from_a_server_do_nothing_to_the_terminal(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2J[bold]x"
    store.write([comparison(evil, differences=(Difference(f"result.{evil}", False),), real=b'{"text":"\\u001b[2J"}')])
    for command in ("stats", "stats --divergences"):
        said = told(command, capsys)
        assert "\x1b" not in said
        assert "[bold]x" in said


def test_values_that_go_with_the_time_come_with_the_line_for_the_manifest(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write([comparison(verdict="passing")])
    rule = '[tools.read] equal = { "result.at" = "ignore" }'
    assert rule in told("stats", capsys).replace("\n", " ")
    assert rule in told("stats --divergences", capsys).replace("\n", " ")
    assert json.loads(told("stats --json", capsys))["compared"]["read"]["suggestion"] == rule


def test_what_differs_each_time_goes_with_the_request(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    counts = (Difference("result.n", False),)
    store.write([comparison(differences=counts) for _ in range(ALWAYS - 1)])
    assert "suggestion" not in json.loads(told("stats --json", capsys))["compared"]["read"]
    store.write([comparison(differences=counts)])
    assert '"result.n" = "ignore"' in json.loads(told("stats --json", capsys))["compared"]["read"]["suggestion"]
    store.write([comparison(verdict="same")])
    assert "suggestion" not in json.loads(told("stats --json", capsys))["compared"]["read"]


def test_a_tool_that_only_tells_the_time_is_better_left_out(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write([comparison(verdict="passing", differences=(Difference("result.text", True),))])
    said = told("stats", capsys).replace("\n", " ")
    assert "files.read: its text goes with the time or the request" in said
    assert "equal" not in said


@pytest.mark.parametrize("options", ["--demotions --all", ""])
def test_forget_wants_to_know_what(store: SqliteStore, capsys: pytest.CaptureFixture[str], options: str) -> None:
    assert told(f"forget {options}", capsys, 2).startswith("spec-mcp: forget: ")

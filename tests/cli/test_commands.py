"""The commands as a person and as a program meet them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.__main__ import run
from spec_mcp.engine.events import Mode
from spec_mcp.records import CallEvent, parse_session
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.store.entries import entry
from tests.store.rows import FILES, NOW, SHOP, call, learned, pin, question, session, skip, speculation

BOUND_S = 60


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("TZ", "UTC")


@pytest.fixture
def path(spec_mcp_home: Path) -> Path:
    return spec_mcp_home / STORE_NAME


@pytest.fixture
def store(path: Path) -> SqliteStore:
    return SqliteStore(path)


def told(arguments: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    """What a command prints; on standard error where it fails."""
    assert run(arguments.split()) == status
    captured = capsys.readouterr()
    if status:
        assert captured.out == ""
        assert captured.err.startswith("spec-mcp: ")
        assert captured.err.count("\n") == 1
        return captured.err
    assert captured.err == ""
    return captured.out


def fill(store: SqliteStore) -> None:
    store.write(
        [
            session("abc1", client_name="agent", ended_at=NOW + 60),
            call(1, session="abc1", tool="list"),
            call(2, session="abc1", how="hit", saved_s=1.5, wait_s=0.0, t_end=NOW + 2, speculation=7),
            call(3, session="abc1", how="join", saved_s=0.5, is_error=True),
            speculation(7, session="abc1", launched_at=NOW + 1, ended_at=NOW + 2, call=2),
            speculation(8, session="abc1", state="discarded", reason="expired", call=None),
            skip("busy", 4, session="abc1"),
            session("abd2", SHOP, started_at=NOW + 100),
            call(1, session="abd2", server="shop", tool="read", t_start=NOW + 101, t_end=NOW + 102),
        ]
    )


def test_stats_for_a_program_have_exactly_the_agreed_keys(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    stats = json.loads(told("stats --json", capsys))
    tool_keys = ["calls", "hits", "joins", "misses", "speculations", "wasted", "compensated", "stuck", "saved_s"]
    assert list(stats) == ["sessions", *tool_keys, "skips", "tools"]
    assert all(list(tool) == tool_keys for tool in stats["tools"].values())
    assert {key: stats[key] for key in ("sessions", "calls", "hits", "joins", "misses")} == {
        "sessions": 2,
        "calls": 4,
        "hits": 1,
        "joins": 1,
        "misses": 2,
    }
    assert (stats["speculations"], stats["wasted"], stats["saved_s"]) == (2, 1, 2.0)
    assert (stats["compensated"], stats["stuck"], stats["skips"]) == (0, 0, {"busy": 4})


def test_what_was_taken_back_and_what_could_not_be_is_told(
    store: SqliteStore, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.write(
        [
            speculation(9, session="abc1", state="compensated", reason="mispredicted", call=None),
            call(4, session="abc1", how="lossy", saved_s=1.0),
        ]
    )
    journal = SqliteJournal(path)
    early = entry(tool="list")
    journal.intend(early)
    assert journal.stuck(early.id, early.owner, "residue")
    journal.close()
    stats = json.loads(told("stats --json", capsys))
    assert (stats["compensated"], stats["stuck"], stats["lossy"], stats["wasted"]) == (1, 1, 1, 2)
    text = told("stats", capsys)
    assert "could not be taken back" in text
    assert "spec-mcp recover" in text
    assert "not lossless" in text


def test_tools_of_one_name_are_told_apart_by_their_servers(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    assert set(json.loads(told("stats --json", capsys))["tools"]) == {"files__read", "shop__read", "list"}


def test_stats_for_people_say_what_was_saved_and_why_not_more(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    text = told("stats", capsys)
    assert "2 sessions, 4 calls, 50 % of them answered ahead of time: 2.00 s of waiting saved" in text
    assert "2 speculations, 50 % of them wasted" in text
    assert "Predictions not acted on: busy 4" in text


@pytest.mark.parametrize("command", ["stats", "sessions"])
def test_an_empty_record_says_how_to_begin_and_makes_no_file(
    command: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "spec-mcp wrap -- COMMAND" in " ".join(told(command, capsys).split())
    json.loads(told(f"{command} --json", capsys))
    assert not path.exists()


def test_sessions_are_listed_newest_first(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    listed = json.loads(told("sessions --json", capsys))
    assert [(entry["session"], entry["server"], entry["calls"]) for entry in listed] == [
        ("abd2", "shop", 1),
        ("abc1", "files", 3),
    ]
    assert [entry["session"] for entry in json.loads(told("sessions --json --limit 1", capsys))] == ["abd2"]
    text = told("sessions", capsys)
    assert text.index("abd2") < text.index("abc1")
    assert "1.0 min" not in text
    assert "60.00 s" in text


def test_a_trace_for_a_program_is_a_recorded_session(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    line = told("trace abc --json", capsys)
    record = parse_session(line.encode(), "trace", 1)
    assert (record.session, record.source, line.count("\n")) == ("abc1", "spec-mcp/files", 1)
    assert record.events[0] == CallEvent(
        tool="list",
        arguments={"path": "/a"},
        result="text",
        is_error=False,
        kind="read",
        batch=1,
        t_start=1.0,
        t_end=1.5,
    )
    assert [event.is_error for event in record.calls()] == [False, False, True]


def test_what_speculators_were_asked_and_cost_is_told_of_a_session_and_in_sum(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    unanswered = question(ending="cancelled", guesses=0, output_tokens=0, price=0.001, took_s=0.1)
    store.write([session("s1"), call(1), question(), unanswered, question(ending="held-back", price=0)])
    store.write([session("s2", started_at=NOW + 9), call(1, "s2"), question("s2", price=0.004)])
    line = told("trace s1 --json", capsys)
    one = json.loads(line)["speculators"]["small"]
    assert one["endings"] == {"answered": 1, "cancelled": 1, "held-back": 1}
    assert (one["asked"], one["answered"], one["price"], one["took_s"]) == (2, 1, 0.003, 0.5)
    assert parse_session(line.encode(), "trace", 1).session == "s1", "readers of recorded sessions skip it"
    lines = [json.loads(line) for line in told("trace --all --json", capsys).splitlines()]
    assert [line["speculators"]["small"]["asked"] for line in lines] == [2, 1]
    assert json.loads(told("stats --json", capsys))["speculators"]["small"]["price"] == 0.007
    assert [each["speculators_price"] for each in json.loads(told("sessions --json", capsys))] == [0.004, 0.003]
    assert "speculator small: 2 questions, 50 % answered, after 0.50 s each" in told("trace s1", capsys)


def test_all_traces_are_one_session_a_line(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    lines = told("trace --all --json", capsys).splitlines()
    assert [parse_session(line.encode(), "trace", 1).session for line in lines] == ["abc1", "abd2"]


def test_a_session_with_several_servers_names_them_in_its_record(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write([session("s1"), call(1), call(2, server="shop")])
    [line] = told("trace last --json", capsys).splitlines()
    assert [event["tool"] for event in json.loads(line)["events"]] == ["files__read", "shop__read"]


def test_what_no_encoding_can_take_survives_in_a_record(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([session("s1"), call(1, arguments=b'{"a":"\\ud800"}', result=None)])
    [event] = json.loads(told("trace s1 --json", capsys))["events"]
    assert (event["arguments"], event["result"]) == ({"a": "\ud800"}, None)


def test_a_timeline_tells_each_call_and_each_wasted_speculation_once(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    text = told("trace abc1", capsys)
    lines = text.splitlines()
    assert sum(" read path=" in line for line in lines) == 3
    [hit] = [line for line in lines if "hit  " in line]
    assert "made 1.00 s ahead, saved 1.50 s" in hit
    [wasted] = [line for line in lines if "wasted  " in line]
    assert "expired, expected with 50 %" in wasted
    assert "3 calls: 1 hit, 1 join; 2 speculations, 1 wasted; 2.00 s of waiting saved" in text
    assert "Predictions not acted on: busy 4" in text


def test_a_timeline_tells_early_writes_that_were_taken_back_or_are_stuck(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.write(
        [
            speculation(9, session="abc1", state="compensated", reason="mispredicted", call=None),
            speculation(10, session="abc1", state="stuck", reason="residue", call=None),
        ]
    )
    text = told("trace abc1", capsys)
    assert "mispredicted" in next(line for line in text.splitlines() if "taken back  " in line)
    assert "residue" in next(line for line in text.splitlines() if "stuck  " in line)
    assert "4 speculations, 3 wasted" in text


def test_nothing_that_a_server_or_a_model_wrote_steers_the_terminal(
    store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b[31mx\x07\u202e[bold]"
    store.write(
        [
            session("s1", client_name=evil, scope=FILES),
            call(1, tool=evil, arguments=json.dumps({evil: evil}).encode()),
            speculation(1, tool=evil, state="discarded", reason=evil),
            skip(evil),
        ]
    )
    for command in ("trace s1", "stats", "sessions"):
        text = told(command, capsys)
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]" in text


def test_last_is_the_newest_session(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    fill(store)
    assert json.loads(told("trace last --json", capsys))["session"] == "abd2"


def test_a_whole_id_is_meant_even_if_it_begins_another(store: SqliteStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([session("ab"), session("abc")])
    assert json.loads(told("trace ab --json", capsys))["session"] == "ab"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ("trace ab", 2, "ab is the beginning of abc1, abd2: write more"),
        ("trace zz", 1, "no session begins with zz: `spec-mcp sessions` lists them"),
        ("trace", 2, "say which session"),
        ("trace --all", 2, "--all needs --json"),
        ("trace abc --all --json", 2, "say which session"),
        ("forget", 2, "say what: `--server NAME`, `--demotions` or `--all`"),
        ("forget --all --server files", 2, "say what"),
        ("forget --server nobody", 1, "nothing is recorded of nobody: it knows files, shop"),
        ("stats --jsn", 2, "see `spec-mcp stats --help`"),
        ("sessions --limit 0", 2, "--limit"),
        ("nonsense", 2, "nonsense"),
        ("stats --config /no/such/file", 2, "/no/such/file"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_what_to_do(
    arguments: str, status: int, said: str, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    assert said in told(arguments, capsys, status)


@pytest.mark.parametrize("command", ["stats", "sessions", "trace last", "trace --all --json", "forget --server x"])
def test_a_damaged_store_is_named_with_what_to_do_and_left_alone(
    command: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 200)
    assert told(command, capsys, 2).startswith(f"spec-mcp: {path}: damaged, or no store: `spec-mcp forget --all`")
    assert path.read_bytes() == b"no database " * 200


def test_forgetting_everything_begins_anew_where_the_store_is_damaged(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 200)
    told("forget --all", capsys)
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith((".lock", ".turn"))] == []


def test_forgetting_a_server_leaves_the_others_and_no_trace_of_it_in_the_file(
    store: SqliteStore, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.write([call(9, session="abc1", result=b'"a secret of files"'), pin(), learned(b'{"a secret of files":1}')])
    store.close()
    assert "files (sessions: 1)" in told("forget --server files", capsys)
    assert [entry["server"] for entry in json.loads(told("sessions --json", capsys))] == ["shop"]
    assert all(b"a secret of files" not in file.read_bytes() for file in path.parent.iterdir())


def test_forgetting_everything_leaves_nothing_and_keeps_the_switch(
    store: SqliteStore, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)
    store.close()
    aside = path.with_name(path.name + ".damaged-1")
    aside.write_bytes(b"x")
    told("off", capsys)
    assert "(sessions: 2)" in told("forget --all", capsys)
    assert json.loads(told("stats --json", capsys))["calls"] == 0
    assert not aside.exists()
    assert ModeSwitch(path).read() is Mode.OFF


@pytest.mark.parametrize("mode", list(Mode))
def test_the_switch_is_turned_and_said(mode: Mode, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(str(mode), capsys).startswith(f"{mode}: ")
    assert ModeSwitch(path).read() is mode


def test_a_switch_that_cannot_be_turned_says_why(
    spec_mcp_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec_mcp_home.write_text("a file")
    assert str(spec_mcp_home) in told("on", capsys, 2)


def test_the_configuration_says_where_the_store_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    SqliteStore(tmp_path / "elsewhere.db").write([session("there")])
    config = tmp_path / "c.toml"
    config.write_text(f'[store]\nurl = "{tmp_path / "elsewhere.db"}"\n')
    assert json.loads(told(f"sessions --json --config {config}", capsys))[0]["session"] == "there"
    monkeypatch.setenv("SPEC_MCP_CONFIG", str(config))
    assert json.loads(told("sessions --json", capsys))[0]["session"] == "there"


def test_help_is_shown_with_and_without_being_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert "wrap" in told("", capsys)
    assert "SESSION" in told("trace --help", capsys)
    assert "--manifest" in told("wrap --help", capsys)
    assert told("--version", capsys).startswith("spec-mcp ")


def python(program: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
        **more,
    )


def test_wrap_is_dispatched_before_anything_heavy_is_imported() -> None:
    program = (
        "import sys, types\n"
        "import spec_mcp.__main__ as program\n"
        "import spec_mcp.relay.wrap as wrap\n"
        "wrap.main = lambda arguments: print(arguments) or 7\n"
        "status = program.run(['wrap', '--name', 'x', '--', 'server', '--help'])\n"
        "heavy = {'typer', 'rich', 'pydantic', 'sqlite_utils', 'mcp', 'sqlite3', 'numpy'} & set(sys.modules)\n"
        "print(status, sorted(heavy))"
    )
    done = python(program)
    assert done.stdout.splitlines() == ["['--name', 'x', '--', 'server', '--help']", "7 []"], done.stderr


def test_a_reader_who_leaves_early_sees_no_traceback(store: SqliteStore) -> None:
    store.write([session(), *(call(number, result=b'"' + b"x" * 9_000 + b'"') for number in range(60))])
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "spec_mcp", "trace", "last", "--json"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    os.close(read_end)
    _, errors = process.communicate(timeout=BOUND_S)
    assert "Traceback" not in errors
    assert process.returncode == 1


def test_a_terminal_that_knows_no_letters_but_ascii_gets_a_timeline_too(store: SqliteStore) -> None:
    store.write([session(), call(1, tool="läsen")])
    done = subprocess.run(
        [sys.executable, "-m", "spec_mcp", "trace", "last"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"l\\xe4sen" in done.stdout

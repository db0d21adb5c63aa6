"""`spec-mcp learn` as a user meets it: transcripts and recorded sessions into the history that `wrap` reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.__main__ import run
from spec_mcp.predict.merging import KIND
from spec_mcp.records import write_sessions
from spec_mcp.replay.warm import LESSONS
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import LOCAL_USER, LearnedRow, Scope
from spec_mcp.store.sqlite import SqliteStore
from tests.replay.recorded import read, session
from tests.replay.transcript_lines import answer, pair, use, write

FILES = ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/user"]
SCOPE = Scope.of("server-filesystem", FILES)


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    """Claude Code's folder, with one server in its configuration."""
    configure(tmp_path, {"files": {"command": FILES[0], "args": FILES[1:]}})
    return tmp_path / ".claude"


def configure(home: Path, servers: dict[str, Any]) -> None:
    (home / ".claude.json").write_text(json.dumps({"projects": {"/nowhere": {"mcpServers": servers}}}))


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> str:
    """What the command prints; what it says on standard error comes last."""
    assert run(["learn", *map(str, arguments)]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == (status != 0)
    return captured.out + captured.err


def from_claude(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, status: int = 0) -> str:
    return told(capsys, "--from", "claude-code", "--folder", folder, *arguments, status=status)


def rows(home: Path, scope: Scope = SCOPE) -> dict[str, list[LearnedRow]]:
    """What the store holds of a server, by kind."""
    store = SqliteStore(home / STORE_NAME)
    try:
        found: dict[str, list[LearnedRow]] = {}
        for row in store.learned(scope, LOCAL_USER):
            found.setdefault(row.kind, []).append(row)
        return found
    finally:
        store.close()


def test_transcripts_are_learned_where_wrap_will_look_for_them(
    claude: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(claude, "s1.jsonl", [*pair("t1", "mcp__files__read_file", 0), *pair("t2", "mcp__files__read_file", 3)])
    said = from_claude(capsys, claude)
    assert "1 transcript, 2 answered calls of MCP tools in 1 conversation" in said
    assert "server-filesystem: 1 session, 2 calls: learned" in said
    assert {kind: len(found) for kind, found in rows(spec_mcp_home).items()} == {KIND: 1, LESSONS: 1}


@pytest.mark.parametrize(
    ("options", "name"), [([], "server-filesystem"), (["--name", "own"], "own"), (["--name=own"], "own")]
)
def test_a_server_that_is_wrapped_already_is_known_by_what_stands_behind(
    tmp_path: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str], options: list[str], name: str
) -> None:
    configure(tmp_path, {"files": {"command": "uvx", "args": ["spec-mcp", "wrap", *options, "--", *FILES]}})
    write(tmp_path / ".claude", "s1.jsonl", pair("t1", "mcp__files__read_file", 0))
    assert f"{name}: 1 session, 1 call: learned" in from_claude(capsys, tmp_path / ".claude")
    assert rows(spec_mcp_home, Scope.of(name, FILES))


def test_learning_twice_counts_once_and_a_session_that_grew_counts_its_new_calls(
    claude: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = [*pair("t1", "mcp__files__read_file", 0), *pair("t2", "mcp__files__read_file", 3)]
    write(claude, "s1.jsonl", calls)
    from_claude(capsys, claude)
    assert "server-filesystem: 1 session, 2 calls: nothing new" in from_claude(capsys, claude)
    assert len(rows(spec_mcp_home)[KIND]) == 1
    write(claude, "s2.jsonl", [*calls, *pair("t3", "mcp__files__read_file", 6)])
    said = from_claude(capsys, claude)
    assert "2 calls repeated by a resumed, forked or compacted session: counted once" in said
    assert "server-filesystem: 1 session, 3 calls, of which 1 call in 1 session is new: learned" in said
    assert {kind: len(found) for kind, found in rows(spec_mcp_home).items()} == {KIND: 2, LESSONS: 1}
    assert "nothing new" in from_claude(capsys, claude)


def test_what_was_forgotten_can_be_learned_again(claude: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(claude, "s1.jsonl", pair("t1", "mcp__files__read_file", 0))
    from_claude(capsys, claude)
    assert run(["forget", "--server", "server-filesystem"]) == 0
    capsys.readouterr()
    assert "1 call: learned" in from_claude(capsys, claude)


def test_a_dry_run_says_the_same_and_leaves_nothing(
    claude: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(claude, "s1.jsonl", pair("t1", "mcp__files__read_file", 0))
    assert "server-filesystem: 1 session, 1 call: would be learned" in from_claude(capsys, claude, "--dry-run")
    assert not (spec_mcp_home / STORE_NAME).exists()


def test_what_is_skipped_is_said_with_its_reason(claude: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = "The user doesn't want to proceed with this tool use."
    entries = [
        *pair("t1", "mcp__files__read_file", 0),
        use("t2", "mcp__files__read_file", 3),
        use("t3", "mcp__files__read_file", 4),
        answer("t3", refusal, 5, is_error=True),
        *pair("t4", "mcp__files__read_file", 6, "<persisted-output>\nOutput too large"),
        *pair("t5", "mcp__plugin_shop_orders__get", 8),
        *pair("t6", "mcp__claude_ai_Mail__search", 10),
        *pair("t7", "mcp__gone__get", 12),
    ]
    write(claude, "s1.jsonl", entries)
    said = from_claude(capsys, claude)
    for line in (
        "5 answered calls",
        "1 call without an answer: left out",
        "1 call denied, or answered by Claude Code itself: left out",
        "1 call with a result that Claude Code cut or cleared: learned as calls, not what they answered",
        "plugin_shop_orders: 1 call left out: a plugin brought it",
        "claude_ai_Mail: 1 call left out: it is a connector of claude.ai",
        "gone: 1 call left out: it stands in none of Claude Code's configurations",
        "server-filesystem: 1 session, 2 calls: learned",
    ):
        assert line in said


def test_a_command_line_can_be_given_for_a_server_that_stands_nowhere(
    claude: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(claude, "s1.jsonl", pair("t1", "mcp__plugin_shop_orders__get", 0))
    said = from_claude(capsys, claude, status=1)
    assert "`spec-mcp learn --from claude-code --server NAME -- COMMAND`" in said
    said = from_claude(capsys, claude, "--server", "plugin_shop_orders", "--", "shop-server", "--verbose")
    assert "plugin_shop_orders: 1 session, 1 call" in said
    assert rows(spec_mcp_home, Scope.of("plugin_shop_orders", ["shop-server", "--verbose"]))


def test_servers_of_a_project_are_found_and_what_wrap_cannot_start_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    servers = {
        "my files": {"command": "files-server", "args": ["${SPEC_MCP_TEST_FOLDER}"]},
        "far": {"type": "http", "url": "https://example.com/mcp"},
        "unset": {"command": "x", "args": ["${SPEC_MCP_TEST_UNSET}"]},
    }
    (project / ".mcp.json").write_text(json.dumps({"mcpServers": servers}))
    (tmp_path / ".claude.json").write_text(json.dumps({"projects": {str(project): {}}}))
    monkeypatch.setenv("SPEC_MCP_TEST_FOLDER", "/tmp/x")
    names = ("mcp__my_files__read", "mcp__far__get", "mcp__unset__get")
    write(tmp_path / ".claude", "s1.jsonl", [line for name in names for line in pair(name, name, len(name))])
    said = from_claude(capsys, tmp_path / ".claude")
    assert "files-server: 1 session, 1 call" in said
    assert "far: 1 call left out: it is reached by a URL" in said
    assert "unset: 1 call left out: " in said
    assert "SPEC_MCP_TEST_UNSET is not set" in said


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        ((), 2, "name files of recorded sessions, or --from claude-code"),
        (("x.jsonl",), 2, "end with `-- COMMAND`"),
        (("--from", "emacs"), 2, "only claude-code is known"),
        (("x.jsonl", "--from", "claude-code"), 2, "give files or --from, not both"),
        (("--from", "claude-code", "--", "x"), 2, "say with --server whose command line this is"),
        (("--from", "claude-code", "--folder", "/nowhere"), 1, "say where with --folder"),
        (("/nowhere/x.jsonl", "--", "x"), 2, "cannot be read"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, line: str
) -> None:
    assert line in told(capsys, *arguments, status=status)


def test_a_server_that_was_never_called_is_met_with_those_that_were(
    claude: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(claude, "s1.jsonl", pair("t1", "mcp__files__read_file", 0))
    said = from_claude(capsys, claude, "--server", "file", status=1)
    assert "there is no call of a server file; those that were called: files" in said


def test_recorded_sessions_are_learned_once_too(
    tmp_path: Path, spec_mcp_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.jsonl"
    trials = [session(read("find", {"n": 1}), read("get", {"n": n}), name="one task") for n in range(2)]
    write_sessions(path, trials)
    said = told(capsys, path, "--", "shop-server", "--fast")
    assert f"{path}: 2 sessions, 4 calls" in said
    assert "shop-server: 2 sessions, 4 calls: learned" in said
    assert rows(spec_mcp_home, Scope.of("shop-server", ["shop-server", "--fast"]))
    assert "nothing new" in told(capsys, path, "--", "shop-server", "--fast")


def test_exported_sessions_of_other_servers_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    path = tmp_path / "x.jsonl"
    one = session(read("get", {}), name="s1")
    write_sessions(path, [replace(one, source=f"spec-mcp/{name}") for name in ("shop", "other")])
    said = told(capsys, path, "--server", "shop", "--", "shop-server")
    assert "1 left out, of other servers: other" in said
    assert "shop: 1 session, 1 call: learned" in said

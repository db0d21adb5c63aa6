"""A shell is offered the names that are there, and never an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spec_mcp.__main__ import run
from spec_mcp.cli import completing
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import Scope
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.store.entries import entry
from tests.store.rows import NOW, session


@pytest.fixture
def home(spec_mcp_home: Path) -> Path:
    spec_mcp_home.mkdir(mode=0o700)
    return spec_mcp_home


@pytest.fixture
def recorded(home: Path) -> Path:
    store = SqliteStore(home / STORE_NAME)
    store.write([session("20261122-a", Scope.of("notes", ["notes"])), session("20261122-b", started_at=NOW + 1)])
    store.close()
    return home


def offered(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash is told when the tabulator is pressed at the end of this line."""
    monkeypatch.setenv("_SPEC_MCP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit) as ended:
        run([])
    told = capsys.readouterr()
    assert (ended.value.code, told.err) == (0, "")
    return told.out.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("spec-mcp install cu", ["cursor"]),
        ("spec-mcp uninstall claude", ["claude-desktop", "claude-code"]),
        ("spec-mcp manifest show memo", ["memory"]),
        ("spec-mcp manifest verify fil", ["filesystem"]),
        ("spec-mcp wrap --manifest fil", ["filesystem"]),
        ("spec-mcp learn --from c", ["claude-code"]),
        ("spec-mcp trace ", ["last", "20261122-b", "20261122-a"]),
        ("spec-mcp trace 20261122-a", ["20261122-a"]),
        ("spec-mcp tune --server n", ["notes"]),
        ("spec-mcp forget --server ", ["files", "notes"]),
    ],
)
def test_names_that_are_there_are_offered(
    line: str, names: list[str], recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(line, capsys, monkeypatch) == names


def test_servers_of_the_configuration_and_of_clients_are_offered(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config.toml").write_text('[servers.tracker]\ncommand = "x"\n[servers.files]\ncommand = "y"\n')
    monkeypatch.setattr(Path, "home", lambda: home)
    (home / ".cursor").mkdir()
    (home / ".cursor" / "mcp.json").write_text(json.dumps({"mcpServers": {"mail": {"command": "z"}}}))
    assert completing.configured_servers("") == ["tracker", "files"]
    assert "mail" in completing.client_servers("m")


def test_entries_that_are_open_are_offered_to_be_closed(home: Path) -> None:
    assert completing.open_entries("") == []
    journal = SqliteJournal(home / STORE_NAME)
    journal.intend(left := entry())
    journal.close()
    assert completing.open_entries("") == [left.id]


def test_where_a_file_is_broken_nothing_is_offered(home: Path) -> None:
    (home / "config.toml").write_text("[servers")
    assert completing.configured_servers("") == []
    assert completing.sessions("") == []
    (home / "config.toml").unlink()
    (home / STORE_NAME).write_bytes(b"no store at all" * 1000)
    assert completing.sessions("") == []
    assert completing.recorded_servers("") == []


def test_nothing_is_made_by_pressing_a_key(spec_mcp_home: Path) -> None:
    for offer in (completing.sessions, completing.recorded_servers, completing.open_entries, completing.manifests):
        offer("")
    assert not spec_mcp_home.exists()


def test_a_shell_gets_a_script_to_read() -> None:
    command = [str(Path(sys.executable).parent / "spec-mcp"), "--show-completion", "bash"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ))
    assert "_SPEC_MCP_COMPLETE=complete_bash" in done.stdout

"""A server that outlives us: what it still does after a kill is taken back too."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.pipes import Missing, RawClient, eventually

ROOT = Path(__file__).resolve().parents[2]
LINGERS_S = 0.8
"""It is told to end at once, and made to after a second: it is done between the two."""
TRIES = 40

MANIFEST = """\
[manifest]
version = 1
server = "lingering"
concurrent = true
open_world = false

[tools.list_things]
effect = "read"
touches = ["things"]
ttl_s = 5

[tools.remove_thing]
effect = "unsafe"
touches = ["things"]

[tools.add_thing]
effect = "reversible"
touches = ["things"]
exclusive = true
before = { tool = "list_things" }
undo = { tool = "remove_thing", arguments = { name = "arguments.name" }, idempotent = true }
probe = { tool = "list_things", done = "contains(result.things, 'early')" }
"""
CONFIGURATION = '[speculation]\nreversible = true\naccept_unproven = ["things.add_thing"]\nwasted_call_s = 0.0\n'


def wrapped(folder: Path) -> RawClient:
    """A client of a process that foretells one thing."""
    options = ["--name", "things", "--manifest", str(folder / "m.toml"), "--config", str(folder / "c.toml"), "--"]
    server = [str(folder / "things.json"), str(folder / "mark"), str(LINGERS_S)]
    command = [sys.executable, str(ROOT / "tests/relay/foretelling.py"), "add_thing", '{"name": "early"}']
    command += [*options, sys.executable, str(ROOT / "tests/servers/lingering.py"), *server]
    client = RawClient(command, env={"PYTHONPATH": str(ROOT)}, cwd=folder)
    client.initialize()
    client.list_tools()
    return client


def begun(client: RawClient, mark: Path) -> None:
    """Have an early write begun: what the proxy needs to know first, it learns beside the first calls."""
    for _ in range(TRIES):
        client.call("list_things")
        try:
            eventually(mark.exists, "an early write", 1.0)
        except Missing:
            continue
        return
    raise AssertionError(f"nothing was made early: {client.stderr!r}")


def test_what_a_server_still_does_after_we_were_killed_is_taken_back(tmp_path: Path, spec_mcp_home: Path) -> None:
    (tmp_path / "m.toml").write_text(MANIFEST)
    (tmp_path / "c.toml").write_text(CONFIGURATION)
    (tmp_path / "things.json").write_text('["old"]')
    with wrapped(tmp_path) as client:
        begun(client, tmp_path / "mark")
        client.process.kill()
        client.wait_exit()
        with wrapped(tmp_path) as heir:
            assert json.loads(heir.call("list_things").text) == {"things": ["old"]}
            client.wait_silence()
            heir.process.kill()  # it may be at another one
            heir.wait_exit()
            heir.wait_silence()
    with wrapped(tmp_path) as last:
        assert json.loads(last.call("list_things").text) == {"things": ["old"]}
        last.close_input()
        last.wait_exit()
    assert json.loads((tmp_path / "things.json").read_text()) == ["old"]
    journal = SqliteJournal(spec_mcp_home / STORE_NAME)
    try:
        assert journal.open_entries() == []
    finally:
        journal.close()

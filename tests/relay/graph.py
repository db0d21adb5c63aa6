"""The memory server behind `spec-mcp wrap`, which always foretells one entity: early writes as users have them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Protocol

from spec_mcp.store.journal import Entry
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.pipes import RawClient, eventually

ROOT = Path(__file__).resolve().parents[2]
MEMORY = ROOT / ".servers" / "npm" / "node_modules" / "@modelcontextprotocol" / "server-memory" / "dist" / "index.js"
FORETELLING = ROOT / "tests" / "relay" / "foretelling.py"

TRIES = 20

MANIFEST = """\
[manifest]
version = 1
server = "memory-server"
concurrent = true
cancel = true
open_world = false

[tools.read_graph]
effect = "read"
touches = ["graph"]
ttl_s = 5

[tools.delete_entities]
effect = "unsafe"
touches = ["graph"]

[tools.create_entities]
effect = "reversible"
touches = ["graph"]
exclusive = true
before = { tool = "read_graph" }
undo = { tool = "delete_entities", arguments = { entityNames = "result.entities[*].name" }, idempotent = true }
"""

CONFIGURATION = """\
[speculation]
reversible = true
accept_unproven = ["memory.create_entities"]
wasted_call_s = 0.0
"""


class Caller(Protocol):
    """A client, as far as it is needed to have something made early."""

    stderr: bytes

    def call(self, tool: str, /) -> object: ...


def entity(name: str) -> dict[str, Any]:
    """The arguments that create it."""
    return {"entities": [{"name": name, "entityType": "thing", "observations": []}]}


class Graph:
    """A folder with the graph's file, the configuration and the manifest, and a home with the store."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.store = home / STORE_NAME
        self.file = folder / "memory.jsonl"
        self.manifest = folder / "manifest.toml"
        self.configuration = folder / "config.toml"
        self.env = {"SPEC_MCP_HOME": str(home), "MEMORY_FILE_PATH": str(self.file)}
        self.file.write_text('{"type":"entity","name":"old","entityType":"thing","observations":["there"]}')
        self.manifest.write_text(MANIFEST)
        self.configuration.write_text(CONFIGURATION)

        self.command = [sys.executable, str(FORETELLING), "create_entities", json.dumps(entity("early"))]
        self.command += ["--name", "memory", "--manifest", str(self.manifest), "--config", str(self.configuration)]
        self.command += ["--", "node", str(MEMORY)]

    def wrapped(self) -> RawClient:
        """A client of a new process of ours, with its handshake done."""
        client = RawClient(self.command, env={**self.env, "PYTHONPATH": str(ROOT)}, cwd=self.folder)
        client.initialize()
        client.list_tools()
        return client

    def entries(self) -> list[Entry]:
        """What the journal holds."""
        journal = SqliteJournal(self.store)
        try:
            return journal.open_entries()
        finally:
            journal.close()

    def is_early(self) -> bool:
        """Is the entity there, and what that left noted?"""
        return "early" in self.file.read_text() and any(entry.left for entry in self.entries())

    def made_early(self, client: Caller) -> None:
        """Have it made: what the proxy needs to know first, it learns beside the first calls."""
        for _ in range(TRIES):
            client.call("read_graph")
            try:
                eventually(self.is_early, "an early write", 1.0)
            except AssertionError:
                continue
            return
        raise AssertionError(f"nothing was made early: {client.stderr!r}")

    def names(self) -> list[str]:
        """What stands in the file."""
        return [json.loads(line)["name"] for line in self.file.read_text().splitlines()]

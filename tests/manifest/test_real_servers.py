"""The shipped manifests against the servers that they speak for: the name each gives itself, and its real tools."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from spec_mcp.manifest import check_against_tools, load_manifest, match_manifest, shipped_folder
from tests.manifest.test_lists import LISTS
from tests.needs import ROOT

SERVERS = ROOT / ".servers"
NPM = SERVERS / "npm" / "node_modules" / "@modelcontextprotocol"
SHIPPED = SERVERS / "shipped" / "node_modules"
CAPABILITIES = {
    "roots": {},
    "sampling": {},
    "elicitation": {"form": {}, "url": {}},
    "tasks": {"requests": {"sampling": {"createMessage": {}}, "elicitation": {"create": {}}}},
}
"""Some servers list further tools to a client that can do more."""

COMMANDS = {
    "everything": ["node", str(NPM / "server-everything" / "dist" / "index.js")],
    "filesystem": ["node", str(NPM / "server-filesystem" / "dist" / "index.js"), "/tmp"],
    "memory": ["node", str(NPM / "server-memory" / "dist" / "index.js")],
    "sequential-thinking": ["node", str(NPM / "server-sequential-thinking" / "dist" / "index.js")],
    "git": [str(SERVERS / "mcp-server-git" / "bin" / "mcp-server-git")],
    "time": [str(SERVERS / "mcp-server-time" / "bin" / "mcp-server-time")],
    "fetch": [str(SERVERS / "mcp-server-fetch" / "bin" / "mcp-server-fetch")],
    "sqlite": [str(SERVERS / "mcp-server-sqlite" / "bin" / "mcp-server-sqlite")],
    "playwright": ["node", str(SHIPPED / "@playwright" / "mcp" / "cli.js")],
    "context7": ["node", str(SHIPPED / "@upstash" / "context7-mcp" / "dist" / "index.js")],
}

MORE = {"sqlite": ["--db-path", "/dev/null"]}
"""What those need to start that are told their files."""


@contextmanager
def started(command: list[str], folder: Path) -> Generator[tuple[IO[bytes], IO[bytes]]]:
    """A server's standard input and output; it ends with the block."""
    environ = {**os.environ, "MEMORY_FILE_PATH": str(folder / "memory.jsonl")}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, env=environ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin, process.stdout
        finally:
            process.kill()


def ask(to: IO[bytes], back: IO[bytes], number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """One request and its result; the test's own time limit bounds the wait."""
    tell(to, {"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    for line in back:
        message = json.loads(line)
        if message.get("id") == number and "method" not in message:
            return message["result"]
        if message.get("method") == "roots/list":
            tell(to, {"jsonrpc": "2.0", "id": message["id"], "result": {"roots": []}})
    raise AssertionError(f"the server ended before it answered {method}")


def tell(to: IO[bytes], message: dict[str, Any]) -> None:
    to.write(json.dumps(message).encode() + b"\n")
    to.flush()


def test_every_shipped_manifest_is_held_against_its_server() -> None:
    ours = {"chess", "retail", "tuner", "wiki", "wiki-live"}
    assert {path.stem for path in shipped_folder().glob("*.toml")} - ours == {*COMMANDS, *LISTS}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_shipped_manifest_lists_the_tools_that_its_server_has(name: str, tmp_path: Path) -> None:
    assert (SERVERS / "npm" / ".made-from").exists(), "the servers are not installed: run `make servers`"
    client = {
        "protocolVersion": "2025-11-25",
        "capabilities": CAPABILITIES,
        "clientInfo": {"name": "t", "version": "1"},
    }

    command = [*COMMANDS[name], *MORE.get(name, [])]
    with started(command, tmp_path) as (to, back):
        info = ask(to, back, 1, "initialize", client)["serverInfo"]
        tell(to, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        tools = ask(to, back, 2, "tools/list", {})["tools"]

    path = shipped_folder() / f"{name}.toml"
    assert match_manifest(info["name"], tmp_path) == path
    comparison = check_against_tools(load_manifest(path), tools)
    assert comparison.errors == ()
    assert comparison.notes == (), "every tool is listed, with its reason"
    assert comparison.warnings == (), "no tool is listed that the server lacks"

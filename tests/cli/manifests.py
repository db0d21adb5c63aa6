"""Servers, and what the commands say about them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spec_mcp.__main__ import run
from tests.needs import ROOT

HOSTILE = [sys.executable, str(ROOT / "tests" / "servers" / "hostile.py")]

GREETER = """
import json, sys
tools = json.loads(sys.argv[1])
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    answer = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "initialize":
        answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                            "serverInfo": {"name": sys.argv[2], "version": "3"}}
    elif message["method"] == "tools/list":
        answer["result"] = {"tools": tools}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
"""
"""A server of the older era with the tools and the name that it is given."""


def greeter(*tools: dict[str, Any], name: str = "shop") -> list[str]:
    """The command of a server with these tools."""
    return [sys.executable, "-c", GREETER, json.dumps(tools), name]


def tool_file(path: Path, *tools: dict[str, Any]) -> Path:
    """A recorded tool list."""
    path.write_text(json.dumps({"tools": tools}), encoding="utf-8")
    return path


class Told(NamedTuple):
    """What a command printed."""

    status: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)

    @property
    def flat(self) -> str:
        """Its standard output without line breaks and indentation."""
        return " ".join(self.out.split())


def tell(arguments: str, command: list[str] | None, capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a command line, the server's command after `--`."""
    status = run([*shlex.split(arguments), *(["--", *command] if command else [])])
    captured = capsys.readouterr()
    if status:
        assert captured.err.splitlines()[-1].startswith("spec-mcp: ")
    return Told(status, captured.out, captured.err)

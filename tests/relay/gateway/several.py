"""`spec-mcp run` in front of several real servers, each behind a tap that keeps what it was asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gateway.running import BIN, gateway, server
from tests.pipes import RawClient, eventually

OUR_IDS = "spec-mcp:"

SETTINGS = """
[speculation]
wasted_call_s = 0.0
breadth = 16
in_flight = 16
depth = 4
check_every = 0
"""
"""A test does not wait for a predictor to become sure of itself, and counts what was foretold alone."""


@dataclass(frozen=True, slots=True)
class Call:
    """A `tools/call` that a server got."""

    id: Any
    tool: str
    arguments: Mapping[str, Any]
    is_answered: bool

    @property
    def is_early(self) -> bool:
        """Is it one of ours?"""
        return str(self.id).startswith(OUR_IDS)


class Several:
    """A configuration of servers and what happens at them."""

    def __init__(self, folder: Path, servers: Mapping[str, Sequence[str]], more: Mapping[str, str]) -> None:
        """`more` are lines of the configuration, by server."""
        self.folder = folder
        self.home = folder / "home"
        (self.home / "manifests").mkdir(parents=True)
        self.config = folder / "spec-mcp.toml"
        lines = [SETTINGS]
        for name, command in servers.items():
            tapped = server("tap.py", "--log", str(self._tap(name)), "--", *command)
            lines += [f"[servers.{name}]", f"command = {json.dumps(tapped[0])}", f"args = {json.dumps(tapped[1:])}"]
            lines.append(more.get(name, ""))
        self.config.write_text("\n".join(lines))
        self._seen: dict[str, int] = {}
        """By server, how often we had looked at its tools when `listed` was asked last."""

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "SPEC_MCP_HOME": str(self.home), "SPEC_MCP_MODE": "on"}

    def client(self) -> RawClient:
        """A client that has introduced itself and seen the tools of all servers."""
        client = RawClient(gateway(self.config), env=self.env)
        client.initialize()
        client.list_tools()
        return client

    def manifest(self, server: str, text: str) -> None:
        """What the user says of a server of this name."""
        head = f'[manifest]\nversion = 1\nserver = "{server}"\nreviewed = "2026-11-21"\nconcurrent = true\n'
        (self.home / "manifests" / f"{server}.toml").write_text(head + text)

    def listed(self, *servers: str) -> None:
        """Wait until we have looked at the tools of these servers ourselves: nothing is speculated before."""
        for name in servers:
            eventually(lambda name=name: self._listings(name) > self._seen.get(name, 0), f"our look at {name}")
            self._seen[name] = self._listings(name)

    # --- what the servers got -----------------------------------------------------------------------------------------

    def calls(self, server: str) -> list[Call]:
        """All that it was asked to do, in order."""
        asked, answered = self._log(server)
        return [
            Call(message["id"], message["params"]["name"], message["params"]["arguments"], message["id"] in answered)
            for message in asked
            if message.get("method") == "tools/call"
        ]

    def early(self, server: str, tool: str) -> list[Any]:
        """The arguments of what it was asked early."""
        return [call.arguments for call in self.calls(server) if call.is_early and call.tool == tool]

    def asked(self, server: str, tool: str) -> list[Any]:
        """The arguments of what the client itself asked it."""
        return [call.arguments for call in self.calls(server) if not call.is_early and call.tool == tool]

    def wait_early(self, server: str, tool: str, **arguments: Any) -> None:
        """Wait until this was asked early and is answered."""

        def is_ready() -> bool:
            return any(
                call.is_early and call.is_answered and (call.tool, call.arguments) == (tool, arguments)
                for call in self.calls(server)
            )

        eventually(is_ready, f"{tool} {arguments} early at {server}", seen=lambda: repr(self.calls(server)[-8:]))

    def stats(self) -> dict[str, Any]:
        """What `spec-mcp stats` says, once all clients have left."""
        command = [str(BIN / "spec-mcp"), "stats", "--json"]
        said = subprocess.run(command, env=self.env, check=True, capture_output=True, timeout=60)
        return json.loads(said.stdout)

    def _tap(self, name: str) -> Path:
        return self.folder / f"{name}.tap"

    def _log(self, server: str) -> tuple[list[Any], set[Any]]:
        """The requests that it got, and the ids that it answered."""
        if not self._tap(server).exists():
            return [], set()
        lines = [line for line in self._tap(server).read_text().split("\n")[:-1] if line]
        asked = [json.loads(line[2:]) for line in lines if line.startswith("> ")]
        said = [json.loads(line[2:]) for line in lines if line.startswith("< ")]
        answered = {message["id"] for message in said if "id" in message and "method" not in message}
        return [message for message in asked if "id" in message and "method" in message], answered

    def _listings(self, server: str) -> int:
        asked, answered = self._log(server)
        ours = [message["id"] for message in asked if message["method"] == "tools/list"]
        return sum(one in answered for one in ours if str(one).startswith(OUR_IDS))


def table(folder: Path, name: str, tools: Mapping[str, Any]) -> list[str]:
    """A server that answers from this table. It may be read early at any time: it is there whole, or as before."""
    path, draft = folder / f"{name}.json", folder / f"{name}.draft"
    draft.write_text(json.dumps({"name": name, "tools": tools}))
    draft.replace(path)
    return server("tables.py", str(path))

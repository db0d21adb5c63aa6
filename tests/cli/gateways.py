"""`spec-mcp run` as a process: its configuration, its servers, and clients in front of it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.pipes import Missing, RawClient, eventually

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ROOT / "tests" / "servers"
COMMAND = [sys.executable, "-m", "spec_mcp", "run"]
STEADY_S = 0.5
PIPE_BYTES = 60_000
"""What a pipe takes at least, before a client that does not read holds it up."""

START_S = 60.0
"""How long the process may take to serve: a machine of a CI is slow at times."""


def python(name: str, *arguments: str) -> dict[str, Any]:
    """The entry of a server of ours."""
    return {"command": sys.executable, "args": ["-W", "ignore", str(SERVERS / f"{name}.py"), *arguments]}


def node(package: str, *arguments: str) -> dict[str, Any]:
    """The entry of an npm server."""
    script = ROOT / ".servers" / "npm" / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"
    return {"command": "node", "args": [str(script), *arguments]}


class Gated:
    """A server that answers when it is let."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.entry = python("gated", str(folder), *arguments)

    def shut(self) -> Gated:
        """It answers nothing."""
        (self.folder / "gate").touch()
        return self

    def open(self) -> Gated:
        """It answers again."""
        (self.folder / "gate").unlink()
        return self

    def has_tools(self, *names: str) -> Gated:
        """These, from its next list on."""
        (self.folder / "tools").write_text(" ".join(names))
        return self

    def go(self) -> None:
        """What is slow ends."""
        (self.folder / "go").touch()

    def wait_begun(self) -> None:
        """Something slow has begun."""
        eventually((self.folder / "begun").exists, "a slow call that has begun")

    @property
    def pids(self) -> list[int]:
        """Of all its processes that were ever started."""
        path = self.folder / "started"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    @property
    def told(self) -> list[Any]:
        """What they were told."""
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def configured(folder: Path, servers: Mapping[str, Mapping[str, Any]]) -> Path:
    """A configuration file that holds these servers, as a client's own holds them."""
    path = folder / "servers.json"
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


def over_stdio(config: Path, *arguments: str, **options: Any) -> RawClient:
    """A client of the gateway over stdio."""
    return RawClient([*COMMAND, "--config", str(config), *arguments], **options)


def said(line: Any) -> Any:
    """What a tool of the gated server has answered."""
    return json.loads(line.text)


class Unread:
    """The gateway over stdio, whose client reads only when the test does."""

    def __init__(self, config: Path) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--config", str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdin
        assert self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout
        self._written = -1

    def __enter__(self) -> Unread:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.input, self.output):
            try:
                pipe.close()
            except BrokenPipeError:  # it is gone
                pass
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait(20)

    def say(self, message: Mapping[str, Any]) -> None:
        self.input.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.input.flush()

    def begin(self) -> None:
        """The handshake, whose answer has the id 0."""
        client = {"name": "unread", "version": "0"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        self.say({"id": 0, "method": "initialize", "params": params})
        self.say({"method": "notifications/initialized"})

    def call(self, id: int, tool: str, **arguments: Any) -> None:  # noqa: A002
        self.say({"id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})

    @property
    def is_steady(self) -> bool:
        """Has it written nothing since the last look a while ago?"""
        time.sleep(STEADY_S)
        before = self._written
        found = dict(line.split(": ") for line in Path(f"/proc/{self.process.pid}/io").read_text().splitlines())
        self._written = int(found["wchar"])
        return self._written == before and self._written > PIPE_BYTES

    @property
    def most_bytes(self) -> int:
        """The most memory that it has ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


class OverHttp:
    """The gateway over HTTP, on a free port of loopback."""

    def __init__(
        self,
        config: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = tuple(COMMAND),
    ) -> None:
        command: Sequence[str] = [*program, "--config", str(config), "--http", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        assert self.process.stderr
        self.said = b""
        while b"/mcp\n" not in self.said:
            if not select.select([self.process.stderr], [], [], START_S)[0]:
                self.close()
                raise Missing(f"no address within {START_S} s: {self.said!r}")
            chunk = os.read(self.process.stderr.fileno(), 1 << 16)
            if not chunk:
                raise Missing(f"it ended: {self.said!r}")
            self.said += chunk
        self.url = self.said.split()[-1].decode()

    def __enter__(self) -> OverHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def terminate(self, within_s: float = 20.0) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise Missing(f"still running {within_s} s after SIGTERM") from None

    def close(self) -> None:
        """End it, whatever it does."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(20)
        assert self.process.stderr
        self.process.stderr.close()

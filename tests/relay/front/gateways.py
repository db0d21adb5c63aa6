"""A gateway that is a plain relay: for each session a process of one server, whose lines go through as they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process, TaskGroup

from spec_mcp.relay.gateway.ports import ClientOut, Visitor

HERE = Path(__file__).parent
TALKATIVE = (sys.executable, str(HERE / "talkative.py"))
ECHO = (sys.executable, str(HERE.parents[1] / "servers" / "echo.py"))


class RelaySession:
    """One client and its own server process."""

    def __init__(self, visitor: Visitor, client: ClientOut) -> None:
        self.visitor = visitor
        self.client = client
        self.lines: list[bytes] = []
        """What the client has sent."""
        self.is_closed = False
        self._sending, self._to_send = anyio.create_memory_object_stream[bytes](1000)

    def on_client_line(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert not self.is_closed
        self.lines.append(line)
        self._sending.send_nowait(line)

    def drop_held(self) -> None:
        assert not self.is_closed

    def closed(self) -> None:
        assert not self.is_closed
        self.is_closed = True
        self._sending.close()

    async def run(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        with self._sending, self._to_send:
            async with await anyio.open_process(command, stderr=None, env={**os.environ, **env}) as process:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._read, process)
                    async for line in self._to_send:
                        assert process.stdin
                        await process.stdin.send(line)
                    tasks.cancel_scope.cancel()
                process.kill()

    async def _read(self, process: Process) -> None:
        assert process.stdout
        rest: list[bytes] = []
        async for data in process.stdout:
            *lines, last = data.split(b"\n")
            for line in lines:
                rest.append(line + b"\n")
                if not self.is_closed:
                    self.client.send(b"".join(rest))
                rest = []
            rest.append(last)


@dataclass
class RelayGateway:
    """Opens them."""

    tasks: TaskGroup
    command: Sequence[str] = TALKATIVE
    env: Mapping[str, str] = field(default_factory=dict)
    sessions: list[RelaySession] = field(default_factory=list)

    def open(self, visitor: Visitor, client: ClientOut) -> RelaySession:
        session = RelaySession(visitor, client)
        self.sessions.append(session)
        self.tasks.start_soon(session.run, self.command, self.env)
        return session

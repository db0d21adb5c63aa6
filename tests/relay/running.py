"""The loop in a thread, with real pipes and a real process as the server: what a client sends and gets."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.policy import Settings
from spec_mcp.relay.account import Account
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader, LineWriter
from spec_mcp.relay.process import ServerProcess
from spec_mcp.relay.pump import Pump
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.stdio import StdioLink
from spec_mcp.relay.stopping import Stopping
from spec_mcp.relay.validators import Validators
from spec_mcp.store.rows import Scope, SessionRow
from tests.pipes import Missing
from tests.relay.rig import SERVER, SESSION, TOOLS, RowList, ScriptedPredictor, a_disk

WAIT_S = 60.0
MOMENT_S = 0.05

HELPERS = """
import json, os, signal, sys, time
def hear():
    line = sys.stdin.buffer.readline()
    return json.loads(line) if line else None
def say(**members):
    os.write(1, (json.dumps({"jsonrpc": "2.0", **members}) + "\\n").encode())
def answer(message, result={}):
    say(id=message["id"], result=result)
"""


def server(code: str) -> list[str]:
    """A server in a few lines of Python, with `hear`, `say` and `answer`."""
    return [sys.executable, "-S", "-E", "-c", HELPERS + code]


ECHO = "while (m := hear()) is not None:\n    if 'id' in m: answer(m, {'pid': os.getpid(), **m.get('params', {})})\n"


class Running:
    """One client in front of the loop. `send` and `receive` are the client's; `leave` and `end` finish it."""

    def __init__(self, code: str) -> None:
        command = server(code)
        process = ServerProcess(command)
        self.in_read, self.in_write = os.pipe()
        self.out_read, self.out_write = os.pipe()
        os.set_blocking(self.out_write, False)
        os.set_blocking(self.out_read, False)
        self.engine = Engine(Settings(), {SERVER: ServerPolicy(SERVER, TOOLS)})
        self.learner = Learner(ScriptedPredictor(), now_s)
        self.link = StdioLink(command, None, process, now_s)
        self.client_out = LineWriter(self.out_write)
        session = SessionRow(SESSION, Scope.of(SERVER, command), "me", 0.0, 1)
        recording = Recording(RowList(), session.scope, session, now_s, now_s)  # pyright: ignore[reportArgumentType]
        self.validators = Validators(lambda task: self.pump.call_at_once(task))
        account = Account(SESSION, self.learner, recording, now_s)
        self.bridge = Bridge(
            Deciding(self.engine, now_s),
            SERVER,
            SERVER,
            Seat(SESSION, account, Identities(SERVER, "me")),
            self.client_out,
            self.link,
            self.validators,
            a_disk(),
            now_s,
        )
        self.link.on_restarted = self.bridge.connected
        self.stopping = Stopping()
        self.pump = Pump(
            self.bridge,
            self.link,
            LineReader(self.in_read),
            self.client_out,
            self.learner,
            now_s,
            lambda: None,
            self.stopping,
        )
        self._reader = LineReader(self.out_read)
        self.received: list[bytes] = []
        self.failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.bridge.connected()
            self.pump.run()
        except BaseException as error:  # noqa: BLE001  the test tells of it
            self.failed.append(error)

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.stop(15)
        self._thread.join(WAIT_S)
        self.link.close(polite=False)
        self.link.join()
        self.validators.close()
        self.pump.close()
        for fd in (self.in_read, self.in_write, self.out_read, self.out_write):
            if fd >= 0:
                os.close(fd)
        assert not self._thread.is_alive(), "the loop did not end"
        assert self.failed == []

    def send(self, *lines: bytes) -> Running:
        """The client says this; it blocks as a pipe does."""
        for line in lines:
            data = memoryview(line + b"\n")
            while data:
                data = data[os.write(self.in_write, data) :]
        return self

    def read_once(self) -> None:
        """The client reads what is there, or waits a moment for it."""
        if select.select([self.out_read], [], [], MOMENT_S)[0]:
            self.received += self._reader.read()

    def receive(self, count: int, timeout_s: float = WAIT_S) -> list[bytes]:
        """The next so many lines."""
        until = time.monotonic() + timeout_s
        while len(self.received) < count:
            if time.monotonic() > until:
                raise Missing(f"{len(self.received)} of {count} lines in {timeout_s} s")
            self.read_once()
        lines, self.received = self.received[:count], self.received[count:]
        return lines

    def leave(self) -> Running:
        """The client closes its end of our input."""
        os.close(self.in_write)
        self.in_write = -1
        return self

    def stop_reading(self) -> Running:
        """The client closes its end of our output."""
        os.close(self.out_read)
        self.out_read = -1
        return self

    def end(self, within_s: float = WAIT_S) -> float:
        """Wait until the loop has ended; how long that took."""
        began = time.monotonic()
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise Missing(f"the loop still runs after {within_s} s")
        return time.monotonic() - began

    def later(self, task: Callable[[], Any]) -> threading.Thread:
        """Do something on another thread."""
        thread = threading.Thread(target=task, daemon=True)
        thread.start()
        return thread

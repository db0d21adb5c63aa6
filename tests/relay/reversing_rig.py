"""A rig in front of a server whose one writing tool is reversible, with a real undo journal on disk.

The server is a list of numbers. It answers when a test lets it, can be told to fail or to die when a tool is asked,
and notes everything that it was asked. `until` lets it, and the journal's thread, go on until something holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

import pytest

from spec_mcp.engine.effects import Before, Effect, Probe, ToolPolicy, Undo
from spec_mcp.engine.events import Mode
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import State
from spec_mcp.relay.disk import Disk
from spec_mcp.store.instance import Launch
from spec_mcp.store.journal import Entry
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.pipes import Missing
from tests.relay.rig import SERVER, MemoryWriter, Rig, answer, notification, request

WAIT_S = 60.0
UNDO_WAIT_S = 10.0

PATIENCE_S = 400.0
"""On the rig's clock, which begins at 100."""

SETTINGS = Settings(wasted_call_s=0.01, reversible=True)

ADD = ToolPolicy(
    Effect.REVERSIBLE,
    ("numbers",),
    exclusive=True,
    open_world=False,
    before=Before("all", {}),
    undo=Undo("remove", {"n": "result.added"}, idempotent=True),
    unless="contains(before.numbers, arguments.n)",
    probe=Probe("all", {}, "contains(result.numbers, arguments.n)"),
    undo_wait_s=UNDO_WAIT_S,
    proved=True,
)
ALL = ToolPolicy(Effect.READ, ("numbers",), exclusive=True, open_world=False)
TOOLS = {"all": ALL, "add": ADD, "remove": ToolPolicy(Effect.UNSAFE, ("numbers",), open_world=False)}


class Numbers:
    """The server, and what its process's end leaves of it."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.asked: list[str] = []
        """Tools, in order."""
        self.version = 1
        """Of its tools' definitions."""
        self.fails: set[str] = set()
        """Tools that answer with an error."""
        self.goes_on: set[str] = set()
        """Tools that answer with a task, and have done nothing yet."""
        self.dies_before: set[str] = set()
        self.dies_after: set[str] = set()
        self.announces = False

    def tools(self) -> list[dict[str, Any]]:
        return [{"name": name, "inputSchema": {"type": "object", "v": self.version}} for name in TOOLS]

    def do(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(tool)
        if tool in self.fails:
            return {"content": [{"type": "text", "text": "no"}], "isError": True}
        if tool in self.goes_on:
            return {"resultType": "task", "taskId": "later"}
        told: dict[str, Any] = {"numbers": sorted(self.held)}
        if tool == "add":
            self.held.append(arguments["n"])
            told = {"added": arguments["n"]}
        elif tool == "remove":
            self.held.remove(arguments["n"])
            told = {"removed": arguments["n"]}
        return {"content": [], "structuredContent": told}


class Reversing(Rig):
    """One process of ours in front of the numbers. `folder` holds the store, which several may share."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        numbers: Numbers | None = None,
        tool: ToolPolicy = ADD,
        mode: Mode = Mode.ON,
    ) -> None:
        self.store = folder / "store.sqlite3"
        self.tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.numbers = Numbers() if numbers is None else numbers
        self.shown: list[bytes] = []
        """What the client got, but for answers to the handshake."""
        self.ends: list[tuple[str, State, str]] = []
        disk = Disk(self.store, SERVER, Launch("server"), {}, "me", self.tasks.put)
        super().__init__(monkeypatch, mode, {**TOOLS, "add": tool}, disk, SETTINGS)
        self.disk = disk
        self.on_disk = 0
        """Operations that the journal's thread has not done."""
        monkeypatch.setattr(disk, "do", partial(self._count, disk.do))
        self.bridge.reversing.on_settled = lambda held, state, reason: self.ends.append((held.tool, state, reason))
        self.bridge.listing.wanted = True

    def lists(self, tools: dict[str, ToolPolicy]) -> None:
        """Our own look at the tools is a real one here."""

    def _count(self, do: Callable[..., None], operation: Any, done: Callable[[Any], None]) -> None:
        def told(result: Any) -> None:
            self.on_disk -= 1
            done(result)

        self.on_disk += 1
        do(operation, told)

    def begins(self) -> Self:
        """The client shakes hands and has the tools listed; what others left is looked at before."""
        self.bridge.inheriting.look_at_start()
        self.bridge.inheriting.serve()
        self.client(request("i", "initialize", '{"protocolVersion":"2025-11-25","capabilities":{}}')).serves()
        self.client(notification("notifications/initialized"))
        self.client(request("l", "tools/list"))
        self.serves()
        self.shown.clear()
        return self

    # --- the server -------------------------------------------------------------------------------------------------

    def serves(self) -> Self:
        """The server answers all that it has been asked."""
        while lines := self.to_server:
            for line in lines:
                self._serve(json.loads(line))
        self.shown += self.to_client
        return self

    def _serve(self, message: dict[str, Any]) -> None:
        if "id" not in message or self.link.process is None:
            return
        id_ = json.dumps(message["id"]).encode()
        if message["method"] != "tools/call":
            result = {"protocolVersion": "2025-11-25", "tools": self.numbers.tools()}
            self.server(answer(id_, json.dumps(result).encode()))
            return
        tool = message["params"]["name"]
        if tool in self.numbers.dies_before:
            self.numbers.dies_before.remove(tool)
            self.dies()
            return
        result = self.numbers.do(tool, message["params"]["arguments"])
        if tool in self.numbers.dies_after:
            self.numbers.dies_after.remove(tool)
            self.dies()
            return
        if self.numbers.announces and tool in ("add", "remove"):
            self.server(notification("notifications/resources/updated", '{"uri":"numbers:"}'))
        self.server(answer(id_, json.dumps(result).encode()))

    def step(self) -> None:
        """One thing happens: the server answers a request, or the disk is done with something, or time passes."""
        writer = self.link.writer
        assert isinstance(writer, MemoryWriter)
        if writer.lines:
            self._serve(json.loads(writer.lines.pop(0)))
        elif self.on_disk or not self.tasks.empty():
            self.tasks.get(timeout=WAIT_S)()
        else:
            self.waits(0.1)
        self.shown += self.to_client

    # --- time -------------------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool], serves: bool = True) -> Self:
        """Let the server, the disk and the clock go on until this holds."""
        while True:
            if serves:
                self.serves()
            if holds():
                return self
            try:
                task = self.tasks.get(timeout=WAIT_S if self.on_disk else 0.001)
            except Empty:
                if self.on_disk or self.now_s > PATIENCE_S:
                    told = (self.numbers.asked, self.shown, self.ends, self.recorder.skips)
                    raise Missing(f"asked, shown, ended, skipped: {told}") from None
                self.waits(0.1)
            else:
                task()

    def is_ready(self) -> bool:
        """Is a speculation made, and what it left noted?"""
        return any(held.state is State.READY and held.reversal is not None and held.reversal.left for held in self.live)

    @property
    def live(self) -> list[Any]:
        return list(self.engine.world.ledger.unadopted)

    def is_settled(self) -> bool:
        """Is nothing on its way?"""
        return not self.live and not self.bridge.reversing.has_any

    def made(self, n: int = 1) -> Self:
        """A speculation has added a number, and waits for its call."""
        self.client(request(900, "unheard-of")).server(answer(900))
        self.client(b'{"jsonrpc":"2.0","id":901,"method":"tools/call","params":{"name":"all","arguments":{}}}')
        self.serves()
        self.shown.clear()
        self.numbers.asked.clear()
        self.predicts("add", n=n)
        self.until(lambda: self.is_ready() and not self.on_disk)
        assert n in self.numbers.held
        return self

    # --- the journal ------------------------------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        """What the journal holds, as another process sees it."""
        journal = SqliteJournal(self.store)
        try:
            return journal.open_entries()
        finally:
            journal.close()

    def killed(self) -> None:
        """The process is gone, and with it its locks."""
        self.disk.close()

    def answers(self) -> dict[object, dict[str, Any]]:
        """What the client was answered, by id."""
        decoded = [json.loads(line) for line in self.shown]
        return {message["id"]: message for message in decoded if "id" in message}

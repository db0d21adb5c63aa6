"""The bridge with everything real but the ends of its pipes: lines in, lines out, byte for byte.

`Rig` holds the real engine, link and record on one side and a predictor that says what a test has told it. A test
says what the client and the server send, and looks at what each of them gets; time passes when it says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.effects import Effect, FileValidator, ServerPolicy, ToolPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Candidate, Mode
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import SAMPLES_KEPT
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.relay.account import Account
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.stdio import StdioLink
from spec_mcp.relay.validators import Read, file_of
from spec_mcp.store.instance import Launch
from spec_mcp.store.rows import CallRow, ComparisonRow, DemotionRow, Row, Scope, SessionRow

SERVER = "s"
SESSION = "session"

READ = ToolPolicy(Effect.READ, ("item:{id}",), exclusive=True, open_world=False)
TOOLS = {
    "get": READ,
    "look": ToolPolicy(Effect.READ, ("item:{id}",), ttl_s=10.0, open_world=False),
    "cat": ToolPolicy(Effect.READ, ("file:{path}",), ttl_s=30.0, fresh=FileValidator("{path}"), open_world=False),
    "again": ToolPolicy(Effect.READ, ("item:{id}",), exclusive=True, reuse_s=60.0, open_world=False),
    "put": ToolPolicy(Effect.UNSAFE, ("item:{id}",), open_world=False),
}


SETTINGS = Settings(wasted_call_s=0.01)


def a_disk() -> Disk:
    """One that nobody needs: it touches nothing until somebody does."""
    return Disk(Path("/nowhere/store"), SERVER, Launch("server"), {}, "me", lambda task: task())


class MemoryWriter:
    """Keeps what is written."""

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd
        self.broken = False
        self.waiting_bytes = self.kept_back_bytes = 0
        self.lines: list[bytes] = []

    def put(self, line: bytes) -> None:
        if not self.broken:
            self.lines.append(line)

    send = put

    def flush(self) -> None:
        """Nothing waits."""

    def stop(self) -> None:
        self.broken = True

    def take(self) -> list[bytes]:
        """What was written since the last time."""
        lines, self.lines = self.lines, []
        return lines


class FakeProcess:
    """A process of which nothing is real but its being asked for."""

    started: list[FakeProcess]
    pid = 0

    def __init__(self, command: Sequence[str] = (), env: object = None, cwd: object = None) -> None:
        self.input_fd = self.output_fd = -1
        self.ended: list[bool] = []
        type(self).started.append(self)

    def final_status(self) -> int | None:
        return 3

    def close_input(self) -> None:
        """Nothing reads it."""

    def end(self, polite: bool = True) -> None:
        self.ended.append(polite)


class ScriptedPredictor:
    """Says what it was told to say, or raises it."""

    def __init__(self) -> None:
        self.says: list[Candidate] = []
        self.raises: Exception | None = None
        self.heard: list[CallBegan | CallEnded] = []
        self.words: list[tuple[str, str]] = []
        self.given: list[Supposed] = []

    def began(self, call: CallBegan) -> None:
        self.heard.append(call)

    def ended(self, call: CallEnded) -> None:
        self.heard.append(call)

    def said(self, session: str, role: str, text: str) -> None:
        self.words.append((role, text))

    def attached(self, session: str, read: Supposed) -> None:
        self.given.append(read)

    def closed(self, session: str) -> None:
        """There is nothing to forget."""

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        if self.raises is not None:
            raise self.raises
        return [] if supposed else list(self.says)

    def dump(self) -> Json:
        return None

    def load(self, learned: Json) -> None:
        """There is nothing to learn."""


class ListedValidators:
    """Files have the values that a test gives them, at once or when it says so."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.is_slow = False
        self.late: list[Callable[[], None]] = []

    def read(self, validator: FileValidator, arguments: Arguments, told: Read) -> None:
        path = file_of(validator, arguments)
        value = None if path is None else self.values.get(path)
        if self.is_slow:
            self.late.append(lambda: told(value))
        else:
            told(value)


class RowList:
    """A recorder that keeps its rows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.skips: list[tuple[str, str]] = []

    def record(self, row: Row) -> None:
        self.rows.append(row)

    def skip(self, session: str, server: str, tool: str, reason: str) -> None:
        self.skips.append((tool, reason))

    @property
    def comparisons(self) -> list[ComparisonRow]:
        return [row for row in self.rows if isinstance(row, ComparisonRow)]

    @property
    def demotions(self) -> list[DemotionRow]:
        return [row for row in self.rows if isinstance(row, DemotionRow)]

    @property
    def calls(self) -> list[CallRow]:
        return [row for row in self.rows if isinstance(row, CallRow)]


class Rig:
    """One client, one server, and all that stands between them."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        mode: Mode = Mode.ON,
        tools: dict[str, ToolPolicy] | None = None,
        disk: Disk | None = None,
        settings: Settings = SETTINGS,
    ) -> None:
        self.now_s = 100.0
        self.processes: list[FakeProcess] = []
        FakeProcess.started = self.processes
        monkeypatch.setattr("spec_mcp.relay.stdio.ServerProcess", FakeProcess)
        monkeypatch.setattr("spec_mcp.relay.stdio.LineWriter", MemoryWriter)
        tools = TOOLS if tools is None else tools
        policies = {SERVER: ServerPolicy(SERVER, tools, concurrent=True, cancel=True)}
        self.engine = Engine(settings, policies, mode=mode)
        self.predictor = ScriptedPredictor()
        self.learner = Learner(self.predictor, self.clock)
        self.link = StdioLink(["server"], None, FakeProcess(), self.clock)  # pyright: ignore[reportArgumentType]
        self.out = MemoryWriter()
        self.recorder = RowList()
        scope = Scope.of(SERVER, ["server"])
        session = SessionRow(SESSION, scope, "me", 0.0, 1)
        self.recording = Recording(self.recorder, scope, session, self.clock, self.clock)  # pyright: ignore[reportArgumentType]
        self.validators = ListedValidators()
        deciding = Deciding(self.engine, self.clock)
        deciding.on_pin = self.recording.pin
        deciding.on_demoted = self.recording.demoted
        deciding.scope_of = lambda server: scope
        account = deciding.accounts[SESSION] = Account(SESSION, self.learner, self.recording, self.clock)
        self.bridge = Bridge(
            deciding,
            SERVER,
            SERVER,
            Seat(SESSION, account, Identities(SERVER, "me")),
            self.out,
            self.link,
            self.validators,  # pyright: ignore[reportArgumentType]
            disk or a_disk(),
            self.clock,
        )
        self.learner.on_predicted = self.bridge.feed
        self.link.on_restarted = self.bridge.connected
        for tool in tools:
            for _ in range(SAMPLES_KEPT):
                self.engine.world.timing.took(SERVER, tool, 0.5)
        for _ in range(SAMPLES_KEPT):
            self.engine.world.timing.thought(2.0)
        self.bridge.connected()
        self.lists(tools)

    def clock(self) -> float:
        return self.now_s

    def lists(self, tools: dict[str, ToolPolicy]) -> None:
        """Our own look at the tools is done."""
        self.bridge.feed(events.ToolsListed(SERVER, dict.fromkeys(tools, "as ever")))

    # --- lines ------------------------------------------------------------------------------------------------------

    def client(self, line: bytes) -> Self:
        """The client sends a line."""
        self.bridge.on_client_line(line + b"\n")
        return self

    def server(self, line: bytes) -> Self:
        """The server sends a line."""
        self.bridge.on_server_line(line + b"\n")
        return self

    @property
    def to_server(self) -> list[bytes]:
        """What the server got since the last look."""
        writer = self.link.writer
        assert isinstance(writer, MemoryWriter)
        return [line.removesuffix(b"\n") for line in writer.take()]

    @property
    def to_client(self) -> list[bytes]:
        """What the client got since the last look."""
        return [line.removesuffix(b"\n") for line in self.out.take()]

    def quiet(self) -> Self:
        """Nobody has anything to say, and what can wait is done."""
        while self.learner.has_work:
            self.learner.work()
        return self

    def dies(self, why: str | None = "the server ended") -> Self:
        """The server's process ends, and those that wait for its end go on."""
        self.link.lost()
        self.bridge.on_server_lost(why)
        self.link.join()
        return self

    def waits(self, seconds: float) -> Self:
        """Time passes; the engine is told where it asked to be, and the server is started when that is due."""
        self.now_s += seconds
        deadline_s = self.bridge.deadline_s
        if deadline_s is not None and self.now_s >= deadline_s:
            self.bridge.tick()
        if self.link.start_at_s is not None and self.now_s >= self.link.start_at_s:
            self.link.start()
        return self

    # --- beginnings that many transcripts share ---------------------------------------------------------------------

    def predicts(self, tool: str, /, **arguments: Any) -> Self:
        """The predictor says this from now on, and is asked."""
        self.predictor.says = [Candidate(SERVER, tool, arguments, 0.99, "script", True)]
        return self.quiet()

    def launched(self, tool: str = "get", meta: str | None = None, **arguments: Any) -> bytes:
        """A speculation is under way; its id as it stands in a line."""
        arguments = arguments or {"id": 1}
        self.client(call(900, "unheard-of", meta=meta)).server(answer(900))
        _ = self.to_server, self.to_client
        self.predicts(tool, **arguments)
        (line,) = self.to_server
        assert json.loads(line)["params"]["name"] == tool
        return own_id(line)

    def held(self, tool: str = "get", result: bytes = b'{"content":[]}', **arguments: Any) -> bytes:
        """A speculation's result is there; its id as it stands in a line."""
        own = self.launched(tool, **arguments)
        self.server(answer(own, result))
        assert self.to_client == []
        return own

    def is_empty(self) -> bool:
        """Is nothing kept of any call or speculation?"""
        return len(self.bridge.asked) == 0 and len(self.bridge.ours) == 0


def call(id_: object, tool: str, arguments: str = '{"id":1}', meta: str | None = None, more: str = "") -> bytes:
    """A client's call, in the shortest way."""
    name = id_.decode() if isinstance(id_, bytes) else json.dumps(id_)
    meta_member = "" if meta is None else f',"_meta":{meta}'
    return (
        f'{{"jsonrpc":"2.0","id":{name},"method":"tools/call",'
        f'"params":{{"name":"{tool}","arguments":{arguments}{meta_member}{more}}}}}'
    ).encode()


def request(id_: object, method: str, params: str = "{}") -> bytes:
    """Any request."""
    return f'{{"jsonrpc":"2.0","id":{json.dumps(id_)},"method":"{method}","params":{params}}}'.encode()


def notification(method: str, params: str = "{}") -> bytes:
    """Any notification."""
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{params}}}'.encode()


def answer(id_: object, result: bytes = b'{"content":[]}') -> bytes:
    """A server's result, with white space that is nobody's to take out."""
    name = id_ if isinstance(id_, bytes) else json.dumps(id_).encode()
    return b'{"jsonrpc": "2.0", "id": %s,  "result": %s}' % (name, result)


def cancelled(id_: object, reason: str = "no use") -> bytes:
    """The client's cancellation."""
    return notification("notifications/cancelled", f'{{"requestId":{json.dumps(id_)},"reason":"{reason}"}}')


def progress(token: bytes, done: int, more: str = "") -> bytes:
    """A server's progress."""
    return notification("notifications/progress", f'{{"progressToken":{token.decode()},"progress":{done}{more}}}')


def own_id(line: bytes) -> bytes:
    """The id of a request of ours, as it stands in the line."""
    return json.dumps(json.loads(line)["id"]).encode()

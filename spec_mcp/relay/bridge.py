"""Between lines and the engine: what a line means becomes an event, and what is to be done becomes lines.

The client's lines go to the server and the server's to the client as the bytes that came; only an adopted result is
put under another id, and its progress under another token. What is kept of a request is in `Asked`, what is kept of a
speculation in `Held`. Should the engine ever fail, `_give_up` turns all this into a plain proxy.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import (
    Arguments,
    CallKey,
    Unmatchable,
    canonical,
    canonical_arguments,
    canonical_meta,
    decode_strict,
    matched_meta,
)
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, CallId, Event, Outcome, SpeculationId
from spec_mcp.engine.world import reads
from spec_mcp.predict.predictor import CallBegan
from spec_mcp.relay import wire
from spec_mcp.relay.learning import Held, Learner, look_into_arguments
from spec_mcp.relay.lines import LineWriter
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.listing import Listing
from spec_mcp.relay.recording import CallRecord, Recording
from spec_mcp.relay.validators import read_validator

MATCHED_MAX_BYTES = 64 * 1024
"""Larger arguments are not compared: no predictor guesses them."""

ANSWERED_BY_US_MAX = 1024
"""Ids of adopted answers that are remembered: a late cancellation must not reach a server that never saw them."""

CANCELLED_MAX = 1024
"""Cancelled requests remembered, since most servers never answer them."""

HELD_LINES_MAX = 256
"""Progress notifications held for one speculation; a flood ends it."""

PASSED_ON_MAX = 256
"""Requests of a server that a client may leave unanswered before the oldest is forgotten."""

CALL_MEMBERS = frozenset({"name", "arguments", "_meta"})
"""Any other member of a call's params makes it unlike every speculation (rule 5)."""

PROTOCOL_META = "io.modelcontextprotocol/protocolVersion"
CLIENT_META = "io.modelcontextprotocol/clientInfo"

CONNECTION_CLOSED = -32000
REFUSED = -32603


@dataclass(slots=True)
class Asked:
    """A client's request without an answer."""

    call: CallId
    id: object
    id_raw: bytes
    method: str
    line: bytes | None
    """Until it has been sent."""
    params: bytes
    record: CallRecord | None = None
    progress_token: bytes = b""
    members_left: int = 0
    """In a batch: requests without an answer."""
    cancelled: bool = False


@dataclass(slots=True)
class Running:
    """A speculation: what was asked and what has come of it."""

    own_id: str
    server: str
    tool: str
    arguments: Arguments
    progress: list[bytes] = field(default_factory=list[bytes])
    flooded: bool = False
    """Its progress was too much to hold: what is held is not all that the call would have got."""
    line: bytes = b""
    result: bytes = b""


class Bridge:
    """One client, one server and the engine between them."""

    def __init__(
        self,
        engine: Engine,
        server: str,
        session: str,
        client: LineWriter,
        link: ServerLink,
        learner: Learner,
        recording: Recording,
        clock: Callable[[], float],
        principal: str,
    ) -> None:
        self.engine: Engine | None = engine
        self.server = server
        self.session = session
        self.client = client
        self.link = link
        self.listing = Listing(self)
        self.on_handshake: Callable[[dict[str, bytes]], None] = lambda _: None
        """Told the result of `initialize` or `server/discover`."""
        self.on_client: Callable[[dict[str, bytes]], None] = lambda _: None
        """Told what the client says of itself."""
        self.on_served: Callable[[str], None] = self.listing.may_begin
        """Told the method of each request that the server has answered."""
        self.epoch = 0
        self.stateless_meta: dict[str, bytes] = {}
        """The `_meta` of the client's last stateless request: ours must carry the same."""
        self._learner = learner
        self._recording = recording
        self._clock = clock
        self._principal = principal
        self._protocol = ""
        self._last_meta = (b"{}", "", "{}")
        """The last call's `_meta`: as it came, the protocol version in it, and its identity."""
        self._calls_made = 0
        self._asked: dict[CallId, Asked] = {}
        self._by_id: dict[object, deque[CallId]] = {}
        self._answered_by_us: OrderedDict[object, None] = OrderedDict()
        self._cancelled: deque[Asked] = deque()
        self._running: dict[SpeculationId, Running] = {}
        self._by_own_id: dict[str, SpeculationId] = {}
        self._server_asks: dict[int, tuple[bytes, wire.Envelope]] = {}
        self._server_asks_made = 0
        self._passed_on: OrderedDict[bytes, str] = OrderedDict()
        """The server's requests that the client has not answered: id and method."""
        self._withheld = False
        self._kept: dict[CallId, tuple[SpeculationId, bytes]] = {}
        self._events: deque[Event] = deque()
        self._feeding = False
        self._cancellation = b""
        self._carry_out: dict[type, Callable[..., None]] = {
            do.Invoke: self._invoke,
            do.Reply: self._reply,
            do.PassOn: self._pass_on,
            do.Refuse: self._refuse,
            do.ForwardCancellation: self._forward_cancellation,
            do.Withhold: self._withhold,
            do.Launch: self._launch,
            do.CancelSpeculation: self._cancel_speculation,
            do.Drop: self._drop,
            do.Validate: self._validate,
            do.Keep: self._keep,
            do.Compare: self._compare,
            do.Predict: self._predict,
            do.PinFingerprint: recording.pin,
            do.CallSettled: self._settled,
            do.SpeculationEnded: recording.ended,
            do.Skipped: recording.skipped,
        }

    # --- the engine -------------------------------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Tell the engine, and carry out what it asks for; an event that this leads to comes after."""
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events and self.engine is not None:
                for command in self.engine.handle(self._events.popleft(), self._clock()):
                    self._carry_out[type(command)](command)
        except Exception as error:  # noqa: BLE001  rule 17: when in doubt, a plain proxy
            self._give_up(error)
        finally:
            self._events.clear()
            self._feeding = False

    def connected(self) -> None:
        """A new process, or a new handshake with the old one."""
        self.epoch += 1
        self.listing.forget()
        self.feed(events.Connected(self.server, self.epoch))

    def tick(self) -> None:
        """Time has passed."""
        self.feed(events.Ticked())

    @property
    def deadline_s(self) -> float | None:
        """When `tick` is due."""
        return None if self.engine is None else self.engine.deadline_s

    @property
    def is_busy(self) -> bool:
        """Does the client wait for an answer?"""
        return any(not asked.cancelled for asked in self._asked.values())

    @property
    def is_off(self) -> bool:
        """Is this a plain proxy now?"""
        return self.engine is None or self.engine.world.mode is events.Mode.OFF

    @property
    def has_unsent(self) -> bool:
        """Does a request wait for a speculation, and may yet be sent?"""
        return any(asked.line is not None for asked in self._asked.values())

    def _give_up(self, error: Exception) -> None:
        sys.stderr.write(f"spec-mcp: speculation failed ({type(error).__name__}: {error}); going on as a plain proxy\n")
        self.engine = None
        for asked in list(self._asked.values()):
            if asked.line is not None:
                self._send(asked)
        for line, _ in self._server_asks.values():
            self.client.put(line)
        self._server_asks.clear()
        self._running.clear()

    # --- from the client --------------------------------------------------------------------------------------------

    def on_client_line(self, line: bytes) -> None:
        """A line that the client sent."""
        message = wire.read(line)
        if message is None:
            # nobody knows what the server makes of it
            self.feed(events.ClientNotified(self.session, self.server, "?"))
            self.link.tell(line)
        elif isinstance(message, wire.Batch):
            self._on_batch(message, line)
        elif message.is_request:
            self._on_request(message, line)
        elif message.method:
            self._on_client_notification(message, line)
        else:
            if (method := self._passed_on.pop(message.id, None)) is not None:
                self.feed(events.ClientAnswered(self.session, self.server, method))
            self.link.tell(line)

    def _on_request(self, message: wire.Envelope, line: bytes) -> None:
        asked = self._take_request(message.id, message.method, message.params, line)
        self.link.memory.note_request(message.method, message.params)
        if message.method == "initialize":
            self.on_client(wire.members(wire.members(message.params).get("clientInfo", b"")))
        if message.method == "tools/call":
            self._on_call(asked, message)
            return
        self._note_stateless(wire.members(wire.members(message.params).get("_meta", b"")))
        if self.engine is None:
            self._send(asked)
        else:
            self.feed(events.RequestArrived(asked.call, self.session, self.server, message.method))

    def _take_request(self, id_raw: bytes, method: str, params: bytes, line: bytes) -> Asked:
        self._calls_made += 1
        asked = Asked(self._calls_made, wire.id_value(id_raw), id_raw, method, line, params)
        self._asked[asked.call] = asked
        self._by_id.setdefault(asked.id, deque()).append(asked.call)
        return asked

    def _on_call(self, asked: Asked, message: wire.Envelope) -> None:
        params = wire.members(message.params)
        name = wire.value(params.get("name", b"null"))
        tool = name if isinstance(name, str) else "?"
        meta = wire.members(params.get("_meta", b""))
        self._note_stateless(meta)
        asked.progress_token = meta.get("progressToken", b"")
        raw_arguments = params.get("arguments", b"")
        if self.engine is None:
            self._send(asked)
            return
        writes = not reads(self.engine.world.server(self.server).tool(tool))
        asked.record = self._recording.call_began(asked.call, tool, raw_arguments, writes)
        self._learn_beginning(asked.call, tool, raw_arguments, writes)
        arguments, key = self._identity(tool, params, raw_arguments)
        self.feed(events.CallArrived(asked.call, self.session, self.server, tool, arguments, key))

    def _learn_beginning(self, call: CallId, tool: str, raw_arguments: bytes, writes: bool) -> None:
        at_s = self._clock()

        def make() -> CallBegan:
            return CallBegan(self.session, call, self.server, tool, look_into_arguments(raw_arguments), at_s, writes)

        self._learner.began(make)

    def _identity(
        self, tool: str, params: dict[str, bytes], raw_arguments: bytes
    ) -> tuple[Arguments | None, CallKey | None]:
        """What the call is known by: nothing that is in doubt has a key."""
        assert self.engine is not None, "asked for by the engine's caller"
        policy = self.engine.world.server(self.server).policy
        if not policy.tools or len(raw_arguments) > MATCHED_MAX_BYTES:
            return None, None
        try:
            decoded = decode_strict(raw_arguments) if raw_arguments else {}
            if not isinstance(decoded, dict):
                return None, None
            if not CALL_MEMBERS.issuperset(params):
                return decoded, None
            raw_meta = params.get("_meta", b"{}")
            if raw_meta != self._last_meta[0]:  # clients send the same one again and again
                self._last_meta = (raw_meta, *_meta_identity(raw_meta))
            _, version, meta = self._last_meta
            key = CallKey(
                self.server,
                self.epoch,
                version or self._protocol,
                tool,
                self._principal,
                canonical_arguments(decoded, policy.tool(tool).equal),
                meta,
            )
        except Unmatchable:
            return None, None
        return decoded, key

    def _on_client_notification(self, message: wire.Envelope, line: bytes) -> None:
        if message.method == "notifications/cancelled":
            self._on_cancellation(message, line)
            return
        if message.method == "notifications/initialized":
            self.link.memory.initialized = line
        self.feed(events.ClientNotified(self.session, self.server, message.method))
        self.link.tell(line)

    def _on_cancellation(self, message: wire.Envelope, line: bytes) -> None:
        named = wire.id_value(wire.members(message.params).get("requestId", b"null"))
        calls = self._by_id.get(named)
        if not calls:
            if named not in self._answered_by_us:
                self.link.tell(line)
            return
        asked = self._asked[calls[-1]]
        if self.engine is None:
            self.link.tell(line)
            return
        self._cancellation = line
        self.feed(events.CallCancelled(asked.call))
        if asked.line is not None:  # its server has never seen it, so nobody will answer it
            self._forget(asked)
            return
        asked.cancelled = True
        self._cancelled.append(asked)
        if len(self._cancelled) > CANCELLED_MAX:
            self._forget(self._cancelled.popleft())

    def _on_batch(self, batch: wire.Batch, line: bytes) -> None:
        requests = [member for member in batch.members if member.is_request]
        if not requests or self.engine is None:
            if any(member.method for member in batch.members):
                self.feed(events.ClientNotified(self.session, self.server, "?"))
            self.link.send(line)
            return
        self._calls_made += 1
        asked = Asked(self._calls_made, None, b"", "batch", line, b"", members_left=len(requests))
        self._asked[asked.call] = asked
        for member in requests:
            self._by_id.setdefault(wire.id_value(member.id), deque()).append(asked.call)
        members = tuple((member.method, _tool_of(member)) for member in batch.members if member.method)
        self.feed(events.BatchArrived(asked.call, self.session, self.server, members))

    def _note_stateless(self, meta: dict[str, bytes]) -> None:
        if PROTOCOL_META not in meta:
            return
        if not self.stateless_meta:
            self.on_client(wire.members(meta.get(CLIENT_META, b"")))
        self.stateless_meta = meta

    # --- from the server --------------------------------------------------------------------------------------------

    def on_server_line(self, line: bytes) -> None:
        """A line that the server sent."""
        message = wire.read(line)
        if message is None:
            self.client.put(line)
        elif isinstance(message, wire.Batch):
            self.client.put(line)
            for member in message.members:
                if member.is_response:
                    self._answered(member, b"")
        elif message.is_request:
            self._on_server_request(message, line)
        elif message.method:
            self._on_server_notification(message, line)
        elif self._is_own(message.id):
            self._on_own_answer(message, line)
        else:
            self.client.send(line)  # the client first; what we make of it comes after
            self._answered(message, line)

    def _is_own(self, id_raw: bytes) -> bool:
        return id_raw.startswith(b'"' + self.link.own_marker)

    def _answered(self, message: wire.Envelope, line: bytes) -> None:
        named = wire.id_value(message.id)
        calls = self._by_id.get(named)
        if not calls:
            return
        asked = self._asked[calls.popleft()]
        if not calls:
            del self._by_id[named]
        if asked.members_left > 1:
            asked.members_left -= 1
            return
        outcome = wire.outcome(message, len(line))
        self._note_answer(asked, message, outcome)
        self._asked.pop(asked.call, None)
        if asked.call in self._kept:
            self._kept[asked.call] = (self._kept[asked.call][0], message.result)
        self.feed(events.CallReturned(asked.call, outcome))
        self.on_served(asked.method)

    def _note_answer(self, asked: Asked, message: wire.Envelope, outcome: Outcome) -> None:
        if asked.method == "initialize" and message.result:
            self._handshake_done(message.result)
        elif asked.method == "server/discover" and message.result:
            self.on_handshake(wire.members(message.result))
        elif asked.method.startswith("tasks/"):
            self._note_task(asked, message)
        if asked.record is not None:
            asked.record.answered(message.result or message.error, outcome.answer is not Answer.RESULT)
            self._learner.ended(self.session, asked.call, message.result, outcome.answer is not Answer.RESULT)

    def _handshake_done(self, result: bytes) -> None:
        found = wire.members(result)
        version = wire.value(found.get("protocolVersion", b'""'))
        self._protocol = version if isinstance(version, str) else ""
        self.connected()
        self.on_handshake(found)

    def _note_task(self, asked: Asked, message: wire.Envelope) -> None:
        task = wire.ended_task(message.result) if message.result else None
        if asked.method == "tasks/result" and message.result:
            named = wire.value(wire.members(asked.params).get("taskId", b"null"))
            task = named if isinstance(named, str) else task
        if task is not None:
            self.feed(events.TaskEnded(self.server, task))

    def _on_own_answer(self, message: wire.Envelope, line: bytes) -> None:
        own_id = message.id[1:-1].decode("ascii", "replace")
        number = self._by_own_id.pop(own_id, None)
        if number is None:
            self.link.take_own_answer(own_id, message, line)
            return
        # the splice below replaces one id: a line with more of ours in it is not to be adopted
        tainted = line.count(self.link.own_marker) != 1
        if (running := self._running.get(number)) is not None:
            running.line = line
            running.result = message.result
            tainted = tainted or running.flooded
        self.feed(events.SpeculationReturned(number, wire.outcome(message, len(line), tainted)))

    def _on_server_request(self, message: wire.Envelope, line: bytes) -> None:
        if self.engine is None:
            self.client.put(line)
            return
        self._server_asks_made += 1
        self._server_asks[self._server_asks_made] = (line, message)
        self.feed(events.ServerAsked(self.server, self._server_asks_made, message.method))

    def _on_server_notification(self, message: wire.Envelope, line: bytes) -> None:
        if message.method == "notifications/progress" and self.link.own_marker in message.params:
            self._hold_progress(message, line)
            return
        if message.method == "notifications/tasks/status" and (task := wire.ended_task(message.params)) is not None:
            self.feed(events.TaskEnded(self.server, task))
        self._withheld = False
        self.feed(events.ServerNotified(self.server, message.method))
        if not self._withheld:
            self.client.put(line)
        if message.method == "notifications/tools/list_changed":
            self.listing.forget()
            self.listing.may_begin("tools/list")

    def _hold_progress(self, message: wire.Envelope, line: bytes) -> None:
        token = wire.value(wire.members(message.params).get("progressToken", b"null"))
        number = self._by_own_id.get(token) if isinstance(token, str) else None
        running = None if number is None else self._running.get(number)
        if running is None:
            return
        if len(running.progress) < HELD_LINES_MAX:
            running.progress.append(line)
        else:
            running.flooded = True

    def on_server_lost(self, why: str | None) -> None:
        """The server's process is gone: what it was asked gets an error, what waits for a speculation is made anew.

        `why` is None where the client has left: then nobody is to be told.
        """
        self.listing.forget()
        self._by_own_id.clear()
        for asked in [asked for asked in self._asked.values() if asked.line is None]:
            self._fail(asked, why)
        self.feed(events.Disconnected(self.server))

    def _fail(self, asked: Asked, why: str | None) -> None:
        ids = [asked.id_raw] if asked.method != "batch" else []
        if asked.method == "batch":
            ids = [json.dumps(name).encode() for name, calls in self._by_id.items() if asked.call in calls]
        for id_raw in ids:
            if why is not None and not asked.cancelled:  # the answer to a cancelled request is expected by nobody
                self.client.put(_error_line(id_raw, CONNECTION_CLOSED, why))
        if asked.record is not None:
            asked.record.answered(b"", True)
        self._forget(asked)
        self.feed(events.CallReturned(asked.call, Outcome(Answer.NONE)))

    def _forget(self, asked: Asked) -> None:
        self._asked.pop(asked.call, None)
        for named in [named for named, calls in self._by_id.items() if asked.call in calls]:
            calls = self._by_id[named]
            calls.remove(asked.call)
            if not calls:
                del self._by_id[named]

    # --- commands ---------------------------------------------------------------------------------------------------

    def _invoke(self, command: do.Invoke) -> None:
        if (asked := self._asked.get(command.call)) is not None:
            self._send(asked)

    def _send(self, asked: Asked) -> None:
        line, asked.line = asked.line, None
        if line is not None and (why := self.link.send(line)) is not None:
            self._fail(asked, why)

    def _reply(self, command: do.Reply) -> None:
        asked, running = self._asked[command.call], self._running[command.speculation]
        own = b'"%s"' % running.own_id.encode()
        if asked.progress_token:
            for line in running.progress:
                self.client.put(line.replace(own, asked.progress_token))
        self.client.send(running.line.replace(own, asked.id_raw))
        is_error = wire.outcome(wire.Envelope(result=running.result), 0).answer is not Answer.RESULT
        if asked.record is not None:
            asked.record.answered(running.result, is_error)
        self._learner.ended(self.session, asked.call, running.result, is_error)
        self._answered_by_us[asked.id] = None
        if len(self._answered_by_us) > ANSWERED_BY_US_MAX:
            self._answered_by_us.popitem(last=False)
        self._forget(asked)

    def _pass_on(self, command: do.PassOn) -> None:
        line, message = self._server_asks.pop(command.request)
        self._passed_on[message.id] = message.method
        if len(self._passed_on) > PASSED_ON_MAX:
            self._passed_on.popitem(last=False)
        self.client.put(line)

    def _refuse(self, command: do.Refuse) -> None:
        _, message = self._server_asks.pop(command.request)
        self.link.tell(_error_line(message.id, REFUSED, "the client asked for nothing that needs this"))

    def _forward_cancellation(self, command: do.ForwardCancellation) -> None:
        self.link.tell(self._cancellation)

    def _withhold(self, command: do.Withhold) -> None:
        self._withheld = True

    def _launch(self, command: do.Launch) -> None:
        own_id = self.link.next_own_id()
        self._running[command.speculation] = Running(own_id, command.server, command.tool, command.arguments)
        self._by_own_id[own_id] = command.speculation
        meta = matched_meta_of(command.key)
        # its own token, so that its progress can be held; what the call's key does not name is not told
        meta["progressToken"] = own_id
        params = {"name": command.tool, "arguments": command.arguments, "_meta": meta}
        self.link.tell(_line({"jsonrpc": "2.0", "id": own_id, "method": "tools/call", "params": params}))

    def _cancel_speculation(self, command: do.CancelSpeculation) -> None:
        running = self._running.get(command.speculation)
        if running is not None and not running.line:
            params = {"requestId": running.own_id, "reason": "no longer needed"}
            self.link.tell(_line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))

    def _drop(self, command: do.Drop) -> None:
        self._running.pop(command.speculation, None)
        for call in [call for call, (number, _) in self._kept.items() if number == command.speculation]:
            del self._kept[call]

    def _validate(self, command: do.Validate) -> None:
        value = read_validator(command.validator, command.arguments)
        self.feed(events.Validated(command.speculation, command.call, value))

    def _keep(self, command: do.Keep) -> None:
        self._kept[command.call] = (command.speculation, b"")

    def _compare(self, command: do.Compare) -> None:
        _, real = self._kept.pop(command.call, (0, b""))
        running = self._running.get(command.speculation)
        if running is not None:
            self._recording.compared(command, running.tool, same_result(running.result, real))

    def _predict(self, command: do.Predict) -> None:
        self._learner.predict(command, self._held)

    def _held(self, number: SpeculationId) -> Held | None:
        running = self._running.get(number)
        return None if running is None else Held(running.server, running.tool, running.arguments, running.result)

    def _settled(self, command: do.CallSettled) -> None:
        self._recording.settled(command)


def _meta_identity(raw: bytes) -> tuple[str, str]:
    """The protocol version that a call's `_meta` names, and what of it must be equal.

    Raises:
        Unmatchable: it cannot be compared.
    """
    meta = decode_strict(raw)
    if not isinstance(meta, dict):
        raise Unmatchable("_meta is no object")
    version = meta.get(PROTOCOL_META, "")
    return (version if isinstance(version, str) else "?"), canonical_meta(meta)


def matched_meta_of(key: CallKey) -> dict[str, object]:
    """The `_meta` that a speculation with this key carries."""
    return dict(matched_meta(json.loads(key.meta)))


def same_result(one: bytes, other: bytes) -> bool:
    """Are two results the same JSON? Where that cannot be told, the bytes decide."""
    try:
        return canonical(decode_strict(one)) == canonical(decode_strict(other))
    except Unmatchable:
        return one == other


def _tool_of(member: wire.Envelope) -> str | None:
    name = wire.value(wire.members(member.params).get("name", b"null"))
    return name if isinstance(name, str) else None


def _error_line(id_raw: bytes, code: int, message: str) -> bytes:
    text = json.dumps(f"spec-mcp: {message}").encode()
    return b'{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s}}\n' % (id_raw, code, text)


def _line(message: dict[str, object]) -> bytes:
    """A line of our own making. The standard codec writes lone surrogates, which arguments may hold."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"

"""Between lines and the engine: what a line means becomes an event, and what is to be done becomes lines.

The client's lines go to the server and the server's to the client as the bytes that came; only an adopted result is
put under another id, and its progress under another token. What the client asked is in `AskedTable`, what we asked in
`Speculations`, what the server asked in `Prompts`. Here is the way of one call through them.

Should the engine fail, or anything here, `give_up` turns all this into a plain proxy that still answers every call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Event, Outcome
from spec_mcp.engine.ledger import Speculation
from spec_mcp.engine.world import reads
from spec_mcp.relay import wire
from spec_mcp.relay.account import Account
from spec_mcp.relay.answering import Answering
from spec_mcp.relay.asked import Asked, AskedTable
from spec_mcp.relay.asking import Asking
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.handshake import Handshake
from spec_mcp.relay.identity import Identities
from spec_mcp.relay.inheriting import Inheriting
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineWriter
from spec_mcp.relay.link import Memory, ServerLink
from spec_mcp.relay.listing import Listing
from spec_mcp.relay.prompts import Prompts
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.reversing import Reversing
from spec_mcp.relay.saying import say
from spec_mcp.relay.speculating import Speculating
from spec_mcp.relay.validators import Validators

NEEDED_PARAMS_METHODS = Memory.REMEMBERED | {"tasks/result"}
"""Requests of whose params something is needed once they are answered."""

TASK_NOTIFICATIONS = frozenset({"notifications/tasks/status", "notifications/tasks"})
"""They tell what has become of a task."""


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
        validators: Validators,
        disk: Disk,
        clock: Callable[[], float],
        principal: str,
    ) -> None:
        self.engine: Engine | None = engine
        self.server = server
        self.session = session
        self.client = client
        self.link = link
        self.listing = Listing(self)
        self.handshake = Handshake()
        self.on_served: Callable[[str], None] = self.listing.may_begin
        """Told the method of each request that the server has answered."""
        self.epoch = 0
        self.asked = AskedTable()
        self.prompts = Prompts()
        asking = Asking(link, self.handshake)
        self.reversing = Reversing(link, self.listing, asking, disk, self.feed, self._unadopted)
        self.ours = Speculating(link, learner, recording, validators, self.reversing, asking, self.feed)
        self.inheriting = Inheriting(self, disk, clock)
        self._clock = clock
        self._identities = Identities(server, principal)
        self._account = Account(session, server, learner, recording, clock)
        self.answering = Answering(client, link, self.asked, self.ours, self._account, self.feed)
        self._events: deque[Event] = deque()
        self._feeding = False
        self._carry_out: dict[type, Callable[..., None]] = {
            **self.answering.commands,
            **self.ours.commands,
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
                engine = self.engine
                self._do(engine.decide(self._events.popleft(), self._clock()))
                self._do(engine.settle())
        except Exception as error:  # noqa: BLE001  rule 17: when in doubt, a plain proxy
            self.give_up(error)
        finally:
            self._events.clear()
            self._feeding = False

    def _do(self, commands: list[do.Command]) -> None:
        for command in commands:
            self._carry_out[type(command)](command)

    def connected(self) -> None:
        """A new process, or a new handshake with the old one."""
        self.epoch += 1
        self.listing.forget()
        self.feed(events.Connected(self.server, self.epoch))
        self.list_if_needed()

    def tick(self) -> None:
        """Time has passed."""
        self.feed(events.Ticked())
        self.inheriting.tick()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` is due."""
        own_s, others_s = None if self.engine is None else self.engine.deadline_s, self.inheriting.deadline_s
        return own_s if others_s is None else others_s if own_s is None else min(own_s, others_s)

    @property
    def awaited(self) -> int:
        """How many answers the client waits for."""
        return self.asked.awaited + self.inheriting.waiting

    @property
    def has_unsent(self) -> bool:
        """Does a request wait for a speculation, and may yet be sent?"""
        return bool(self.asked.unsent()) or bool(self.inheriting.waiting)

    @property
    def is_settling(self) -> bool:
        """Is something being taken back, or to be, that can be while the server is there?"""
        return self.engine is not None and bool(self.reversing.unsettled) and self.has_begun

    @property
    def has_begun(self) -> bool:
        """Has the client done its part of the beginning, so that requests of our own are in order?"""
        return bool(self.link.memory.initialized or self.handshake.stateless_meta)

    @property
    def is_off(self) -> bool:
        """Is this a plain proxy now?"""
        return self.engine is None or self.engine.world.mode is events.Mode.OFF

    def give_up(self, error: Exception) -> None:
        """Rule 17: be a plain proxy from now on. What waits for a speculation is made for real."""
        if self.engine is None:
            say(f"a line could not be looked into ({type(error).__name__}: {error})")
            return
        say(f"speculation failed ({type(error).__name__}: {error}); going on as a plain proxy")
        self.engine = None
        if why := self.reversing.abandon():
            self.answering.blocked = why
        for asked in self.asked.unsent():
            if self.answering.is_blocked(asked.method):
                self.answering.refuse(asked, self.answering.blocked)
            else:
                self.answering.send(asked)
        self.ours.stop()

    def list_if_needed(self) -> None:
        """What has to be taken back waits for the server's list."""
        if self.reversing.has_any:
            self.listing.must_begin()

    def _unadopted(self, number: events.SpeculationId) -> Speculation | None:
        return None if self.engine is None else self.engine.world.ledger.unadopted.get(number)

    # --- from the client --------------------------------------------------------------------------------------------

    def on_client_line(self, line: bytes) -> None:
        """A line that the client sent."""
        message = wire.read(line)
        if message is None:  # nobody knows what the server makes of it
            if line.strip():
                self.feed(events.ClientNotified(self.session, self.server, "?"))
                self.link.send("", line)
            else:
                self.link.tell(line)
        elif isinstance(message, wire.Batch) or message.is_request:
            if self.inheriting.gate is None or not self.inheriting.stops(message, line):
                self.let_in(message, line)
        elif message.method:
            self._on_client_notification(message, line)
        elif (method := self.prompts.answered(message.id)) is not None:
            self.feed(events.ClientAnswered(self.session, self.server, method))
            self.link.tell(line)

    def let_in(self, message: wire.Envelope | wire.Batch, line: bytes) -> None:
        """A request, or a batch, that may go its way."""
        if isinstance(message, wire.Batch):
            self._on_batch(message, line)
        else:
            self._on_request(message, line)

    def _on_request(self, message: wire.Envelope, line: bytes) -> None:
        asked = self.asked.add([message.id], message.method, line)
        if self.answering.blocked and self.answering.is_blocked(message.method):
            self.answering.refuse(asked, self.answering.blocked)
        elif self.engine is None:
            self.answering.send(asked)
        elif message.method == "tools/call":
            self._on_call(self.engine, asked, message, line)
        else:
            self.feed(events.RequestArrived(asked.call, self.session, self.server, message.method))
        if message.method == "tools/call":
            return
        if message.method in NEEDED_PARAMS_METHODS:
            asked.params = message.params
        if message.method == "initialize":
            self.handshake.client_initializes(message.params)
        elif message.params:
            self.handshake.client_says(wire.members(message.params).get("_meta", b""))

    def _on_call(self, engine: Engine, asked: Asked, message: wire.Envelope, line: bytes) -> None:
        call = wire.read_call(message, line)
        if b"progressToken" in call.meta or b"\\" in call.meta:
            asked.progress_token = wire.members(call.meta).get("progressToken", b"")
        server = engine.world.server(self.server)
        arguments, key = self._identities.of(call, message.id, server.policy, self.epoch)
        self._account.arriving(asked, call, not reads(server.tool(call.tool)))
        self.feed(events.CallArrived(asked.call, self.session, self.server, call.tool, arguments, key))
        self._account.catch_up()
        self.handshake.client_says(call.meta)

    def _on_client_notification(self, message: wire.Envelope, line: bytes) -> None:
        if message.method == "notifications/cancelled":
            self._on_cancellation(message, line)
        elif message.method == "notifications/initialized":
            self.link.tell_initialized(line)
            self.list_if_needed()
        else:
            self.feed(events.ClientNotified(self.session, self.server, message.method))
            self.link.tell(line)

    def _on_cancellation(self, message: wire.Envelope, line: bytes) -> None:
        name = wire.id_value(wire.members(message.params).get("requestId", wire.NULL))
        asked = self.asked.named(name)
        if self.inheriting.gate is not None and self.inheriting.gate.cancel(name):
            return
        if asked is None:
            if not self.asked.was_answered_by_us(name):
                self.link.tell(line)
        elif asked.cancelled or asked.method == "batch":  # of a batch the rest goes on
            self.link.tell(line)
        else:
            self.answering.cancellation = line
            self.feed(events.CallCancelled(asked.call))
            if not asked.is_sent:  # its server has never seen it, so nobody will answer it
                self.asked.forget(asked)
                return
            if self.engine is None:
                self.link.tell(line)
            self.asked.cancel(asked)

    def _on_batch(self, batch: wire.Batch, line: bytes) -> None:
        requests = [member.id for member in batch.members if member.is_request]
        if not requests:
            self.feed(events.ClientNotified(self.session, self.server, "?"))
            self.link.tell(line)
            return
        asked = self.asked.add(requests, "batch", line)
        if self.answering.blocked:
            self.answering.refuse(asked, self.answering.blocked)
            return
        members = tuple((member.method, _tool_of(member)) for member in batch.members if member.method)
        self.feed(events.BatchArrived(asked.call, self.session, self.server, members))
        if self.engine is None and not asked.is_sent:
            self.answering.send(asked)

    # --- from the server --------------------------------------------------------------------------------------------

    def on_server_line(self, line: bytes) -> None:
        """A line that the server sent."""
        message = wire.read(line)
        if message is None:
            if self.ours.speaks_of_us(line):  # nothing that names us is for the client
                self.ours.notified(wire.Envelope(), line)
            else:
                self.client.put(line)
        elif isinstance(message, wire.Batch):
            self._on_server_batch(message, line)
        elif message.method:
            if self._is_for_client(message, line):
                self.client.put(line)
            self._after_notification(message)
        elif not self._take_own_answer(message, line):
            self.client.send(line)  # the client first; what we make of it comes after
            self._answered(message, len(line))

    def _on_server_batch(self, batch: wire.Batch, line: bytes) -> None:
        """Rule 10: what is ours in it is cut out, the rest is the client's."""
        passing: list[bytes] = []
        for member, text in zip(batch.members, batch.texts, strict=True):
            if member.method:
                passes = self._is_for_client(member, text)
            else:
                passes = not self._take_own_answer(member, text + b"\n")
            if passes:
                passing.append(text)
        if len(passing) == len(batch.texts):
            self.client.send(line)
        elif passing:
            self.client.send(b"[%s]\n" % b",".join(passing))
        for member, text in zip(batch.members, batch.texts, strict=True):
            if member.method:
                self._after_notification(member)
            elif member.is_response and self.ours.own_id(member.id) is None:
                self._answered(member, len(text))

    def _take_own_answer(self, message: wire.Envelope, line: bytes) -> bool:
        own_id = self.ours.own_id(message.id)
        if own_id is None:
            return False
        # nobody else uses ids like ours, but a client that does is served all the same
        return self.ours.take_answer(own_id, message, line) or not self.asked.knows(message.id)

    def _answered(self, message: wire.Envelope, size_bytes: int) -> None:
        asked = self.asked.answered(message.id)
        if asked is None:
            return
        outcome = wire.outcome(message, size_bytes)
        self._note_answer(asked, message, outcome)
        self.ours.call_answered(asked.call, message.result)
        self.feed(events.CallReturned(asked.call, outcome))
        self.on_served(asked.method)
        self.list_if_needed()

    def _note_answer(self, asked: Asked, message: wire.Envelope, outcome: Outcome) -> None:
        if asked.record is not None:
            is_error = outcome.answer is not Answer.RESULT
            self._account.answered(asked, message.result or message.error, message.result, is_error)
        elif message.result:
            self.link.memory.note_done(asked.method, asked.params)
            if asked.method == "initialize":
                self._identities.protocol = self.handshake.done(message.result)
                self.connected()
            if asked.method in ("initialize", "server/discover"):
                self.handshake.server_says(message.result)
            elif asked.method.startswith("tasks/"):
                self._note_task(asked, message.result)

    def _note_task(self, asked: Asked, result: bytes) -> None:
        task = wire.ended_task(result)
        if asked.method == "tasks/result":
            named = wire.value(wire.members(asked.params).get("taskId", wire.NULL))
            task = named if isinstance(named, str) else task
        if task is not None:
            self.feed(events.TaskEnded(self.server, task))

    def _is_for_client(self, message: wire.Envelope, line: bytes) -> bool:
        """A request or a notification of the server: does the client get it?"""
        is_ours, answering = self.ours.speaks_of_us(line), self.answering
        answering.passes, answering.said = True, line
        if message.id != wire.ABSENT:
            answering.prompt = message
            if self.engine is not None:
                self.feed(events.ServerAsked(self.server, self.prompts.next_number(), message.method))
            if is_ours and answering.passes:
                answering.refuse_prompt()
            elif answering.passes:
                self.prompts.passed_on(message)
            return answering.passes
        if is_ours:
            self.ours.notified(message, line)
        if message.method in TASK_NOTIFICATIONS and (task := wire.ended_task(message.params)) is not None:
            self.feed(events.TaskEnded(self.server, task))
        if message.method != "notifications/progress":
            self.feed(events.ServerNotified(self.server, message.method))
        return answering.passes and not is_ours

    def _after_notification(self, message: wire.Envelope) -> None:
        if message.method == "notifications/tools/list_changed":
            self.listing.forget()  # and look again when the client next has an answer: a server may say so all the time
            self.list_if_needed()

    def on_client_left(self) -> None:
        """The client will say nothing more, but may still read: what waits for a speculation is made for real."""
        self.feed(events.ModeSet(events.Mode.OFF))

    def on_server_lost(self, why: str | None) -> None:
        """The server's process is gone: what it was asked gets an error, what waits for a speculation is made anew.

        `why` is None where the client has left: then nobody is to be told.
        """
        self.listing.forget()
        self.prompts.server_lost()
        self.ours.connection_lost()
        lost = self.asked.sent()
        self.feed(events.Disconnected(self.server))
        self.reversing.connection_lost()
        for asked in lost:
            self.answering.lose(asked, why)


def _tool_of(member: wire.Envelope) -> str | None:
    name = wire.value(wire.members(member.params).get("name", wire.NULL))
    return name if isinstance(name, str) else None

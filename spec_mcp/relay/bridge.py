"""Between lines and the engine: what a line means becomes an event, and what is to be done becomes lines.

The client's lines go to the server and the server's to the client as the bytes that came; only an adopted result is
put under another id, and its progress under another token. What the client asked is in `AskedTable`, what we asked in
`Speculations`, what the server asked in `Prompts`. Here is the way of one call through them.

Should the engine fail, or anything here, `give_up` turns all this into a plain proxy that still answers every call.
"""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.effects import reads
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Outcome
from spec_mcp.engine.ledger import Speculation
from spec_mcp.relay import extras, wire
from spec_mcp.relay.answering import Answering, ClientLines
from spec_mcp.relay.asked import Asked, AskedTable
from spec_mcp.relay.asking import Asking
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.disk import Disk
from spec_mcp.relay.handshake import Handshake
from spec_mcp.relay.inheriting import Inheriting
from spec_mcp.relay.learning import Held
from spec_mcp.relay.link import Memory, ServerLink
from spec_mcp.relay.listing import Listing
from spec_mcp.relay.prompts import Prompts
from spec_mcp.relay.reversing import Reversing
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.speculating import Speculating
from spec_mcp.relay.validators import Validators
from spec_mcp.relay.words import MARKER, taken_out

NEEDED_PARAMS_METHODS = Memory.REMEMBERED | {"tasks/result"}
"""Requests of whose params something is needed once they are answered."""

TASK_NOTIFICATIONS = frozenset({"notifications/tasks/status", "notifications/tasks"})
"""They tell what has become of a task."""


class Bridge:
    """One connection: the lines of its clients, those of its server, and the engine between them."""

    def __init__(
        self,
        deciding: Deciding,
        server: str,
        connection: str,
        seat: Seat,
        client: ClientLines,
        link: ServerLink,
        validators: Validators,
        disk: Disk,
        clock: Callable[[], float],
    ) -> None:
        self.server = server
        self.connection = connection
        """Its name: the server's own where there is no other to that server."""
        self.seat = seat
        """In whose name a line comes where nobody says."""
        self.client = client
        self.link = link
        self.listing = Listing(self)
        self.handshake = Handshake()
        self.on_served: Callable[[str], None] = self.listing.may_begin
        """Told the method of each request that the server has answered."""
        self.epoch = 0
        self.asked = AskedTable()
        self.prompts = Prompts()
        self.feed = deciding.feed
        asking = Asking(link, self.handshake)
        self.reversing = Reversing(link, self.listing, asking, disk, self.feed, self._unadopted)
        self.ours = Speculating(link, deciding, validators, self.reversing, asking)
        self.inheriting = Inheriting(self, disk, clock)
        self._deciding = deciding
        self._protocol = ""
        """What the last handshake agreed on."""
        self.answering = Answering(client, link, self.asked, self.ours, self.feed, deciding.held)
        self.commands: dict[type, Callable[..., None]] = {
            **self.answering.commands,
            **self.ours.commands,
        }
        deciding.bridges[connection] = self

    # --- the engine -------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine | None:
        """None: it has failed, and this is a plain proxy."""
        return self._deciding.engine

    def held(self, number: events.SpeculationId) -> Held | None:
        """A speculation as far as a chain needs it."""
        return self.ours.held(number)

    def take_over(self, command: do.Take, result: bytes) -> int | None:
        """Hold what another replica gave for a speculation; its size, None where it is of no use."""
        return self.ours.take_over(command, result)

    def connected(self) -> None:
        """A new process, or a new handshake with the old one."""
        self.epoch += 1
        self.listing.forget()
        self.feed(events.Connected(self.connection, self.epoch, self._protocol))
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
        return self._deciding.is_off

    def give_up(self, error: Exception) -> None:
        """Rule 17: something here failed."""
        self._deciding.give_up(error)

    def go_on_as_plain_proxy(self) -> None:
        """What waits for a speculation is made for real."""
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

    def on_client_line(self, line: bytes, seat: Seat | None = None) -> None:
        """A line that a client sent."""
        seat = seat or self.seat
        if MARKER in line:
            line, hints = taken_out(line)
            for raw in hints:
                seat.account.hinted(raw)
        message = wire.read(line)
        if message is None:  # nobody knows what the server makes of it
            if line.strip():
                self.feed(events.ClientNotified(seat.session, self.connection, "?"))
                self.link.send("", line)
            else:
                self.link.tell(line)
        elif isinstance(message, wire.Batch) or message.is_request:
            if self.inheriting.gate is None or not self.inheriting.stops(message, line, seat):
                self.let_in(message, line, seat)
        elif message.method:
            self._on_client_notification(message, line, seat)
        elif (method := self.prompts.answered(message.id)) is not None:
            self.feed(events.ClientAnswered(seat.session, self.connection, method))
            self.link.tell(line)

    def let_in(self, message: wire.Envelope | wire.Batch, line: bytes, seat: Seat) -> None:
        """A request, or a batch, that may go its way."""
        if isinstance(message, wire.Batch):
            self._on_batch(message, line, seat)
        else:
            self._on_request(message, line, seat)

    def _on_request(self, message: wire.Envelope, line: bytes, seat: Seat) -> None:
        asked = self.asked.add(self._deciding.next_call(), [message.id], message.method, line, seat)
        if self.answering.blocked and self.answering.is_blocked(message.method):
            self.answering.refuse(asked, self.answering.blocked)
        elif self.engine is None:
            self.answering.send(asked)
        elif message.method == "tools/call":
            self._on_call(self.engine, asked, message, line, seat)
        else:
            self.feed(events.RequestArrived(asked.call, seat.session, self.connection, message.method))
        if message.method == "tools/call":
            return
        if message.method in NEEDED_PARAMS_METHODS:
            asked.params = message.params
        if message.method == "initialize":
            self.handshake.client_initializes(message.params)
        elif message.params:
            self.handshake.client_says(wire.members(message.params).get("_meta", b""))

    def _on_call(self, engine: Engine, asked: Asked, message: wire.Envelope, line: bytes, seat: Seat) -> None:
        call = wire.read_call(message, line)
        if b"progressToken" in call.meta or b"\\" in call.meta:
            asked.progress_token = wire.members(call.meta).get("progressToken", b"")
        server = engine.world.connection(self.connection)
        arguments, key = seat.identities.of(call, message.id, server.policy, self.epoch, self._protocol)
        seat.account.arriving(asked, self.server, call, not reads(server.tool(call.tool)))
        if key is not None and self._deciding.settings.attach:
            asked.may_attach = (seat.account.version or key.protocol) in extras.VERSIONS
        arrived = events.CallArrived(
            asked.call, seat.session, self.connection, call.tool, arguments, key, asked.may_attach
        )
        self.feed(arrived)
        seat.account.catch_up()
        self.handshake.client_says(call.meta)

    def _on_client_notification(self, message: wire.Envelope, line: bytes, seat: Seat) -> None:
        if message.method == "notifications/cancelled":
            self._on_cancellation(message, line)
        elif message.method == "notifications/initialized":
            self.link.tell_initialized(line)
            self.list_if_needed()
        else:
            self.feed(events.ClientNotified(seat.session, self.connection, message.method))
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

    def _on_batch(self, batch: wire.Batch, line: bytes, seat: Seat) -> None:
        requests = [member.id for member in batch.members if member.is_request]
        if not requests:
            self.feed(events.ClientNotified(seat.session, self.connection, "?"))
            self.link.tell(line)
            return
        asked = self.asked.add(self._deciding.next_call(), requests, "batch", line, seat)
        if self.answering.blocked:
            self.answering.refuse(asked, self.answering.blocked)
            return
        members = tuple((member.method, _tool_of(member)) for member in batch.members if member.method)
        self.feed(events.BatchArrived(asked.call, seat.session, self.connection, members))
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
            if self._deciding.settings.attach:
                line = self._with_extras(message, line)
            self.client.send(line)  # the client first; what we make of it comes after
            self._answered(message, len(line))

    def _with_extras(self, message: wire.Envelope, line: bytes) -> bytes:
        """Attach mode: the server's answer to a call, with the results of reads that come next."""
        asked = self.asked.sent_as(message.id)
        if asked is None or not asked.may_attach or asked.cancelled:
            return line
        if (place := extras.place_in(message, line)) is not None:
            self.feed(events.AnswerComing(asked.call, wire.outcome(message, len(line))))
        return self.answering.with_extras(asked, line, place)

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
            asked.seat.account.answered(asked, message.result or message.error, message.result, is_error)
        elif message.result:
            self.link.memory.note_done(asked.method, asked.params)
            if asked.method == "initialize":
                self._protocol = self.handshake.done(message.result)
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
            self.feed(events.TaskEnded(self.connection, task))

    def _is_for_client(self, message: wire.Envelope, line: bytes) -> bool:
        """A request or a notification of the server: does the client get it?"""
        is_ours, answering = self.ours.speaks_of_us(line), self.answering
        answering.passes, answering.said = True, line
        if message.id != wire.ABSENT:
            answering.prompt = message
            if self.engine is not None:
                self.feed(events.ServerAsked(self.connection, self.prompts.next_number(), message.method))
            if is_ours and answering.passes:
                answering.refuse_prompt()
            elif answering.passes:
                self.prompts.passed_on(message)
            return answering.passes
        if is_ours:
            self.ours.notified(message, line)
        if message.method in TASK_NOTIFICATIONS and (task := wire.ended_task(message.params)) is not None:
            self.feed(events.TaskEnded(self.connection, task))
        if message.method != "notifications/progress":
            self.feed(events.ServerNotified(self.connection, message.method))
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
        self.feed(events.Disconnected(self.connection, self.link.ends_with_server))
        self.reversing.connection_lost()
        for asked in lost:
            self.answering.lose(asked, why)

    def on_request_lost(self, id_raw: bytes, why: str | None) -> None:
        """One request will have no answer, though the server may have done it; all others go on.

        `why` is None where nobody is to be told.
        """
        own_id = self.ours.own_id(id_raw)
        if own_id is not None and self.ours.lost(own_id, self._is_read):
            return
        asked = self.asked.sent_as(id_raw)
        if asked is not None:
            self.answering.lose(asked, why)

    def _is_read(self, tool: str) -> bool:
        return self.engine is not None and reads(self.engine.world.connection(self.connection).tool(tool))


def _tool_of(member: wire.Envelope) -> str | None:
    name = wire.value(wire.members(member.params).get("name", wire.NULL))
    return name if isinstance(name, str) else None

"""A client of the handshake era: one session over many HTTP requests, and which of their streams hears what.

An answer goes to the stream of its request, progress to the stream of the request that asked for it. All else is for
the stream of the request in flight where there is just one, else for that of the last call in flight, else for the
session's own stream (GET), which keeps it until a client reads that.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from spec_mcp.config import Listen
from spec_mcp.relay import wire
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.http import Refusal
from spec_mcp.relay.front.load import Load, Part
from spec_mcp.relay.front.messages import Message, error_body
from spec_mcp.relay.front.stream import Reader, Stream
from spec_mcp.relay.gateway.ports import ClientSession, Principal
from spec_mcp.relay.wire import ABSENT, Batch, Envelope

OWN = "0"
"""The name of the stream that belongs to no request."""

PRIMING_VERSION = "2025-11-25"
"""Clients of it and later understand an event that says nothing."""

BATCH_VERSION = "2025-03-26"
"""The only revision with this transport and with batches."""

FINISHED_MAX_STREAMS = 64
"""What was answered while its client was away; the bound on bytes is reached long before, but for tiny answers."""

ASKED_MAX_REQUESTS = 1024
"""Requests of servers of which it is remembered who heard them: only their cancellation looks that up."""

SESSION_ENDED = -32000


@dataclass(slots=True, eq=False)
class Asked:
    """A request of the client that is in flight."""

    stream: Stream
    id_raw: bytes
    method: str
    token: object = None
    """Of progress, as a value; None: it asked for none."""


class HandshakeSession:
    """One of them. `put` and `send` are where the gateway's lines come in."""

    def __init__(self, session_id: str, principal: Principal, listen: Listen, load: Load) -> None:
        self.id = session_id
        self.principal = principal
        self.version = ""
        """What was agreed on; empty before that."""
        self.until_s: float | None = None
        self.is_closed = False
        self.own = Stream(OWN, listen.stream_bytes, kept := Part(load), awaited=0)
        self._client: ClientSession | None = None
        self._listen = listen
        self._kept = kept
        self._streams: dict[str, Stream] = {OWN: self.own}
        self._finished: OrderedDict[str, Stream] = OrderedDict()
        """Nobody reads them now, and nothing more will be said on them."""
        self._asked: dict[object, Asked] = {}
        self._by_token: dict[object, Asked] = {}
        self._heard_by: OrderedDict[object, Stream] = OrderedDict()
        """Who heard which request of the server."""
        self._last_name = 0

    # --- from the client --------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Does nobody wait for anything? What is under way without a reader holds no session open."""
        return all(stream.reader is None for stream in self._streams.values())

    @property
    def primes(self) -> bool:
        """Does the client understand an event that says nothing?"""
        return bool(self.version) and sdk.is_version_at_least(self.version, PRIMING_VERSION)

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What every answer carries."""
        return ((b"mcp-session-id", self.id.encode()),)

    def enter(self, client: ClientSession, until_s: float | None) -> None:
        """The gateway knows the client now."""
        self._client = client
        self.until_s = until_s

    def renew(self, until_s: float) -> None:
        """The client shows a token that lasts until then."""
        self.until_s = until_s
        if self._client is not None:
            self._client.drop_held()

    def ask(self, messages: list[Message], is_batch: bool) -> tuple[Stream, Reader]:
        """Pass a POST's messages on; its requests are answered on the stream.

        Raises:
            Refusal: too many are in flight, or one has the id of another.
        """
        requests = [message.envelope for message in messages if message.envelope.is_request]
        if len(self._asked) + len(requests) > self._listen.requests_per_session:
            text = "Too many requests in flight ([listen] requests_per_session)"
            raise Refusal(429, text, id_raw=requests[0].id).with_header(b"retry-after", b"1")
        keys = [wire.id_value(request.id) for request in requests]
        if len({*keys, *self._asked}) != len(keys) + len(self._asked):
            raise Refusal(400, "Another request in flight has this id", id_raw=requests[0].id)
        self._last_name += 1
        stream = Stream(str(self._last_name), self._listen.stream_bytes, self._kept, len(requests), is_batch)
        self._streams[stream.name] = stream
        for key, request in zip(keys, requests, strict=True):
            self._note(key, request, stream)
        reader = stream.attach()
        if is_batch and self._client is not None:  # the gateway gets its messages one by one
            self._client.drop_held()
        for message in messages:
            self.tell(message)
        return stream, reader

    def tell(self, message: Message) -> None:
        """Pass one message on."""
        envelope = message.envelope
        if envelope.is_response:
            self._heard_by.pop(wire.id_value(envelope.id), None)
        if self._client is not None and not self.is_closed:
            self._client.on_client_line(message.line)
        if envelope.method == "notifications/cancelled":
            self._cancelled(envelope)

    def _note(self, key: object, request: Envelope, stream: Stream) -> None:
        asked = Asked(stream, request.id, request.method)
        self._asked[key] = asked
        if b"progressToken" in request.params:
            meta = wire.members(wire.members(request.params).get("_meta", ABSENT))
            if "progressToken" in meta:
                asked.token = wire.id_value(meta["progressToken"])
                self._by_token[asked.token] = asked

    def _cancelled(self, notification: Envelope) -> None:
        """A server may leave a cancelled request unanswered, and a stream ends with an answer only."""
        key = wire.id_value(wire.members(notification.params).get("requestId", wire.NULL))
        asked = self._asked.get(key)
        if asked is not None and asked.method != "initialize":
            self._answer(key, error_body(sdk.REQUEST_CANCELLED, "Request cancelled", asked.id_raw))

    # --- to the client ----------------------------------------------------------------------------------------------

    def put(self, line: bytes) -> None:
        """Say this to the client, where it belongs."""
        if self.is_closed:
            return
        message = wire.read(line)
        if isinstance(message, Batch):
            for envelope, text in zip(message.members, message.texts, strict=True):
                self._put(envelope, text)
        elif message is not None:  # nobody could read it
            self._put(message, line)

    send = put

    def _put(self, message: Envelope, line: bytes) -> None:
        if message.is_response:
            key = wire.id_value(message.id)
            if (asked := self._asked.get(key)) is not None:
                if asked.method == "initialize":
                    self._agree(message.result)
                self._answer(key, line)
            return
        stream = self._place(message)
        stream.say(line)
        if message.is_request:
            self._heard_by[wire.id_value(message.id)] = stream
            if len(self._heard_by) > ASKED_MAX_REQUESTS:
                self._heard_by.popitem(last=False)
        self._trim(stream)

    def _answer(self, key: object, line: bytes, status: int = 200) -> None:
        asked = self._asked.pop(key)
        if self._by_token.get(asked.token) is asked:
            del self._by_token[asked.token]
        stream = asked.stream
        stream.answer(line, status)
        self._trim(stream)
        if stream.ended and stream.reader is None:
            self._finish(stream)

    def _agree(self, result: bytes) -> None:
        version = wire.value(wire.members(result).get("protocolVersion", wire.NULL))
        self.version = version if isinstance(version, str) else ""

    def _place(self, message: Envelope) -> Stream:
        if message.method == "notifications/progress":
            token = wire.id_value(wire.members(message.params).get("progressToken", wire.NULL))
            if (asked := self._by_token.get(token)) is not None:
                return asked.stream
        elif message.method == "notifications/cancelled":
            key = wire.id_value(wire.members(message.params).get("requestId", wire.NULL))
            if (heard_by := self._heard_by.pop(key, None)) is not None and not heard_by.ended:
                return heard_by
        heard = [asked for asked in self._asked.values() if not asked.stream.lost]
        if len(heard) > 1:
            heard = [asked for asked in heard if asked.method == "tools/call"][-1:]
        return heard[0].stream if heard else self.own

    # --- streams ----------------------------------------------------------------------------------------------------

    def is_own(self, event_id: str) -> bool:
        """Is this event, or where there is none the stream that is meant, of the session's own stream?"""
        return not event_id or event_id.partition("-")[0] == OWN

    def resumed(self, event_id: str) -> tuple[Stream, Reader]:
        """The stream of an event that the client has got, to be read on from there.

        Raises:
            Refusal: there is none.
        """
        name, _, number = event_id.partition("-")
        stream = self._streams.get(name)
        is_number = number.isascii() and number.isdigit() and len(number) < 19
        if stream is None or not is_number or not stream.resume(int(number)):
            raise Refusal(400, "Nothing is kept of the stream of this event")
        self._finished.pop(name, None)
        return stream, stream.attach()

    def left(self, stream: Stream, reader: Reader) -> None:
        """This answer is over, whether or not the client has got all."""
        stream.detach(reader)
        if stream.reader is not None:
            return
        if stream.ended and not self.is_closed:
            self._finish(stream)
        self._trim(stream)

    def _finish(self, stream: Stream) -> None:
        """Keep it a while for a client that comes back."""
        if stream.lost or not stream.begun:
            self._forget(stream)
            return
        self._finished[stream.name] = stream
        self._finished.move_to_end(stream.name)
        if len(self._finished) > FINISHED_MAX_STREAMS:
            self._forget(next(iter(self._finished.values())))

    def _forget(self, stream: Stream) -> None:
        stream.forget()
        self._finished.pop(stream.name, None)
        self._streams.pop(stream.name, None)

    def _trim(self, stream: Stream) -> None:
        """Keep no more than the bound: the oldest finished streams go first, then what was said on this one."""
        while self._kept.held_bytes > (0 if self._kept.load.is_tight else self._listen.replay_bytes):
            if self._finished:
                self._forget(next(iter(self._finished.values())))
            elif not stream.forget_oldest():
                return

    def make_room(self) -> None:
        """Keep nothing for a client that may come back, where there is little room in all."""
        for stream in [*self._streams.values()]:
            self._trim(stream)

    # --- the end ----------------------------------------------------------------------------------------------------

    def quieten(self) -> None:
        """End the answers that wait for nothing in particular."""
        for stream in self._streams.values():
            if stream.reader is not None and stream.awaited == 0 and not stream.ended:
                stream.reader.finish()

    def close(self, why: str, status: int = 404) -> None:
        """The session is over: the gateway is told, and every request in flight gets an error."""
        if self.is_closed:
            return
        for key, asked in list(self._asked.items()):
            self._answer(key, error_body(SESSION_ENDED, why, asked.id_raw), status)
        self.is_closed = True
        for stream in self._streams.values():
            stream.end()
        self._kept.let_go()
        if self._client is not None:
            self._client.closed()

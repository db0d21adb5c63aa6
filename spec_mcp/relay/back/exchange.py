"""One message of ours to a server over HTTP, or a batch, and what the server sends because of it.

The reply is the answer, or a stream that ends with it; in the handshake era a stream that breaks is come back to.
Nothing is the client's but what belongs here: an answer under an id that was not asked for is nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from spec_mcp.relay import wire
from spec_mcp.relay.back.events import MESSAGE, EventReader, TooLong
from spec_mcp.relay.back.failures import (
    METHOD_NOT_FOUND,
    Cut,
    Failure,
    Forbidden,
    HeadersWanted,
    NotSent,
    Refused,
    SessionGone,
)
from spec_mcp.relay.back.headers import VERSION, Pairs, is_header_mismatch, visible
from spec_mcp.relay.back.reaching import Body, Reach, Reply
from spec_mcp.relay.bounds import mib
from spec_mcp.relay.link import STABLE_S

HANDSHAKE_S = 30.0
"""A server begins to answer these at once, or it is not there."""

SILENT_S = 3600.0
"""How long a stream may be silent: what keeps it open is the connection, which the system looks after."""

REFUSAL_MAX_BYTES = 1 << 20
"""Of an error's text."""

REFUSAL_KINDS = frozenset({"application/json", "text/plain"})
"""What is read of it: a page is for browsers."""

RESUMED_MAX = 5
"""Times in a row that a broken stream is come back to in vain."""

RESUME_S = 1.0
"""How long to wait before that, where the server does not say."""

RESUME_MIN_S = 0.1
"""A server that closes its streams as soon as they are open is asked no more than ten times a second."""

RESUME_MAX_S = 30.0
"""A server that wants to be left alone for longer is not believed."""

SESSION_UNKNOWN = re.compile(
    rb"(no valid|invalid|unknown|expired|missing)[\w ]{0,16} session"
    rb"|session( id)?[\w ]{0,16} (not found|expired|invalid|unknown|terminated|does not exist)",
    re.IGNORECASE,
)
"""The protocol wants 404 for that, but the examples that many servers are made from answer 400 in such words."""

GREETINGS = frozenset({"initialize", "server/discover"})
ACCEPTED = (b"Accept", b"application/json, text/event-stream")
STREAM_ACCEPTED = (b"Accept", b"text/event-stream")
JSON_SENT = (b"Content-Type", b"application/json")
SESSION = b"Mcp-Session-Id"
LAST_EVENT = b"Last-Event-ID"

_BREAKS = bytes.maketrans(b"\r\n", b"  ")


@dataclass(slots=True, eq=False)
class Session:
    """What was agreed in a handshake; nothing of it in the stateless era."""

    clock: Callable[[], float] = lambda: 0.0
    id: bytes = b""
    version: bytes = b""
    greeted_s: float = 0.0
    """When the handshake was done."""
    answers: int = 0
    """To requests, since then."""

    @property
    def has_stood(self) -> bool:
        """Has the server known it at all? One that forgets each at once is not to be greeted again and again."""
        return self.answers > 0 or self.clock() - self.greeted_s >= STABLE_S

    @property
    def headers(self) -> Pairs:
        """What each request of it must say."""
        found = [(VERSION, self.version)] if self.version else []
        return [*found, (SESSION, self.id)] if self.id else found


@dataclass(slots=True, eq=False)
class Exchange:
    """From a line on its way to the last word about it."""

    line: bytes
    method: str
    params: bytes
    ids: dict[object, bytes]
    """Of the requests in it, as values and as they came."""
    session: Session
    version: bytes
    """Of a stateless request."""
    body: Body
    awaited: dict[object, bytes] = field(init=False)
    """Those of the ids that have no answer yet."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    after: list[Exchange] = field(default_factory=list["Exchange"])
    """What must have been sent before it."""
    is_refused: bool = False
    """What was heard is the server's refusal."""
    is_dead: bool = False
    """Nobody is to hear of it any more."""
    arrived: anyio.Event = field(default_factory=anyio.Event)
    """What is behind it may go."""
    on_taken: Callable[[], None] = lambda: None
    """Told when the server has begun to reply."""

    def __post_init__(self) -> None:
        self.awaited = dict(self.ids)

    @property
    def is_request(self) -> bool:
        """Is it, or holds it, something that wants an answer?"""
        return bool(self.ids)

    @property
    def blocks(self) -> bool:
        """Must it have arrived before anything later is sent?"""
        return not self.ids or self.method == "initialize"

    def ask_again(self) -> None:
        """It is sent once more: nothing has been answered."""
        self.awaited = dict(self.ids)

    @property
    def is_stateless(self) -> bool:
        """Does it carry all that the server must know?"""
        return bool(self.version)

    def take(self, payload: bytes) -> bytes | None:
        """The line to be handed on for a message of the server; None where it is nobody's."""
        line = as_line(payload)
        message = wire.read(line)
        if isinstance(message, wire.Batch):
            answers = [member for member in message.members if not member.method]
            if any(wire.id_value(member.id) not in self.awaited for member in answers):
                return None
            for member in answers:
                self._answers(member)
            return line
        if message is None:
            return self.take_error(payload)
        if message.method or self._answers(message):
            return line
        return self.take_error(payload) if message.id == wire.NULL else None

    def _answers(self, message: wire.Envelope) -> bool:
        return self.awaited.pop(wire.id_value(message.id), None) is not None

    def take_error(self, payload: bytes) -> bytes | None:
        """The answer where a server says what is wrong under another id: it may not have read so far."""
        error = wire.members(payload).get("error", b"")
        if len(self.awaited) != 1 or not error.startswith(b"{"):
            return None
        _, id_raw = self.awaited.popitem()
        return b'{"jsonrpc":"2.0","id":%s,"error":%s}\n' % (id_raw, as_line(error)[:-1])


Heard = Callable[[Exchange, bytes], None]
"""Told each line that comes because of it."""


def as_line(payload: bytes) -> bytes:
    """A message on one line: where it has breaks, they are white space."""
    if b"\n" in payload or b"\r" in payload:
        payload = payload.translate(_BREAKS).strip()
    return payload + b"\n"


async def make(exchange: Exchange, reach: Reach, headers: Pairs, heard: Heard) -> None:
    """Send it, and hand on what comes until everything is answered.

    Raises:
        Failure: of any kind; what is in `awaited` then has no answer.
    """
    patience_s = HANDSHAKE_S if exchange.method in GREETINGS else reach.bounds.answer_s
    sent = [ACCEPTED, JSON_SENT, *headers]
    async with await reach.ask("POST", sent, exchange.body, patience_s) as reply:
        exchange.on_taken()
        if not reply.is_success:
            await _take_refusal(exchange, reply, heard)
        elif not exchange.awaited:
            await reply.drain()
        elif reply.status == 202:
            raise Cut("the server took the request, and promised no answer (202)")
        elif reply.kind == "application/json":
            _note_session(exchange, reply)
            _take_whole(exchange, await reply.collect(reach.bounds.message_bytes), heard)
        elif reply.kind == "text/event-stream":
            _note_session(exchange, reply)
            await _take_stream(exchange, reply, reach, heard)
        else:
            raise Cut(f"the server answered with {reply.kind[:80] or 'something'} instead of JSON")


def _note_session(exchange: Exchange, reply: Reply) -> None:
    if exchange.method == "initialize":
        exchange.session.id = visible(reply.headers.get("mcp-session-id", "").encode("utf-8", "replace"))


def _take_whole(exchange: Exchange, body: bytes, heard: Heard) -> None:
    line = exchange.take(body)
    if line is not None:
        heard(exchange, line)
    if exchange.awaited:
        raise Cut("the server's answer is none to what it was asked")


async def _take_refusal(exchange: Exchange, reply: Reply, heard: Heard) -> None:
    body = await reply.collect(REFUSAL_MAX_BYTES) if reply.kind in REFUSAL_KINDS else b""
    if not exchange.is_stateless and knows_no_session(exchange.session, reply.status, body):
        raise SessionGone("the server does not know the session any more")
    if exchange.awaited:
        line = exchange.take(body) or exchange.take_error(body)
        if line is not None and not exchange.awaited:
            if exchange.is_stateless and exchange.method == "tools/call" and is_header_mismatch(body):
                exchange.ask_again()
                raise HeadersWanted(line)
            exchange.is_refused = True
            heard(exchange, line)
            return
    raise refusal_of(reply)


def knows_no_session(session: Session, status: int, body: bytes) -> bool:
    """Does the server refuse a request since it does not know its session?

    Words are believed only of a session that has stood: they may speak of something else.
    """
    if not session.id or status not in (400, 404):
        return False
    return status == 404 or (session.has_stood and SESSION_UNKNOWN.search(body) is not None)


def refusal_of(reply: Reply) -> Failure:
    """What a status says, where the body says nothing."""
    status, again_s = reply.status, _seconds(reply.headers.get("retry-after", ""))
    later = "" if again_s is None else f"; it wants to be asked again in {again_s:.0f} s"
    if status == 403:
        return Forbidden("the server does not do this for us (403)")
    if status == 429:
        return Refused(f"the server says: too many requests (429){later}", again_s)
    if status == 503 and again_s is not None:
        return Refused(f"the server is not available (503){later}", again_s)
    if status in (404, 405):
        why = f"no server answers there ({status}); if it is an older one, its type is sse"
        return Refused(why, code=METHOD_NOT_FOUND)
    return (
        Refused(f"the server refused the request ({status})") if status < 500 else Cut(f"the server failed ({status})")
    )


async def _take_stream(exchange: Exchange, reply: Reply, reach: Reach, heard: Heard) -> None:
    reader = EventReader(reach.bounds.message_bytes)
    why = await _hear(exchange, reply, reader, heard)
    tried = 0
    while exchange.awaited:
        if exchange.is_stateless or not reader.last_id or tried >= RESUMED_MAX:
            raise Cut(why)
        await reply.close()
        last_id = reader.last_id
        await anyio.sleep(resume_s(reader.retry_ms, tried))
        tried += 1
        headers = [STREAM_ACCEPTED, *exchange.session.headers, (LAST_EVENT, last_id)]
        try:
            async with await reach.ask("GET", headers, Body(b""), HANDSHAKE_S) as again:
                if again.status != 200 or again.kind != "text/event-stream":
                    raise Cut(f"{why}, and cannot be heard further")
                reader.begin_anew()
                why = await _hear(exchange, again, reader, heard)
        except NotSent:
            continue
        if reader.last_id != last_id:
            tried = 0


async def _hear(exchange: Exchange, reply: Reply, reader: EventReader, heard: Heard) -> str:
    """Hand on what a stream brings until all is answered; else why it ended."""
    try:
        while exchange.awaited:
            part = await reply.read(SILENT_S)
            if part is None:
                return "the server closed the stream before it answered"
            events = reader.feed(part)
            reply.hold(reader.held_bytes)
            for event in events:
                if event.kind == MESSAGE and (line := exchange.take(event.data)) is not None:
                    heard(exchange, line)
    except TooLong as long:
        raise Cut(f"the server sent a message of more than {mib(long.max_bytes)}") from None
    except Cut as cut:
        return str(cut)
    await reply.drain()
    return ""


def resume_s(retry_ms: int | None, tried: int) -> float:
    """How long to wait before coming back to a stream that broke, after so many times in vain."""
    wanted_s = RESUME_S if retry_ms is None else retry_ms / 1000.0
    return min(RESUME_MAX_S, max(RESUME_MIN_S, wanted_s, RESUME_S * (2.0**tried - 1.0)))


def _seconds(text: str) -> float | None:
    """How long a `Retry-After` says; a date is not worth the trouble."""
    text = text.strip()
    return float(text) if text.isdigit() and len(text) <= 6 else None

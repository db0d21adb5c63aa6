"""A server of the older HTTP transport behind a gateway: one stream from it, which names the address to post to.

The stream is the connection: what comes, comes on it, and when it ends the server is lost, as a process is.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio
import httpx2

from spec_mcp.relay import wire
from spec_mcp.relay.answering import CONNECTION_CLOSED, error_line
from spec_mcp.relay.back.address import Address, is_same_origin
from spec_mcp.relay.back.events import MESSAGE, EventReader, ServerEvent, TooLong
from spec_mcp.relay.back.exchange import (
    HANDSHAKE_S,
    JSON_SENT,
    SILENT_S,
    STREAM_ACCEPTED,
    Exchange,
    Session,
    as_line,
    refusal_of,
)
from spec_mcp.relay.back.failures import Barred, Cut, Failure, Forbidden, NotSent, Refused
from spec_mcp.relay.back.posting import Posting
from spec_mcp.relay.back.reaching import Auth, Body, Reply
from spec_mcp.relay.back.remote import AGAIN_S, IN_FLIGHT_MAX, Remote
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds, mib
from spec_mcp.relay.link import JITTER

ENDPOINT_S = 30.0
"""How long a server may take to say where to post to: it does so first of all."""

POST_S = 60.0
"""How long it may take to take a message: the answer comes on the stream."""

AWAITED_MAX = 8192
"""Answers that are waited for; of a server that never gives them, the oldest are forgotten."""

ENDPOINT = b"endpoint"


class SseBack(Remote):
    """Lines to and from one server of the older transport."""

    def __init__(
        self,
        address: Address,
        clock: Callable[[], float],
        auth: Auth | None = None,
        chance: Callable[[], float] = random.random,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        super().__init__(address, clock, auth, chance, bounds)
        self._session = Session()  # what was agreed stands in the address
        self._endpoint: httpx2.URL | None = None
        self._stream: anyio.CancelScope | None = None
        self._posts: dict[Exchange, None] = {}
        self._by_id: dict[object, Exchange] = {}
        self._why_ended = ""

    def _make_writer(self) -> Posting:
        self._posting = Posting(self._exchange_for, self._start)
        return self._posting

    # --- the stream -------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        self._started_at_s = self._clock()
        self._why_ended = ""
        try:
            with anyio.CancelScope() as self._stream:
                await self._connect()
        except (Barred, Forbidden) as failure:
            self._fail(str(failure), bars=True)
        except Failure as failure:
            self._fail(str(failure))
        except Exception as error:  # noqa: BLE001  one server's fault is nobody else's
            self.on_fault(error)
            self._fail("the connection failed in the gateway")
        else:
            self._fail(self._why_ended or "the server closed its stream before it answered")

    async def _connect(self) -> None:
        for wait_s in (*AGAIN_S, None):
            try:
                await self._hear_all()
                return
            except NotSent as failure:
                if wait_s is None or not failure.may_pass:
                    raise
                await anyio.sleep(wait_s * (1.0 + JITTER * self._chance()))

    async def _hear_all(self) -> None:
        async with await self._reach.ask("GET", [STREAM_ACCEPTED], Body(b""), HANDSHAKE_S) as reply:
            if not reply.is_success:
                raise refusal_of(reply)
            if reply.kind != "text/event-stream":
                raise Refused(f"the server answered with {reply.kind[:80] or 'something'} instead of a stream")
            reader = EventReader(self._bounds.message_bytes)
            with anyio.move_on_after(ENDPOINT_S):
                while self._endpoint is None and await self._hear(reply, reader):
                    pass
            if self._endpoint is None:
                raise Cut("the server did not say where to post to")
            while await self._hear(reply, reader):
                pass

    async def _hear(self, reply: Reply, reader: EventReader) -> bool:
        """Take what comes next; False at the end."""
        part = await reply.read(SILENT_S)
        if part is None:
            return False
        try:
            events = reader.feed(part)
        except TooLong:
            raise Cut(f"the server sent a message of more than {mib(self._bounds.message_bytes)}") from None
        reply.hold(reader.held_bytes)
        for event in events:
            self._take(event, reply.url)
        return True

    def _take(self, event: ServerEvent, url: httpx2.URL) -> None:
        if event.kind == MESSAGE and self._endpoint is not None:
            if (line := self._line(event.data)) is not None:
                self._has_served = True
                self._barred = ""
                self._deliver(line)
        elif event.kind == ENDPOINT and self._endpoint is None:
            self._endpoint = _endpoint(url, event.data)
            self._connected(self._posting)

    def _line(self, data: bytes) -> bytes | None:
        """What is to be handed on: an answer only to what was asked."""
        line = as_line(data)
        message = wire.read(line)
        members = message.members if isinstance(message, wire.Batch) else () if message is None else (message,)
        answers = [wire.id_value(member.id) for member in members if not member.method]
        if not members or any(name not in self._by_id for name in answers):
            return None
        for name in answers:
            self._by_id.pop(name).awaited.pop(name, None)
        return line

    # --- what is posted ---------------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server is there again; why not, where it will not be."""
        if len(self._posts) >= IN_FLIGHT_MAX:
            return "too many requests to the server are under way"
        return super().send(method, line)

    def _exchange_for(self, line: bytes) -> Exchange | None:
        message = wire.read(line)
        if message is None and not line.strip():
            return None
        members = message.members if isinstance(message, wire.Batch) else () if message is None else (message,)
        ids = {wire.id_value(member.id): member.id for member in members if member.is_request}
        exchange = Exchange(line, "", b"", ids, self._session, b"", Body(line))
        exchange.body.on_sent = lambda: self._posting.sent(exchange)
        for name in ids:
            self._by_id[name] = exchange
        while len(self._by_id) > AWAITED_MAX:
            del self._by_id[next(iter(self._by_id))]
        return exchange

    def _start(self, exchange: Exchange) -> None:
        assert self._tasks is not None, "lines go out while it is kept"
        if exchange.is_dead:
            self._posting.over(exchange)
            return
        self._posts[exchange] = None
        self._tasks.start_soon(self._run, exchange)
        if not exchange.is_request:
            self._tasks.start_soon(self._posting.be_patient, exchange)

    async def _run(self, exchange: Exchange) -> None:
        try:
            with exchange.scope:
                await self._posting.turn(exchange)
                await self._post(exchange)
        except Failure as failure:
            self._failed(exchange, failure)
        except Exception as error:  # noqa: BLE001  one message's fault is nobody else's
            self.on_fault(error)
            self._failed(exchange, Cut("the request failed in the gateway"))
        finally:
            self._posts.pop(exchange, None)
            self._posting.over(exchange)

    async def _post(self, exchange: Exchange) -> None:
        async with await self._reach.ask("POST", [JSON_SENT], exchange.body, POST_S, self._endpoint) as reply:
            self._posting.arrived(exchange)
            if not reply.is_success:
                raise refusal_of(reply)
            await reply.drain()

    def _failed(self, exchange: Exchange, failure: Failure) -> None:
        if exchange.is_dead:
            return
        if isinstance(failure, Barred):
            self._end(str(failure), bars=True)
            return
        if isinstance(failure, Refused) and failure.code != CONNECTION_CLOSED:  # the address is not valid any more
            self._end("the server does not know the session any more")
            return
        for name, id_raw in exchange.awaited.items():
            self._by_id.pop(name, None)
            if isinstance(failure, Cut):
                self._safely(self.on_request_lost, id_raw, str(failure))
            else:
                self._deliver(error_line(id_raw, CONNECTION_CLOSED, str(failure)))

    def _end(self, why: str, bars: bool = False) -> None:
        """Leave the stream, which tells of the loss."""
        self._why_ended = self._why_ended or why
        if bars:
            self._bars(why)
        if self._stream is not None:
            self._stream.cancel()

    def _fail(self, why: str, bars: bool = False) -> None:
        for exchange in self._posts:
            exchange.is_dead = True
            exchange.scope.cancel()
        self._by_id.clear()
        self._stream = self._endpoint = None
        if bars:
            self._bars(why)
        self._lose(why)


def _endpoint(url: httpx2.URL, data: bytes) -> httpx2.URL:
    try:
        to = url.join(data.decode())
    except (httpx2.InvalidURL, ValueError):
        raise Refused("the server names no address to post to") from None
    if not is_same_origin(url, to):
        raise Refused("the server names an address of another server to post to")
    return to

"""A Streamable HTTP server behind a gateway, in both eras of the protocol, by one pool of connections.

In the handshake era there is a session: what it was told is told again when the server does not know it any more, and
the requests that met this are made again. In the stateless era each request stands for itself.

What one request meets concerns that request alone, as long as others are under way; the server is lost only where it
cannot be reached at all, lets us in no more, or forgets its sessions as soon as it has made them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import anyio

from spec_mcp.relay import wire
from spec_mcp.relay.answering import CONNECTION_CLOSED, error_line
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.exchange import Exchange, Session, make
from spec_mcp.relay.back.failures import (
    Barred,
    Cut,
    Failure,
    Forbidden,
    HeadersWanted,
    NotSent,
    Refused,
    SessionGone,
)
from spec_mcp.relay.back.headers import VERSION, Pairs, StatelessHeaders, stateless_version, visible
from spec_mcp.relay.back.listening import Listening
from spec_mcp.relay.back.posting import Posting
from spec_mcp.relay.back.reaching import Auth, Body
from spec_mcp.relay.back.remote import AGAIN_S, IN_FLIGHT_MAX, LEAVE_S, Remote
from spec_mcp.relay.back.tools import list_tools
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds
from spec_mcp.relay.link import JITTER, PAUSE_WAITED_S

CANCELLED_S = 30.0
"""How long a request that was cancelled may keep its connection: the server may still say how it ended."""

SAFE_AGAIN = frozenset(
    {
        "",
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "prompts/list",
        "prompts/get",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "completion/complete",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/roots/list_changed",
    }
)
"""What may be made twice where a connection that was kept turns out to be closed."""

INITIALIZE, INITIALIZED, CANCELLED = "initialize", "notifications/initialized", "notifications/cancelled"


class HttpBack(Remote):
    """Lines to and from one Streamable HTTP server."""

    def __init__(
        self,
        address: Address,
        clock: Callable[[], float],
        auth: Auth | None = None,
        chance: Callable[[], float] = random.random,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self._session = Session(clock)
        self._exchanges: dict[Exchange, None] = {}
        self._by_id: dict[object, Exchange] = {}
        self._stateless = StatelessHeaders()
        self._stateless_version = b""
        super().__init__(address, clock, auth, chance, bounds)
        self._listening: Listening | None = None

    def _make_writer(self) -> Posting:
        self._posting = Posting(self._exchange_for, self._start)
        return self._posting

    # --- lines ------------------------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server is there again; why not, where it will not be."""
        if len(self._exchanges) >= IN_FLIGHT_MAX:
            return "too many requests to the server are under way"
        return super().send(method, line)

    def tell(self, line: bytes) -> None:
        """Send what is no request; where too much is under way, the server is not told."""
        if len(self._exchanges) < IN_FLIGHT_MAX:
            super().tell(line)

    def _exchange_for(self, line: bytes) -> Exchange | None:
        """What becomes of a line; None where it is not for the server."""
        message = wire.read(line)
        if message is None and not line.strip():
            return None
        members = message.members if isinstance(message, wire.Batch) else () if message is None else (message,)
        ids = {wire.id_value(member.id): member.id for member in members if member.is_request}
        method, params, version = "", b"", b""
        if isinstance(message, wire.Envelope):
            if message.method == CANCELLED and self._cancels(message):
                return None
            if message.is_response and not self._session.version:  # servers of the stateless era ask nothing
                return None
            method, params = message.method, message.params
            version = stateless_version(params) if message.is_request and method != INITIALIZE else b""
        elif isinstance(message, wire.Batch):
            method = "batch"
        if method == INITIALIZE:
            self._retire()
        exchange = Exchange(line, method, params, ids, self._session, version, Body(line))
        exchange.body.on_sent = lambda: self._posting.sent(exchange)
        self._stateless_version = version or self._stateless_version
        for name in ids:
            self._by_id[name] = exchange
        return exchange

    def _cancels(self, message: wire.Envelope) -> bool:
        """The client does not want an answer any more; True: nothing is to be sent for that."""
        exchange = self._by_id.get(wire.id_value(wire.members(message.params).get("requestId", wire.NULL)))
        if exchange is None:
            return not self._session.version
        if not exchange.is_stateless:
            exchange.scope.deadline = anyio.current_time() + CANCELLED_S
            return False
        exchange.scope.cancel()  # what closes the stream says so
        if exchange not in self._exchanges:  # its turn has not come
            self._drop(exchange)
        return True

    def _start(self, exchange: Exchange) -> None:
        tasks = self._tasks
        assert tasks is not None, "lines go out while it is kept"
        if exchange.is_dead:
            self._posting.over(exchange)
            return
        self._exchanges[exchange] = None
        tasks.start_soon(self._run, exchange)
        if not exchange.is_request:
            exchange.on_taken = lambda: self._posting.arrived(exchange)
            tasks.start_soon(self._posting.be_patient, exchange)

    # --- one exchange -----------------------------------------------------------------------------------------------

    async def _run(self, exchange: Exchange) -> None:
        try:
            with exchange.scope:
                await self._posting.turn(exchange)
                await self._make(exchange)
        except Failure as failure:
            self._failed(exchange, failure)
        except Exception as error:  # noqa: BLE001  one request's fault is nobody else's
            self.on_fault(error)
            self._give_up(exchange, "the request failed in the gateway")
        finally:
            self._over(exchange)

    def _over(self, exchange: Exchange) -> None:
        if exchange.scope.cancel_called and not exchange.is_dead:
            self._drop(exchange)
        self._exchanges.pop(exchange, None)
        self._forget_ids(exchange)
        self._posting.over(exchange)

    def _forget_ids(self, exchange: Exchange) -> None:
        for name in exchange.ids:
            if self._by_id.get(name) is exchange:
                del self._by_id[name]

    async def _make(self, exchange: Exchange) -> None:
        """Make it, and again where that is safe and may help."""
        waits_s = iter(AGAIN_S)
        again = True
        while True:
            headers = self._headers_of(exchange)
            try:
                await make(exchange, self._reach, headers, self._heard)
                break
            except NotSent as failure:
                wait_s = next(waits_s, None) if failure.may_pass else None
                if wait_s is None:
                    raise
            except HeadersWanted as wanted:
                if not again or not await self._learn(exchange, headers):
                    exchange.awaited.clear()
                    self._heard(exchange, wanted.line)
                    break
                wait_s, again = 0.0, False
            except (Cut, Refused) as failure:
                wait_s = _again_s(exchange, failure) if again else None
                if wait_s is None:
                    raise
                again = False
            exchange.ask_again()
            await anyio.sleep(wait_s * (1.0 + JITTER * self._chance()))
        if exchange.method == INITIALIZED and exchange.session is self._session:
            self._listen(exchange.session)

    def _headers_of(self, exchange: Exchange) -> Pairs:
        if exchange.is_stateless:
            return self._stateless.of(exchange.version, exchange.method, exchange.params)
        if exchange.method == INITIALIZE:
            return []
        if not exchange.session.version and self._stateless_version and not exchange.is_request:
            return [(VERSION, self._stateless_version)]
        return exchange.session.headers

    async def _learn(self, exchange: Exchange, headers: Pairs) -> bool:
        """List the tools, to know which arguments go into headers; does that change anything?"""
        try:
            async for result in list_tools(exchange, self._reach, self._stateless, self.next_own_id):
                self._stateless.learn(result)
        except Failure:  # then the answer is what the server said first
            return False
        return self._headers_of(exchange) != headers

    def _heard(self, exchange: Exchange, line: bytes) -> None:
        if exchange.is_dead:
            return
        if exchange.awaited or not exchange.is_request:
            self._deliver(line)
            return
        if exchange.method == INITIALIZE or (exchange.is_stateless and exchange.method == "tools/list"):
            message = wire.read(line)
            assert isinstance(message, wire.Envelope), "it was the answer"
            if exchange.method == INITIALIZE and not self._greeted(exchange, message):
                return
            if exchange.method == "tools/list":
                self._stateless.learn(message.result)
        elif not exchange.is_refused:
            exchange.session.answers += 1
        self._has_served = True
        self._barred = self._busy = ""
        self._deliver(line)
        self._posting.arrived(exchange)

    def _greeted(self, exchange: Exchange, message: wire.Envelope) -> bool:
        """A handshake is done; False: it was ours, and the server does not want it."""
        if message.error and self._is_own(exchange):
            self._fail("the server does not begin anew")
            return False
        version = wire.value(wire.members(message.result).get("protocolVersion", wire.NULL))
        exchange.session.version = visible(version.encode("utf-8", "replace")) if isinstance(version, str) else b""
        exchange.session.greeted_s = self._clock()
        return True

    # --- what fails -------------------------------------------------------------------------------------------------

    def _failed(self, exchange: Exchange, failure: Failure) -> None:
        if exchange.is_dead:
            return
        why = str(failure)
        is_ours = exchange.method == INITIALIZE and self._is_own(exchange)
        if isinstance(failure, SessionGone):
            self._session_gone(exchange.session, exchange)
        elif isinstance(failure, Barred) or (isinstance(failure, Forbidden) and not self._has_served):
            self._fail(why, bars=True)
        elif is_ours or (isinstance(failure, NotSent) and failure.is_unreachable and self._is_alone(exchange)):
            self._fail(why)
        elif isinstance(failure, Cut):
            self._give_up(exchange, why)
        else:
            if isinstance(failure, Refused) and failure.again_s is not None and "503" in why:
                self._leave_alone(why, failure.again_s)
            self._refuse(exchange, why, failure.code if isinstance(failure, Refused) else CONNECTION_CLOSED)

    def _is_alone(self, exchange: Exchange) -> bool:
        """Is no other request with the server?"""
        return not any(other.body.sent.is_set() and other.awaited for other in self._exchanges if other is not exchange)

    def _is_own(self, exchange: Exchange) -> bool:
        return any(id_raw.startswith(b'"' + self.own_marker) for id_raw in exchange.ids.values())

    def _refuse(self, exchange: Exchange, why: str, code: int) -> None:
        """The server has not done it."""
        awaited, exchange.awaited = exchange.awaited, {}
        for id_raw in awaited.values():
            self._deliver(error_line(id_raw, code, why))

    def _give_up(self, exchange: Exchange, why: str | None) -> None:
        """The server may have done it, and nobody will know."""
        awaited, exchange.awaited = exchange.awaited, {}
        for id_raw in awaited.values():
            self._safely(self.on_request_lost, id_raw, why)

    def _drop(self, exchange: Exchange) -> None:
        """It was cancelled, and there will be no answer."""
        exchange.is_dead = True
        self._forget_ids(exchange)
        if self._is_own(exchange):
            self._refuse(exchange, "it was cancelled", CONNECTION_CLOSED)
        else:
            self._give_up(exchange, None)

    def _fail(self, why: str, bars: bool = False) -> None:
        for exchange in self._exchanges:
            exchange.is_dead = True
            exchange.scope.cancel()
        self._stop_listening()
        self._session = Session(self._clock)
        self._by_id.clear()
        if bars:
            self._bars(why)
        self._lose(why)

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        """There is nothing to be connected: the first request shows whether the server is there."""
        self._started_at_s = self._clock()
        self._connected(self._posting)

    def _session_gone(self, session: Session, exchange: Exchange | None) -> None:
        """The server knows it no more: begin anew, with what was not done because of that."""
        again = [] if exchange is None or not exchange.is_request else [exchange]
        if session is self._session:
            if not session.has_stood:
                self._fail("the server forgets its sessions as soon as it has made them")
                return
            self._stop_listening()
            self._session = Session(self._clock)
            again += self._posting.take_back()
            self._is_connected = False
        for other in again:
            other.is_dead = True
            self._forget_ids(other)
            if self._is_own(other):
                self._refuse(other, "the server does not know the session any more", CONNECTION_CLOSED)
            elif (why := self._keep(other)) is not None:
                self._refuse(other, why, CONNECTION_CLOSED)
        if not self._is_connected:
            self._connected(self._posting)

    def _keep(self, exchange: Exchange) -> str | None:
        if self.is_up:
            return self.send(exchange.method, exchange.line)
        self._wait_with(exchange.method, exchange.line)
        return None

    def _listen(self, session: Session) -> None:
        assert self._tasks is not None, "it is kept"
        self._stop_listening()
        self._listening = Listening(session, self._reach, self._chance, self._deliver, self._session_gone)
        self._tasks.start_soon(self._keep_listening, self._listening)

    async def _keep_listening(self, listening: Listening) -> None:
        try:
            await listening.run()
        except Exception as error:  # noqa: BLE001  who does not hear is answered all the same
            self.on_fault(error)

    def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.stop()

    def _retire(self) -> None:
        """The client begins anew by itself."""
        session, self._session = self._session, Session(self._clock)
        self._stop_listening()
        if session.id and self._tasks is not None:
            self._tasks.start_soon(self._say_good_bye, session)

    async def _leave(self) -> None:
        await self._say_good_bye(self._session)

    async def _say_good_bye(self, session: Session) -> None:
        if not session.id:
            return
        try:
            async with await self._reach.ask("DELETE", session.headers, Body(b""), LEAVE_S) as reply:
                await reply.drain()
        except Failure:  # it ends sessions as it likes
            return


def _again_s(exchange: Exchange, failure: Cut | Refused) -> float | None:
    """How long to wait before it is made once more; None: it is not."""
    if isinstance(failure, Refused):
        return failure.again_s if failure.again_s is not None and failure.again_s <= PAUSE_WAITED_S else None
    return 0.0 if failure.is_silent and exchange.method in SAFE_AGAIN else None

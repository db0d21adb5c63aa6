"""The gateway over Streamable HTTP, as an ASGI application: `/mcp` for clients of both eras, and what else is asked of
a server.

    hosts, door      is the request meant for us, and whose is it?
    messages         what does it say?
    modern           a client of the stateless era: each request stands for itself (stateless)
    here             a client of the handshake era: its session (handshake) and that one's streams
    saying           the answer
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
import msgspec
from starlette.types import Receive, Scope, Send

from spec_mcp.relay.clock import now_s
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.door import METADATA_HEADERS, METADATA_PATH, Door
from spec_mcp.relay.front.handshake import BATCH_VERSION, HandshakeSession
from spec_mcp.relay.front.hosts import Hosts
from spec_mcp.relay.front.http import CLOSE, JSON, Gone, Http, Refusal
from spec_mcp.relay.front.keys import Fetch, fetch
from spec_mcp.relay.front.load import Load
from spec_mcp.relay.front.messages import Message, error_body, read_messages
from spec_mcp.relay.front.modern import Modern, SchemaOf, is_modern, no_schema
from spec_mcp.relay.front.saying import say_all
from spec_mcp.relay.front.sessions import Sessions
from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.front.stream import Reader, Stream
from spec_mcp.relay.gateway.ports import Gateway, Visitor
from spec_mcp.relay.saying import LogLevel, say

MCP_PATH = "/mcp"
PAGE_PATH = "/dashboard"
NO_DETAILS = (JSON, (b"cache-control", b"no-store"))

HURRIED = frozenset((408, 500))
"""After these nothing more is waited for."""

UNREAD = frozenset((413, *HURRIED))
"""These are said before the rest of the body has come."""

REFUSED_MAX_BYTES = 2**20
"""So much of the body of a request that is refused is taken and thrown away."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Can clients be served, and how are the servers?"""

    is_ready: bool
    servers: Mapping[str, str] = field(default_factory=dict[str, str])
    """A word on each, by name."""


def always_ready() -> Readiness:
    """Where nobody says otherwise."""
    return Readiness(True)


class Page(Protocol):
    """What the gateway shows to people, below its path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the name that it was sent to is known to be ours."""
        ...

    def end(self) -> None:
        """Let what goes on by itself come to its end."""
        ...


class HttpFront:
    """The application. `sweep` has to run beside it; `give_notice`, `drain` and then `close` end it."""

    def __init__(
        self,
        settings: HttpSettings,
        gateway: Gateway,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ready: Callable[[], Readiness] = always_ready,
        schema_of: SchemaOf = no_schema,
        page: Page | None = None,
        get: Fetch = fetch,
        steady_s: Callable[[], float] = now_s,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._load = Load(settings.listen.memory_bytes)
        self.sessions = Sessions(gateway, settings.listen, self._load, steady_s, wall_s)
        self.is_leaving = False
        """Is it going to end? All is served as before, but clients are sent elsewhere for what they ask next."""
        self.is_draining = False
        """Does it end? Then nothing new is begun."""
        self._under_way = 0
        self._on_drained = anyio.Event()
        self._listen = settings.listen
        self._hosts = Hosts(settings, host)
        name = f"[{host}]" if ":" in host else host
        self._door = Door(settings, f"http://{name}:{port}{MCP_PATH}", get, steady_s, wall_s)
        self._modern = Modern(self.sessions, settings.listen, schema_of)
        self._ready = ready
        self._page = page
        self._paths: dict[str, Callable[[Http], Awaitable[None]]] = {
            MCP_PATH: self._mcp,
            MCP_PATH + "/": self._mcp,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            METADATA_PATH: self._metadata,
            METADATA_PATH + MCP_PATH: self._metadata,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        http = Http(scope, receive, _closing(send) if self.is_leaving else send, self._load)
        try:
            await self._answer(http)
        except Gone:
            http.connection.abort()
        except Exception as error:  # noqa: BLE001  the boundary: a fault of ours costs one request
            _tell_fault(error)
            if http.answered:
                http.connection.abort()
            else:
                await self._refuse(http, Refusal(500, "An error of the gateway", code=sdk.INTERNAL_ERROR))
        finally:
            http.held.let_go()

    async def _answer(self, http: Http) -> None:
        try:
            if self._page is not None and (http.path + "/").startswith(PAGE_PATH + "/"):
                self._hosts.check(http)
                http.require_clear_headers(self._listen.header_bytes)
                await http.hand_on(self._page)
                return
            await self._paths.get(http.path, _not_found)(http)
        except Refusal as refusal:
            await self._refuse(http, refusal)

    async def sweep(self) -> None:
        """End sessions whose time has come, for ever."""
        await self.sessions.sweep()

    def give_notice(self) -> None:
        """Say that we are going to end to who asks for that, and keep no connection for another request."""
        self.is_leaving = True

    def drain(self) -> None:
        """Take nothing more on, and let what is under way come to its end."""
        self.is_leaving = self.is_draining = True
        self.sessions.quieten()
        if self._page is not None:
            self._page.end()

    @property
    def is_drained(self) -> bool:
        """Is nothing under way?"""
        return not self._under_way

    async def drained(self) -> None:
        """Wait until nothing is under way, after `drain`."""
        while not self.is_drained:
            self._on_drained = anyio.Event()
            await self._on_drained.wait()

    def close(self) -> None:
        """End all sessions."""
        self.is_leaving = self.is_draining = True
        self.sessions.close_all("the gateway stops")

    # --- /mcp -------------------------------------------------------------------------------------------------------

    async def _mcp(self, http: Http) -> None:
        self._under_way += 1
        try:
            await self._asked(http)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._on_drained.set()

    async def _asked(self, http: Http) -> None:
        self._hosts.check(http)
        http.require_clear_headers(self._listen.header_bytes)
        visitor = await self._door.visitor(http)
        if http.method == "POST":
            await self._post(http, visitor)
        elif http.method not in ("GET", "DELETE"):
            raise Refusal(405, "Method not allowed").with_header(b"allow", b"GET, POST, DELETE")
        elif is_modern(http.header(b"mcp-protocol-version")):
            raise Refusal(405, "This revision knows POST alone").with_header(b"allow", b"POST")
        elif http.method == "GET":
            await self._listen_to(http, self._session(http, visitor))
        else:
            self.sessions.close(self._session(http, visitor), "the client ended the session")
            await http.reply(204)

    async def _post(self, http: Http, visitor: Visitor) -> None:
        if not (http.accepts("application/json") and http.accepts("text/event-stream")):
            raise Refusal(406, "Accept has to name application/json and text/event-stream")
        if http.header(b"content-type").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "The content type has to be application/json")
        said = read_messages(await http.body(self._listen.body_bytes, self._listen.slow_s))
        if self.is_draining:  # answers to what our servers ask still come in: calls under way wait for them
            _require_no_request(said)
        version = http.header(b"mcp-protocol-version")
        if is_modern(version) or (not version and self._modern.means(http, said)):
            await self._modern.post(http, visitor, said)
        elif isinstance(said, Message) and said.envelope.method == "initialize" and said.envelope.is_request:
            await self._initialize(http, visitor, said)
        else:
            await self._here(http, self._session(http, visitor), said)

    def _session(self, http: Http, visitor: Visitor) -> HandshakeSession:
        session_id = http.header(b"mcp-session-id")
        if not session_id:
            raise Refusal(400, "Missing session id: send initialize first, then its Mcp-Session-Id")
        return self.sessions.find(session_id, visitor.principal, visitor.until_s)

    # --- the handshake era ------------------------------------------------------------------------------------------

    async def _initialize(self, http: Http, visitor: Visitor, message: Message) -> None:
        if http.header(b"mcp-session-id"):  # once more: the gateway says what it thinks of that
            await self._here(http, self._session(http, visitor), message)
            return
        session = self.sessions.open(visitor)
        try:
            await self._here(http, session, message)
        finally:
            if not session.version:
                self.sessions.close(session, "the handshake failed")

    async def _here(self, http: Http, session: HandshakeSession, said: Message | list[Message]) -> None:
        is_batch = isinstance(said, list)
        messages = said if isinstance(said, list) else [said]
        if is_batch and session.version != BATCH_VERSION:
            raise Refusal(400, f"Only {BATCH_VERSION} has batches")
        if any(message.envelope.is_request for message in messages):
            stream, reader = session.ask(messages, is_batch)
            await self._say(http, session, stream, reader)
            return
        for message in messages:
            session.tell(message)
        await http.reply(202, headers=session.headers())

    async def _listen_to(self, http: Http, session: HandshakeSession) -> None:
        if not http.accepts("text/event-stream"):
            raise Refusal(406, "Accept has to name text/event-stream")
        event_id = http.header(b"last-event-id")
        if self.is_draining and session.is_own(event_id):  # the rest of an answer may still be had
            raise _stopping()
        stream, reader = session.resumed(event_id) if event_id else (session.own, session.own.attach())
        await self._say(http, session, stream, reader)

    async def _say(self, http: Http, session: HandshakeSession, stream: Stream, reader: Reader) -> None:
        def headers() -> tuple[tuple[bytes, bytes], ...]:
            return () if stream.ended and not session.version else session.headers()

        try:
            await say_all(http, stream, reader, primes=session.primes, slow_s=self._listen.slow_s, headers=headers)
        finally:
            session.left(stream, reader)

    # --- what else is asked -----------------------------------------------------------------------------------------

    async def _healthz(self, http: Http) -> None:
        await http.reply(200, b'{"alive":true}', NO_DETAILS)

    async def _readyz(self, http: Http) -> None:
        readiness = self._ready()
        is_ready = readiness.is_ready and not self.is_leaving
        told: dict[str, object] = {"ready": is_ready}
        if await self._may_see_details(http):
            told["servers"] = dict(readiness.servers)
        await http.reply(200 if is_ready else 503, msgspec.json.encode(told), NO_DETAILS)

    async def _may_see_details(self, http: Http) -> bool:
        """Of all connections, those of other principals too: this machine's user may, or who has our own token."""
        try:
            self._hosts.check(http)
            visitor = await self._door.visitor(http)
        except Refusal:
            return False
        return not visitor.principal.issuer

    async def _metadata(self, http: Http) -> None:
        body = self._door.metadata()
        if body is None:
            await _not_found(http)
        if http.method not in ("GET", "HEAD"):
            raise Refusal(405, "Method not allowed").with_header(b"allow", b"GET")
        await http.reply(200, body or b"", METADATA_HEADERS)

    async def _refuse(self, http: Http, refusal: Refusal) -> None:
        say("a request over HTTP is refused", LogLevel.DEBUG, status=refusal.status, why=refusal.message)
        body = error_body(refusal.code, refusal.message, refusal.id_raw, refusal.data)
        headers = (JSON, *refusal.headers)
        slow_s = self._listen.slow_s
        if refusal.status not in UNREAD and await http.is_read_out(REFUSED_MAX_BYTES, slow_s):
            await http.reply(refusal.status, body, headers)
        else:
            await http.reply_and_close(refusal.status, body, headers, 0 if refusal.status in HURRIED else slow_s)


def _require_no_request(said: Message | list[Message]) -> None:
    for message in said if isinstance(said, list) else [said]:
        if message.envelope.is_request:
            raise _stopping(message.envelope.id)


def _stopping(id_raw: bytes = b"null") -> Refusal:
    """Nothing of what was asked has been done, so that it may be asked again, of whoever takes our place."""
    text = "The gateway stops; nothing was done, try again"
    return Refusal(503, text, code=sdk.INTERNAL_ERROR, id_raw=id_raw).with_header(b"retry-after", b"1")


def _closing(send: Send) -> Send:
    """The connection is closed after this answer."""

    async def closing(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and CLOSE not in message.get("headers", ()):
            message = {**message, "headers": [*message.get("headers", ()), CLOSE]}
        await send(message)

    return closing


async def _not_found(http: Http) -> None:
    raise Refusal(404, "Not found; the gateway is at /mcp")


def _tell_fault(error: Exception) -> None:
    """The kind and the place of a fault: what it says may hold what a client or a server has said."""
    at = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {at[0].filename}:{at[0].lineno}" if at else ""
    say(f"a request over HTTP failed: {type(error).__name__}{place}", LogLevel.ERROR)

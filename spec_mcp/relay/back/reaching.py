"""One HTTP address: requests to it over connections that are kept, and their replies, part by part.

Below the SDK's HTTP client, at its transport: nothing decodes, follows, retries or keeps a whole body on its own.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import anyio
import httpx2

from spec_mcp.relay.back.address import Address, is_same_origin, shown
from spec_mcp.relay.back.connecting import TIMEOUTS, transport_to
from spec_mcp.relay.back.failures import Barred, Cut, NotSent, Refused, failure_of
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds, mib

BETWEEN_S = 60.0
"""A body that has begun comes from memory as a rule; one that stops for so long has lost its sender."""

DRAINED_S = 1.0
DRAINED_MAX_BYTES = 64 * 1024
"""How much of what nobody wants is read so that the connection can be used again: as a rule only its end."""

REDIRECTS_MAX = 5

PIECE_BYTES = 1 << 20
"""Of what is unpacked, so that nothing small becomes anything large at once."""

HELD_MAX_BYTES = 512 * 2**20
"""Of all bodies of one server that are being read: two of the longest."""

COOKIES_MAX = 64
"""Some balancers find the server of a session by them; a jar with more is emptied."""

Headers = Sequence[tuple[bytes, bytes]]


class Auth(Protocol):
    """Credentials that can be renewed."""

    async def header(self) -> bytes | None:
        """The value of `Authorization`, where there is one.

        Raises:
            Barred: there is none to be had.
        """
        ...

    async def renew(self, used: bytes | None, reply: Reply) -> None:
        """The server did not take `used`.

        Raises:
            Barred: there are no better credentials to be had without a person.
        """
        ...


class Reply:
    """The server's reply to one request; its body is read part by part, or not."""

    def __init__(self, response: httpx2.Response, url: httpx2.URL, reach: Reach) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.url = url
        self._response = response
        self._reach = reach
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream), "it came from an asynchronous transport"
        self._parts: AsyncIterator[bytes] = aiter(stream)
        self._unpacking = _unpacking(response.headers.get("content-encoding", ""))
        self._has_ended = False
        self._held_bytes = 0

    @property
    def kind(self) -> str:
        """The content type, without what follows it."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_success(self) -> bool:
        """Did the server take the request?"""
        return 200 <= self.status < 300

    async def read(self, silence_s: float = BETWEEN_S) -> bytes | None:
        """The next part of the body, unpacked; None at its end.

        Raises:
            Cut: the end is missing, or nothing came for so long.
        """
        if self._reach.paused is not None:
            await self._reach.paused.wait()
        if self._has_ended:
            return None
        if self._unpacking is not None and self._unpacking.unconsumed_tail:
            return self._unpack(self._unpacking.unconsumed_tail)
        part: bytes | None = None
        with anyio.move_on_after(silence_s):
            try:
                part = await anext(self._parts)
            except StopAsyncIteration:
                return self._end()
            except httpx2.HTTPError as error:
                raise failure_of(error, begun=True, answering=True) from None
        if part is None:
            raise Cut(f"the server was silent for {silence_s:.0f} s in the middle of its answer")
        return part if self._unpacking is None else self._unpack(part)

    def _end(self) -> bytes | None:
        self._has_ended = True
        if self._unpacking is None:
            return None
        rest = self._unpacking.flush()
        if not self._unpacking.eof:
            raise Cut("the server's answer has no end")
        return rest or None

    def _unpack(self, part: bytes) -> bytes:
        assert self._unpacking is not None, "it is packed"
        try:
            return self._unpacking.decompress(part, PIECE_BYTES)
        except zlib.error:
            raise Cut("the server's answer cannot be unpacked") from None

    async def collect(self, max_bytes: int) -> bytes:
        """The whole body.

        Raises:
            Cut: it is longer than that, or its end is missing.
        """
        parts: list[bytes] = []
        size = 0
        while (part := await self.read()) is not None:
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise Cut(f"the server's answer is longer than {mib(max_bytes)}")
            self.hold(size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def hold(self, held_bytes: int) -> None:
        """So much of its body is kept, until it is closed.

        Raises:
            Cut: with what is kept of others at the same time that is too much.
        """
        self._reach.held_bytes += held_bytes - self._held_bytes
        self._held_bytes = held_bytes
        if self._reach.held_bytes > HELD_MAX_BYTES:
            raise Cut(f"the server's answers are longer than {HELD_MAX_BYTES >> 20} MiB at once")

    async def drain(self) -> None:
        """Read what nobody wants, if it is little and comes at once: else the connection is closed."""
        size = 0
        with anyio.move_on_after(DRAINED_S):
            try:
                while size < DRAINED_MAX_BYTES and (part := await self.read()) is not None:
                    size += len(part)
            except Cut:
                return

    async def close(self) -> None:
        """Let go of the connection; what has not been read is lost."""
        self._reach.held_bytes -= self._held_bytes
        self._held_bytes = 0
        with anyio.CancelScope(shield=True):
            await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Body(httpx2.AsyncByteStream):
    """A request's body, that knows how far it has got."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.on_sent: Callable[[], None] = lambda: None
        self.begun = False
        """The server may have something of it."""
        self.sent = anyio.Event()
        """It has all been given to the system."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield self._data
        self.sent.set()
        self.on_sent()

    def __len__(self) -> int:
        return len(self._data)


class Reach:
    """Requests to one address. Not before `open_up`, nor after `close`."""

    def __init__(self, address: Address, auth: Auth | None = None, bounds: Bounds = DEFAULT_BOUNDS) -> None:
        self.address = address
        self.bounds = bounds
        self.paused: anyio.Event | None = None
        """While there is one, no body is read."""
        self.held_bytes = 0
        """What is kept of bodies that have not ended."""
        self._auth = auth
        self._url = address.url
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._cookies: httpx2.Cookies | None = None

    def open_up(self) -> None:
        """From now on there may be connections."""
        self._transport = transport_to(self.address.url)

    async def close(self) -> None:
        """Close every connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def ask(
        self,
        method: str,
        headers: Headers,
        body: Body,
        patience_s: float,
        url: httpx2.URL | None = None,
    ) -> Reply:
        """Make a request. The reply must be closed.

        Raises:
            NotSent: the server has not got it.
            Cut: there is no reply within `patience_s`, or the connection broke.
            Refused: the server says to ask elsewhere.
            Barred: it wants other credentials.
        """
        auth, to = self._auth, url or self._url
        credentials = None if auth is None else await auth.header()
        reply = await self.fetch(method, headers, body, patience_s, to, credentials)
        if auth is not None and wants_credentials(reply):
            await reply.close()
            await auth.renew(credentials, reply)
            reply = await self.fetch(method, headers, body, patience_s, to, await auth.header())
        if reply.status == 401:
            await reply.close()
            raise Barred("the server wants credentials that it does not get (401)")
        return reply

    async def fetch(
        self,
        method: str,
        headers: Headers,
        body: Body,
        patience_s: float,
        url: httpx2.URL,
        credentials: bytes | None = None,
    ) -> Reply:
        """Make a request with these credentials, whatever the server says to them. Raises as `ask` but for `Barred`."""
        for _ in range(REDIRECTS_MAX + 1):
            reply = await self._ask_once(method, headers, credentials, body, patience_s, url)
            location = reply.headers.get("location")
            if not 300 <= reply.status < 400 or location is None:
                return reply
            await reply.drain()
            await reply.close()
            to = _joined(url, location)
            if to is None or not is_same_origin(url, to) or (method == "POST" and reply.status not in (307, 308)):
                where = "" if to is None else f" to {shown(to)}"
                raise Refused(f"the server redirects{where}, which is not followed: give that address instead")
            if reply.status == 308 and url == self._url:
                self._url = to
            url = to
        raise Refused("the server redirects in circles")

    async def _ask_once(
        self,
        method: str,
        headers: Headers,
        credentials: bytes | None,
        body: Body,
        patience_s: float,
        url: httpx2.URL,
    ) -> Reply:
        if self._transport is None:
            raise NotSent("the server is not to be reached any more")
        body.begun = False
        sent = [(b"Host", url.netloc), *self.address.headers, *headers]
        if method == "POST":
            sent.append((b"Content-Length", b"%d" % len(body)))
        if credentials is not None:
            sent.append((b"Authorization", credentials))
        request = httpx2.Request(
            method,
            url,
            headers=sent,
            stream=body,
            extensions={"timeout": {**TIMEOUTS, "connect": self.bounds.connect_s}},
        )
        if self._cookies is not None:
            self._cookies.set_cookie_header(request)
        response: httpx2.Response | None = None
        with anyio.move_on_after(patience_s):
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx2.TransportError, UnicodeError) as error:
                raise failure_of(error, body.begun, answering=False) from None
        if response is None:
            raise Cut(f"the server did not begin to answer within {patience_s:.0f} s")
        if "set-cookie" in response.headers:
            self._keep_cookies(request, response)
        return Reply(response, url, self)

    def _keep_cookies(self, request: httpx2.Request, response: httpx2.Response) -> None:
        response.request = request
        if self._cookies is None or len(self._cookies) > COOKIES_MAX:
            self._cookies = httpx2.Cookies()
        self._cookies.extract_cookies(response)


def wants_credentials(reply: Reply) -> bool:
    """Would other credentials help?"""
    return reply.status == 401 or (
        reply.status == 403 and "insufficient_scope" in reply.headers.get("www-authenticate", "")
    )


def _joined(url: httpx2.URL, location: str) -> httpx2.URL | None:
    try:
        return url.join(location)
    except (httpx2.InvalidURL, ValueError):
        return None


def _unpacking(encoding: str) -> zlib._Decompress | None:  # pyright: ignore[reportPrivateUsage]  it has no other name
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    raise Cut("the server packs its answers in a way that it was not asked for")

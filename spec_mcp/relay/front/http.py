"""One HTTP request as the front sees it: its headers, its body, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, cast

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from spec_mcp.relay.front.load import Load, Part

CONNECTION = "spec_mcp.connection"
"""Where in the scope's extensions the server puts the connection."""

JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
"""Nothing of this connection is read any more, whatever the client still has to send."""

SSE = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)

SINGLE = frozenset(
    (
        b"authorization",
        b"content-type",
        b"host",
        b"last-event-id",
        b"mcp-session-id",
        b"origin",
    )
)
"""Headers of which a second one would leave it open which is meant. Those of the stateless era are looked at there."""

LINGER_MAX_BYTES = 64 * 2**20
"""So much of what a client goes on sending is thrown away, before it is made to stop: it reads its answer last."""

Headers = Sequence[tuple[bytes, bytes]]


class Refusal(Exception):  # noqa: N818  it is an answer
    """A request that is answered with a status and an error, and nothing else."""

    def __init__(
        self, status: int, message: str, *, code: int = -32600, id_raw: bytes = b"null", data: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.id_raw = id_raw
        self.data = data
        self.headers: list[tuple[bytes, bytes]] = []

    def with_header(self, name: bytes, value: bytes) -> Refusal:
        """The same, with one header more."""
        self.headers.append((name, value))
        return self


class Gone(Exception):  # noqa: N818  what happened
    """The client has closed the connection before it had sent all."""


class Connection(Protocol):
    """What carries the request: `serve` gives every request one."""

    def abort(self) -> None:
        """Close at once; what the client has not taken is thrown away."""
        ...

    def watch(self, when_lost: Callable[[], None] | None) -> None:
        """Call this as soon as the client has left, or nothing any more."""
        ...

    @property
    def takes_more(self) -> bool:
        """Has the client taken what was said so far, nearly?"""
        ...

    @property
    def has_body(self) -> bool:
        """Is the body of the request that is answered here, to its end?"""
        ...


class Http:
    """One request and its answer."""

    __slots__ = (
        "_is_read",
        "_is_watched",
        "_receive",
        "_send",
        "answered",
        "connection",
        "fault",
        "headers",
        "held",
        "method",
        "path",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, load: Load | None = None) -> None:
        self.scope = scope
        self.connection: Connection = scope["extensions"][CONNECTION]
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """By names in lower case; of several, the last."""
        self.answered = False
        """The status has gone out."""
        self.fault: Exception | None = None
        """What went wrong in answering at once."""
        self.held = Part(Load() if load is None else load)
        """Its body, until it is answered."""
        self._is_watched = False
        self._is_read = False
        """The body has come to its end."""

    async def hand_on(self, application: ASGIApp) -> None:
        """Let another application answer it."""
        self.answered = True
        await application(self.scope, self._receive, self._send)

    def watch(self, when_lost: Callable[[], None]) -> None:
        """Call this as soon as the client has left, until the answer is over."""
        self._is_watched = True
        self.connection.watch(when_lost)

    def unwatch(self) -> None:
        """The answer is over. From then on the connection is the next request's."""
        if self._is_watched:
            self._is_watched = False
            self.connection.watch(None)

    # --- what came --------------------------------------------------------------------------------------------------

    def header(self, name: bytes) -> str:
        """A header's text; empty where there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    def require_clear_headers(self, limit_bytes: int) -> None:
        """Refuse headers that are too large, or there twice where only one is meant.

        Raises:
            Refusal: they are.
        """
        raw = cast("Headers", self.scope["headers"])
        if sum(len(name) + len(value) for name, value in raw) > limit_bytes:
            raise Refusal(431, "The headers are larger than [listen] header_bytes")
        if len(raw) != len(self.headers) and (twice := _twice(name for name, _ in raw)):
            raise Refusal(400, f"The header {twice.decode('latin-1')} is there twice")

    def accepts(self, kind: str) -> bool:
        """Does the client take answers of this media type?"""
        wanted = (kind, kind.partition("/")[0] + "/*", "*/*")
        given = b",".join(value for name, value in self.scope["headers"] if name == b"accept").decode("latin-1")
        if kind in given:  # as nearly always
            return True
        return any(one.partition(";")[0].strip().lower() in wanted for one in given.split(","))

    async def body(self, limit_bytes: int, slow_s: float) -> bytes:
        """All of it.

        Raises:
            Refusal: it is too large, or comes too slowly.
            Gone: the client has left.
        """
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise _too_large()
        if self.connection.has_body:  # as nearly always: nothing to wait for
            return await self._body(limit_bytes)
        with anyio.move_on_after(slow_s):
            return await self._body(limit_bytes)
        raise Refusal(408, "The body did not come within [listen] slow_s")

    async def _body(self, limit_bytes: int) -> bytes:
        parts: list[bytes] = []
        while not self._is_read:
            part = await self._part()
            limit_bytes -= len(part)
            if limit_bytes < 0:
                raise _too_large()
            self.held.add(len(part))
            if self.held.load.is_full:
                raise Refusal(503, "No room for more requests ([listen] memory_bytes)").with_header(
                    b"retry-after", b"1"
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def is_read_out(self, limit_bytes: int, slow_s: float) -> bool:
        """Take what is left of the body and throw it away: an answer to who is still writing could get lost.

        False: there is more than that of it, or it comes too slowly.
        """
        with anyio.move_on_after(slow_s):
            while not self._is_read and limit_bytes >= 0:
                limit_bytes -= len(await self._part())
        return self._is_read

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise Gone
        self._is_read = not message.get("more_body", False)
        return message.get("body", b"")

    # --- what goes --------------------------------------------------------------------------------------------------

    async def reply(self, status: int, body: bytes = b"", headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """A whole answer."""
        self.answered = True
        length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
        await self._send({"type": "http.response.start", "status": status, "headers": [*length, *headers]})
        await self._send({"type": "http.response.body", "body": body})

    def reply_at_once(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """The same within this very call, if the client has taken what was said to it before; else nothing is said."""
        if self.answered or not self.connection.takes_more:
            return
        self.unwatch()
        try:
            self.reply(status, body, headers).send(None)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001  it is for the task of this request, not for who has the answer
            self.fault = error

    async def reply_and_close(
        self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]], linger_s: float
    ) -> None:
        """An answer to a client that may still be sending.

        A connection that is closed on what nobody has read takes the answer with it.
        """
        self.answered = True
        length = (b"content-length", b"%d" % len(body))
        await self._send({"type": "http.response.start", "status": status, "headers": [length, CLOSE, *headers]})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        await self.is_read_out(LINGER_MAX_BYTES, linger_s)
        await self._send({"type": "http.response.body", "body": b""})

    async def begin_events(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The head of a stream of events."""
        self.answered = True
        await self._send({"type": "http.response.start", "status": 200, "headers": [*SSE, *headers]})

    async def send_events(self, frames: bytes) -> None:
        """Some of its events. Waits while the client does not read."""
        await self._send({"type": "http.response.body", "body": frames, "more_body": True})

    async def end_events(self, frames: bytes = b"") -> None:
        """The last of them."""
        await self._send({"type": "http.response.body", "body": frames})


def _twice(names: Iterable[bytes]) -> bytes | None:
    seen: set[bytes] = set()
    for name in names:
        if name in SINGLE and name in seen:
            return name
        seen.add(name)
    return None


def _too_large() -> Refusal:
    return Refusal(413, "The body is larger than [listen] body_bytes")

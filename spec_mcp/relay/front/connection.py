"""One client's TCP connection: what uvicorn leaves open for ever is closed here.

uvicorn knows no time for the head of a request, and waits without end for a client that does not take the rest of an
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from spec_mcp.relay.front.gathering import Gathering
from spec_mcp.relay.front.http import CONNECTION

REFUSED_SLACK = 64
"""So many connections beyond the bound get an answer that says so; the others are closed without a word."""


class Connection(H11Protocol):
    """uvicorn's protocol, with patience that ends. `slow_s` and `most` are set by `bounded`."""

    slow_s = 30.0
    most = 2_000

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = partial(_with_connection, self, self.app)  # pyright: ignore[reportIncompatibleVariableOverride]
        self._head_timer: asyncio.TimerHandle | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._when_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A client has connected."""
        super().connection_made(transport)
        self._gathering = Gathering(transport, self.loop)
        self.transport = cast("asyncio.Transport", self._gathering)
        if len(self.connections) > self.most + REFUSED_SLACK:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        for timer in (self._head_timer, self._reaper):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        if self._when_lost is not None:
            self._when_lost()

    def data_received(self, data: bytes) -> None:
        """The client sends something: part of a request."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]
            self._stop_awaiting_head()
        elif self._head_timer is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """An answer has been handed to the transport."""
        self._gathering.flush()
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._reap_later(self.transport.get_write_buffer_size())

    def watch(self, when_lost: Callable[[], None] | None) -> None:
        """Call this as soon as the client has left, or nothing any more.

        It costs no task, as it would to wait for what uvicorn says.
        """
        self._when_lost = when_lost
        if when_lost is not None and self.transport.is_closing():
            when_lost()

    @property
    def takes_more(self) -> bool:
        """Has the client taken what was said so far, nearly?"""
        return not self.flow.write_paused

    @property
    def has_body(self) -> bool:
        """Is the body of the request that is answered here, to its end?"""
        return not self.cycle.more_body

    def abort(self) -> None:
        """Close at once."""
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.slow_s, self._head_is_late)

    def _stop_awaiting_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        self.transport.abort()

    def _reap_later(self, left_bytes: int) -> None:
        if self._reaper is not None:
            self._reaper.cancel()
        self._reaper = self.loop.call_later(self.slow_s, self._reap, left_bytes)

    def _reap(self, left_bytes: int) -> None:
        """Close a connection on which nothing was taken since the last look."""
        self._reaper = None
        now_left_bytes = self.transport.get_write_buffer_size()
        if now_left_bytes >= left_bytes:
            self.transport.abort()
        elif now_left_bytes:
            self._reap_later(now_left_bytes)


def bounded(slow_s: float, most: int) -> type[Connection]:
    """Connections with these bounds."""
    return type("Connection", (Connection,), {"slow_s": slow_s, "most": most})


async def _with_connection(connection: Connection, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    scope["extensions"] = {CONNECTION: connection}
    await app(scope, receive, send)

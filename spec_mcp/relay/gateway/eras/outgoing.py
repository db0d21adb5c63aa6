"""What a translator gives out, and what every translator can do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

import msgspec


class Side(Enum):
    """To whom a line goes."""

    SERVER = "server"
    CLIENT = "client"


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A line that is to be sent."""

    side: Side
    line: bytes
    request: bytes = b""
    """The raw id of the client's request to which a notification or a question belongs; empty where that is unknown
    or none, and for answers. Over HTTP it travels with that request's answer."""


class Translator(Protocol):
    """Between one client's session and one server. Nothing here raises for what a line says.

    The calls must not overlap. What a call gives out is to be sent before the next call, in its order.
    """

    @property
    def wakes_at_s(self) -> float | None:
        """When `woken` has something to do, on the translator's clock; it may change with every call."""
        ...

    def from_client(self, line: bytes) -> Sequence[Outgoing]:
        """The client said this."""
        ...

    def from_server(self, line: bytes) -> Sequence[Outgoing]:
        """The server said this."""
        ...

    def connected(self) -> Sequence[Outgoing]:
        """The server takes requests and the client is ready, for the first time or after `lost`."""
        ...

    def lost(self) -> Sequence[Outgoing]:
        """The server's connection is gone: it will answer nothing of what it was asked."""
        ...

    def woken(self) -> Sequence[Outgoing]:
        """It is `wakes_at_s`. Too early or too late does no harm."""
        ...


class Straight:
    """Client and server speak the same era: nothing is changed."""

    wakes_at_s: float | None = None

    def from_client(self, line: bytes) -> Sequence[Outgoing]:
        """It goes on as it came."""
        return (Outgoing(Side.SERVER, line),)

    def from_server(self, line: bytes) -> Sequence[Outgoing]:
        """It goes on as it came."""
        return (Outgoing(Side.CLIENT, line),)

    def connected(self) -> Sequence[Outgoing]:
        """Nothing to say."""
        return ()

    def lost(self) -> Sequence[Outgoing]:
        """Whoever lost the connection answers what it carried."""
        return ()

    def woken(self) -> Sequence[Outgoing]:
        """Nothing to do."""
        return ()


class Out:
    """Collects what goes out."""

    def __init__(self) -> None:
        self._lines: list[Outgoing] = []

    def to_client(self, line: bytes, request: bytes = b"") -> None:
        """The client is to get this."""
        self._lines.append(Outgoing(Side.CLIENT, line, request))

    def to_server(self, line: bytes) -> None:
        """The server is to get this."""
        self._lines.append(Outgoing(Side.SERVER, line))

    def take(self) -> list[Outgoing]:
        """All that was collected."""
        lines, self._lines = self._lines, []
        return lines


class Ids:
    """Names of ours that neither client nor server can guess or has used."""

    def __init__(self, token: Callable[[], str] = lambda: secrets.token_urlsafe(16)) -> None:
        self.token = token
        self._prefix = token()
        self._made = 0

    def next(self) -> str:
        """A new one."""
        self._made += 1
        return f"{self._prefix}.{self._made}"

    def made(self, name: str) -> bool:
        """Is this one of them?"""
        return name.startswith(self._prefix + ".")

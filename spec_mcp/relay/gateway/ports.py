"""Where the gateway meets what is in front of it: who a client is, where its lines come from and go to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a client acts (rule 15). Principals share no results, no histories, nothing that was learned."""

    subject: str = "local"
    issuer: str = ""
    """Empty: this machine's user."""
    scopes: tuple[str, ...] = ()
    """Sorted."""
    credentials: str = ""
    """A digest of the credentials that are passed on to servers in this principal's name; never these themselves."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """One client: on whose behalf it acts and what came with it."""

    principal: Principal = Principal()
    conversation: str = ""
    """What tells apart the stateless clients of one principal; empty where nothing does."""
    is_stateless: bool = False
    """All of it comes with each request: the next one may reach another replica."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The client's own HTTP headers, names in lower case: for those that the configuration passes on."""
    until_s: float | None = None
    """When its token expires, on the wall clock: nothing held for it outlives that."""


class ClientOut(Protocol):
    """Where the lines for one client go. A line is one JSON-RPC message and ends with a newline."""

    def put(self, line: bytes) -> None:
        """Have a line go out, after those before it."""
        ...

    def send(self, line: bytes) -> None:
        """The same, where somebody waits for it."""
        ...


class ClientSession(Protocol):
    """One client as the gateway knows it."""

    def on_client_line(self, line: bytes) -> None:
        """The client sent this message. Never raises for what it says."""
        ...

    def drop_held(self) -> None:
        """What was done early for this client is no good any more: it shows a newer token, or sends a batch."""
        ...

    def closed(self) -> None:
        """The client has left, or its session was ended. Nothing goes to its `ClientOut` after this."""
        ...


class Gateway(Protocol):
    """All servers as one."""

    def open(self, visitor: Visitor, client: ClientOut) -> ClientSession:
        """A client has come.

        Raises:
            TooManySessions: there is room for no more.
        """
        ...


class TooManySessions(Exception):  # noqa: N818  what happened
    """The bound on sessions is reached; the message says which setting it is."""

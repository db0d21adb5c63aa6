"""The handshake with a server, in whichever era it speaks.

The client's own era is tried first: a server that speaks both is then met as its client would meet it. What says
nothing for `PATIENCE_S` is asked in the other era; a server is not known to speak any before it has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import Era, initialize_params, stateless_meta
from spec_mcp.relay.gateway.eras.results import error_code
from spec_mcp.relay.gateway.eras.words import CLIENT_META, CONNECTION_CLOSED, STATELESS_VERSION

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.waiting import Later

PATIENCE_S = 5.0
"""How long a server is given to answer the first question in an era that it may not speak."""

GREETING_S = 70.0
"""How long a handshake is waited for: a little longer than a process has until its first word."""

OURS = "spec-mcp: "
"""How the words of errors begin that no server has made."""


@dataclass(frozen=True, slots=True)
class ClientAbout:
    """What a client said of itself."""

    era: Era
    params: bytes
    """Of its `initialize`; in the stateless era the `_meta` of a request."""

    @property
    def name(self) -> tuple[str, str]:
        """Its name and its version, as it gave them."""
        member = "clientInfo" if self.era is Era.HANDSHAKE else CLIENT_META
        about = wire.members(wire.members(self.params).get(member, b""))
        name, version = (wire.value(about.get(key, wire.NULL)) for key in ("name", "version"))
        return name if isinstance(name, str) else "", version if isinstance(version, str) else ""

    @property
    def initialize_params(self) -> bytes:
        """How it introduces itself to a server that wants a handshake."""
        return self.params if self.era is Era.HANDSHAKE else initialize_params(self.params)

    @property
    def meta(self) -> bytes:
        """The `_meta` by which it introduces itself to a server of the stateless era."""
        return self.params if self.era is Era.STATELESS else stateless_meta(self.params)


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server said of itself."""

    era: Era
    version: str
    """Of the protocol, as it will be spoken with it."""
    result: bytes
    """Of `initialize` or of `server/discover`, as it came."""


@dataclass(slots=True)
class Eras:
    """What is known of the eras that one server speaks."""

    only: Era | None = None
    """It was asked in the other and did not speak it."""


Answered = Callable[[wire.Envelope], None]
Ask = Callable[[str, bytes, Answered], None]
"""Ask the server: method, params, and who is told the answer."""


class Greeting:
    """One attempt to meet a server. `done` is told what it said, or why it was not met.

    One that takes too long is told of as such, and may be met all the same later.
    """

    def __init__(
        self, client: ClientAbout, eras: Eras, ask: Ask, done: Callable[[Hello | str], None], later: Later
    ) -> None:
        self.is_over = False
        """Nothing more is expected of it."""
        self._client = client
        self._eras = eras
        self._ask = ask
        self._done = done
        self._later = later
        self._tried: list[Era] = []
        self._silent: set[Era] = set()
        """In which it has not answered."""
        self._why = ""
        self._call_off: Callable[[], None] = lambda: None
        self._call_off_hurry: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Ask in the client's era, and in the other where the server does not speak it."""
        self.wait()
        first = self._client.era if self._eras.only is None else self._eras.only
        self._try(first)
        if self._silent == {Era.STATELESS}:
            self._call_off_hurry = self._later(PATIENCE_S, self._hurry)

    def wait(self) -> None:
        """Somebody waits for it from now on."""
        self._call_off()
        self._call_off = self._later(GREETING_S, self._is_late)

    def call_off(self) -> None:
        """Nobody wants to know any more."""
        self.is_over = True
        self._call_off()
        self._call_off_hurry()

    def _is_late(self) -> None:
        self._done(f"it has not answered the handshake within {GREETING_S:.0f} s")

    def _try(self, era: Era) -> None:
        self._tried.append(era)
        self._silent.add(era)

        def answered(message: wire.Envelope) -> None:
            if not self.is_over:
                self._silent.discard(era)
                self._take(era, message)

        if era is Era.STATELESS:
            self._ask("server/discover", b'{"_meta":%s}' % self._client.meta, answered)
        else:
            self._ask("initialize", self._client.initialize_params, answered)

    def _hurry(self) -> None:
        if not self.is_over and self._tried == [Era.STATELESS] and self._silent:
            self._try(Era.HANDSHAKE)  # some servers say nothing at all before their handshake

    def _take(self, era: Era, message: wire.Envelope) -> None:
        other = Era.HANDSHAKE if era is Era.STATELESS else Era.STATELESS
        version = _version(era, message.result) if message.error == wire.ABSENT else ""
        if version:
            self.call_off()
            if other in self._tried and (era is Era.HANDSHAKE or not self._silent):
                self._eras.only = era
            self._done(Hello(era, version, message.result))
            return
        self._why = self._why or _words(message.error)
        if self._silent:
            return
        # one that was lost in its own handshake does not speak at all
        if other in self._tried or (era is Era.HANDSHAKE and is_lost(message.error)):
            self.call_off()
            self._done(self._why)
        else:
            self._try(other)


def is_lost(error: bytes) -> bool:
    """Is this the error of a request whose server is gone, or was never there?"""
    return error_code(error) == CONNECTION_CLOSED and _message(error).startswith(OURS)


def _words(error: bytes) -> str:
    return _message(error).removeprefix(OURS) or "its answer to the handshake is none"


def _message(error: bytes) -> str:
    found = wire.lenient(wire.members(error).get("message", wire.NULL))
    return found if isinstance(found, str) else ""


def _version(era: Era, result: bytes) -> str:
    """The version that is spoken from now on; empty where the server does not speak this era."""
    found = wire.members(result)
    if era is Era.HANDSHAKE:
        version = wire.value(found.get("protocolVersion", wire.NULL))
        return version if isinstance(version, str) else ""
    versions = wire.value(found.get("supportedVersions", wire.NULL))
    return STATELESS_VERSION if isinstance(versions, list) and STATELESS_VERSION in versions else ""

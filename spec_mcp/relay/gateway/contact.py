"""A connection to a server as the gateway has it: greeted, its lists known, and shared by its legs.

The bridge of the connection writes what the server says here. What answers a request of the gateway's own is kept;
everything else goes to the legs, by way of `Lines` that tells whose it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind
from spec_mcp.relay.gateway.eras import Era
from spec_mcp.relay.gateway.eras.words import LISTEN
from spec_mcp.relay.gateway.greeting import Answered, ClientAbout, Eras, Greeting, Hello
from spec_mcp.relay.gateway.surveying import Surveying

if TYPE_CHECKING:
    from spec_mcp.relay.bridge import Bridge
    from spec_mcp.relay.gateway.leg import Leg
    from spec_mcp.relay.gateway.waiting import Later

INITIALIZED = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


class ContactState(StrEnum):
    """How far the gateway is with a server."""

    NEW = "new"
    GREETING = "greeting"
    UP = "up"
    FAILED = "failed"


class Lines(Protocol):
    """Tells whose is what travels over one connection."""

    is_shared: bool

    def attach(self, leg: Leg) -> None:
        """One more goes over this connection."""
        ...

    def detach(self, leg: Leg) -> list[bytes]:
        """It has left; what the server is to be told of that."""
        ...

    def to_server(self, leg: Leg, line: bytes) -> bytes | None:
        """A leg's line as the server gets it; None where it does not."""
        ...

    def to_legs(self, line: bytes) -> list[tuple[Leg, bytes]]:
        """Who gets what the server said, and how."""
        ...

    def lost(self) -> None:
        """The connection is gone, and what was asked over it has been answered."""
        ...


class Contact:
    """One connection to one server."""

    def __init__(
        self,
        server: str,
        lines: Lines,
        remembered: Catalogue | None,
        later: Later,
        clock: Callable[[], float],
        eras: Eras | None = None,
    ) -> None:
        """`eras` is what all contacts with the server know of it."""
        self.server = server
        self.clock = clock
        self.state = ContactState.NEW
        self.hello: Hello | None = None
        self.why = ""
        """Why the server was not met."""
        self.on_empty: Callable[[], None] = lambda: None
        """Told that no session uses it any more."""
        self.on_listed: Callable[[Catalogue], None] = lambda catalogue: None
        """Told what the server says of itself: at first, and whenever that has changed."""
        self.legs: list[Leg] = []
        self.catalogue: Catalogue | None = None
        """What the server has said of itself over this connection."""
        self._bridge: Bridge | None = None
        self._lines = lines
        self._later = later
        self._eras = eras or Eras()
        self._own_prefix = f"spec-mcp-gateway:{secrets.token_hex(8)}:"
        self._own_marker = self._own_prefix.encode()
        self._own: dict[str, Answered] = {}
        self._own_made = 0
        self._about: ClientAbout | None = None
        self._greeting: Greeting | None = None
        self._is_initialized = False
        self._surveying = Surveying(self.ask, self._surveyed, remembered, later)

    def connect(self, bridge: Bridge) -> None:
        """The bridge of this connection, which is made after its client."""
        self._bridge = bridge

    def park(self, why: str) -> None:
        """It cannot be reached as it is configured."""
        self.state, self.why = ContactState.FAILED, why

    @property
    def is_own(self) -> bool:
        """Is it one session's alone?"""
        return not self._lines.is_shared

    # --- meeting the server -----------------------------------------------------------------------------------------

    def greet(self, about: ClientAbout) -> None:
        """Meet the server in this client's name, unless that is done or under way."""
        self._is_initialized |= about.era is Era.STATELESS  # who says all with each request is always ready
        if self.state is ContactState.GREETING:
            self._up_if_ready()
        elif self.state is not ContactState.UP and self._bridge is None:
            self._greeted(self.why)
        elif self.state is not ContactState.UP:
            self.state = ContactState.GREETING
            if self._greeting is not None:  # it was late, and may be on its way
                self._greeting.wait()
                return
            self._about = about
            self._greeting = Greeting(about, self._eras, self.ask, self._greeted, self._later)
            self._greeting.begin()

    def was_greeted_by(self, about: ClientAbout) -> bool:
        """Was the server met in the name of this client?"""
        return self._about is about

    def _greeted(self, found: Hello | str) -> None:
        if self._greeting is not None and self._greeting.is_over:
            self._greeting = None
        if isinstance(found, str):
            self.state, self.why = ContactState.FAILED, found
            for leg in list(self.legs):
                leg.failed(found)
            return
        self.state, self.why, self.hello = ContactState.GREETING, "", found
        self._surveying.introduced(found)
        if not self._up_if_ready():  # a client that made a handshake says itself when it is ready
            for leg in list(self.legs):
                leg.greeted(found)

    def initialized(self) -> None:
        """The client is ready for what the server may ask it."""
        self._is_initialized = True
        self._up_if_ready()

    def _up_if_ready(self) -> bool:
        if self.hello is None or self.state is not ContactState.GREETING:
            return False
        if self.hello.era is Era.HANDSHAKE and not self._is_initialized:
            return False
        if self.hello.era is Era.HANDSHAKE:
            self._send(INITIALIZED)
        self.state = ContactState.UP
        self._take_requests(self.hello)
        return True

    def _take_requests(self, hello: Hello) -> None:
        for leg in list(self.legs):
            leg.up(hello, just_met=True)
        is_stateless = hello.era is Era.STATELESS and self._about is not None
        self._surveying.begin(self._about.meta if is_stateless and self._about is not None else b"")

    # --- what it lists ----------------------------------------------------------------------------------------------

    def _surveyed(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.on_listed(catalogue)
        for leg in list(self.legs):
            leg.on_listed()

    def refresh(self, kind: Kind) -> None:
        """Look again at a list whose changes the server does not tell of."""
        if self.state is ContactState.UP:
            self._surveying.refresh(kind)

    def due(self, kind: Kind) -> int:
        """Which reading of this list will show it as it is now; 0 where what is known shows it."""
        return self._surveying.due(kind)

    def has_read(self, kind: Kind, number: int) -> bool:
        """Has it been read so, or is there no need for that any more?"""
        return self._surveying.has_read(kind, number)

    # --- its ends and beginnings ------------------------------------------------------------------------------------

    def lose(self, why: str) -> None:
        """The connection is gone: what was asked over it gets errors."""
        self._surveying.lost()
        if self._bridge is not None:
            self._bridge.on_server_lost(why)
        self._lines.lost()
        for leg in list(self.legs):
            leg.lost()

    def restarted(self) -> None:
        """A new process stands in the old one's place, and was told what the old one knew: its lists may be others."""
        if self.state is ContactState.UP and self.hello is not None:
            self._take_requests(self.hello)

    def close(self) -> None:
        """Nobody uses it any more."""
        if self._greeting is not None:
            self._greeting.call_off()
        self._surveying.lost()

    # --- requests of the gateway's own ------------------------------------------------------------------------------

    def ask(self, method: str, params: bytes, answered: Answered) -> None:
        """Make a request in the clients' way, so that it waits its turn with theirs."""
        self._own_made += 1
        own_id = f"{self._own_prefix}{self._own_made}"
        self._own[own_id] = answered
        body = b',"params":' + params if params else b""
        self._send(b'{"jsonrpc":"2.0","id":"%s","method":"%s"%s}\n' % (own_id.encode(), method.encode(), body))

    # --- lines ------------------------------------------------------------------------------------------------------

    def attach(self, leg: Leg) -> None:
        """One more session uses this connection."""
        self.legs.append(leg)
        self._lines.attach(leg)
        if self.state is ContactState.UP and self.hello is not None:
            leg.up(self.hello)
        elif self.hello is not None:
            leg.greeted(self.hello)

    def detach(self, leg: Leg) -> None:
        """A session does not use it any more."""
        self.legs.remove(leg)
        for line in self._lines.detach(leg):
            self._send(line, leg)
        if not self.legs:
            self.on_empty()

    def awaited(self, leg: Leg) -> int:
        """How many answers of the server a leg waits for; a stream is none."""
        if self._bridge is None:
            return 0
        asked = sum(one.seat is leg.seat and not one.cancelled and one.method != LISTEN for one in self._bridge.asked)
        return asked + self._bridge.inheriting.waiting

    def from_leg(self, leg: Leg, line: bytes) -> None:
        """A leg says something to the server."""
        if (text := self._lines.to_server(leg, line)) is not None:
            self._send(text, leg)

    def say(self, line: bytes) -> None:
        """Say something to the server in no session's name."""
        self._send(line)

    def put(self, line: bytes) -> None:
        """The server said something: the bridge writes to its client."""
        if self._own_marker in line and self._take_own(line):
            return
        if b"list_changed" in line:
            self._surveying.noticed(wire.read(line))
        for leg, text in self._lines.to_legs(line):
            leg.from_server(text)

    send = put

    def _take_own(self, line: bytes) -> bool:
        message = wire.read(line)
        if not isinstance(message, wire.Envelope) or not message.is_response:
            return False
        answered = self._own.pop(str(wire.id_value(message.id)), None)
        if answered is not None:
            answered(message)
        return answered is not None

    def _send(self, line: bytes, leg: Leg | None = None) -> None:
        assert self._bridge is not None, "a contact is connected before it is used"
        self._bridge.on_client_line(line, None if leg is None else leg.seat)

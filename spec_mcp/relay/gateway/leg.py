"""One session's way to one server: what waits until the server has been met, and the eras of the protocol between.

A client and a server of the same era hear each other's lines as they are; else a translator stands between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.answering import CONNECTION_CLOSED, error_line
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind
from spec_mcp.relay.gateway.contact import Contact
from spec_mcp.relay.gateway.eras import Era, Outgoing, ServerAbout, Side, Translator, translator
from spec_mcp.relay.gateway.eras.outgoing import Ids
from spec_mcp.relay.gateway.eras.words import CANCELLED, HANDSHAKE_VERSIONS, LISTEN
from spec_mcp.relay.gateway.greeting import ClientAbout, Hello

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.waiting import Later
    from spec_mcp.relay.seat import Seat

WAITING_MAX = 1024
"""Lines that wait until a server has been met; a client that sends more gets errors at once."""

EARLY_MAX = 64
"""What a server says before it has been met; more of that is nobody's."""


class Leg:
    """Of one session, to one server."""

    def __init__(
        self,
        server: str,
        seat: Seat,
        contact: Contact,
        about: ClientAbout,
        to_client: Callable[[Leg, bytes], None],
        later: Later,
    ) -> None:
        self.server = server
        self.seat = seat
        self.hello: Hello | None = None
        """What the server said of itself, once it has been met."""
        self.why = ""
        """Why it could not be met."""
        self.on_met: Callable[[], None] = lambda: None
        """Told that the server has been met, or could not be."""
        self.on_listed: Callable[[], None] = lambda: None
        """Told that `catalogue` is another."""
        self._contact = contact
        self._about = about
        self._to_client = to_client
        self._later = later
        self._ids = Ids()
        self._spoken: dict[Era, Translator] = {}
        """By the client's era: one that goes over to the other still gets its answers in the one before."""
        self._waiting: deque[bytes] = deque()
        self._early: deque[bytes] = deque(maxlen=EARLY_MAX)
        self._wakes_at_s: float | None = None
        self._call_off: Callable[[], None] = lambda: None
        """For the waking of translators."""
        self._is_closed = False

    def begin(self) -> None:
        """Meet the server, if nobody has."""
        self._contact.attach(self)
        if not self.is_up:
            self._contact.greet(self._about)

    @property
    def is_up(self) -> bool:
        """Does the server take requests?"""
        return bool(self._spoken)

    @property
    def takes_batches(self) -> bool:
        """Does the server get the client's lines as they came, whatever is in them?"""
        return self.hello is not None and self.is_up and self.hello.era is self._about.era and self._contact.is_own

    @property
    def logs(self) -> bool:
        """Does it send log messages? False where it has not been met."""
        capabilities = b"" if self.hello is None else wire.members(self.hello.result).get("capabilities", b"")
        return "logging" in wire.members(capabilities)

    @property
    def catalogue(self) -> Catalogue | None:
        """What it has said of itself over this connection; None before that."""
        return self._contact.catalogue

    def refresh(self, kind: Kind) -> None:
        """Have a list looked at again whose changes the server does not tell of."""
        self._contact.refresh(kind)

    def due(self, kind: Kind) -> int:
        """Which reading of this list will show it as it is now; 0 where what is known shows it."""
        return self._contact.due(kind)

    def has_read(self, kind: Kind, number: int) -> bool:
        """Has it been read so, or is there no need for that any more?"""
        return self._contact.has_read(kind, number)

    def version_for(self, requested: str) -> str:
        """What is spoken with a client that asked for this version in its handshake; empty where that is open."""
        if self.hello is None or self.hello.era is not Era.HANDSHAKE:
            return ""
        is_asked_so = self._contact.was_greeted_by(self._about) or requested not in HANDSHAKE_VERSIONS
        return self.hello.version if is_asked_so else min(requested, self.hello.version)

    def client_is(self, about: ClientAbout) -> None:
        """The client introduces itself again, perhaps in the other era."""
        self._about = about
        if self.why and not self.is_up:
            self.why = ""
            self._contact.greet(about)
        elif self.hello is not None and self.is_up:
            self._translate(self.hello)

    # --- from the client --------------------------------------------------------------------------------------------

    def initialized(self) -> None:
        """The client is ready."""
        self._contact.initialized()

    def from_client(self, line: bytes) -> None:
        """A request, a notification or an answer of the client's, as it said it."""
        if (spoken := self._spoken.get(self._about.era)) is not None:
            self._pass_on(spoken.from_client(line))
        else:
            self._wait_with(line)

    def _wait_with(self, line: bytes) -> None:
        message = wire.read(line)
        is_request = isinstance(message, wire.Batch) or (message is not None and message.is_request)
        if len(self._waiting) >= WAITING_MAX:
            self._refuse(line, "too many requests wait for the server to start")
        elif is_request:
            self._waiting.append(line)
            self._contact.greet(self._about)  # one that could not be met is tried again
        elif isinstance(message, wire.Envelope) and message.method == CANCELLED and self._cancel(message):
            return
        elif self._waiting or not self.why:  # it may speak of what waits, or will
            self._waiting.append(line)

    def _cancel(self, message: wire.Envelope) -> bool:
        """The server has never seen it, so nobody will answer it; was it one that waits?"""
        name = wire.id_value(wire.members(message.params).get("requestId", wire.NULL))
        for line in self._waiting:
            waiting = wire.read(line)
            if isinstance(waiting, wire.Envelope) and waiting.is_request and wire.id_value(waiting.id) == name:
                self._waiting.remove(line)
                return True
        return False

    @property
    def awaited(self) -> int:
        """How many answers the client waits for; a stream is none."""
        waiting = [wire.read(line) for line in self._waiting]
        requests = [one for one in waiting if isinstance(one, wire.Envelope) and one.is_request]
        return sum(one.method != LISTEN for one in requests) + self._contact.awaited(self)

    def closed(self, why: str = "") -> None:
        """The session is over; or, where there is a reason, this way to the server alone."""
        if why:
            self._refuse_all(why)
            self.lost()
        self._is_closed = True
        self._call_off()
        self._waiting.clear()
        self._contact.detach(self)

    # --- from the server --------------------------------------------------------------------------------------------

    def greeted(self, hello: Hello) -> None:
        """The server has answered the handshake, and waits for the client to be ready."""
        self.hello, self.why = hello, ""
        self.on_met()

    def up(self, hello: Hello, just_met: bool = False) -> None:
        """The server takes requests; `just_met`: from this moment on, so that it may have something to ask first."""
        self.hello, self.why = hello, ""
        if self._spoken:
            for spoken in self._spoken.values():
                self._pass_on(spoken.connected())
        else:
            self._translate(hello, just_met)
        early, self._early = self._early, deque(maxlen=EARLY_MAX)
        for line in early:
            self.from_server(line)
        waiting, self._waiting = self._waiting, deque()
        for line in waiting:
            self.from_client(line)
        self.on_met()

    def failed(self, why: str) -> None:
        """The server could not be met."""
        self.why = f"{self.server} could not be reached: {why}"
        self._refuse_all(self.why)
        self.on_met()

    def lost(self) -> None:
        """The connection is gone: what was asked over it has been answered with errors."""
        for spoken in self._spoken.values():
            self._pass_on(spoken.lost())

    def from_server(self, line: bytes) -> None:
        """What the server says to this session."""
        if self._is_closed:
            return
        spoken = self._spoken.get(self._about.era)
        if spoken is None:
            self._early.append(line)
            return
        if len(self._spoken) > 1 and isinstance(message := wire.read(line), wire.Envelope) and message.is_response:
            spoken = self._asked_by(message)
        self._pass_on(spoken.from_server(line))

    def _asked_by(self, message: wire.Envelope) -> Translator:
        """By way of whom the client asked what this answers: only one of both makes ids."""
        assert self.hello is not None, "a server that answers has been met"
        name = wire.id_value(message.id)
        is_ours = isinstance(name, str) and self._ids.made(name)
        return next(one for era, one in self._spoken.items() if (era is not self.hello.era) is is_ours)

    # --- between ----------------------------------------------------------------------------------------------------

    def _translate(self, hello: Hello, just_met: bool = False) -> None:
        """From now on between the era that the client speaks and the server's."""
        if (era := self._about.era) not in self._spoken:
            about = ServerAbout(hello.version, hello.result, self._about.params, just_met)
            self._spoken[era] = translator(era, hello.era, about, self._ids, self._contact.clock)
            self._pass_on(self._spoken[era].connected())

    def _pass_on(self, outgoing: Iterable[Outgoing]) -> None:
        for one in outgoing:
            if one.side is Side.SERVER:
                self._contact.from_leg(self, one.line)
            else:
                self._to_client(self, one.line)
        self._sleep()

    def _sleep(self) -> None:
        """Have the translators woken when they want to be."""
        times = [one.wakes_at_s for one in self._spoken.values() if one.wakes_at_s is not None]
        wakes_at_s = min(times, default=None)
        if wakes_at_s == self._wakes_at_s or self._is_closed:
            return
        self._call_off()
        self._wakes_at_s = wakes_at_s
        if wakes_at_s is not None:
            self._call_off = self._later(max(0.0, wakes_at_s - self._contact.clock()), self._wake)

    def _wake(self) -> None:
        self._wakes_at_s = None
        for spoken in self._spoken.values():
            self._pass_on(spoken.woken())

    def _refuse_all(self, why: str) -> None:
        """Whatever waits for the server gets this as its answer."""
        waiting, self._waiting = self._waiting, deque()
        for line in waiting:
            self._refuse(line, why)

    def _refuse(self, line: bytes, why: str) -> None:
        message = wire.read(line)
        for one in message.members if isinstance(message, wire.Batch) else (message,):
            if one is not None and one.is_request:
                self._to_client(self, error_line(one.id, CONNECTION_CLOSED, why))

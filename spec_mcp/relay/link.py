"""One connection to a server, through its restarts: its handshake, what waits for it, and requests of our own.

A server that is lost is started or reached again by the next request, after a back-off that grows while it keeps being
lost, and is told what the client told the old one: `initialize`, `notifications/initialized`, the logging level, the
subscriptions. Lines that come meanwhile wait their turn, but not for long: where the next start is further away than
`PAUSE_WAITED_S`, a request is refused, so that its client learns why.

What carries the lines is for others to say: `stdio.py` knows pipes and processes, `back/` what lies behind a gateway.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from spec_mcp.relay import wire

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 30.0
BACK_OFF_DOUBLINGS_MAX = 10
"""More would not matter, and might be more than a number can hold."""

PAUSE_WAITED_S = 3.0
"""How long a request waits for the next start at the most."""

JITTER = 0.25
"""By how much of itself a back-off may be longer, so that not all links of a process come at the same moment."""

STABLE_S = 10.0
"""A server that ran for this long is started again at once when it dies."""

WAITING_MAX = 1024
"""Lines that wait for a server to start; a client that sends more gets errors at once."""

OWN_LINES_MAX_BYTES = 32 * 2**20
"""What waits for a server that does not read, beyond which nothing of our own is added."""

SUBSCRIPTIONS_MAX = 1024
REMEMBERED_MAX_BYTES = 64 * 1024
"""Longer params are not said again: no handshake is as long."""

OWN_ID_PREFIX = "spec-mcp:"


@dataclass(slots=True)
class Memory:
    """What a new server must be told before it can take the old one's place."""

    initialize_params: bytes = b""
    initialized: bytes = b""
    level_params: bytes = b""
    subscriptions: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    REMEMBERED = frozenset({"initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})

    def note_done(self, method: str, params: bytes) -> None:
        """The server has done what a client asked: remember it, as far as it must be said again."""
        if len(params) > REMEMBERED_MAX_BYTES:
            return
        if method == "initialize":
            self.initialize_params, self.initialized, self.level_params = params, b"", b""
            self.subscriptions.clear()
        elif method == "logging/setLevel":
            self.level_params = params
        elif method == "resources/subscribe" and len(self.subscriptions) < SUBSCRIPTIONS_MAX:
            self.subscriptions[wire.members(params).get("uri", b"")] = params
        elif method == "resources/unsubscribe":
            self.subscriptions.pop(wire.members(params).get("uri", b""), None)


Answered = Callable[[wire.Envelope], None]
"""Called with the answer to a request of our own; with an empty one where that request alone will have none."""


class Writer(Protocol):
    """Takes lines for the server, in order."""

    @property
    def waiting_bytes(self) -> int:
        """What the server has not taken yet."""
        ...

    @property
    def kept_back_bytes(self) -> int:
        """What may not be written yet."""
        ...

    def put(self, line: bytes) -> None:
        """Have a line go out, after those before it."""
        ...

    def send(self, line: bytes) -> None:
        """The same, where somebody waits for it."""
        ...

    def stop(self) -> None:
        """Write nothing more."""
        ...


class ServerLink:
    """Lines to one server, through its restarts, whatever carries them. Not thread-safe.

    Who derives from it makes the connection when `start_at_s` has come and says so by `_connected`, and by
    `_disconnected` when it is gone.
    """

    def __init__(
        self,
        writer: Writer,
        clock: Callable[[], float],
        is_connected: bool = False,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`chance` gives numbers from 0 to 1 that spread what many links do at once."""
        self.memory = Memory()
        self.own_prefix = OWN_ID_PREFIX + secrets.token_hex(8) + ":"
        self.own_marker = self.own_prefix.encode()
        """What the ids and tokens of our own contain, as it stands in a line."""
        self.start_at_s: float | None = None
        """When the next connection is to be made; None while there is one or nobody asks."""
        self.on_restarted: Callable[[], None] = lambda: None
        self.on_woken: Callable[[], None] = lambda: None
        """Told when a start has become due, or will."""
        self.on_request_lost: Callable[[bytes, str | None], None] = lambda id_raw, why: None
        """Told the id of a request that the server may have worked on, and to which there will be no answer; and why,
        or None where nobody waits for one. The connection goes on."""
        self._out = writer
        self._clock = clock
        self._chance = chance
        self._is_connected = is_connected
        self._started_at_s = clock()
        self._deaths = 0
        self._earliest_s = 0.0
        self._ready = True
        self._waiting: deque[tuple[str, bytes]] = deque()
        """Method and line."""
        self._waiting_bytes = 0
        self._own: dict[str, Answered] = {}
        self._own_made = 0

    @property
    def ends_with_server(self) -> bool:
        """Is what the server was doing at an end when the connection is lost? So it is where that is its process."""
        return False

    @property
    def group(self) -> int:
        """The group of the server's processes; 0 where there is none."""
        return 0

    @property
    def is_up(self) -> bool:
        """Does it take lines now?"""
        return self._is_connected and self._ready

    @property
    def waiting_bytes(self) -> int:
        """What the server has not taken yet."""
        return self._out.waiting_bytes + self._waiting_bytes

    # --- the client's lines -----------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server is there again; why not, where it will not be."""
        if self._is_connected and self._ready:
            self._out.send(line)
            return None
        if len(self._waiting) >= WAITING_MAX:
            return "too many requests wait for the server to start"
        if not self._is_connected and self.start_at_s is None:
            if (why := self._refusal()) is not None:
                return why
            self.wake()
        self._wait_with(method, line)
        return None

    def tell(self, line: bytes) -> None:
        """Send what is no request: a server that is down need not be started for it."""
        if self.is_up:
            self._out.put(line)
        elif self._waiting and len(self._waiting) < WAITING_MAX:  # it may speak of what waits
            self._wait_with("", line)

    def tell_initialized(self, line: bytes) -> None:
        """The client's end of the handshake, which a new server is told in any case."""
        self.memory.initialized = line
        if self.is_up:
            self._out.put(line)

    def wake(self) -> None:
        """Have the server started if it is down, though no request waits for it."""
        if not self._is_connected and self.start_at_s is None:
            self.start_at_s = max(self._clock(), self._earliest_s)
            self.on_woken()

    def _refusal(self) -> str | None:
        """Why a request is not to wait for the next start."""
        pause_s = self._earliest_s - self._clock()
        if pause_s <= PAUSE_WAITED_S:
            return None
        return f"the server keeps ending right after its start; it is tried again in {pause_s:.0f} s"

    def _wait_with(self, method: str, line: bytes) -> None:
        self._waiting.append((method, line))
        self._waiting_bytes += len(line)

    # --- lines of our own -------------------------------------------------------------------------------------------

    @property
    def takes_own_lines(self) -> bool:
        """Is the server up, and does it read?"""
        return self.is_up and self._out.waiting_bytes + self._out.kept_back_bytes < OWN_LINES_MAX_BYTES

    def say(self, line: bytes) -> None:
        """Send a line of our own, where the server takes such."""
        if self.takes_own_lines:
            self._out.put(line)

    def ask(self, method: str, params: bytes, answered: Answered) -> None:
        """Make a request of our own; its answer goes to `answered` alone, and none comes if the server is lost."""
        own_id = self.next_own_id()
        self._own[own_id] = answered
        body = b',"params":' + params if params else b""
        self._out.put(b'{"jsonrpc":"2.0","id":"%s","method":"%s"%s}\n' % (own_id.encode(), method.encode(), body))

    def next_own_id(self) -> str:
        """An id, or a progress token, that no client uses."""
        self._own_made += 1
        return f"{self.own_prefix}{self._own_made}"

    def take_own_answer(self, own_id: str, envelope: wire.Envelope) -> bool:
        """Hand an answer to whoever asked; False if nobody did, or no longer waits."""
        answered = self._own.pop(own_id, None)
        if answered is None:
            return False
        answered(envelope)
        return True

    # --- ends and beginnings ----------------------------------------------------------------------------------------

    def _disconnected(self) -> None:
        """The connection is gone: what waited and what was asked over it is forgotten."""
        self._is_connected = False
        self._out.stop()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._own.clear()
        self.start_at_s = None
        now_s = self._clock()
        self._deaths = 1 if now_s - self._started_at_s >= STABLE_S else self._deaths + 1
        self._earliest_s = now_s + back_off_s(self._deaths) * (1.0 + JITTER * self._chance())

    def _connected(self, writer: Writer) -> None:
        """There is a new connection: tell the server what the old one knew, then what waits."""
        self._is_connected = True
        self.start_at_s = None
        self._out = writer
        starts_anew = any(method == "initialize" for method, _ in self._waiting)
        self._ready = starts_anew or not self.memory.initialize_params
        if self._ready:
            self._go_on()
        else:
            self.ask("initialize", self.memory.initialize_params, self._initialized_again)

    def _initialized_again(self, envelope: wire.Envelope) -> None:
        if self.memory.initialized:
            self._out.put(self.memory.initialized)
        if self.memory.level_params:
            self.ask("logging/setLevel", self.memory.level_params, _nobody_waits)
        for params in self.memory.subscriptions.values():
            self.ask("resources/subscribe", params, _nobody_waits)
        self._ready = True
        self._go_on()

    def _go_on(self) -> None:
        self.on_restarted()
        while self._waiting:
            _, line = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            self._out.put(line)


def back_off_s(deaths: int) -> float:
    """How long to wait before the next start, after so many ends in a row."""
    if deaths <= 1:
        return 0.0
    return min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(deaths - 2, BACK_OFF_DOUBLINGS_MAX))


def _nobody_waits(envelope: wire.Envelope) -> None:
    """Said for the new server's sake alone."""

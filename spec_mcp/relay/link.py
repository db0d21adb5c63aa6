"""One connection to a stdio server: its process, its handshake, its restarts, and requests of our own.

A server that dies is started again by the next request, after a back-off that grows while it keeps dying, and is told
what the client told the old one: `initialize`, `notifications/initialized`, the logging level, the subscriptions.
Lines that come meanwhile wait their turn, but not for long: where the next start is further away than
`PAUSE_WAITED_S`, a request is refused, so that its client learns why.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.lines import LineReader, LineWriter, Piece
from spec_mcp.relay.process import ServerProcess

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 30.0
BACK_OFF_DOUBLINGS_MAX = 10
"""More would not matter, and might be more than a number can hold."""

PAUSE_WAITED_S = 3.0
"""How long a request waits for the next start at the most."""

STABLE_S = 10.0
"""A server that ran for this long is started again at once when it dies."""

OLD_ONE_S = 0.02
"""How often to look whether the old process has gone: two of one server might disturb each other."""

WAITING_MAX = 1024
"""Lines that wait for a server to start; a client that sends more gets errors at once."""

OWN_LINES_MAX_BYTES = 32 * 2**20
"""What waits for a server that does not read, beyond which nothing of our own is added."""

SUBSCRIPTIONS_MAX = 1024
REMEMBERED_MAX_BYTES = 64 * 1024
"""Longer params are not said again to a new process: no handshake is as long."""

OWN_ID_PREFIX = "spec-mcp:"


@dataclass(slots=True)
class Memory:
    """What a new process must be told before it can take the old one's place."""

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
"""Called with the answer to a request of our own."""


class ServerLink:
    """Lines to and from one server, through its restarts. Not thread-safe."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        process: ServerProcess,
        clock: Callable[[], float],
        cwd: str | None = None,
    ) -> None:
        self.command = list(command)
        self.memory = Memory()
        self.process: ServerProcess | None = process
        self.reader = LineReader(process.output_fd)
        self.writer = LineWriter(process.input_fd)
        self.own_prefix = OWN_ID_PREFIX + secrets.token_hex(8) + ":"
        self.own_marker = self.own_prefix.encode()
        """What the ids and tokens of our own contain, as it stands in a line."""
        self.start_at_s: float | None = None
        """When the next process is to be started; None while one runs or nobody asks."""
        self.on_restarted: Callable[[], None] = lambda: None
        self._env = env
        self._cwd = cwd
        self._clock = clock
        self._started_at_s = clock()
        self._deaths = 0
        self._earliest_s = 0.0
        self._ready = True
        self._waiting: deque[tuple[str, bytes]] = deque()
        """Method and line."""
        self._waiting_bytes = 0
        self._is_passing = False
        """A line goes on in pieces, and its end has not come."""
        self._is_lost = False
        """The process that got the beginning of that line, or should have, is gone."""
        self._own: dict[str, Answered] = {}
        self._own_made = 0
        self._enders: list[threading.Thread] = []

    @property
    def group(self) -> int:
        """The group of the server's processes; 0 where there is none."""
        return 0 if self.process is None else self.process.pid

    @property
    def is_up(self) -> bool:
        """Does it take lines now?"""
        return self.process is not None and self._ready

    @property
    def waiting_bytes(self) -> int:
        """What the server has not taken yet."""
        return self.writer.waiting_bytes + self._waiting_bytes

    # --- the client's lines -----------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server has been started again; why not, where it will not be."""
        if self.is_up:
            self.writer.send(line)
            return None
        if len(self._waiting) >= WAITING_MAX:
            return "too many requests wait for the server to start"
        if self.process is None and self.start_at_s is None:
            pause_s = self._earliest_s - self._clock()
            if pause_s > PAUSE_WAITED_S:
                return f"the server keeps ending right after its start; it is tried again in {pause_s:.0f} s"
            self.wake()
        self._wait_with(method, line)
        return None

    def pass_on(self, piece: Piece) -> None:
        """Send part of a line that is too long to be collected; who has not got its beginning gets nothing of it."""
        if not self._is_passing:
            self._is_lost = False
        self._is_passing = not piece.endswith(b"\n")
        if not self._is_lost:
            self._is_lost = self.send("", piece) is not None

    def tell(self, line: bytes) -> None:
        """Send what is no request: a server that is down need not be started for it."""
        if self.is_up:
            self.writer.put(line)
        elif self._waiting and len(self._waiting) < WAITING_MAX:  # it may speak of what waits
            self._wait_with("", line)

    def tell_initialized(self, line: bytes) -> None:
        """The client's end of the handshake, which a new process is told in any case."""
        self.memory.initialized = line
        if self.is_up:
            self.writer.put(line)

    def wake(self) -> None:
        """Have the server started if it is down, though no request waits for it."""
        if self.process is None and self.start_at_s is None:
            self.start_at_s = max(self._clock(), self._earliest_s)

    def _wait_with(self, method: str, line: bytes) -> None:
        self._waiting.append((method, line))
        self._waiting_bytes += len(line)

    # --- lines of our own -------------------------------------------------------------------------------------------

    @property
    def takes_own_lines(self) -> bool:
        """Is the server up, and does it read?"""
        return self.is_up and self.writer.waiting_bytes + self.writer.kept_back_bytes < OWN_LINES_MAX_BYTES

    def say(self, line: bytes) -> None:
        """Send a line of our own, where the server takes such."""
        if self.takes_own_lines:
            self.writer.put(line)

    def ask(self, method: str, params: bytes, answered: Answered) -> None:
        """Make a request of our own; its answer goes to `answered` alone, and none comes if the server dies."""
        own_id = self.next_own_id()
        self._own[own_id] = answered
        body = b',"params":' + params if params else b""
        self.writer.put(b'{"jsonrpc":"2.0","id":"%s","method":"%s"%s}\n' % (own_id.encode(), method.encode(), body))

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

    def lost(self) -> int | None:
        """The process is gone: what waited and what was asked of it is forgotten. Returns its exit code, if known."""
        process, self.process = self.process, None
        self.writer.stop()  # its descriptor will be another's
        self._is_lost = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._own.clear()
        self.start_at_s = None
        now_s = self._clock()
        self._deaths = 1 if now_s - self._started_at_s >= STABLE_S else self._deaths + 1
        self._earliest_s = now_s + back_off_s(self._deaths)
        if process is None:
            return None
        status = process.final_status()
        # what is left of its group may take its time; nobody waits for it but the next process
        self._end(process, polite=True)
        return status

    def close_input(self) -> None:
        """The client has left: tell the server that nothing more will come."""
        self.writer.stop()
        if self.process is not None:
            self.process.close_input()

    def close(self, polite: bool) -> None:
        """Begin to end the process and all that it started."""
        process, self.process = self.process, None
        self.writer.stop()
        if process is not None:
            self._end(process, polite)

    def join(self) -> None:
        """Wait until all that was begun to be ended has gone."""
        for ender in self._enders:
            ender.join()

    def _end(self, process: ServerProcess, polite: bool) -> None:
        ender = threading.Thread(target=process.end, args=(polite,), name="spec-mcp ender", daemon=True)
        try:
            ender.start()
        except RuntimeError:  # the system has no thread left for us
            process.end(polite=False)
            return
        self._enders = [thread for thread in self._enders if thread.is_alive()] + [ender]

    def start(self) -> None:
        """Start a new process and tell it what the old one knew; later, if the old one has not gone yet.

        Raises:
            CannotStart: the command does not start any more.
        """
        if any(ender.is_alive() for ender in self._enders):
            self.start_at_s = self._clock() + OLD_ONE_S
            return
        self.start_at_s = None
        self._started_at_s = self._clock()
        self.process = ServerProcess(self.command, self._env, self._cwd)
        self.reader = LineReader(self.process.output_fd)
        self.writer = LineWriter(self.process.input_fd)
        starts_anew = any(method == "initialize" for method, _ in self._waiting)
        self._ready = starts_anew or not self.memory.initialize_params
        if self._ready:
            self._go_on()
        else:
            self.ask("initialize", self.memory.initialize_params, self._initialized_again)

    def _initialized_again(self, envelope: wire.Envelope) -> None:
        if self.memory.initialized:
            self.writer.put(self.memory.initialized)
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
            self.writer.put(line)


def back_off_s(deaths: int) -> float:
    """How long to wait before the next start, after so many ends in a row."""
    if deaths <= 1:
        return 0.0
    return min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** min(deaths - 2, BACK_OFF_DOUBLINGS_MAX))


def _nobody_waits(envelope: wire.Envelope) -> None:
    """Said for the new process's sake alone."""

"""One connection to a stdio server: its process, its handshake, its restarts, and requests of our own.

A server that dies is started again by the next request, after a back-off that grows while it keeps dying, and is told
what the client told the old one: `initialize`, `notifications/initialized`, the logging level, the subscriptions.
Lines that come meanwhile wait their turn.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.lines import LineReader, LineWriter
from spec_mcp.relay.process import CannotStart, ServerProcess

BACK_OFF_FIRST_S = 0.5
BACK_OFF_MAX_S = 30.0

PATIENCE_S = 3.0
"""A request waits no longer for a server that keeps dying: its client is told so at once."""

STABLE_S = 10.0
"""A server that ran for this long is started again at once when it dies."""

WAITING_MAX = 1024
"""Lines that wait for a server to start; a client that sends more gets errors at once."""

OWN_ID_PREFIX = "spec-mcp:"


@dataclass(slots=True)
class Memory:
    """What a new process must be told before it can take the old one's place."""

    initialize_params: bytes = b""
    initialized: bytes = b""
    level_params: bytes = b""
    subscriptions: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def note_request(self, method: str, params: bytes) -> None:
        """Remember a client's request, as far as it must be said again."""
        if method == "initialize":
            self.initialize_params = params
            self.initialized = b""
        elif method == "logging/setLevel":
            self.level_params = params
        elif method == "resources/subscribe":
            self.subscriptions[wire.members(params).get("uri", b"")] = params
        elif method == "resources/unsubscribe":
            self.subscriptions.pop(wire.members(params).get("uri", b""), None)


Answered = Callable[[wire.Envelope, bytes], None]
"""Called with the answer to a request of our own, and its line."""


class ServerLink:
    """Lines to and from one server, through its restarts. Not thread-safe."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        process: ServerProcess,
        clock: Callable[[], float],
    ) -> None:
        self.command = list(command)
        self.memory = Memory()
        self.process: ServerProcess | None = process
        self.reader = LineReader(process.output_fd)
        self.writer = LineWriter(process.input_fd)
        self.own_prefix = OWN_ID_PREFIX + secrets.token_hex(8) + ":"
        self.generation = 0
        """Counts the processes: the loop's registrations belong to one."""
        self.start_at_s: float | None = None
        """When the next process is to be started; None while one runs or nobody asks."""
        self.on_restarted: Callable[[], None] = lambda: None
        self._env = env
        self._clock = clock
        self._started_at_s = clock()
        self._deaths = 0
        self._earliest_s = 0.0
        self._ready = True
        self._waiting: deque[bytes] = deque()
        self._own: dict[str, Answered] = {}
        self._own_made = 0
        self._enders: list[threading.Thread] = []

    @property
    def is_up(self) -> bool:
        """Does it take lines now?"""
        return self.process is not None and self._ready

    @property
    def own_marker(self) -> bytes:
        """What the ids and tokens of our own contain, as it stands in a line."""
        return self.own_prefix.encode()

    def send(self, line: bytes) -> str | None:
        """Send a line, or keep it until the server has been started again; why not, if it was not taken."""
        if self.is_up:
            self.writer.send(line)
            return None
        if len(self._waiting) >= WAITING_MAX:
            return "too many requests wait for the server to start"
        if self.process is None and self.start_at_s is None:
            pause_s = self._earliest_s - self._clock()
            if pause_s > PATIENCE_S:
                return f"the server keeps ending right after its start; it is tried again in {pause_s:.0f} s"
            self.start_at_s = max(self._clock(), self._earliest_s)
        self._waiting.append(line)
        return None

    def tell(self, line: bytes) -> None:
        """Send a line that is no request: a server that is down need not be started for it."""
        if self.is_up:
            self.writer.put(line)

    def ask(self, method: str, params: bytes, answered: Answered) -> str:
        """Make a request of our own; its answer goes to `answered` alone. Returns its id."""
        own_id = self.next_own_id()
        self._own[own_id] = answered
        body = b',"params":' + params if params else b""
        self.writer.put(b'{"jsonrpc":"2.0","id":"%s","method":"%s"%s}\n' % (own_id.encode(), method.encode(), body))
        return own_id

    def next_own_id(self) -> str:
        """An id, or a progress token, that no client uses."""
        self._own_made += 1
        return f"{self.own_prefix}{self._own_made}"

    def take_own_answer(self, own_id: str, envelope: wire.Envelope, line: bytes) -> bool:
        """Hand an answer to whoever asked; False if nobody did, or no longer waits."""
        answered = self._own.pop(own_id, None)
        if answered is None:
            return False
        answered(envelope, line)
        return True

    def lost(self) -> int | None:
        """The process is gone: what waited and what was asked of it is forgotten. Returns its exit code, if known."""
        process, self.process = self.process, None
        self._waiting.clear()
        self._own.clear()
        self.start_at_s = None
        now_s = self._clock()
        self._deaths = 1 if now_s - self._started_at_s >= STABLE_S else self._deaths + 1
        pause_s = 0.0 if self._deaths <= 1 else min(BACK_OFF_MAX_S, BACK_OFF_FIRST_S * 2.0 ** (self._deaths - 2))
        self._earliest_s = now_s + pause_s
        if process is None:
            return None
        status = process.exit_status()
        # what is left of its group may take its time; nobody waits for it before the end
        ender = threading.Thread(target=process.end, kwargs={"polite": False}, daemon=True)
        ender.start()
        self._enders = [thread for thread in self._enders if thread.is_alive()] + [ender]
        return status

    def close(self, polite: bool) -> None:
        """End the process and all that it started; returns when all is gone."""
        if self.process is not None:
            self.process.end(polite)
            self.process = None
        for ender in self._enders:
            ender.join()

    def start(self) -> None:
        """Start a new process and tell it what the old one knew.

        Raises:
            CannotStart: the command does not start any more.
        """
        self.start_at_s = None
        self._started_at_s = self._clock()
        self.generation += 1
        try:
            self.process = ServerProcess(self.command, self._env)
        except CannotStart:
            self._deaths += 1
            raise
        self.reader = LineReader(self.process.output_fd)
        self.writer = LineWriter(self.process.input_fd)
        starts_anew = bool(self._waiting) and b'"initialize"' in self._waiting[0]
        self._ready = starts_anew or not self.memory.initialize_params
        if self._ready:
            self._go_on()
        else:
            self.ask("initialize", self.memory.initialize_params, self._initialized_again)

    def _initialized_again(self, envelope: wire.Envelope, line: bytes) -> None:
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
            self.writer.put(self._waiting.popleft())


def _nobody_waits(envelope: wire.Envelope, line: bytes) -> None:
    """Said for the new process's sake alone."""

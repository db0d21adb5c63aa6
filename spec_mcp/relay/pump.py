"""The loop: one thread, `poll`, non-blocking descriptors. It reads, hands lines on, writes, and rests.

What can wait (learning, predicting, what other threads bring) is done when no line waits to be read, so that a call
never waits for a prediction. A peer that does not read is not read from on the other side: memory stays bounded.
"""

from __future__ import annotations

import gc
import os
import select
import signal
from collections import deque
from collections.abc import Callable
from types import FrameType

from spec_mcp.relay import wire
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader, LineWriter
from spec_mcp.relay.link import ServerLink
from spec_mcp.relay.process import CannotStart

BACKLOG_MAX_BYTES = 16 * 2**20
"""What may wait for a peer that does not read, before the other side is not read any more."""

QUIET_MS = 5.0
"""How long no line must have come before what can wait is done: a call that is answered faster never waits for it."""

MODE_LOOK_S = 1.0
"""How often the mode switch is looked at, while there is traffic."""

LEAVING_S = 1.0
"""How long a server may take to leave after its client, before it is ended."""

LEAVING_BUSY_S = 10.0
"""The same where calls are in flight: a client that only closed its input may still read their answers."""

GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Pump:
    """Runs one client and one server until either is done."""

    def __init__(
        self,
        bridge: Bridge,
        link: ServerLink,
        client_in: LineReader,
        client_out: LineWriter,
        learner: Learner,
        clock: Callable[[], float],
        look_at_mode: Callable[[], None],
    ) -> None:
        self._bridge = bridge
        self._link = link
        self._client_in = client_in
        self._client_out = client_out
        self._learner = learner
        self._clock = clock
        self._look_at_mode = look_at_mode
        self._mode_looked_at_s = 0.0
        self._soon: deque[Callable[[], None]] = deque()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._stopped_by: int | None = None
        self._client_left = False
        self._leaving_until_s: float | None = None

    def call_soon(self, task: Callable[[], None]) -> None:
        """Have a task done on the loop's thread when there is time. Any thread may call this."""
        self._soon.append(task)
        self._wake()

    def stop(self, number: int, frame: FrameType | None = None) -> None:
        """End the loop: a signal handler."""
        self._stopped_by = number
        self._wake()

    def run(self) -> int | None:
        """Run until the client has left or a signal came. Returns the signal's number, if one came."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.stop)
        gc.freeze()  # what stands now stays: the collector need not look through it at every turn
        quiet = False
        while self._stopped_by is None and not self._client_out.broken:
            has_work = self._learner.has_work or bool(self._soon)
            ready = self._poll(self._timeout_ms(has_work, quiet))
            quiet = not ready
            if ready:
                self._serve(ready)
            elif has_work:
                self._do_one_task()
            self._keep_time()
            self._flush()
            if self._is_done():
                break
        self._flush()
        return self._stopped_by

    def _is_done(self) -> bool:
        """After the client has left: tell the server so, and pass on what it still says until it ends."""
        if not self._client_left:
            return False
        if self._link.process is None:
            return not self._client_out.waiting_bytes
        if self._leaving_until_s is None:
            if not self._bridge.has_unsent and not self._link.writer.waiting_bytes:
                self._link.process.close_input()
                self._leaving_until_s = self._clock() + (LEAVING_BUSY_S if self._bridge.is_busy else LEAVING_S)
            return False
        return self._clock() >= self._leaving_until_s

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _poll(self, timeout_ms: float | None) -> list[tuple[int, int]]:
        poller = select.poll()
        poller.register(self._wake_in, select.POLLIN)
        link = self._link
        if not self._client_left and link.writer.waiting_bytes < BACKLOG_MAX_BYTES:
            poller.register(self._client_in.fd, select.POLLIN)
        if self._client_out.waiting_bytes:
            poller.register(self._client_out.fd, select.POLLOUT)
        if link.process is not None:
            if self._client_out.waiting_bytes < BACKLOG_MAX_BYTES:
                poller.register(link.reader.fd, select.POLLIN)
            if link.writer.waiting_bytes:
                poller.register(link.writer.fd, select.POLLOUT)
        return poller.poll(timeout_ms)

    def _timeout_ms(self, has_work: bool, quiet: bool) -> float | None:
        if has_work and quiet:
            return 0.0
        times = [
            time for time in (self._bridge.deadline_s, self._link.start_at_s, self._leaving_until_s) if time is not None
        ]
        due_ms = max(0.0, (min(times) - self._clock()) * 1000.0) if times else None
        if has_work:
            return QUIET_MS if due_ms is None else min(due_ms, QUIET_MS)
        return due_ms

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        for fd, mask in ready:
            if fd == self._wake_in:
                self._drain_wake_ups()
            elif fd == self._client_in.fd and mask & (select.POLLIN | GONE):
                self._read_client()
            elif fd == self._link.reader.fd and self._link.process is not None and mask & (select.POLLIN | GONE):
                self._read_server()

    def _read_client(self) -> None:
        self._look_at_mode_sometimes()
        for line in self._client_in.read():
            self._bridge.on_client_line(line)
        self._link.writer.flush()
        if self._client_in.ended:
            self._client_left = True

    def _read_server(self) -> None:
        for line in self._link.reader.read():
            if line.endswith(b"\n"):
                self._bridge.on_server_line(line)
            elif wire.read(line) is not None:  # it died before the newline; half a line is nobody's
                self._bridge.on_server_line(line + b"\n")
        self._client_out.flush()
        if self._link.reader.ended:
            self._server_lost()

    def _server_lost(self) -> None:
        status = self._link.lost()
        how = "" if status is None else f" (exit code {status})" if status >= 0 else f" (signal {-status})"
        why = f"the server ended{how} before it answered; the next request starts it again"
        self._bridge.on_server_lost(None if self._client_left else why)

    # --- what can wait ----------------------------------------------------------------------------------------------

    def _do_one_task(self) -> None:
        if self._soon:
            self._soon.popleft()()
        else:
            self._learner.work()

    def _keep_time(self) -> None:
        now_s = self._clock()
        deadline_s = self._bridge.deadline_s
        if deadline_s is not None and now_s >= deadline_s:
            self._bridge.tick()
        start_at_s = self._link.start_at_s
        if start_at_s is not None and now_s >= start_at_s:
            try:
                self._link.start()
            except CannotStart as error:
                self._link.lost()
                self._bridge.on_server_lost(str(error))

    def _look_at_mode_sometimes(self) -> None:
        now_s = self._clock()
        if now_s - self._mode_looked_at_s >= MODE_LOOK_S:
            self._mode_looked_at_s = now_s
            self._look_at_mode()

    def _flush(self) -> None:
        if self._client_out.waiting_bytes:
            self._client_out.flush()
        if self._link.writer.waiting_bytes:
            self._link.writer.flush()

    def _drain_wake_ups(self) -> None:
        try:
            while os.read(self._wake_in, 4096):
                pass
        except BlockingIOError:
            pass

    def _wake(self) -> None:
        try:
            os.write(self._wake_out, b"!")
        except (BlockingIOError, OSError):  # it is awake already, or over
            pass

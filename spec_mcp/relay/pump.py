"""The loop: one thread, `poll`, non-blocking descriptors. It reads, hands lines on, writes, and rests.

What can wait (learning, predicting, what other threads bring) is done when no line waits to be read, so that a call
never waits for a prediction. A peer that does not read is not read from on the other side: memory stays bounded.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.interpreter import prefer_lines
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.lines import LineReader, LineWriter, Piece
from spec_mcp.relay.passing import Passing
from spec_mcp.relay.process import CannotStart
from spec_mcp.relay.stdio import StdioLink
from spec_mcp.relay.stopping import Stopping

BACKLOG_MAX_BYTES = 16 * 2**20
"""What may wait for a peer that does not read, before the other side is not read any more."""

QUIET_MS = 5.0
"""How long no line must have come before what can wait is done: a call that is answered faster never waits for it."""

MODE_LOOK_S = 1.0
"""How often the mode switch is looked at, while there is traffic."""

LEAVING_S = 1.0
"""How long a server may take to leave after its client, before it is ended."""

LEAVING_BUSY_S = 10.0
"""The same where calls are in flight: a client that only closed its input may still read their answers. One that is
in a hurry says so by a signal, or reads no more."""

SETTLE_LEAVING_S = 10.0
"""How long we stay after the client to take back what it did not use: about what an undo may take. A client that kills
us before that leaves it to the undo journal."""

DEAF_S = 1.0
"""How long a server that takes no more lines may go on speaking: the end of its output follows at once as a rule."""

GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Pump:
    """Runs one client and one server until either is done."""

    def __init__(
        self,
        bridge: Bridge,
        link: StdioLink,
        client_in: LineReader,
        client_out: LineWriter,
        learner: Learner,
        clock: Callable[[], float],
        look_at_mode: Callable[[], None],
        stopping: Stopping,
    ) -> None:
        self._bridge = bridge
        self._link = link
        self._client_in = client_in
        self._client_out = client_out
        self._passing = Passing(bridge, link, client_out)
        self._learner = learner
        self._clock = clock
        self._look_at_mode = look_at_mode
        self._stopping = stopping
        self._mode_looked_at_s = 0.0
        self._at_once: deque[Callable[[], None]] = deque()
        self._soon: deque[Callable[[], None]] = deque()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._poller = select.poll()
        self._registered: list[tuple[int, int]] = []
        self._client_closes = False
        """The client has closed its end, but something that it said may be unread."""
        self._client_left = False
        self._client_gone = False
        self._left_behind = (0, 0)
        """When the client has left: how many answers, and bytes, it may still read."""
        self._progress_at_s = 0.0
        self._settling_until_s: float | None = None
        """Since the client has left, or we were told to stop."""
        self._deaf_until_s: float | None = None

    def call_soon(self, task: Callable[[], None]) -> None:
        """Have a task done on the loop's thread when there is time. Any thread may call this."""
        self._soon.append(task)
        self._wake()

    def call_at_once(self, task: Callable[[], None]) -> None:
        """Have a task done on the loop's thread before anything else. Any thread may call this."""
        self._at_once.append(task)
        self._wake()

    def run(self) -> None:
        """Run until the client has left or we were told to stop."""
        self._stopping.wake = self._wake
        prefer_lines()
        quiet = False
        while self._stopping.number is None and not self._is_done():
            quiet = self._turn(quiet)
        self._flush()
        self._take_back()

    def _take_back(self) -> None:
        """Stay until nothing is left of what was done early and not used, but not for long."""
        if not self._bridge.is_settling:
            return
        if not self._client_left:
            self._leave()
        while self._is_settling():
            self._turn(quiet=True)
        self._flush()

    def _turn(self, quiet: bool) -> bool:
        """Wait for something to happen, and see to it; was there nothing?"""
        has_work = (self._learner.has_work or bool(self._soon)) and not self._client_left
        ready = self._poll(self._timeout_ms(has_work, quiet))
        if ready:
            self._serve(ready)
        elif has_work:
            self._do_one_task()
        self._keep_time()
        self._flush()
        return not ready

    @property
    def was_patient(self) -> bool:
        """Has the server been told of the client's end, and had the time to leave?"""
        return self._client_left and self._clock() >= self._leaving_until_s

    def close(self) -> None:
        """Let go of what the loop needed. Nothing may be called afterwards."""
        self._stopping.wake = lambda: None
        wake_out, self._wake_out = self._wake_out, -1
        os.close(self._wake_in)
        os.close(wake_out)

    # --- leaving ----------------------------------------------------------------------------------------------------

    def _is_done(self) -> bool:
        """After the client has left: tell the server so, and pass on what it still says until it ends."""
        if self._client_gone or self._client_out.broken:
            return True
        if not self._client_closes:
            return False
        if self._client_left:
            if self._is_settling():
                self._progress_at_s = self._clock()  # the server's time to leave begins after that
                return False
            if self._link.process is None and not self._client_out.waiting_bytes:
                return True
            if not self._bridge.has_unsent and not self._link.waiting_bytes:
                self._link.close_input()
        self._note_progress()
        return self._clock() >= self._leaving_until_s

    def _is_settling(self) -> bool:
        """Is there still something to be taken back, and time for it?"""
        if not self._bridge.is_settling:
            return False
        if self._settling_until_s is None:
            self._settling_until_s = self._clock() + SETTLE_LEAVING_S
        return self._clock() < self._settling_until_s

    def _note_progress(self) -> None:
        is_talking = self._client_left and self._link.process is not None  # what it says without being asked is no end
        left = (self._bridge.awaited, 0 if is_talking else self._client_out.waiting_bytes)
        if left != self._left_behind:
            self._left_behind = left
            self._progress_at_s = self._clock()

    @property
    def _leaving_until_s(self) -> float:
        """When patience ends, unless something moves before."""
        return self._progress_at_s + (LEAVING_BUSY_S if self._left_behind[0] else LEAVING_S)

    def _close(self) -> None:
        """The client has closed its end."""
        if not self._client_closes:
            self._client_closes = True
            self._left_behind = (self._bridge.awaited, self._client_out.waiting_bytes)
            self._progress_at_s = self._clock()

    def _leave(self) -> None:
        """The client will say nothing more."""
        self._close()
        self._client_left = True
        self._safely(self._bridge.on_client_left)

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _poll(self, timeout_ms: float | None) -> list[tuple[int, int]]:
        wanted = self._wanted()
        if wanted != self._registered:
            self._registered = wanted
            self._poller = select.poll()
            for fd, mask in wanted:
                self._poller.register(fd, mask)
        return self._poller.poll(timeout_ms)

    def _wanted(self) -> list[tuple[int, int]]:
        """Which descriptors to wait for, and for what. A peer's end is always reported."""
        link, client_out = self._link, self._client_out
        is_gone = self._client_gone or client_out.broken
        is_drained = is_gone or client_out.waiting_bytes < BACKLOG_MAX_BYTES
        wanted = [(self._wake_in, select.POLLIN)]
        if not is_gone:
            wanted.append((client_out.fd, select.POLLOUT if client_out.waiting_bytes else 0))
        if not self._client_left:
            if is_drained and max(link.waiting_bytes, client_out.kept_back_bytes) < BACKLOG_MAX_BYTES:
                wanted.append((self._client_in.fd, select.POLLIN))
            elif not self._client_closes:
                wanted.append((self._client_in.fd, 0))
        if link.process is not None:
            if is_drained:
                wanted.append((link.reader.fd, select.POLLIN))
            if link.writer.waiting_bytes:
                wanted.append((link.writer.fd, select.POLLOUT))
        return wanted

    def _timeout_ms(self, has_work: bool, quiet: bool) -> float | None:
        if has_work and quiet:
            return 0.0
        times = [
            self._bridge.deadline_s,
            self._link.start_at_s,
            self._deaf_until_s,
            self._leaving_until_s if self._client_closes else None,
            self._settling_until_s if self._bridge.is_settling else None,
        ]
        due = [time for time in times if time is not None]
        due_ms = max(0.0, (min(due) - self._clock()) * 1000.0) if due else None
        if has_work:
            return QUIET_MS if due_ms is None else min(due_ms, QUIET_MS)
        return due_ms

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        for fd, mask in ready:
            if fd == self._wake_in:
                self._wake_up()
            elif fd == self._client_in.fd and mask & select.POLLIN:
                self._read_client()
            elif fd == self._client_out.fd and mask & GONE:
                self._client_gone = True
            elif fd == self._client_in.fd and mask & GONE:
                self._close()
                if (self._client_in.fd, select.POLLIN) in self._registered:
                    self._read_client()
            elif fd == self._link.reader.fd and self._link.process is not None and mask & (select.POLLIN | GONE):
                self._read_server()

    def _read_client(self) -> None:
        self._look_at_mode_sometimes()
        lines = self._client_in.read()
        self._cork(len(lines) > 1)
        for line in lines:
            self._safely(self._passing.from_client if type(line) is Piece else self._bridge.on_client_line, line)
        self._cork(False)
        self._flush()
        if self._client_in.ended:
            self._leave()

    def _read_server(self) -> None:
        lines = self._link.reader.read()
        self._cork(len(lines) > 1)
        for line in lines:
            if type(line) is Piece:
                self._safely(self._passing.from_server, line)
            elif line.endswith(b"\n"):
                self._safely(self._bridge.on_server_line, line)
            elif wire.read(line) is not None:  # it died before the newline; half a line is nobody's
                self._safely(self._bridge.on_server_line, line + b"\n")
        self._cork(False)
        self._flush()
        if self._link.reader.ended:
            self._server_lost()

    def _cork(self, is_corked: bool) -> None:
        """One line goes out at once; what many lead to is written together."""
        self._client_out.is_corked = self._link.writer.is_corked = is_corked

    def _server_lost(self) -> None:
        self._deaf_until_s = None
        status = self._link.lost()
        how = "" if status is None else f" (exit code {status})" if status >= 0 else f" (signal {-status})"
        why = f"the server ended{how} before it answered; the next request starts it again"
        self._safely(self._passing.server_lost)
        self._safely(self._bridge.on_server_lost, None if self._client_left else why)

    # --- what can wait ----------------------------------------------------------------------------------------------

    def _do_one_task(self) -> None:
        if self._soon:
            self._safely(self._soon.popleft())
        else:
            self._learner.work()

    def _safely(self, task: Callable[..., None], *arguments: bytes | str | None) -> None:
        try:
            task(*arguments)
        except Exception as error:  # noqa: BLE001  rule 17: a fault of ours costs speculation, never a call
            self._bridge.give_up(error)

    def _keep_time(self) -> None:
        now_s = self._clock()
        deadline_s = self._bridge.deadline_s
        if deadline_s is not None and now_s >= deadline_s:
            self._bridge.tick()
        start_at_s = self._link.start_at_s
        if start_at_s is not None and now_s >= start_at_s:
            self._start_server()
        if self._link.process is not None and self._link.writer.broken and not self._client_left:
            if self._deaf_until_s is None:
                self._deaf_until_s = now_s + DEAF_S
            elif now_s >= self._deaf_until_s:
                self._server_lost()

    def _start_server(self) -> None:
        try:
            self._link.start()
        except CannotStart as error:
            self._link.lost()
            self._safely(self._bridge.on_server_lost, str(error))

    def _look_at_mode_sometimes(self) -> None:
        now_s = self._clock()
        if now_s - self._mode_looked_at_s >= MODE_LOOK_S:
            self._mode_looked_at_s = now_s
            self._safely(self._look_at_mode)

    def _flush(self) -> None:
        if self._client_out.waiting_bytes:
            self._client_out.flush()
        if self._link.writer.waiting_bytes:
            self._link.writer.flush()

    def _wake_up(self) -> None:
        try:
            while os.read(self._wake_in, 4096):
                pass
        except BlockingIOError:
            pass
        while self._at_once:
            self._safely(self._at_once.popleft())

    def _wake(self) -> None:
        try:
            os.write(self._wake_out, b"!")
        except OSError:  # it is awake already, or over
            pass

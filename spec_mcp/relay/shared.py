"""Writing to standard output, which others may hold too: a terminal, or a pipe that is standard error as well.

O_NONBLOCK is a property of what was opened, not of our descriptor: where the server writes to the same pipe, its own
writes would fail as soon as the pipe is full. So each write says for itself that it does not wait (`RWF_NOWAIT`, on
pipes since Linux 6.4). Elsewhere O_NONBLOCK is set only where standard error is another one; else what poll calls
writable is written in pieces that fit in any case.
"""

from __future__ import annotations

import fcntl
import os
import select
import stat

from spec_mcp.relay.lines import LineWriter

STDERR = 2

PIECE_BYTES = select.PIPE_BUF
"""What fits into a pipe that poll calls writable, unless somebody else was faster: then it waits for its reader."""


class SharedWriter(LineWriter):
    """A writer that leaves what others see of its descriptor as it is."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._was_blocking = os.get_blocking(fd)
        kind = os.fstat(fd).st_mode
        self._can_say_so = hasattr(os, "RWF_NOWAIT") and (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind))
        self._is_careful = False
        if not self._can_say_so:
            self._do_without()

    def restore(self) -> None:
        """Leave the descriptor as it was found."""
        os.set_blocking(self.fd, self._was_blocking)

    def _do_without(self) -> None:
        self._can_say_so = False
        self._is_careful = self._was_blocking and is_same_opening(self.fd, STDERR)
        if not self._is_careful:
            os.set_blocking(self.fd, False)

    def _write(self) -> int:
        if self._can_say_so:
            try:
                parts = self._parts() if self._written or len(self._lines) > 1 else (self._lines[0],)
                return os.pwritev(self.fd, parts, -1, os.RWF_NOWAIT)
            except (BlockingIOError, BrokenPipeError):
                raise
            except OSError:  # this system cannot say so for a pipe
                self._do_without()
        if not self._is_careful:
            return super()._write()
        poller = select.poll()
        poller.register(self.fd, select.POLLOUT)
        if not poller.poll(0):
            raise BlockingIOError
        return os.write(self.fd, memoryview(self._parts()[0])[:PIECE_BYTES])


def is_same_opening(one: int, other: int) -> bool:
    """Are both descriptors of one open file, so that what is set for one holds for the other?

    Asked by a flag that does nothing to pipes and terminals.
    """
    try:
        was, beside = fcntl.fcntl(one, fcntl.F_GETFL), fcntl.fcntl(other, fcntl.F_GETFL)
        if was != beside:
            return False
        fcntl.fcntl(one, fcntl.F_SETFL, was ^ os.O_APPEND)
        try:
            return fcntl.fcntl(other, fcntl.F_GETFL) != beside
        finally:
            fcntl.fcntl(one, fcntl.F_SETFL, was)
    except OSError:
        return False

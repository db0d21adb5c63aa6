"""Bytes to lines and lines to bytes, on file descriptors that never block."""

from __future__ import annotations

import os
from collections import deque
from itertools import islice

READ_BYTES = 1 << 18
"""How much is read at once: more than a pipe holds by default, so that one wake-up empties it."""

WRITE_PARTS = 64
"""How many lines go into one write: fewer system calls under load."""


class LineReader:
    """Cuts what a file descriptor yields into lines, each with its newline.

    A line may come in any number of pieces; each piece is looked at once.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.ended = False
        self._pieces: list[bytes] = []

    def read(self) -> list[bytes]:
        """The lines completed by what can be read now. At the end of the stream, `ended` is set.

        What follows the last newline at the end is given out as it is: a peer that ends in the middle of a line has
        still said so much.
        """
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:  # the peer's end is gone: the same as its end of file
            data = b""
        if not data:
            self.ended = True
            rest = b"".join(self._pieces)
            self._pieces.clear()
            return [rest] if rest else []
        if b"\n" not in data:
            self._pieces.append(data)
            return []
        lines = data.split(b"\n")
        self._pieces.append(lines[0])
        lines[0] = b"".join(self._pieces)
        self._pieces.clear()
        rest = lines.pop()
        if rest:
            self._pieces.append(rest)
        return [line + b"\n" for line in lines]


class LineWriter:
    """Writes lines in order as fast as the peer takes them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken = False
        """Nothing more is written: the peer no longer reads, or we were told to stop."""
        self.waiting_bytes = 0
        self.is_corked = False
        """More lines are on their way: they are written together by the next `flush`."""
        self._lines: deque[bytes] = deque()
        self._written = 0
        """How much of the first line has gone out."""
        self._unended = False

    def put(self, line: bytes) -> None:
        """Queue a line; nothing is written before `flush`. After one without its end, the next begins a new line."""
        if self.broken:
            return
        if self._unended:
            line = b"\n" + line
        self._unended = not line.endswith(b"\n")
        self._lines.append(line)
        self.waiting_bytes += len(line)

    def send(self, line: bytes) -> None:
        """Write a line at once, or queue it behind what waits."""
        self.put(line)
        if not self.is_corked:
            self.flush()

    def flush(self) -> None:
        """Write what the peer takes now."""
        while self._lines:
            try:
                written = self._write()
            except BlockingIOError:
                return
            except OSError:  # a closed pipe or a reset: nobody will read the rest
                self.stop()
                return
            self.waiting_bytes -= written
            self._forget(written)

    def stop(self) -> None:
        """Write nothing more: from now on the descriptor may be another's."""
        self.broken = True
        self._lines.clear()
        self._written = 0
        self.waiting_bytes = 0

    def _write(self) -> int:
        if len(self._lines) == 1 and not self._written:
            return os.write(self.fd, self._lines[0])
        # what is left of a large line is looked at, not copied: it may go out in a thousand pieces
        parts: list[bytes | memoryview] = list(islice(self._lines, WRITE_PARTS))
        parts[0] = memoryview(self._lines[0])[self._written :]
        return os.writev(self.fd, parts)

    def _forget(self, written: int) -> None:
        written += self._written
        while self._lines and written >= len(self._lines[0]):
            written -= len(self._lines.popleft())
        self._written = written

"""Bytes to lines and lines to bytes, on file descriptors that never block."""

from __future__ import annotations

import os
from collections import deque

READ_BYTES = 1 << 18
"""How much is read at once: more than a pipe holds by default, so that one wake-up empties it."""

WRITE_PARTS = 64
"""How many lines are joined for one write: fewer system calls under load, no long copies."""


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

        What follows the last newline at the end is given out as a line: a peer that dies in the middle of one has
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
        """The peer no longer reads."""
        self.waiting_bytes = 0
        self._lines: deque[bytes] = deque()

    def put(self, line: bytes) -> None:
        """Queue a line; nothing is written before `flush`."""
        if not self.broken:
            self._lines.append(line)
            self.waiting_bytes += len(line)

    def send(self, line: bytes) -> None:
        """Write a line at once, or queue it behind what waits."""
        self.put(line)
        self.flush()

    def flush(self) -> None:
        """Write what the peer takes now."""
        while self._lines:
            if len(self._lines) > 1 and len(self._lines[0]) < READ_BYTES:
                count = min(len(self._lines), WRITE_PARTS)
                self._lines.appendleft(b"".join([self._lines.popleft() for _ in range(count)]))
            line = self._lines[0]
            try:
                written = os.write(self.fd, line)
            except BlockingIOError:
                return
            except OSError:  # a closed pipe or a reset: nobody will read the rest
                self.broken = True
                self._lines.clear()
                self.waiting_bytes = 0
                return
            self.waiting_bytes -= written
            if written == len(line):
                self._lines.popleft()
            else:
                self._lines[0] = line[written:]

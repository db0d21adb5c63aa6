"""Bytes to lines and lines to bytes, on file descriptors that never block."""

from __future__ import annotations

import os
from collections import deque
from itertools import islice
from typing import ClassVar
from weakref import WeakSet

READ_BYTES = 1 << 18
"""How much is read at once: more than a pipe holds by default, so that one wake-up empties it."""

WRITE_PARTS = 64
"""How many lines go into one write: fewer system calls under load."""

LINE_MAX_BYTES = 256 * 2**20
"""How much of a line is collected to be looked into, where nothing else is said. A longer line is passed on in pieces
as they come."""

ALL_LINES_MAX_BYTES = 2**30
"""The same of all lines of a process at once: a gateway has many servers, and a hostile one need not come alone."""

PIECE_BYTES = 4 * 2**20
"""What was collected of a line before it was too long is given out in such pieces: it is copied only once."""


class Piece(bytes):
    """Part of a line that is too long to be collected; the last one, and only that, ends with a newline."""


class LineReader:
    """Cuts what a file descriptor yields into lines, each with its newline, and into pieces what is too long for one.

    A line may come in any number of parts; each is looked at once.
    """

    _long: ClassVar[WeakSet[LineReader]] = WeakSet()
    """Those that have, or had, the beginning of a line longer than a piece."""

    def __init__(self, fd: int, max_bytes: int | None = None) -> None:
        """No more than `max_bytes` of a line are collected; without it `LINE_MAX_BYTES`."""
        self.fd = fd
        self.ended = False
        self.is_passing = False
        """The line that is being read is too long to be collected, and part of it has been given out."""
        self.max_bytes = LINE_MAX_BYTES if max_bytes is None else max_bytes
        self._rest = bytearray()
        """The beginning of a line: one object, since a peer may send its bytes one by one."""

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
            rest = self._take_rest()
            return [rest] if rest else []
        if b"\n" not in data:
            return self._unfinished(data)
        lines = data.split(b"\n")
        rest = lines.pop()
        lines = [line + b"\n" for line in lines]
        if self.is_passing:
            self.is_passing = False
            lines[0] = Piece(lines[0])
        elif self._rest:
            self._rest += lines[0]
            lines[0] = self._take_rest()
        if rest:
            lines += self._unfinished(rest)
        return lines

    def _unfinished(self, data: bytes) -> list[bytes]:
        """Part of a line without its end: kept, unless it is too much."""
        if self.is_passing:
            return [Piece(data)]
        self._rest += data
        if len(self._rest) <= self.max_bytes and not self._is_one_too_many():
            return []
        self.is_passing = True
        with memoryview(self._rest) as rest:
            pieces: list[bytes] = [Piece(rest[at : at + PIECE_BYTES]) for at in range(0, len(rest), PIECE_BYTES)]
        self._rest.clear()
        return pieces

    def _is_one_too_many(self) -> bool:
        """Do all lines of this process take too much together, and this one has a large part in it?"""
        if len(self._rest) <= PIECE_BYTES:
            return False
        self._long.add(self)
        return sum(len(reader._rest) for reader in self._long) > ALL_LINES_MAX_BYTES

    def _take_rest(self) -> bytes:
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


class LineWriter:
    """Writes lines in order as fast as the peer takes them.

    Between the pieces of one line nothing else is written: what is put meanwhile is kept back until its end.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.broken = False
        """Nothing more is written: the peer no longer reads, or we were told to stop."""
        self.waiting_bytes = 0
        """What the peer has not taken yet."""
        self.kept_back_bytes = 0
        """What may not be written yet."""
        self.is_corked = False
        """More lines are on their way: they are written together by the next `flush`."""
        self._lines: deque[bytes] = deque()
        self._written = 0
        """How much of the first line has gone out."""
        self._unended = False
        self._is_passing = False
        self._kept_back: deque[bytes] = deque()

    def put(self, line: bytes) -> None:
        """Queue a line; nothing is written before `flush`. After one without its end, the next begins a new line."""
        if self.broken:
            return
        if self._is_passing or type(line) is Piece:
            self._put_beside_pieces(line)
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
        self._kept_back.clear()
        self._written = 0
        self.waiting_bytes = self.kept_back_bytes = 0

    def _put_beside_pieces(self, line: bytes) -> None:
        if type(line) is not Piece:
            self._kept_back.append(line)
            self.kept_back_bytes += len(line)
            return
        if self._unended and not self._is_passing:
            self._lines.append(b"\n")
            self.waiting_bytes += 1
        self._lines.append(line)
        self.waiting_bytes += len(line)
        self._unended = self._is_passing = not line.endswith(b"\n")
        if not self._is_passing:
            kept_back, self._kept_back = self._kept_back, deque()
            self.kept_back_bytes = 0
            for line in kept_back:
                self.put(line)

    def _write(self) -> int:
        if len(self._lines) == 1 and not self._written:
            return os.write(self.fd, self._lines[0])
        return os.writev(self.fd, self._parts())

    def _parts(self) -> list[bytes | memoryview]:
        """What is to be written next; what is left of a large line is not copied: it may go out in a thousand parts."""
        parts: list[bytes | memoryview] = list(islice(self._lines, WRITE_PARTS))
        if self._written:
            parts[0] = memoryview(self._lines[0])[self._written :]
        return parts

    def _forget(self, written: int) -> None:
        written += self._written
        while self._lines and written >= len(self._lines[0]):
            written -= len(self._lines.popleft())
        self._written = written

"""The queue between the event loop and the thread that writes. Nothing here waits for a disk or a database."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from collections.abc import Iterable

from spec_mcp.store.rows import CallRow, ComparisonRow, LearnedRow, Row, SkipRow, SpeculationRow, TextRow

MAX_QUEUED_ROWS = 10_000
"""Some minutes of a busy session: longer than any other process holds the store."""

MAX_QUEUED_BYTES = 8 * 2**20
"""Payload that may wait: a tenth of what the whole process may take."""

MAX_PAYLOAD_BYTES = 256 * 2**10
"""A larger result or argument text is not kept. Decoding one takes some milliseconds, in which no other thread of the
process runs, and nobody's next argument comes from the end of such a text."""

MAX_LEARNED_BYTES = 4 * 2**20
"""A larger learned row is not kept: reading it at every start would take longer than it gains."""

MAX_SKIP_KINDS = 4_096
"""Tools times reasons; tool names come from servers, and a hostile one must not fill the memory with them."""


class Intake:
    """A bounded queue for one thread that puts and one that takes. When it is full the oldest rows go, and count."""

    def __init__(self) -> None:
        # held for some microseconds and never while anything waits, so the event loop may take it
        self._lock = threading.Lock()
        self._rows: deque[Row] = deque()
        self._bytes = 0
        self._skips: dict[tuple[str, str, str, str], int] = {}
        self.dropped = 0
        """Rows that were given up."""
        self.put_in_all = 0
        """Rows that were ever handed in."""
        self.changed = threading.Event()
        """Something is there to be taken, or to be done."""

    def put(self, row: Row) -> None:
        """Add a row; a payload that is too large is left out of it."""
        row = _bounded(row)
        with self._lock:
            if isinstance(row, LearnedRow) and len(row.data) > MAX_LEARNED_BYTES:
                self.dropped += 1
                return
            self._rows.append(row)
            self.put_in_all += 1
            self._bytes += _size(row)
            self._shed()
        self._wake()

    def count_skip(self, session: str, server: str, tool: str, reason: str) -> None:
        """Add one to a count: skips are many, and must not push calls out."""
        key = (session, server, tool, reason)
        with self._lock:
            if key in self._skips or len(self._skips) < MAX_SKIP_KINDS:
                self._skips[key] = self._skips.get(key, 0) + 1
            else:
                self.dropped += 1
        self._wake()

    def take(self, limit: int) -> list[Row]:
        """The oldest rows, and all counts so far."""
        with self._lock:
            rows = [self._rows.popleft() for _ in range(min(limit, len(self._rows)))]
            self._bytes -= sum(map(_size, rows))
            skips = [SkipRow(*key, count) for key, count in self._skips.items()]
            self._skips = {}
        return [*rows, *skips]

    def put_back(self, rows: Iterable[Row]) -> None:
        """Rows that could not be written go first again; the oldest of them go for good where there is no room."""
        with self._lock:
            for row in reversed(list(rows)):
                if isinstance(row, SkipRow):
                    key = (row.session, row.server, row.tool, row.reason)
                    self._skips[key] = self._skips.get(key, 0) + row.count
                else:
                    self._rows.appendleft(row)
                    self._bytes += _size(row)
            self._shed()

    def count_dropped(self, rows: int) -> None:
        """Rows were given up elsewhere."""
        with self._lock:
            self.dropped += rows

    def give_up(self) -> None:
        """Nothing of what is queued will be written."""
        with self._lock:
            self.dropped += len(self._rows) + sum(self._skips.values())
            self._rows.clear()
            self._skips.clear()
            self._bytes = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._rows) + len(self._skips)

    def _shed(self) -> None:
        while self._rows and (len(self._rows) > MAX_QUEUED_ROWS or self._bytes > MAX_QUEUED_BYTES):
            self._bytes -= _size(self._rows.popleft())
            self.dropped += 1

    def _wake(self) -> None:
        if not self.changed.is_set():  # setting takes a lock that looking does not
            self.changed.set()


def _bounded(row: Row) -> Row:
    if not isinstance(row, CallRow):
        return row
    size = len(row.result or b"")
    if size <= MAX_PAYLOAD_BYTES and len(row.arguments or b"") <= MAX_PAYLOAD_BYTES:
        return row
    return dataclasses.replace(
        row,
        arguments=row.arguments if len(row.arguments or b"") <= MAX_PAYLOAD_BYTES else None,
        result=row.result if size <= MAX_PAYLOAD_BYTES else None,
        result_bytes=size,
    )


def _size(row: Row) -> int:
    if isinstance(row, CallRow):
        return len(row.arguments or b"") + len(row.result or b"")
    if isinstance(row, LearnedRow):
        return len(row.data)
    if isinstance(row, TextRow):
        return len(row.text)
    if isinstance(row, ComparisonRow):
        return len(row.early or b"") + len(row.real or b"")
    if isinstance(row, SpeculationRow) and isinstance(row.arguments, bytes):
        return len(row.arguments)
    return 0

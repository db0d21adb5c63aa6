"""The undo journal in the store's own SQLite file, through a connection that waits for the disk at each step.

Everything happens under SQLite's write lock, so a change by one process lies before or after one by another. Within
that lock the markers are made and removed too: an entry without a marker is never seen.

A file that no longer lies in its place is never written to: what is put there would be found by nobody. From then on
this journal refuses everything, since entries of this process may lie in the file that is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import msgspec

from spec_mcp.store.connection import Connection, inode
from spec_mcp.store.journal import Claim, Entry, Outcome, bounded
from spec_mcp.store.locks import explained, sync_names, turn
from spec_mcp.store.markers import Markers, checked_name
from spec_mcp.store.owners import Owners
from spec_mcp.store.store import StoreCorrupt, StoreError

BUSY_TIMEOUT_S = 1.0
"""How long a launch may be put off by another process that holds the file: a call may be waiting for the same."""

DURABLE_PRAGMAS = (
    "synchronous = FULL",  # each commit is synced: in WAL, NORMAL would leave the last ones to a power cut
    "fullfsync = ON",  # macOS: past the disk's own memory
)

NAMES = tuple(field.name for field in dataclasses.fields(Entry))
COLUMNS = ", ".join(f'"{name}"' for name in NAMES)  # `left` is a word of SQL
INTEND = f"INSERT INTO undos ({COLUMNS}) VALUES ({', '.join('?' * len(NAMES))})"
SELECT = f"SELECT {COLUMNS} FROM undos"
OURS = "id = ? AND owner = ?"


class SqliteJournal:
    """A `Journal` in the store's file; opening it makes the file where there is none."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Open it.

        Raises:
            StoreError: it cannot be used.
        """
        self.path = path
        self.owners = Owners(path)
        self.markers = Markers(path)
        self._wall_clock = wall_clock
        self._grouped = False
        self._marked: set[str] = set()
        """Instances whose marker was put by us: it outlives a power cut, if it is still there."""
        self._emptied: set[str] = set()
        """Instances that may have no entry left."""
        self._connection = Connection(path, busy_timeout_s)
        try:
            with self._connection.translated():
                for text in DURABLE_PRAGMAS:
                    self._connection.pragma(text)
                sync_names(path)
            with contextlib.suppress(StoreError):  # what is left over harms nobody
                self.owners.clean()
        except BaseException:
            self._connection.close()
            raise

    def intend(self, entry: Entry) -> None:
        bounded(self.path, entry.launch, entry.arguments, entry.reversal, entry.before, entry.result)
        checked_name(entry.instance)
        self.owners.hold(entry.owner)
        with self._step(), _refused():
            self._mark(entry.instance)
            self._connection.run(INTEND, [getattr(entry, name) for name in NAMES])

    def returned(self, entry_id: str, owner: str, outcome: Outcome, result: bytes | None) -> bool:
        bounded(self.path, result)
        return self._change("outcome = ?, result = ?", [outcome, result], entry_id, owner, "outcome = ''")

    def left(self, entry_id: str, owner: str, digest: str) -> bool:
        return self._change('"left" = ?', [digest], entry_id, owner)

    def claim(self, entry_id: str, owner: str, into: Claim) -> bool:
        if into == "adopted":
            return self._delete(entry_id, owner, "state = 'intended'")
        if into != "compensating":
            raise ValueError(f"nothing becomes {into!r}")
        return self._change("state = 'compensating'", [], entry_id, owner, "state = 'intended'")

    def undo_sent(self, entry_id: str, owner: str) -> bool:
        return self._change(
            "undo_sent = undo_sent + 1, state = 'compensating', reason = ''", [], entry_id, owner, "state <> 'intended'"
        )

    def stuck(self, entry_id: str, owner: str, reason: str) -> bool:
        return self._change("state = 'stuck', reason = ?", [reason], entry_id, owner)

    def settled(self, entry_id: str, owner: str) -> bool:
        return self._delete(entry_id, owner)

    def open_entries(self, instance: str | None = None) -> list[Entry]:
        where, values = ("", []) if instance is None else (" WHERE instance = ?", [instance])
        with self._connection.translated():
            self._check_place()
            entries = self._entries(f"{SELECT}{where} ORDER BY number", values)
        if instance is not None and not entries and self.markers.has_open(instance):
            self._emptied.add(instance)  # a process was killed between its last entry's end and the marker's
            if not self._grouped:
                self.tidy()
        return entries

    def take_over(self, entry_id: str, from_owner: str, to_owner: str) -> Entry | None:
        self.owners.hold(to_owner)
        with self._step():
            sql = f"UPDATE undos SET owner = ?, changed_at = ? WHERE {OURS} RETURNING {COLUMNS}"
            taken = self._entries(sql, [to_owner, self._wall_clock(), entry_id, from_owner])
        return taken[0] if taken else None

    @contextlib.contextmanager
    def together(self) -> Generator[None, None, None]:
        with self._connection.translated(), self._connection.transaction():
            self._check_place()
            self._grouped = True
            try:
                yield
            finally:
                self._grouped = False

    def tidy(self) -> None:
        while self._emptied:
            instance = self._emptied.pop()
            with contextlib.suppress(StoreError), self._connection.translated(), self._connection.transaction():
                self._check_place()
                if not self._connection.query("SELECT 1 FROM undos WHERE instance = ? LIMIT 1", [instance]):
                    self._marked.discard(instance)
                    self.markers.remove(instance)

    def close(self) -> None:
        self.tidy()
        self._connection.close()
        self.owners.let_go()

    def _change(self, what: str, values: Sequence[object], entry_id: str, owner: str, where: str = "1") -> bool:
        with self._step(), _refused():
            sql = f"UPDATE undos SET {what}, changed_at = ? WHERE {OURS} AND {where}"
            return self._connection.run(sql, [*values, self._wall_clock(), entry_id, owner]) == 1

    def _delete(self, entry_id: str, owner: str, where: str = "1") -> bool:
        with self._step():
            sql = f"DELETE FROM undos WHERE {OURS} AND {where} RETURNING instance"
            deleted = self._connection.query(sql, [entry_id, owner])
            self._emptied.update(record["instance"] for record in deleted)
        return len(deleted) == 1

    @contextlib.contextmanager
    def _step(self) -> Generator[None, None, None]:
        """One change, on disk when it is left, unless it is part of a larger one."""
        if self._grouped:
            yield
            return
        with self._connection.translated(), self._connection.transaction():
            self._check_place()
            yield
        self.tidy()

    def _mark(self, instance: str) -> None:
        """See that the instance's marker is there, and that the store was not set aside before it was."""
        if instance in self._marked and self.markers.has_open(instance):
            return
        with explained(self.markers.folder), turn(self.path):  # `set_aside` looks at the markers in its turn
            self.markers.put(instance)
            self._check_place()
        self._marked.add(instance)

    def _entries(self, sql: str, values: Sequence[object]) -> list[Entry]:
        try:
            return msgspec.convert(self._connection.query(sql, values), list[Entry], builtin_types=(bytes,))
        except (msgspec.ValidationError, sqlite3.OperationalError) as error:
            # SQLite does not look into what it keeps: a text that is none, or a value that we never write
            if hasattr(error, "sqlite_errorcode"):  # its own word, and not that of the module above it
                raise
            raise StoreCorrupt(f"{self.path}: damaged: {error}", self._connection.inode) from error

    def _check_place(self) -> None:
        if inode(self.path) != self._connection.inode:
            raise StoreError(f"{self.path}: removed while in use: nothing reversible is tried early until a new start")


@contextlib.contextmanager
def _refused() -> Generator[None, None, None]:
    """What SQLite cannot take at all, or has already."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError, UnicodeError) as error:
        raise ValueError(str(error)) from error

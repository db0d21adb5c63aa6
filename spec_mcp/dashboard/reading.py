"""One read-only connection to the store. It waits for nobody, and nobody waits for it."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from spec_mcp.store.connection import Connection, inode
from spec_mcp.store.sql import Record
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import StoreBusy

T = TypeVar("T")

QUERY_BOUND_S = 5.0
"""A question that takes longer is given up: while one is being answered, what was written cannot leave the write-ahead
file."""

LOOK_EVERY_STEPS = 50_000
"""Of SQLite's machine: some milliseconds."""


class Reader:
    """Opens the store when it is there, and again when another lies in its place. May be used by any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._until_s = 0.0

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Record]:
        """What a question is answered with; nothing where nothing was ever recorded.

        Raises:
            StoreError: the store cannot be used.
        """
        return self.ask(lambda connection: connection.query(sql, values), [])

    def ask(self, work: Callable[[Connection], T], nothing: T) -> T:
        """The same for work that asks the connection itself; `nothing` where nothing was ever recorded.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            connection = self._opened()
            if connection is None:
                return nothing
            self._until_s = time.monotonic() + QUERY_BOUND_S
            with connection.translated():
                try:
                    return work(connection)
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
                        raise StoreBusy(f"{self.path}: takes too long to read: try again") from error
                    raise

    def version(self) -> tuple[int | None, object]:
        """Another value whenever something was written.

        Raises:
            StoreError: as `rows`.
        """
        with self._lock:
            connection = self._opened()
            if connection is None:
                return None, 0
            with connection.translated():
                return connection.inode, connection.pragma("data_version")

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            self._close()

    def _opened(self) -> Connection | None:
        if self._connection is not None and inode(self.path) != self._connection.inode:
            self._close()
        if self._connection is None and self.path.exists():
            SqliteStore(self.path).close()  # brings it to this version, or says what is wrong with it
            self._connection = Connection(self.path, read_only=True)
            self._connection.db.conn.set_progress_handler(self._is_late, LOOK_EVERY_STEPS)
        return self._connection

    def _is_late(self) -> bool:
        return time.monotonic() > self._until_s

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

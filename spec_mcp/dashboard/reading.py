"""One read-only connection to the store. Nobody waits for it, and it waits for nobody, or not for long."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from spec_mcp.engine.events import Mode
from spec_mcp.store.connection import Connection, inode
from spec_mcp.store.mode import ModeSwitch
from spec_mcp.store.opening import require_driver
from spec_mcp.store.place import Remote
from spec_mcp.store.sql import Record, Sql
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import StoreBusy
from spec_mcp.store.tabled import switched

T = TypeVar("T")

QUERY_BOUND_S = 5.0
"""A question that takes longer is given up: while one is being answered, what was written cannot leave the write-ahead
file."""

LOOK_EVERY_STEPS = 50_000
"""Of SQLite's machine: some milliseconds."""


WRITTEN = """
    SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) AS rows FROM pg_stat_user_tables
    WHERE schemaname = current_schema()
        AND relname IN ('calls', 'comparisons', 'learned', 'questions', 'sessions', 'skips', 'speculations')
"""
"""A database counts by itself what was written."""


class Reader:
    """Opens the store when it is there, and again when another lies in its place. May be used by any thread."""

    def __init__(self, path: Path, remote: Remote | None = None) -> None:
        """`remote`: the store is this database, and the file is that of the undo journal alone."""
        self.path = path
        self.remote = remote
        self._connection: Connection | None = None
        self._distant: Sql | None = None
        self._lock = threading.Lock()
        self._until_s = 0.0

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Record]:
        """What a question is answered with; nothing where nothing was ever recorded.

        Raises:
            StoreError: the store cannot be used.
        """
        return self.ask(lambda connection: connection.query(sql, values), [])

    @property
    def is_there(self) -> bool:
        """Was anything ever recorded? Of a database only asking tells."""
        return self.remote is not None or self.path.exists()

    def whole(self, expression: str) -> str:
        """An expression without what comes after its point."""
        return f"CAST({expression} AS INTEGER)" if self.remote is None else f"CAST(trunc({expression}) AS bigint)"

    def switched(self) -> Mode | None:
        """What the switch of the store says.

        Raises:
            StoreError: the store cannot be asked.
        """
        if self.remote is None:
            return ModeSwitch(self.path).read()
        return self.ask(switched, None)

    def ask(self, work: Callable[[Sql], T], nothing: T) -> T:
        """The same for work that asks the connection itself; `nothing` where nothing was ever recorded.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            if self.remote is not None:
                distant = self._reached(self.remote)
                with distant.translated():
                    return work(distant)
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
        if self.remote is not None:
            return None, self.rows(WRITTEN)[0]["rows"]
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

    def _reached(self, remote: Remote) -> Sql:
        if self._distant is None:
            require_driver(remote)
            from spec_mcp.store.postgres.connecting import Database
            from spec_mcp.store.postgres.connection import Connection as Distant

            name = "spec-mcp dashboard"
            self._distant = Distant(Database(remote, statement_timeout_s=QUERY_BOUND_S, name=name, read_only=True))
        return self._distant

    def _is_late(self) -> bool:
        return time.monotonic() > self._until_s

    def _close(self) -> None:
        if self._distant is not None:
            self._distant.close()
            self._distant = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

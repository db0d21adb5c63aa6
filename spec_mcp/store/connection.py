"""One connection to the SQLite file: its folder, its mode, its version, and what SQLite's errors mean to a person.

Several processes use one file at once. Readers never wait (WAL); writers take the lock at the beginning of a short
transaction (BEGIN IMMEDIATE), since a reader that turns writer halfway fails at once instead of waiting.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, cast

from sqlite_utils import Database

from spec_mcp.store.migrations import STEPS, migrations
from spec_mcp.store.sql import Record
from spec_mcp.store.store import StoreBusy, StoreCorrupt, StoreError, StoreNewer

BUSY_TIMEOUT_S = 2.0
"""How long to wait for another process: its transactions are short, so longer means that something else holds it."""

WAL_LIMIT_BYTES = 4 * 2**20
"""The write-ahead file shrinks back to this after a burst."""

PRAGMAS = (
    "synchronous = NORMAL",  # a power cut may cost the last rows of the record, never the file
    f"journal_size_limit = {WAL_LIMIT_BYTES}",
    "checkpoint_fullfsync = ON",  # macOS: any connection may carry the undo journal's rows over into the file
    "secure_delete = ON",  # what retention and `forget` delete is overwritten
    "cache_size = -2000",  # 2 MB: this runs inside the relay's process
)


class Connection:
    """sqlite-utils with types, transactions that lock at their beginning, and errors for people.

    Every statement stands within `translated`.
    """

    row_id = "rowid"
    refused = (sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError, UnicodeError)

    def __init__(self, path: Path | None, busy_timeout_s: float = BUSY_TIMEOUT_S, *, read_only: bool = False) -> None:
        """Open the file, made and brought to this version where need be; None: a store in memory.

        `read_only`: a file that is there and of this version, of which nothing is changed.

        Raises:
            StoreError: it cannot be opened; `StoreCorrupt` where its content is to blame, `StoreNewer` where we are.
        """
        self.path = path or Path(":memory:")
        self.inode: int | None = None
        self._connection: sqlite3.Connection | None = None
        try:
            with self.translated():
                if path is not None:
                    if not read_only:
                        _make_private(path)
                    self.inode = inode(path)
                self._connection = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode=ro" if path is not None and read_only else self.path,
                    timeout=busy_timeout_s,
                    isolation_level=None,
                    check_same_thread=False,
                    uri=read_only,
                )
                # plugins that the user installed for sqlite-utils' own command line have no business here
                self.db = Database(self._connection, execute_plugins=False)
                if read_only:
                    self.pragma("query_only = ON")
                else:
                    self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):  # there is nothing left to be done about it
                self._connection.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Record]:
        """All rows that a statement answers."""
        return list(cast("Any", self.db).query(sql, list(values)))

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry a statement out; the number of rows that it changed."""
        return cast("sqlite3.Cursor", cast("Any", self.db).execute(sql, list(values))).rowcount

    def insert(self, table: str, records: Sequence[Record], *, key: Sequence[str] = (), replace: bool = False) -> None:
        """Put records into a table. Where there is one of the same `key`, `replace` says which of the two stays."""
        if records:
            self.db.table(table).insert_all(records, replace=replace, ignore=bool(key) and not replace)

    def used_bytes(self) -> int:
        """The file's size without its free pages."""
        pages, free, size = (cast("int", self.pragma(name)) for name in ("page_count", "freelist_count", "page_size"))
        return (pages - free) * size

    def give_back(self) -> None:
        """Make the file smaller where much of it is free.

        What was deleted is overwritten (secure_delete) once the write-ahead file has gone into the file. Another
        process that is reading puts that off until it is done, and keeps us from giving the room back: no reason to
        fail.
        """
        with contextlib.suppress(sqlite3.OperationalError):
            self.db.vacuum()
            self.pragma("wal_checkpoint(TRUNCATE)")

    def pragma(self, text: str) -> object:
        """Set or read a setting of SQLite; the first value of its answer."""
        cursor = self.db.conn.execute(f"PRAGMA {text}")
        row = cursor.fetchone()
        cursor.close()
        return None if row is None else row[0]

    @contextlib.contextmanager
    def transaction(self, *, is_long: bool = False) -> Generator[None, None, None]:
        """One transaction that holds the write lock from its beginning; a long one differs in nothing."""
        self.db.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.conn.execute("COMMIT")
        except BaseException:
            self.db.rollback()
            raise

    @contextlib.contextmanager
    def translated(self) -> Generator[None, None, None]:
        """Turn errors that the file is to blame for into `StoreError`; programmers' errors pass."""
        try:
            yield
        except sqlite3.Error as error:
            trouble = self._trouble(error)
            if trouble is None:
                raise
            raise trouble from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(f"{self.path}: {reason}: put it right, or name another folder by SPEC_MCP_HOME") from error

    def _prepare(self) -> None:
        self.db.enable_wal()
        for text in PRAGMAS:
            self.pragma(text)
        applied = {step.name for step in migrations.applied(self.db)}
        if not applied and self.db.table_names():
            raise StoreError(f"{self.path}: another program's database: name another file")
        if not applied.issubset(STEPS):
            raise StoreNewer(f"{self.path}: written by a newer spec-mcp: update spec-mcp, or name another store")
        if not applied.issuperset(STEPS):
            with self.transaction():
                migrations.apply(self.db)  # looks again at what is pending, now that no other process is at it

    def _trouble(self, error: sqlite3.Error) -> StoreError | None:
        # the low byte is the primary code, the rest tells variants of it apart
        code = cast("int", getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreCorrupt(
                f"{self.path}: damaged, or no store: `spec-mcp forget --all` begins a new one", self.inode
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(f"{self.path}: locked by another program: end that program, or try again")
        if code == sqlite3.SQLITE_FULL:
            return StoreError(f"{self.path}: the disk is full: make room, or name another folder by SPEC_MCP_HOME")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return StoreError(f"{self.path}: not writable: make it so, or name another folder by SPEC_MCP_HOME")
        if code == sqlite3.SQLITE_IOERR:
            return StoreError(f"{self.path}: reading or writing failed: see whether the disk is full or failing")
        return None


def inode(path: Path) -> int | None:
    """Which file lies there; None where there is none that can be seen."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # SQLite would take the umask's word for the mode; its side files take the mode of this one
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # never open and close it here: that would drop the locks of this process's other connections to it
        if os.stat(path).st_mode & 0o077:
            os.chmod(path, 0o600)

"""The store's statements, put through this process's connections to a PostgreSQL database."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

import psycopg
from psycopg import errors

from spec_mcp.store.postgres.connecting import Database, Postgres
from spec_mcp.store.sql import Record

LONG_TIMEOUT_S = 60
"""What deleting a whole record may take."""

SWEPT = ("sessions", "calls", "speculations", "skips", "texts", "pins", "learned", "comparisons", "questions")
"""Tables of which much is deleted."""


class Connection:
    """`Sql` for PostgreSQL: within `translated` one connection is borrowed."""

    row_id = "ctid"
    # the last is for a name that is too long to be looked up by
    refused = (psycopg.DataError, psycopg.IntegrityError, UnicodeError, errors.ProgramLimitExceeded)

    def __init__(self, database: Database) -> None:
        self._database = database
        self._borrowed: Postgres | None = None

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Record]:
        """All rows that a statement answers."""
        return self._used.execute(_spelled(sql), values).fetchall()

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry a statement out; the number of rows that it changed."""
        return self._used.execute(_spelled(sql), values).rowcount

    def insert(self, table: str, records: Sequence[Record], *, key: Sequence[str] = (), replace: bool = False) -> None:
        """Put records into a table. Where there is one of the same `key`, `replace` says which of the two stays."""
        if not records:
            return
        names = list(records[0])
        otherwise = ""
        if key:
            others = ", ".join(f'"{name}" = excluded."{name}"' for name in names if name not in key)
            otherwise = f"ON CONFLICT ({', '.join(key)}) DO " + (f"UPDATE SET {others}" if replace else "NOTHING")
        columns = ", ".join(f'"{name}"' for name in names)
        statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))}) {otherwise}"
        with self._used.cursor() as cursor:
            cursor.executemany(_spelled(statement), [[record[name] for name in names] for record in records])

    def used_bytes(self) -> int:
        """0: who gave us the database minds its size."""
        return 0

    def give_back(self) -> None:
        """Free what was deleted for what comes next: what others read still, and what they are at, stays for later."""
        with contextlib.suppress(psycopg.Error):
            self._used.execute("SELECT set_config('statement_timeout', %s, false)", [f"{LONG_TIMEOUT_S}s"])
            self._used.execute(f"VACUUM {', '.join(SWEPT)}".encode())
        with contextlib.suppress(psycopg.Error):
            self._used.execute("RESET statement_timeout")

    @contextlib.contextmanager
    def transaction(self, *, is_long: bool = False) -> Generator[None, None, None]:
        """What is done within it is done as a whole or not at all; `is_long`: it may take its time."""
        with self._used.transaction():
            if is_long:
                self._used.execute("SELECT set_config('statement_timeout', %s, true)", [f"{LONG_TIMEOUT_S}s"])
            yield

    @contextlib.contextmanager
    def translated(self) -> Generator[None, None, None]:
        """Borrow a connection, and turn errors that the database is to blame for into `StoreError`."""
        if self._borrowed is not None:
            yield
            return
        with self._database.connection() as borrowed:
            self._borrowed = borrowed
            try:
                yield
            finally:
                self._borrowed = None

    @property
    def _used(self) -> Postgres:
        assert self._borrowed is not None, "every statement stands within `translated`"
        return self._borrowed


def _spelled(sql: str) -> bytes:
    """A statement as the driver takes it. None of ours holds a question mark or a percent sign in a text."""
    return sql.replace("?", "%s").encode()

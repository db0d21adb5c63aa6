"""What the store's statements are put through: a connection to either kind of database.

A statement is written once, in words that SQLite and PostgreSQL both understand: `?` for a value, `count(*) FILTER`,
`coalesce`, `ON CONFLICT`. Texts are ordered by their characters' numbers in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Record = dict[str, Any]
"""A row as the database has it."""

NO_LIMIT = 2**62
"""A `LIMIT` that is none."""


class Sql(Protocol):
    """A connection, used by one thread at a time. Every statement stands within `translated`."""

    @property
    def row_id(self) -> str:
        """The column by which a row is told from any other, as long as nobody writes it."""
        ...

    @property
    def refused(self) -> tuple[type[Exception], ...]:
        """What is raised where a value can never be kept."""
        ...

    def query(self, sql: str, values: Sequence[object] = ()) -> list[Record]:
        """All rows that a statement answers."""
        ...

    def run(self, sql: str, values: Sequence[object] = ()) -> int:
        """Carry a statement out; the number of rows that it changed."""
        ...

    def insert(self, table: str, records: Sequence[Record], *, key: Sequence[str] = (), replace: bool = False) -> None:
        """Put records into a table. Where there is one of the same `key`, `replace` says which of the two stays."""
        ...

    def transaction(self, *, is_long: bool = False) -> AbstractContextManager[None]:
        """What is done within it is done as a whole or not at all; `is_long`: it may take its time."""
        ...

    def translated(self) -> AbstractContextManager[None]:
        """Turn errors that the database is to blame for into `StoreError`; programmers' errors pass."""
        ...

    def used_bytes(self) -> int:
        """What the record takes of a disk that is its user's; 0 where others look after that."""
        ...

    def give_back(self) -> None:
        """Overwrite or free what was deleted, as far as that can be done now."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

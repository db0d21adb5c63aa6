"""The store in a PostgreSQL database, shared by all that name it."""

from __future__ import annotations

from dataclasses import dataclass

from spec_mcp.engine.events import Mode
from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S, Database
from spec_mcp.store.postgres.connection import Connection
from spec_mcp.store.postgres.migrations import STEPS
from spec_mcp.store.tabled import TabledStore, switched


@dataclass(frozen=True, slots=True)
class About:
    """A database and its tables."""

    server: str
    """The version of PostgreSQL."""
    version: int
    """That of the tables."""
    ours: int
    """The one that this program knows."""


class PostgresStore(TabledStore):
    """A `Store` in a database. No wait for it is longer than its bounds."""

    def __init__(
        self,
        remote: Remote,
        *,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Connect, and bring it to this version where need be.

        Raises:
            StoreError: it cannot be used; `StoreNewer` where we are too old for it.
        """
        database = Database(remote, statement_timeout_s=statement_timeout_s, lock_timeout_s=lock_timeout_s)
        super().__init__(Connection(database))

    def switched(self) -> Mode | None:
        """What the switch says, for everything that runs on the database; a word that we do not know says off."""
        with self._translated():
            return switched(self._connection)

    def turn(self, mode: Mode) -> None:
        """Set it."""
        with self._translated(), self._transaction():
            self._connection.insert("switch", [{"one": True, "mode": str(mode)}], key=("one",), replace=True)

    def about(self) -> About:
        """What a person should know of it."""
        with self._translated():
            server = self._query("SELECT current_setting('server_version') AS version")[0]["version"]
            version = self._query("SELECT max(version) AS version FROM steps")[0]["version"]
        return About(server, version, len(STEPS))

    def displaced(self) -> bool:
        """Never: a database whose tables are gone says so."""
        return False

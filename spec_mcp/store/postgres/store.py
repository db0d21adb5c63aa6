"""The store in a PostgreSQL database, shared by all that name it."""

from __future__ import annotations

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import STATEMENT_TIMEOUT_S, Database
from spec_mcp.store.postgres.connection import Connection
from spec_mcp.store.tabled import TabledStore


class PostgresStore(TabledStore):
    """A `Store` in a database. No wait for it is longer than its bounds."""

    def __init__(self, remote: Remote, *, statement_timeout_s: float = STATEMENT_TIMEOUT_S) -> None:
        """Connect, and bring it to this version where need be.

        Raises:
            StoreError: it cannot be used; `StoreNewer` where we are too old for it.
        """
        super().__init__(Connection(Database(remote, statement_timeout_s=statement_timeout_s)))

    def displaced(self) -> bool:
        """Never: a database whose tables are gone says so."""
        return False

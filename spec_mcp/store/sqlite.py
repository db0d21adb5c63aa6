"""The store as one SQLite file, shared by all processes of one user."""

from __future__ import annotations

from pathlib import Path

from spec_mcp.store.connection import BUSY_TIMEOUT_S, Connection, inode
from spec_mcp.store.tabled import TabledStore


class SqliteStore(TabledStore):
    """A `Store` in one file. Reading waits for nobody; writing waits `BUSY_TIMEOUT_S` for other processes."""

    def __init__(self, path: Path | None, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Open the file, made where there is none; None: a store in memory, gone when it is closed.

        Raises:
            StoreError: it cannot be used.
        """
        self._file = Connection(path, busy_timeout_s)
        super().__init__(self._file)

    def displaced(self) -> bool:
        """Has the file been deleted or replaced under us?"""
        opened = self._file.inode
        return opened is not None and inode(self._file.path) != opened

"""Opens the store, of whichever kind it is. What it needs is imported only then: that takes 0.3 s and 15 MB."""

from __future__ import annotations

import importlib.util

from spec_mcp.store.place import Place, Remote
from spec_mcp.store.store import Store, StoreError

PATIENT_S = 60.0
"""How long one statement of a command may take: nobody's call waits for it."""

DRIVER = ("psycopg", "psycopg_pool")


def open_at(place: Place) -> Store:
    """The store that lies there, made where there is none; for a program that serves calls.

    Raises:
        StoreError: it cannot be used.
    """
    if place.remote is None:
        from spec_mcp.store.sqlite import SqliteStore

        return SqliteStore(place.path)
    require_driver(place.remote)
    from spec_mcp.store.postgres.store import PostgresStore

    return PostgresStore(place.remote)


def open_patiently(place: Place) -> Store:
    """The same for a command: of a large database it may ask what takes a while.

    Raises:
        StoreError: it cannot be used.
    """
    if place.remote is None:
        return open_at(place)
    require_driver(place.remote)
    from spec_mcp.store.postgres.store import PostgresStore

    return PostgresStore(place.remote, statement_timeout_s=PATIENT_S)


def require_driver(remote: Remote) -> None:
    """See that a database can be talked to at all.

    Raises:
        StoreError: what that needs is not installed.
    """
    if not all(map(importlib.util.find_spec, DRIVER)):
        raise StoreError(f"{remote}: needs PostgreSQL's driver: install it by `pip install 'spec-mcp[postgres]'`")


def is_begun(place: Place) -> bool:
    """May something be recorded there? A database is asked only when it is opened."""
    return place.remote is not None or place.path.exists()

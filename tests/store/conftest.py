"""The stores that the contract is tested on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import Database
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import Store
from tests import postgres

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(scope="session")
def shared_database() -> Iterator[str]:
    """A database that all contract tests of this process use, one after the other."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def shared_connections(shared_database: str) -> Iterator[Database]:
    """Connections to it."""
    database = Database(Remote(shared_database))
    yield database
    database.close()


@pytest.fixture(params=["file", "memory", POSTGRES])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens a store that is empty at first; in memory each one is another."""
    opened: list[Store] = []

    def keep(store: Store) -> Store:
        opened.append(store)
        return store

    if request.param == "postgres":
        from spec_mcp.store.postgres.store import PostgresStore

        url = request.getfixturevalue("shared_database")
        yield lambda: keep(PostgresStore(Remote(url)))
        postgres.empty(url)
    else:
        path = tmp_path / "store.sqlite3" if request.param == "file" else None
        yield lambda: keep(SqliteStore(path))
    for one in opened:
        one.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    """One store, of each kind."""
    return open_store()

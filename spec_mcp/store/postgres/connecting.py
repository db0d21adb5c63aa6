"""One process's connections to a database: how they are opened, what each wait is bounded by, what errors mean.

    with database.connection() as connection: ...        borrowed from a pool, checked, and given back

A connection that was cut is replaced by the pool, in the background and with growing pauses. What a person is told
names the database without its password.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres import migrations
from spec_mcp.store.postgres.texts import adapt
from spec_mcp.store.store import StoreBusy, StoreError

CONNECT_TIMEOUT_S = 2
"""The least that the driver's library takes."""

STATEMENT_TIMEOUT_S = 2.0
"""A batch of rows takes milliseconds: longer means that something else holds them, or the server hardly runs."""

LOCK_TIMEOUT_S = 1.0
"""The same of what another one has locked."""

IDLE_TIMEOUT_S = 10.0
"""After so long in a transaction without a word the server takes it back: we were stopped in its midst."""

BORROW_TIMEOUT_S = 2.0
"""How long to wait for a connection from the pool."""

RECONNECT_S = 60.0
"""How long the pool tries by itself before it waits to be asked again; its pauses double from one second."""

NETWORK: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 6_000,
}
"""A network that swallows everything is noticed after about ten seconds, where nothing else would ever tell."""

Record = dict[str, Any]
"""A row as the database has it."""

Postgres = psycopg.Connection[Record]

# the pool's own word on each attempt is of no use to who reads our log: we say once what is wrong
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Database:
    """This process's connections to one database. `connection` may be used by any thread at any time."""

    def __init__(
        self,
        remote: Remote,
        *,
        most: int = 2,
        statement_timeout_s: float = STATEMENT_TIMEOUT_S,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        name: str = "spec-mcp",
        read_only: bool = False,
    ) -> None:
        """Connect, and bring the database to this version where need be.

        `most` connections at once; `name` is what the server's own list of connections calls them. With `read_only`
        nothing can be written by those that are borrowed.

        Raises:
            StoreError: it cannot be used now; `StoreNewer` where we are too old for it.
        """
        self.remote = remote
        self._most = most
        with translated(remote):
            self._conninfo = _conninfo(remote, statement_timeout_s, lock_timeout_s, name)
            with self._connected() as first:
                _check_encoding(remote, first)
                migrations.bring(remote, first)
        self._pool: ConnectionPool[Postgres] = ConnectionPool(
            self._conninfo,
            connection_class=psycopg.Connection[Record],
            kwargs={"autocommit": True, "row_factory": dict_row},
            configure=_for_reading if read_only else adapt,
            min_size=0,
            max_size=most,
            timeout=BORROW_TIMEOUT_S,
            reconnect_timeout=RECONNECT_S,
            num_workers=1,
            open=True,
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._pool.close(timeout=0)

    @contextlib.contextmanager
    def connection(self) -> Generator[Postgres]:
        """A connection that works, and to a database that this version may still use; within `translated`.

        One that was cut while nobody used it is replaced first. Each statement is a transaction of its own, unless
        there is one around it (`connection.transaction()`).

        Raises:
            StoreError: there is none, or it was lost meanwhile: what was not committed was not done.
        """
        with translated(self.remote):
            connection = self._checked()
            try:
                yield connection
            finally:
                self._pool.putconn(connection)

    def dedicated(self) -> Postgres:
        """A connection of one's own, which the caller closes: to listen on, or to lock with.

        Raises:
            StoreError: there is none.
        """
        with translated(self.remote):
            return self._connected()

    def _connected(self) -> Postgres:
        connection = psycopg.Connection[Record].connect(self._conninfo, autocommit=True, row_factory=dict_row)
        adapt(connection)
        return connection

    def _checked(self) -> Postgres:
        # all that lie in the pool may have been cut at once; what is connected after them is a new one
        for attempts_left in reversed(range(self._most + 1)):
            connection = self._pool.getconn()
            try:
                migrations.check(self.remote, connection)
                return connection
            except BaseException as error:
                was_cut = isinstance(error, psycopg.OperationalError) and connection.broken
                self._pool.putconn(connection)
                if not (was_cut and attempts_left):
                    raise
        raise AssertionError("the last attempt returns or raises")


def _for_reading(connection: Postgres) -> None:
    adapt(connection)
    connection.execute("SET default_transaction_read_only = on")


@contextlib.contextmanager
def translated(remote: Remote) -> Generator[None]:
    """Turn errors that the database or the network is to blame for into `StoreError`; programmers' errors pass."""
    try:
        yield
    except psycopg.Error as error:
        trouble = _trouble(remote, error)
        if trouble is None:
            raise
        raise trouble from None  # the driver's own words may quote what must not be kept


def _trouble(remote: Remote, error: psycopg.Error) -> StoreError | None:
    where = remote.shown
    reason = str(error).strip().partition("\n")[0]
    match error:
        case PoolTimeout():
            return StoreBusy(f"{where}: no connection within {BORROW_TIMEOUT_S:g} s: see whether it runs")
        case errors.QueryCanceled() | errors.LockNotAvailable():
            return StoreBusy(f"{where}: takes too long: see what else it is doing, or try again")
        case errors.DeadlockDetected() | errors.SerializationFailure():
            return StoreBusy(f"{where}: others write the same: try again")
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return StoreError(f"{where}: {reason}: somebody changed our tables: drop the schema spec_mcp to begin anew")
        case errors.InsufficientPrivilege() | errors.ReadOnlySqlTransaction():
            return StoreError(f"{where}: {reason}: let this user make and write the schema spec_mcp")
        case errors.DiskFull():
            return StoreError(f"{where}: its disk is full: make room")
        case psycopg.OperationalError() | errors.InternalError():
            return StoreError(f"{where}: {reason or 'the connection was lost'}: see whether it runs and lets us in")
        case psycopg.ProgrammingError() if error.sqlstate is None:  # an address that makes no sense to the driver
            return StoreError(f"{where}: {reason}: put [store] url right")
        case _:
            return None


def _check_encoding(remote: Remote, connection: Postgres) -> None:
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(f"{remote.shown}: keeps texts as {encoding}: make a database with ENCODING 'UTF8'")


def _conninfo(remote: Remote, statement_timeout_s: float, lock_timeout_s: float, name: str) -> str:
    given = conninfo_to_dict(remote.url)
    settings = {
        "search_path": migrations.SCHEMA,
        "statement_timeout": f"{statement_timeout_s * 1000:.0f}",
        "lock_timeout": f"{lock_timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S * 1000:.0f}",
    }
    options = " ".join(f"-c {key}={value}" for key, value in settings.items())
    ours: dict[str, Any] = {
        **NETWORK,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "application_name": name,
        **given,
        "client_encoding": "UTF8",
        "options": f"{options} {given.get('options', '')}".strip(),
    }
    return make_conninfo("", **ours)

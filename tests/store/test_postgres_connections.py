"""Connections to PostgreSQL: bounded, replaced when they are cut, and refused in words a person can act on."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres import migrations
from spec_mcp.store.postgres.connecting import Database
from spec_mcp.store.postgres.migrations import STEPS, Step
from spec_mcp.store.store import StoreBusy, StoreError, StoreNewer
from tests import postgres

pytestmark = pytest.mark.postgres

BOUND_S = 30.0


@pytest.fixture
def url() -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(Remote(url))
    yield opened
    opened.close()


def test_a_fresh_database_is_brought_to_this_version_and_not_again(url: str, database: Database) -> None:
    again = Database(Remote(url))
    again.close()
    with database.connection() as connection:
        assert migrations.check(database.remote, connection) == len(STEPS)


def test_programs_that_start_at_once_migrate_one_after_the_other(url: str) -> None:
    faults: list[Exception] = []

    def start() -> None:
        try:
            Database(Remote(url)).close()
        except Exception as error:  # noqa: BLE001
            faults.append(error)

    starts = [threading.Thread(target=start) for _ in range(6)]
    for one in starts:
        one.start()
    for one in starts:
        one.join(BOUND_S)
    assert faults == []


def test_a_user_without_the_right_to_make_schemas_may_use_one_that_is_there(url: str, database: Database) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("CREATE ROLE spec_mcp_plain LOGIN")
        try:
            admin.execute("GRANT USAGE, CREATE ON SCHEMA spec_mcp TO spec_mcp_plain")
            admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA spec_mcp TO spec_mcp_plain")
            Database(Remote(url.replace("//postgres@", "//spec_mcp_plain@"))).close()
        finally:
            admin.execute("DROP OWNED BY spec_mcp_plain")
            admin.execute("DROP ROLE spec_mcp_plain")


def test_an_older_program_uses_tables_to_which_a_newer_one_only_added(url: str, database: Database) -> None:
    newer = (*STEPS, Step("9999-more", "ALTER TABLE calls ADD COLUMN more text DEFAULT 'x'"))
    with database.connection() as connection:
        migrations.bring(database.remote, connection, newer)
    with database.connection() as connection:
        assert migrations.check(database.remote, connection) == len(newer)
    Database(Remote(url)).close()


def test_a_running_program_stops_using_tables_that_a_newer_one_has_made_its_own(url: str, database: Database) -> None:
    version = len(STEPS) + 1
    newer = (*STEPS, Step("9999-other", "DROP TABLE calls", min_version=version))
    with database.connection() as connection:
        migrations.bring(database.remote, connection, newer)
    with pytest.raises(StoreNewer, match="update spec-mcp"), database.connection():
        pass
    with pytest.raises(StoreNewer, match="update spec-mcp"):
        Database(Remote(url))


def test_a_step_that_fails_leaves_the_tables_as_they_were(database: Database) -> None:
    broken = (*STEPS, Step("9999-broken", "CREATE TABLE half (id integer); SELECT 1 FROM nowhere"))
    with pytest.raises(StoreError), database.connection() as connection:
        migrations.bring(database.remote, connection, broken)
    with database.connection() as connection:
        assert migrations.check(database.remote, connection) == len(STEPS)
        assert connection.execute("SELECT to_regclass('half') AS found").fetchone() == {"found": None}


def test_a_connection_that_was_cut_while_nobody_used_it_is_replaced_unnoticed(url: str, database: Database) -> None:
    with database.connection() as connection:
        connection.execute("SELECT 1")
    assert postgres.cut(url) == 1
    with database.connection() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_a_connection_that_is_cut_in_use_is_an_error_once_and_then_replaced(url: str, database: Database) -> None:
    with pytest.raises(StoreError, match="see whether it runs"), database.connection() as connection:
        connection.execute("SELECT %s", [postgres.cut(url)])
    with database.connection() as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_what_is_locked_for_too_long_is_busy(url: str) -> None:
    database = Database(Remote(url), lock_timeout_s=0.05)
    try:
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE spec_mcp.calls")
            with pytest.raises(StoreBusy, match="takes too long"), database.connection() as connection:
                connection.execute("SELECT * FROM calls")
    finally:
        database.close()


def test_what_takes_too_long_is_given_up(url: str) -> None:
    database = Database(Remote(url), statement_timeout_s=0.05)
    try:
        with pytest.raises(StoreBusy, match="takes too long"), database.connection() as connection:
            connection.execute("SELECT pg_sleep(30)")
    finally:
        database.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: f"postgresql://user:hidden@127.0.0.1:{postgres.free_port()}/db", "refused.*see whether it runs"),
        (lambda url: f"{url}_none?password=hidden", "does not exist"),
        (lambda url: f"{url}?passwort=hidden", "put \\[store\\] url right"),
        (lambda _: "postgresql://user:hidden@127.0.0.1:port/db", "put \\[store\\] url right|see whether it runs"),
    ],
)
def test_a_database_that_cannot_be_had_is_named_without_its_password(url: str, change, told: str) -> None:
    with pytest.raises(StoreError, match=told) as caught:
        Database(Remote(change(url)))
    assert "hidden" not in f"{caught.value}{caught.value.__cause__}"


def test_a_database_of_another_encoding_is_refused() -> None:
    with postgres.database("SQL_ASCII") as url, pytest.raises(StoreError, match="ENCODING 'UTF8'"):
        Database(Remote(url))

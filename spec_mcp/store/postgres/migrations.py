"""The tables of the PostgreSQL store, one step a version. What has been released is never changed, only followed.

Several versions of the program use one database while a service is brought to a new one. A step only adds: tables,
indexes, columns with a default. What cannot be done so says which version at least must be running (`min_version`), and
every program asks for that each time that it borrows a connection: one that is too old stops using the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg import errors

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.board_tables import BOARD
from spec_mcp.store.postgres.journal_tables import JOURNAL
from spec_mcp.store.store import StoreNewer

if TYPE_CHECKING:
    from spec_mcp.store.postgres.connecting import Postgres

SCHEMA: Final = "spec_mcp"
"""In which all tables lie."""

TURN = 0x73706563_6D6370
"""The number of the lock under which steps are applied; the letters of our name."""

APPLY_TIMEOUT_S = 60
"""What a step may take on large tables, and the wait for another program that is at it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What brings the tables from one version to the next."""

    name: str
    sql: LiteralString
    min_version: int = 1
    """The oldest version of the program that may use the tables afterwards: its number of steps."""


SESSIONS_AND_LEARNING: Final = """
    CREATE TABLE sessions (
        session text COLLATE "C" PRIMARY KEY,
        server text COLLATE "C" NOT NULL,
        launch text NOT NULL,
        principal text NOT NULL,
        started_at double precision NOT NULL,
        pid bigint,
        client_name text,
        client_version text,
        ended_at double precision
    );
    CREATE INDEX ON sessions (started_at);
    CREATE INDEX ON sessions ((coalesce(ended_at, started_at)));
    CREATE TABLE calls (
        session text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        server text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        arguments text,
        result text,
        is_error boolean,
        kind text,
        batch bigint,
        t_start double precision NOT NULL,
        t_end double precision,
        how text NOT NULL,
        wait_s double precision,
        saved_s double precision,
        speculation bigint,
        result_bytes bigint,
        was_attached boolean,
        PRIMARY KEY (session, number)
    );
    CREATE INDEX ON calls (t_start);
    CREATE INDEX ON calls ((coalesce(t_end, t_start)));
    CREATE TABLE speculations (
        session text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        server text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        arguments text,
        state text NOT NULL,
        reason text,
        q double precision,
        source text,
        launched_at double precision,
        returned_at double precision,
        ended_at double precision NOT NULL,
        call bigint,
        attached_to bigint,
        attached_bytes bigint,
        PRIMARY KEY (session, number)
    );
    CREATE INDEX ON speculations (ended_at);
    CREATE TABLE skips (
        session text COLLATE "C" NOT NULL,
        server text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        reason text COLLATE "C" NOT NULL,
        count bigint NOT NULL,
        PRIMARY KEY (session, server, tool, reason)
    );
    CREATE TABLE texts (
        session text COLLATE "C" NOT NULL,
        number bigint NOT NULL,
        role text NOT NULL,
        text text NOT NULL,
        at double precision NOT NULL,
        PRIMARY KEY (session, number)
    );
    CREATE INDEX ON texts (at);
    CREATE TABLE pins (
        server text COLLATE "C" NOT NULL,
        launch text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        fingerprint text NOT NULL,
        seen_at double precision,
        PRIMARY KEY (server, launch, tool)
    );
    CREATE TABLE learned (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        server text COLLATE "C" NOT NULL,
        launch text COLLATE "C" NOT NULL,
        principal text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        data text NOT NULL,
        added_at double precision NOT NULL
    );
    CREATE INDEX ON learned (server, launch, principal, kind);
    CREATE TABLE comparisons (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        session text COLLATE "C" NOT NULL,
        server text COLLATE "C" NOT NULL,
        launch text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        entry text COLLATE "C" NOT NULL,
        arguments text,
        is_check boolean NOT NULL,
        how text NOT NULL,
        verdict text NOT NULL,
        differences text,
        saved_s double precision NOT NULL,
        early text,
        "real" text,
        early_bytes bigint,
        real_bytes bigint,
        at double precision NOT NULL
    );
    CREATE INDEX ON comparisons (server, launch, tool);
    CREATE INDEX ON comparisons (at);
    CREATE TABLE demotions (
        server text COLLATE "C" NOT NULL,
        launch text COLLATE "C" NOT NULL,
        tool text COLLATE "C" NOT NULL,
        entry text NOT NULL,
        at double precision NOT NULL,
        PRIMARY KEY (server, launch, tool)
    );
    CREATE TABLE questions (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        session text COLLATE "C" NOT NULL,
        speculator text COLLATE "C" NOT NULL,
        about text NOT NULL,
        ending text COLLATE "C" NOT NULL,
        guesses bigint,
        input_tokens bigint,
        cached_tokens bigint,
        output_tokens bigint,
        price double precision NOT NULL,
        took_s double precision,
        at double precision NOT NULL
    );
    CREATE INDEX ON questions (session);
    CREATE INDEX ON questions (at);
    CREATE TABLE notes (key text COLLATE "C" PRIMARY KEY, value double precision NOT NULL);
    CREATE TABLE switch (one boolean PRIMARY KEY DEFAULT true CHECK (one), mode text NOT NULL);
"""

STEPS = (
    Step("0001-sessions-and-learning", SESSIONS_AND_LEARNING),
    Step("0002-board", BOARD),
    Step("0003-journal", JOURNAL),
)
"""All steps, in order."""

STEPS_TABLE: Final = f"""
    CREATE TABLE IF NOT EXISTS {SCHEMA}.steps (
        version integer PRIMARY KEY,
        name text NOT NULL,
        min_version integer NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


def bring(remote: Remote, connection: Postgres, steps: tuple[Step, ...] = STEPS) -> None:
    """Bring the tables to our version where they are older, as one step for every program.

    Raises:
        StoreNewer: they are for newer versions alone.
    """
    if _version(remote, connection, len(steps)) >= len(steps):
        return
    with connection.transaction():
        for setting in ("statement_timeout", "lock_timeout"):
            connection.execute("SELECT set_config(%s, %s, true)", [setting, f"{APPLY_TIMEOUT_S}s"])
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])
        # asked first, since making it where it is there needs a right that its user may lack
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [SCHEMA]).fetchall():
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(STEPS_TABLE)
        done = _version(remote, connection, len(steps))
        for version, step in enumerate(steps[done:], done + 1):
            connection.execute(step.sql)
            connection.execute(
                "INSERT INTO steps (version, name, min_version) VALUES (%s, %s, %s)",
                [version, step.name, step.min_version],
            )


def check(remote: Remote, connection: Postgres, version: int = len(STEPS)) -> int:
    """May this version still use the tables? Their version.

    Raises:
        StoreNewer: it may not.
    """
    found = connection.execute(
        f"SELECT coalesce(max(version), 0) AS version, coalesce(max(min_version), 0) AS least FROM {SCHEMA}.steps"
    ).fetchone()
    assert found is not None, "an aggregate has a row"
    if found["least"] > version:
        raise StoreNewer(f"{remote.shown}: a newer spec-mcp made it its own: update spec-mcp, or name another store")
    return found["version"]


def _version(remote: Remote, connection: Postgres, version: int) -> int:
    try:
        return check(remote, connection, version)
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return 0

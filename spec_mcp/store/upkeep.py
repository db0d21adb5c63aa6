"""What leaves the store: what is too old, what is too much, and what the user wants forgotten.

Deleting goes in small steps, each its own transaction, so that processes which write meanwhile hardly wait.
"""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.store import consulted
from spec_mcp.store.sql import Sql

DAY_S = 86_400.0

STEP_ROWS = 500
"""Rows deleted in one transaction: some milliseconds of holding the lock."""

MAX_STORE_BYTES = 512 * 2**20
"""Beyond this the oldest calls go before their time: a month of a busy user stays well below it."""

LAST_UPKEEP = "last-upkeep"


def tidy(connection: Sql, now: float, retention_days: float, max_bytes: int = MAX_STORE_BYTES) -> bool:
    """Delete what is older than the retention or beyond `max_bytes`, unless that was done within a day.

    Learned rows go when their owner added nothing for as long, all at once: what was learned, and from what. Pins and
    demotions stay: they guard against a changed tool, and a wrong manifest.
    """
    with connection.transaction():
        last = connection.query("SELECT value FROM notes WHERE key = ?", [LAST_UPKEEP])
        # a clock that was set back must not put upkeep off for ever
        if last and 0 <= now - last[0]["value"] < DAY_S:
            return False
        connection.insert("notes", [{"key": LAST_UPKEEP, "value": now}], key=("key",), replace=True)
    cutoff = now - retention_days * DAY_S
    _delete_record_before(connection, cutoff)
    _delete(
        connection,
        "learned",
        "NOT EXISTS (SELECT 1 FROM learned AS other WHERE other.server = learned.server "
        "AND other.launch = learned.launch AND other.principal = learned.principal AND other.added_at >= ?)",
        [cutoff],
    )
    while connection.used_bytes() > max_bytes and (oldest := _end_of_oldest_tenth(connection)) is not None:
        _delete_record_before(connection, oldest)
    return True


def forget(connection: Sql, server: str | None) -> int:
    """Delete everything, or all that belongs to one server, and give the room back; the number of sessions deleted."""
    where, values = ("true", []) if server is None else ("server = ?", [server])
    said_in = (
        ""
        if server is None
        else (
            " WHERE session IN (SELECT session FROM calls WHERE server = ? "
            "UNION SELECT session FROM sessions WHERE server = ?)"
        )
    )
    with connection.transaction(is_long=True):
        connection.run(f"DELETE FROM texts{said_in}", values * 2)  # it may speak of any server of its session
        sessions = connection.run(f"DELETE FROM sessions WHERE {where}", values)
        for table in (
            "calls",
            "speculations",
            "skips",
            "pins",
            "learned",
            "comparisons",
            "demotions",
        ):
            connection.run(f"DELETE FROM {table} WHERE {where}", values)
        consulted.forget(connection)
    connection.give_back()
    return sessions


def _delete_record_before(connection: Sql, cutoff: float) -> None:
    _delete(connection, "calls", "coalesce(t_end, t_start) < ?", [cutoff])
    _delete(connection, "speculations", "ended_at < ?", [cutoff])
    _delete(connection, "comparisons", "at < ?", [cutoff])
    _delete(connection, "texts", "at < ?", [cutoff])
    _delete(connection, "questions", "at < ?", [cutoff])
    _delete(
        connection,
        "sessions",
        "coalesce(ended_at, started_at) < ? "
        "AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.session = sessions.session) "
        "AND NOT EXISTS (SELECT 1 FROM speculations WHERE speculations.session = sessions.session)",
        [cutoff],
    )
    _delete(connection, "skips", "NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.session = skips.session)", [])


def _delete(connection: Sql, table: str, where: str, values: Sequence[object]) -> None:
    statement = (
        f"DELETE FROM {table} WHERE {connection.row_id} IN "
        f"(SELECT {connection.row_id} FROM {table} WHERE {where} LIMIT {STEP_ROWS})"
    )
    deleted = STEP_ROWS
    while deleted == STEP_ROWS:
        with connection.transaction():
            deleted = connection.run(statement, values)


def _end_of_oldest_tenth(connection: Sql) -> float | None:
    """A time before which about a tenth of the calls, and at least one, had ended; None where none is left."""
    count = connection.query("SELECT count(*) AS count FROM calls")[0]["count"]
    found = connection.query(
        "SELECT coalesce(t_end, t_start) AS ended FROM calls ORDER BY ended LIMIT 1 OFFSET ?", [count // 10]
    )
    return found[0]["ended"] + 1e-3 if found else None

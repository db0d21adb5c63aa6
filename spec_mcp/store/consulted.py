"""What questions to speculators came to and cost, as it is on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from spec_mcp.store.rows import QuestionRow
from spec_mcp.store.sql import Sql
from spec_mcp.store.store import Consulted


def write(connection: Sql, rows: Sequence[QuestionRow]) -> None:
    """Put questions on record, within the caller's transaction."""
    connection.insert("questions", [asdict(row) for row in rows])


def totals(connection: Sql, session: str | None = None) -> dict[str, Consulted]:
    """By speculator, of all sessions or of one."""
    where, values = ("true", []) if session is None else ("session = ?", [session])
    rows = connection.query(
        f"""
        SELECT speculator, count(*) FILTER (WHERE ending <> 'held-back') AS asked,
            count(*) FILTER (WHERE ending = 'answered') AS answered, sum(guesses) AS guesses,
            count(*) FILTER (WHERE ending = 'held-back') AS held_back, sum(input_tokens) AS input_tokens,
            sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens, sum(price) AS price,
            sum(CASE ending WHEN 'answered' THEN took_s ELSE 0 END) AS took_s
        FROM questions WHERE {where} GROUP BY speculator ORDER BY speculator
        """,
        values,
    )
    endings: dict[str, dict[str, int]] = {}
    for one in connection.query(
        f"SELECT speculator, ending, count(*) AS number FROM questions WHERE {where} GROUP BY 1, 2 ORDER BY 1, 2",
        values,
    ):
        endings.setdefault(one["speculator"], {})[one["ending"]] = one["number"]
    return {name: Consulted(**row, endings=endings[name]) for row in rows for name in (row.pop("speculator"),)}


def prices(connection: Sql) -> dict[str, float]:
    """By session, what its questions cost."""
    rows = connection.query("SELECT session, sum(price) AS price FROM questions GROUP BY session")
    return {row["session"]: row["price"] for row in rows}


def forget(connection: Sql) -> None:
    """Delete those of sessions that are not on record any more, within the caller's transaction."""
    connection.run("DELETE FROM questions WHERE session NOT IN (SELECT session FROM sessions)", [])

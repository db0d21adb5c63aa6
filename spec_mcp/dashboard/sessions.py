"""Sessions: a list of them, and one as a timeline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from spec_mcp.dashboard.figures import Part, is_running, skips
from spec_mcp.dashboard.reading import Reader
from spec_mcp.dashboard.words import ended
from spec_mcp.store import consulted
from spec_mcp.store.sql import Record
from spec_mcp.store.tabled import CALL_SUMS, SESSION, SPECULATION_SUMS

PAGE_SESSIONS = 40
PAGE_CALLS = 200
"""Rows of a timeline; earlier ones come on request."""

SPECULATIONS_EACH = 4
"""For each call that is shown, so many speculations may be."""

TEXT_CHARS = 2_000
"""Of arguments, and of a result: what says more is looked at by `spec-mcp trace`."""

ENDS = {"compared": "compared", "compensated": "compensated", "stuck": "stuck"}
"""What a speculation is called that no call used; any other is wasted."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What explains an admission, by the present setting."""

    wasted_call_s: float

    def least_wait_s(self, q: float) -> float | None:
        """A candidate of this probability is worth making where it hides a longer wait."""
        return None if q <= 0 else (1.0 - q) / q * self.wasted_call_s


def listed(reader: Reader, now: float, before: float | None = None, server: str = "") -> dict[str, Any]:
    """Sessions, the newest first; `before` is the beginning of the last one that is known."""
    terms, values = ["true"], list[object]()
    if before is not None:
        terms.append("started_at < ?")
        values.append(before)
    if server:
        terms.append("session IN (SELECT session FROM calls WHERE server = ?)")
        values.append(server)
    found = reader.rows(
        f"SELECT {SESSION} FROM sessions WHERE {' AND '.join(terms)} ORDER BY started_at DESC, session LIMIT ?",
        [*values, PAGE_SESSIONS + 1],
    )
    shown = found[:PAGE_SESSIONS]
    sums = _sums(reader, [row["session"] for row in shown])
    return {
        "sessions": [_about(row, now) | sums.get(row["session"], {}) for row in shown],
        "more": len(found) > PAGE_SESSIONS,
    }


def timeline(reader: Reader, session: str, cost: Cost, now: float, before: int | None = None) -> dict[str, Any] | None:
    """One session with its newest calls, or with those before a number; None where there is no such session."""
    found = reader.rows(f"SELECT {SESSION} FROM sessions WHERE session = ?", [session])
    if not found:
        return None
    # calls are numbered in the order in which they came
    calls = reader.rows(
        "SELECT number, server, tool, substr(arguments, 1, ?) AS arguments, substr(result, 1, ?) AS result, is_error, "
        "kind, t_start, t_end, how, wait_s, saved_s, speculation, result_bytes FROM calls "
        "WHERE session = ? AND number < ? ORDER BY number DESC LIMIT ?",
        [TEXT_CHARS, TEXT_CHARS, session, before if before is not None else 2**62, PAGE_CALLS + 1],
    )
    has_more, calls = len(calls) > PAGE_CALLS, calls[:PAGE_CALLS]
    first = min((row["t_start"] for row in calls), default=0.0) if has_more else 0.0
    used = [row["speculation"] for row in calls if row["speculation"] is not None]
    marks = ", ".join("?" * len(used))
    last = max((row["t_start"] for row in calls), default=now) if before is not None else 2.0**62
    speculations = reader.rows(
        "SELECT number, server, tool, substr(arguments, 1, ?) AS arguments, state, reason, q, source, launched_at, "
        "returned_at, ended_at, call, attached_to FROM speculations WHERE session = ? AND launched_at IS NOT NULL "
        f"AND (launched_at BETWEEN ? AND ? OR number IN ({marks})) ORDER BY launched_at DESC LIMIT ?",
        [TEXT_CHARS, session, first, last, *used, PAGE_CALLS * SPECULATIONS_EACH],
    )
    return {
        "session": _about(found[0], now) | _sums(reader, [session]).get(session, {}),
        "rows": _rows(calls, speculations, cost, found[0]["started_at"]),
        "skips": skips(reader, Part(), session),
        "speculators": _speculators(reader, session),
        "wasted_call_s": cost.wasted_call_s,
        "earlier": min((row["number"] for row in calls), default=None) if has_more else None,
    }


def _speculators(reader: Reader, session: str) -> list[Record]:
    """What those that are models were asked, and what that cost."""
    found = reader.ask(lambda connection: consulted.totals(connection, session), {})
    return [{"speculator": name, **asdict(one)} for name, one in found.items()]


def _about(row: Record, now: float) -> Record:
    is_open = row["ended_at"] is None
    return {
        "session": row["session"],
        "server": row["server"],
        "principal": row["principal"],
        "client": f"{row['client_name'] or ''} {row['client_version'] or ''}".strip(),
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "live": is_open and is_running(row["pid"], row["started_at"], now),
    }


def _sums(reader: Reader, sessions: list[str]) -> dict[str, Record]:
    marks = ", ".join("?" * len(sessions))
    calls = reader.rows(
        f"SELECT session, {CALL_SUMS}, max(t_start) AS last_call_at FROM calls "
        f"WHERE session IN ({marks}) GROUP BY session",
        sessions,
    )
    speculations = reader.rows(
        f"SELECT session, {SPECULATION_SUMS} FROM speculations "
        f"WHERE session IN ({marks}) AND launched_at IS NOT NULL GROUP BY session",
        sessions,
    )
    sums: dict[str, Record] = {}
    for row in (*calls, *speculations):
        sums.setdefault(row.pop("session"), {}).update(row)
    return sums


def _rows(calls: list[Record], speculations: list[Record], cost: Cost, began_at: float) -> list[Record]:
    """In the order of time. A speculation that a call used stands in the call's row."""
    by_number = {row["number"]: _speculation(row, cost, began_at) for row in speculations}
    rows: list[Record] = []
    for call in calls:
        ahead = None if call["speculation"] is None else by_number.pop(call["speculation"], None)
        end = call["t_start"] if call["t_end"] is None else call["t_end"]
        rows.append(
            {
                "what": call["how"],
                "number": call["number"],
                "server": call["server"],
                "tool": call["tool"],
                "arguments": call["arguments"],
                "result": call["result"],
                "result_bytes": call["result_bytes"],
                "is_error": bool(call["is_error"]),
                "writes": call["kind"] == "write",
                "start_s": call["t_start"] - began_at,
                "end_s": end - began_at,
                "answered": call["t_end"] is not None,
                "wait_s": call["wait_s"],
                "saved_s": call["saved_s"],
                "ahead": ahead,
            }
        )
    rows += [_unused(ahead) for ahead in by_number.values()]
    return sorted(rows, key=lambda row: (row["start_s"], row["number"]))


def _unused(ahead: Record) -> Record:
    return {
        "what": "attached" if ahead["attached_to"] is not None else ENDS.get(ahead["state"], "wasted"),
        "number": -ahead["number"],
        "server": ahead["server"],
        "tool": ahead["tool"],
        "arguments": ahead["arguments"],
        "start_s": ahead["start_s"],
        "end_s": ahead["end_s"],
        "ahead": ahead,
    }


def _speculation(row: Record, cost: Cost, began_at: float) -> Record:
    end = row["ended_at"] if row["returned_at"] is None else row["returned_at"]
    return {
        "number": row["number"],
        "server": row["server"],
        "tool": row["tool"],
        "arguments": row["arguments"],
        "state": row["state"],
        "reason": row["reason"],
        "words": ended(row["reason"]) if row["reason"] else "",
        "q": row["q"],
        "source": row["source"],
        "least_wait_s": cost.least_wait_s(row["q"]),
        "start_s": row["launched_at"] - began_at,
        "end_s": max(end, row["launched_at"]) - began_at,
        "held_until_s": row["ended_at"] - began_at,
        "answered": row["returned_at"] is not None,
        "attached_to": row["attached_to"],
    }

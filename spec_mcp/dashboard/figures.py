"""Sums over the record: by tool, over time, and by reason. Counted as `spec-mcp stats` counts them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from spec_mcp.dashboard.reading import Reader
from spec_mcp.dashboard.words import skipped
from spec_mcp.store.sql import Record
from spec_mcp.store.tabled import CALL_SUMS, SPECULATION_SUMS

STEPS_S = (10, 60, 300, 900, 3_600, 14_400, 86_400, 604_800)
"""Lengths of a bar over time, from ten seconds to a week."""

BARS = 60
"""At most so many: more could not be told apart on a phone."""

LIVE_DAYS = 2
"""A session without an end that began earlier is not looked for any more: process ids come round again."""

WASTED = "(state IN ('discarded', 'compensated', 'stuck') AND attached_to IS NULL)"
RAN_S = "(coalesce(returned_at, ended_at) - launched_at)"
"""How long a server was busy with a speculation."""

WAITED_S = "coalesce(sum(wait_s), 0.0)"
WASTED_S = f"coalesce(sum(CASE WHEN {WASTED} AND {RAN_S} > 0 THEN {RAN_S} END), 0.0)"
"""How long servers were, together, with those that no call used."""

COLUMNS = (
    *("calls", "hits", "joins", "misses", "lossy", "speculations", "wasted", "compensated"),
    *("saved_s", "waited_s", "wasted_s", "writes"),
)
"""What is summed up."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the record is meant; what is empty or zero leaves it whole."""

    server: str = ""
    tool: str = ""
    since: float = 0.0

    def where(self, time_column: str) -> tuple[str, list[object]]:
        """The condition, and its values."""
        terms, values = [f"{time_column} >= ?"], list[object]([self.since])
        for column, value in (("server", self.server), ("tool", self.tool)):
            if value:
                terms.append(f"{column} = ?")
                values.append(value)
        return " AND ".join(terms), values


def summary(reader: Reader, part: Part) -> Record:
    """All numbers of a part in one line."""
    where, values = part.where("t_start")
    calls = reader.rows(
        f"SELECT {CALL_SUMS}, count(DISTINCT session) AS sessions, {WAITED_S} AS waited_s FROM calls WHERE {where}",
        values,
    )
    where, values = part.where("ended_at")
    speculations = reader.rows(
        f"SELECT {SPECULATION_SUMS}, {WASTED_S} AS wasted_s "
        f"FROM speculations WHERE launched_at IS NOT NULL AND {where}",
        values,
    )
    return {name: value or 0 for row in (*calls, *speculations) for name, value in row.items()}


def by_tool(reader: Reader, part: Part) -> list[Record]:
    """A line for each tool, those that saved most first."""
    where, values = part.where("t_start")
    calls = reader.rows(
        f"SELECT server, tool, {CALL_SUMS}, {WAITED_S} AS waited_s, count(*) FILTER (WHERE kind = 'write') AS writes "
        f"FROM calls WHERE {where} GROUP BY server, tool",
        values,
    )
    where, values = part.where("ended_at")
    speculations = reader.rows(
        f"SELECT server, tool, {SPECULATION_SUMS}, {WASTED_S} AS wasted_s "
        f"FROM speculations WHERE launched_at IS NOT NULL AND {where} GROUP BY server, tool",
        values,
    )
    lines: dict[tuple[str, str], Record] = {}
    for row in (*calls, *speculations):
        line = lines.setdefault((row["server"], row["tool"]), dict.fromkeys(COLUMNS, 0))
        line.update({key: value or 0 for key, value in row.items()})
    return sorted(lines.values(), key=lambda line: (-line["saved_s"], -line["calls"], line["tool"]))


def skips(reader: Reader, part: Part, session: str = "") -> list[Record]:
    """Why candidates were not launched: reasons with their words, the most frequent first."""
    terms, values = ["true"], list[object]()
    for column, value in (("server", part.server), ("tool", part.tool), ("session", session)):
        if value:
            terms.append(f"{column} = ?")
            values.append(value)
    if part.since:
        terms.append("session IN (SELECT session FROM sessions WHERE coalesce(ended_at, ?) >= ?)")
        values += [part.since, part.since]
    found = reader.rows(
        f"SELECT reason, sum(count) AS count FROM skips WHERE {' AND '.join(terms)} GROUP BY reason ORDER BY 2 DESC",
        values,
    )
    return [{**row, "words": skipped(row["reason"])} for row in found]


def over_time(reader: Reader, part: Part, now: float) -> dict[str, Any]:
    """Bars of equal length: what was saved and wasted in each, and how calls were answered. Empty ones are there."""
    where, values = part.where("t_start")
    first = reader.rows(f"SELECT min(t_start) AS first, max(t_start) AS last FROM calls WHERE {where}", values)
    if not first or first[0]["first"] is None:
        return {"step_s": 0, "bars": []}
    begin = max(part.since, float(first[0]["first"]))
    last = now if part.since else max(float(first[0]["last"]), begin)
    step_s = next((step for step in STEPS_S if (last - begin) / step <= BARS), STEPS_S[-1])
    start = int(begin // step_s)
    bars = {index: _empty_bar(index * step_s) for index in range(start, int(last // step_s) + 1)}
    calls = reader.rows(
        f"SELECT {reader.whole(f't_start / {step_s}')} AS bar, {CALL_SUMS} FROM calls WHERE {where} GROUP BY bar",
        values,
    )
    where, values = part.where("ended_at")
    speculations = reader.rows(
        f"SELECT {reader.whole(f'ended_at / {step_s}')} AS bar, {SPECULATION_SUMS}, "
        f"{WASTED_S} AS wasted_s FROM speculations "
        f"WHERE launched_at IS NOT NULL AND {where} GROUP BY bar",
        values,
    )
    for row in (*calls, *speculations):
        index = row.pop("bar")
        bars.setdefault(index, _empty_bar(index * step_s)).update({key: value or 0 for key, value in row.items()})
    return {"step_s": step_s, "bars": [bars[index] for index in sorted(bars)]}


def parts(reader: Reader) -> list[Record]:
    """The servers and tools that there are to choose from."""
    return reader.rows("SELECT server, tool, count(*) AS calls FROM calls GROUP BY server, tool ORDER BY server, tool")


def _empty_bar(at: float) -> Record:
    return {"at": at, **dict.fromkeys(COLUMNS, 0)}


def is_running(pid: int | None, started_at: float, now: float) -> bool:
    """Does the process of a session that has no end yet still run?"""
    if not pid or pid <= 0 or now - started_at > LIVE_DAYS * 86_400:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

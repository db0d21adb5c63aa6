"""Comparisons of results on record: what they found, and which tools they have demoted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import cast

from spec_mcp.engine.events import Known
from spec_mcp.engine.evidence import REMEMBERED
from spec_mcp.engine.results import Difference, Verdict
from spec_mcp.store.rows import ComparisonRow, DemotionRow, Scope
from spec_mcp.store.sql import Record, Sql
from spec_mcp.store.store import ToolComparisons

SHOWN_OF_TOOL = 20
"""Differing comparisons of a tool whose two results are kept: more of them tell a person nothing new."""

SHOWN = 200
"""The same of all tools together: with `SIDE_MAX_BYTES` for each result, a dozen megabytes at the very most."""

SUMS = """
    SELECT server, tool, is_check, count(*) AS count, count(*) FILTER (WHERE how = 'hit') AS hits,
        count(*) FILTER (WHERE how = 'join') AS joins, coalesce(sum(saved_s), 0.0) AS saved_s,
        count(*) FILTER (WHERE verdict = 'same') AS same, count(*) FILTER (WHERE verdict = 'passing') AS passing,
        count(*) FILTER (WHERE verdict = 'different') AS different
    FROM comparisons GROUP BY server, tool, is_check
"""

FEWER = """
    UPDATE comparisons SET early = NULL, "real" = NULL
    WHERE (early IS NOT NULL OR "real" IS NOT NULL) AND {whose} id NOT IN (
        SELECT id FROM comparisons WHERE {whose} verdict != 'same' ORDER BY id DESC LIMIT ?
    )
"""

COLUMNS = (
    "session, server, launch, tool, entry, arguments, is_check, how, verdict, differences, saved_s, early, "
    '"real", early_bytes, real_bytes, at'
)

LAST_OF_EACH = """
    SELECT id, tool, entry, verdict FROM (
        SELECT id, tool, entry, verdict, row_number() OVER (PARTITION BY tool, entry ORDER BY id DESC) AS nth
        FROM comparisons WHERE server = ? AND launch = ? AND entry != ''
    ) AS numbered WHERE nth <= ? ORDER BY id
"""


# --- writing ----------------------------------------------------------------------------------------------------------


def write(connection: Sql, rows: Sequence[ComparisonRow]) -> None:
    """Keep them; of results, those of the newest that differ. Within the caller's transaction."""
    connection.insert("comparisons", [_record(row) for row in rows])
    differing = {(row.scope.server, row.scope.launch, row.tool) for row in rows if row.verdict != Verdict.SAME}
    for whose in differing:
        of_tool = "server = ? AND launch = ? AND tool = ? AND"
        connection.run(FEWER.format(whose=of_tool), [*whose, *whose, SHOWN_OF_TOOL])
    if differing:
        connection.run(FEWER.format(whose=""), [SHOWN])


def demote(connection: Sql, row: DemotionRow) -> None:
    """The tool is demoted from now on, or is no more."""
    whose = {"server": row.scope.server, "launch": row.scope.launch, "tool": row.tool}
    if row.entry:
        connection.insert("demotions", [whose | {"entry": row.entry, "at": row.at}], key=tuple(whose), replace=True)
    else:
        connection.run("DELETE FROM demotions WHERE server = ? AND launch = ? AND tool = ?", list(whose.values()))


def pardon(connection: Sql, server: str | None) -> list[tuple[str, str]]:
    """Nothing that was seen until now speaks against the demoted tools any more."""
    where, values = ("true", []) if server is None else ("server = ?", [server])
    demoted = connection.query(
        f"SELECT server, launch, tool FROM demotions WHERE {where} ORDER BY server, tool", values
    )
    for record in demoted:
        connection.run(
            "UPDATE comparisons SET entry = '' WHERE server = ? AND launch = ? AND tool = ?",
            [record["server"], record["launch"], record["tool"]],
        )
    connection.run(f"DELETE FROM demotions WHERE {where}", values)
    return list(dict.fromkeys((record["server"], record["tool"]) for record in demoted))


def _record(row: ComparisonRow) -> Record:
    if isinstance(row.arguments, dict):
        raise TypeError("arguments of a comparison are kept as JSON text")
    return {
        "session": row.session,
        "server": row.scope.server,
        "launch": row.scope.launch,
        "tool": row.tool,
        "entry": row.entry,
        "arguments": _text(row.arguments),
        "is_check": row.is_check,
        "how": row.how,
        "verdict": row.verdict,
        "differences": json.dumps([[one.path, one.passes] for one in row.differences]),
        "saved_s": row.saved_s,
        "early": _text(row.early),
        "real": _text(row.real),
        "early_bytes": row.early_bytes,
        "real_bytes": row.real_bytes,
        "at": row.at,
    }


# --- reading ----------------------------------------------------------------------------------------------------------


def known(connection: Sql, scope: Scope) -> Known:
    """What the engine goes on with: by tool, what its newest entry in the manifest has shown."""
    whose = [scope.server, scope.launch]
    demoted = connection.query("SELECT tool, entry FROM demotions WHERE server = ? AND launch = ?", whose)
    found: dict[str, tuple[str, tuple[bool, ...]]] = {}
    for record in connection.query(LAST_OF_EACH, [*whose, REMEMBERED]):
        entry, before = found.get(record["tool"], ("", ()))
        differed = record["verdict"] == Verdict.DIFFERENT
        found[record["tool"]] = record["entry"], (*(before if entry == record["entry"] else ()), differed)
    return Known({record["tool"]: record["entry"] for record in demoted}, found)


def totals(connection: Sql) -> dict[tuple[str, str], ToolComparisons]:
    """Sums by server and tool."""
    sums: dict[tuple[str, str], dict[bool, Record]] = {}
    for record in connection.query(SUMS):
        sums.setdefault((record["server"], record["tool"]), {})[bool(record["is_check"])] = record
    demoted = connection.query("SELECT DISTINCT server, tool FROM demotions")
    are_demoted = {(record["server"], record["tool"]) for record in demoted}
    counted, passing = _places(connection)
    return {
        key: _tool_totals(sums.get(key, {}), counted.get(key, Counter()), passing.get(key, set()), key in are_demoted)
        for key in sorted({*sums, *are_demoted})
    }


Places = dict[tuple[str, str], Counter[str]]


def _places(connection: Sql) -> tuple[Places, dict[tuple[str, str], set[str]]]:
    """By server and tool, where results differed, and where their values always passed."""
    counted: Places = {}
    kinds: dict[tuple[str, str], dict[str, bool]] = {}
    for record in connection.query("SELECT server, tool, differences FROM comparisons WHERE verdict != 'same'"):
        key = record["server"], record["tool"]
        for one in _differences(record["differences"]):
            counted.setdefault(key, Counter())[one.path] += 1
            kind = kinds.setdefault(key, {})
            kind[one.path] = kind.get(one.path, True) and one.passes
    return counted, {key: {path for path, passes in kind.items() if passes} for key, kind in kinds.items()}


def _tool_totals(
    of_kind: dict[bool, Record], places: Counter[str], passing: set[str], demoted: bool
) -> ToolComparisons:
    shadow, checks = of_kind.get(False, {}), of_kind.get(True, {})
    return ToolComparisons(
        shadow=shadow.get("count", 0),
        hits=shadow.get("hits", 0),
        joins=shadow.get("joins", 0),
        would_save_s=shadow.get("saved_s", 0.0),
        checks=checks.get("count", 0),
        same=shadow.get("same", 0) + checks.get("same", 0),
        passing=shadow.get("passing", 0) + checks.get("passing", 0),
        different=shadow.get("different", 0) + checks.get("different", 0),
        places=dict(places.most_common()),
        passing_places=frozenset(passing),
        demoted=demoted,
    )


def divergences(connection: Sql, limit: int) -> list[ComparisonRow]:
    """The newest comparisons that found a difference, newest first."""
    records = connection.query(
        f"SELECT {COLUMNS} FROM comparisons WHERE verdict != 'same' ORDER BY id DESC LIMIT ?", [limit]
    )
    return [
        ComparisonRow(
            session=record["session"],
            scope=Scope(record["server"], record["launch"]),
            tool=record["tool"],
            entry=record["entry"],
            arguments=_bytes(record["arguments"]),
            is_check=bool(record["is_check"]),
            how=record["how"],
            verdict=record["verdict"],
            differences=_differences(record["differences"]),
            saved_s=record["saved_s"],
            at=record["at"],
            early=_bytes(record["early"]),
            real=_bytes(record["real"]),
            early_bytes=record["early_bytes"],
            real_bytes=record["real_bytes"],
        )
        for record in records
    ]


def _differences(text: str) -> tuple[Difference, ...]:
    return tuple(Difference(path, passes) for path, passes in cast("list[tuple[str, bool]]", json.loads(text)))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()

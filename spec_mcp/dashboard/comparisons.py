"""What comparing early results with later ones has found: in shadow mode, and in checks of what was answered."""

from __future__ import annotations

from typing import Any

from spec_mcp.dashboard.reading import Reader
from spec_mcp.store import comparing
from spec_mcp.store.rows import ComparisonRow
from spec_mcp.store.sql import Sql
from spec_mcp.store.store import ToolComparisons

SHOWN = 50
"""The newest differences."""

SHOWN_CHARS = 4_000
"""Of a result."""


def by_tool(reader: Reader) -> list[dict[str, Any]]:
    """A line for each tool, those that differed most first."""
    found = reader.ask(comparing.totals, {})
    lines = [_line(server, tool, totals) for (server, tool), totals in found.items()]
    return sorted(lines, key=lambda line: (-line["different"], -line["compared"], line["tool"]))


def differences(reader: Reader) -> list[dict[str, Any]]:
    """The newest comparisons that found a difference, newest first."""

    def newest(connection: Sql) -> list[ComparisonRow]:
        return comparing.divergences(connection, SHOWN)

    return [_difference(row) for row in reader.ask(newest, [])]


def _line(server: str, tool: str, totals: ToolComparisons) -> dict[str, Any]:
    return {
        "server": server,
        "tool": tool,
        "compared": totals.compared,
        "checks": totals.checks,
        "same": totals.same,
        "passing": totals.passing,
        "different": totals.different,
        "would_save_s": totals.would_save_s,
        "demoted": totals.demoted,
        "places": list(totals.places),
    }


def _difference(row: ComparisonRow) -> dict[str, Any]:
    return {
        "session": row.session,
        "server": row.scope.server,
        "tool": row.tool,
        "arguments": _text(row.arguments_text),
        "is_check": row.is_check,
        "passes": row.verdict == "passing",
        "places": [one.path for one in row.differences],
        "at": row.at,
        "early": _text(row.early),
        "real": _text(row.real),
        "early_bytes": row.early_bytes,
        "real_bytes": row.real_bytes,
    }


def _text(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "replace")[:SHOWN_CHARS]

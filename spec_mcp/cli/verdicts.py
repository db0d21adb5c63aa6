"""What comparisons say to a person: is there enough of them, what stands against switching on, and what to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec_mcp.store.rows import ComparisonRow
    from spec_mcp.store.store import ToolComparisons

ENOUGH = 50
"""Comparisons after which a person may judge: where none of them differed, at most one call in seventeen can be
expected to, at 95 % confidence."""

ALWAYS = 3
"""A place that differed in so many comparisons, and in each, goes with the request, whatever it looks like."""

Key = tuple[str, str]


def changing_places(tool: ToolComparisons) -> list[str]:
    """Where its results differ in values that go with the time or the request, the place that differs most first."""
    always = {place for place, count in tool.places.items() if count >= ALWAYS and count == tool.compared}
    return [place for place in tool.places if place in tool.passing_places or place in always]


def suggestion(name: str, tool: ToolComparisons) -> str:
    """What an author may write into the manifest, so that such values count as the same; empty where there are none."""
    places = [place for place in changing_places(tool) if place not in ("answer", "result", "result.text")]
    if not places:
        return ""
    rules = ", ".join(f'{json.dumps(place)} = "ignore"' for place in places)
    table = name if name.replace("_", "").replace("-", "").isalnum() else json.dumps(name)
    return f"[tools.{table}] equal = {{ {rules} }}"


def advice(tools: Mapping[Key, ToolComparisons]) -> dict[str, object]:
    """Is there enough evidence in shadow mode, and what stands against switching on?"""
    compared = sum(tool.shadow for tool in tools.values())
    return {
        "compared": compared,
        "needed": ENOUGH,
        "enough": compared >= ENOUGH,
        "against": [f"{server}.{tool}" for (server, tool), found in tools.items() if found.different],
        "command": "spec-mcp on",
    }


def totals_object(tool: ToolComparisons, name: str) -> dict[str, object]:
    """What was found of one tool, for programs."""
    found: dict[str, object] = {
        "shadow": tool.shadow,
        "would_hit": tool.hits,
        "would_join": tool.joins,
        "would_save_s": round(tool.would_save_s, 6),
        "checks": tool.checks,
        "same": tool.same,
        "passing": tool.passing,
        "different": tool.different,
        "demoted": tool.demoted,
    }
    if tool.places:
        found["places"] = dict(tool.places)
    if text := suggestion(name, tool):
        found["suggestion"] = text
    return found


def divergence_object(row: ComparisonRow) -> dict[str, object]:
    """One divergence, for programs; a result that is not kept is null."""
    return {
        "server": row.scope.server,
        "tool": row.tool,
        "at": row.at,
        "session": row.session,
        "made_by": "check" if row.is_check else "shadow",
        "verdict": row.verdict,
        "how": row.how,
        "differences": [{"place": one.path, "passes": one.passes} for one in row.differences],
        "arguments": _value(row.arguments_text),
        "early": _value(row.early),
        "early_bytes": row.early_bytes,
        "real": _value(row.real),
        "real_bytes": row.real_bytes,
    }


def _value(text: bytes | None) -> object:
    return None if text is None else json.loads(text)

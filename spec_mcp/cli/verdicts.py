"""What comparisons say to a person: is there enough of them, what stands against switching on, and what to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec_mcp.engine.events import Mode
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


def hints(tools: Mapping[tuple[str, str], ToolComparisons]) -> list[str]:
    """What may be written into a manifest about values that go with the time or the request."""
    from spec_mcp.cli.text import safe

    lines: list[str] = []
    for (server, name), tool in tools.items():
        if text := suggestion(name, tool):
            lines.append(
                f"{safe(server)}.{safe(name)}: what goes with the time or the request may count as the same, where "
                "nobody acts on it. In the manifest:"
            )
            lines.append(f"  {safe(text)}")
        elif changing_places(tool):
            lines.append(
                f"{safe(server)}.{safe(name)}: its text goes with the time or the request; where that is what it is "
                "asked for, it is no read: take it out of the manifest"
            )
    return lines


def told(compared: Mapping[tuple[str, str], ToolComparisons], mode: Mode) -> list[str]:
    """What comparisons have found, in a few lines."""
    from spec_mcp.cli.text import count, seconds
    from spec_mcp.engine.events import Mode

    if not compared:
        return []
    tools = list(compared.values())
    shadow, checks = sum(tool.shadow for tool in tools), sum(tool.checks for tool in tools)
    different = sum(tool.different for tool in tools)
    lines = [""]
    if shadow:
        answered, would_save_s = sum(tool.hits + tool.joins for tool in tools), sum(t.would_save_s for t in tools)
        lines.append(
            f"Shadow mode: {count(answered, 'call')} would have been answered ahead of time, "
            f"[bold]{seconds(would_save_s)} of waiting saved[/bold]"
        )
    if checks:
        lines.append(f"{count(checks, 'answered call')} made again in the background, to check")
    lines.append(f"Of {count(shadow + checks, 'comparison')} {different or 'none'} differed")
    lines += [_standing(key, tool) for key, tool in compared.items() if tool.different or tool.demoted]
    if different:
        lines.append("Both results side by side: `spec-mcp stats --divergences`")
    lines += [_escape(hint) for hint in hints(compared)]
    if mode is Mode.ON:
        return lines
    if shadow >= ENOUGH:
        against = "; what is demoted stays off" if any(tool.demoted for tool in tools) else ""
        lines.append(f"That is enough to judge by: `spec-mcp on` switches on{against}")
    elif shadow:
        lines.append(
            f"Not yet enough to judge by: {ENOUGH - shadow} more comparisons in shadow mode, then `spec-mcp on`"
        )
    return lines


def _standing(key: tuple[str, str], tool: ToolComparisons) -> str:
    from spec_mcp.cli.text import safe

    said = f"  {safe(key[0])}.{safe(key[1])}: {tool.different} of {tool.compared} differed"
    if tool.demoted:
        said += "; demoted: not called ahead of time until its manifest entry changes or `spec-mcp forget --demotions`"
    return _escape(said)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


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

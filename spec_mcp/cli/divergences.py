"""`spec-mcp stats --divergences`: where an early result and the later one differed, both side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from spec_mcp.store.rows import ComparisonRow
    from spec_mcp.store.store import ToolComparisons

SHOWN = 20
"""Divergences that are shown; `--json` shows all of which anything is kept."""

SHOWN_CHARS = 1_000
"""Characters of a result that are shown; `--json` shows it whole."""


def show(
    rows: Sequence[ComparisonRow], tools: Mapping[tuple[str, str], ToolComparisons], records_results: bool
) -> None:
    """Print them, the newest first, and what an author may write about them."""
    from rich.console import Console
    from rich.text import Text

    from spec_mcp.cli.text import count
    from spec_mcp.cli.verdicts import hints

    console = Console(highlight=False)
    if not rows:
        compared = sum(tool.compared for tool in tools.values())
        console.print(f"No divergence in {count(compared, 'comparison')}.")
        return
    for row in rows[:SHOWN]:
        _show_one(console.print, row, records_results)
    if len(rows) > SHOWN:
        console.print(f"… and {len(rows) - SHOWN:,} older: `spec-mcp stats --divergences --json`")
    for line in hints(tools):
        console.print(Text(line), soft_wrap=True)


def _show_one(put: Callable[..., None], row: ComparisonRow, records_results: bool) -> None:
    from rich.text import Text

    from spec_mcp.cli.text import arguments_text, moment, safe

    told = "goes with the time or the request" if row.verdict == "passing" else "differs"
    made = "check of what was answered" if row.is_check else "shadow mode"
    put(Text(f"{safe(row.scope.server)}.{safe(row.tool)}", style="bold"), f"{moment(row.at)}, {made}", sep="  ")
    if given := arguments_text(row.arguments_text, 100):
        put(Text(f"  {given}"))
    for one in row.differences:
        put(Text(f"  {safe(one.path)}: {'goes with the time or the request' if one.passes else 'differs'}"))
    if not row.differences:
        put(f"  {told}")
    if row.early is None and row.real is None and not records_results:
        put("  Results are not kept: [store] record_results = false", markup=False)
    else:
        put(_side_by_side(row))
    put()


def _side_by_side(row: ComparisonRow) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 2), expand=True)
    table.add_column("early", ratio=1, overflow="fold")
    table.add_column("real", ratio=1, overflow="fold")
    sides = ((row.early, row.early_bytes), (row.real, row.real_bytes))
    whole = any(not one.path.startswith("result") for one in row.differences)
    table.add_row(*(Text(_result(text, size_bytes, whole)) for text, size_bytes in sides))
    return table


def _result(text: bytes | None, size_bytes: int, whole: bool) -> str:
    """The result as manifests see it; the whole answer where it differs elsewhere."""
    from spec_mcp.cli.text import safe
    from spec_mcp.predict.results import seen_result

    if text is None:
        return f"({size_bytes:,} bytes, not kept)"
    answer = json.loads(text)
    pretty = json.dumps(answer if whole else seen_result(answer), indent=1, ensure_ascii=False)
    lines = "\n".join(safe(line) for line in pretty.splitlines())
    return lines if len(lines) <= SHOWN_CHARS else lines[:SHOWN_CHARS] + "…"

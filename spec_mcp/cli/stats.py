"""`spec-mcp stats`: what happened, by tool."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.opening import (
    HOW_TO_BEGIN,
    ConfigOption,
    JsonOption,
    mode_of,
    open_store,
    records_results,
    store_place,
)

if TYPE_CHECKING:
    from spec_mcp.store.place import Place
    from spec_mcp.store.rows import ComparisonRow
    from spec_mcp.store.store import ToolComparisons, ToolTotals, Totals


def command(
    as_json: JsonOption = False,
    divergences: Annotated[
        bool,
        typer.Option("--divergences", help="Show where an early result and the later one differed, side by side."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show calls, hits, joins, misses, waste and the seconds saved, by tool.

    A [b]hit[/b] found its result ready, a [b]join[/b] found it still running and waited for the rest, a [b]miss[/b]
    found nothing and was simply made. [b]Wasted[/b] speculations were used by no call. A [b]skip[/b] is a prediction
    that was not acted on, with its reason. Results that were [b]compared[/b], in shadow mode and as a sample of what
    was answered, say which tools differ and whether there is enough evidence to switch on.
    """
    from spec_mcp.cli import speculators, verdicts
    from spec_mcp.store.store import Totals

    place = store_place(config)
    store = open_store(place)
    compared = {} if store is None else store.comparisons()
    if divergences:
        _show_divergences([] if store is None else store.divergences(DIVERGENCES_READ), compared, as_json, config)
        return
    totals = Totals() if store is None else store.totals()
    stuck = stuck_ones(place)
    consulted = {} if store is None else store.consulted()
    if as_json:
        found = as_object(totals, stuck, compared)
        typer.echo(
            json.dumps(found | ({"speculators": speculators.as_object(consulted)} if consulted else {}), indent=2)
        )
    else:
        _show(totals, place, stuck)
        for line in speculators.lines(consulted):
            _print(line)
        for line in verdicts.told(compared, mode_of(config, place)):
            _print(line)


DIVERGENCES_READ = 1_000
"""The newest of those that are recorded; of the older ones no result is kept."""


def _show_divergences(
    rows: list[ComparisonRow], compared: Mapping[tuple[str, str], ToolComparisons], as_json: bool, config: Path | None
) -> None:
    from spec_mcp.cli import divergences, verdicts

    if as_json:
        typer.echo(json.dumps([verdicts.divergence_object(row) for row in rows], indent=2))
    else:
        divergences.show(rows, compared, records_results(config))


def stuck_ones(place: Place) -> Counter[tuple[str, str]]:
    """By server and tool, the early writes that could not be taken back and that nobody has settled yet."""
    from spec_mcp.store.leftovers import left_behind

    return Counter(
        (left.entry.server, left.entry.tool) for left in left_behind(place.path) if left.entry.state == "stuck"
    )


def as_object(
    totals: Totals,
    stuck: Mapping[tuple[str, str], int],
    compared: Mapping[tuple[str, str], ToolComparisons] | None = None,
) -> dict[str, object]:
    """The totals in the form that programs read."""
    from spec_mcp.cli import verdicts
    from spec_mcp.store.store import ToolTotals

    compared = compared or {}
    tools = {**dict.fromkeys([*stuck, *compared], ToolTotals()), **totals.tools}
    names = tool_names(list(tools))
    found = {names[key]: verdicts.totals_object(tool, key[1]) for key, tool in compared.items()}
    return {
        "sessions": totals.sessions,
        **_members(totals.all, sum(stuck.values())),
        "skips": dict(totals.skips),
        "tools": {names[key]: _members(tool, stuck.get(key, 0)) for key, tool in tools.items()},
        **({"compared": found, "shadow": verdicts.advice(compared)} if compared else {}),
    }


def tool_names(keys: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What to call each server's tools: by their own name, where no other server has a tool of that name."""
    owners = Counter(tool for _, tool in keys)
    return {(server, tool): tool if owners[tool] == 1 else f"{server}__{tool}" for server, tool in keys}


def _members(totals: ToolTotals, stuck: int) -> dict[str, object]:
    return {
        "calls": totals.calls,
        "hits": totals.hits,
        "joins": totals.joins,
        "misses": totals.misses,
        "speculations": totals.speculations,
        "wasted": totals.wasted,
        "compensated": totals.compensated,
        "stuck": stuck,
        "saved_s": round(totals.saved_s, 6),
        **({"lossy": totals.lossy} if totals.lossy else {}),
        **({"attached": attached_object(totals)} if totals.attached else {}),
    }


def attached_object(totals: ToolTotals) -> dict[str, int]:
    """Attach mode, which is not lossless and counted with nothing else."""
    return {"reads": totals.attached, "bytes": totals.attached_bytes, "called_all_the_same": totals.attached_called}


def _show(totals: Totals, place: Place, stuck: Mapping[tuple[str, str], int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spec_mcp.cli.text import count, safe, seconds, share, size

    console = Console(highlight=False)
    whole = totals.all
    for (server, tool), number in sorted(stuck.items()):
        what = f"{count(number, 'early write')} with {safe(server)}.{safe(tool)} could not be taken back"
        console.print(f"[bold red]{what}[/bold red]: `spec-mcp recover` shows what to do")
    if not totals.sessions and not totals.tools:
        console.print(Text(f"Nothing is recorded in {place} yet: {HOW_TO_BEGIN}."))
        return
    answered = whole.hits + whole.joins
    console.print(
        f"{count(totals.sessions, 'session')}, {count(whole.calls, 'call')}, "
        f"{share(answered, whole.calls)} of them answered ahead of time: "
        f"[bold]{seconds(whole.saved_s)} of waiting saved[/bold]"
    )
    wasted = f", {share(whole.wasted, whole.speculations)} of them wasted" if whole.speculations else ""
    taken_back = f", {whole.compensated:,} taken back" if whole.compensated else ""
    console.print(f"{count(whole.speculations, 'speculation')}{wasted}{taken_back}")
    if whole.lossy:
        console.print(f"{count(whole.lossy, 'call')} answered where the last write wins, which is not lossless")
    if whole.attached:
        console.print(
            f"{count(whole.attached, 'read')} attached to replies ({size(whole.attached_bytes)}), "
            f"{whole.attached_called:,} of them called all the same; attaching is not lossless"
        )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tool", overflow="fold")
    for heading in ("calls", "hits", "joins", "misses", "speculations", "wasted", "saved"):
        table.add_column(heading, justify="right", no_wrap=True)
    names = tool_names(list(totals.tools))
    for key, tool in sorted(totals.tools.items(), key=lambda item: (-item[1].saved_s, -item[1].calls, item[0])):
        numbers = (tool.calls, tool.hits, tool.joins, tool.misses, tool.speculations, tool.wasted)
        table.add_row(Text(safe(names[key])), *(f"{number:,}" for number in numbers), seconds(tool.saved_s))
    if totals.tools:
        console.print()
        console.print(table)
    if totals.skips:
        skips = ", ".join(f"{safe(reason)} {number:,}" for reason, number in totals.skips.items())
        console.print()
        console.print(Text(f"Predictions not acted on: {skips}"))


def _print(line: str) -> None:
    from rich.console import Console

    Console(highlight=False).print(line, soft_wrap=True)  # a line to be copied stays one

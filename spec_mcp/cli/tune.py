"""`spec-mcp tune`: the cost-latency curve of the user's own history, and the setting to choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spec_mcp.cli.opening import HOW_TO_BEGIN, ConfigOption, JsonOption, open_store, store_path
from spec_mcp.errors import Failed

if TYPE_CHECKING:
    from spec_mcp.records import Session
    from spec_mcp.replay.tuning import Point


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE…]", help="Recorded sessions. Default: what is recorded on this machine."),
    ] = None,
    server: Annotated[str, typer.Option("--server", metavar="NAME", help="Only this server's sessions.")] = "",
    used_share: Annotated[
        float, typer.Option("--used-share", min=0.0, max=1.0, metavar="X", help="Least share of speculations used.")
    ] = 0.5,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curve: .png, .svg.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Replay your own history at several values of [b]wasted_call_s[/b], and say which one to choose.

    Each row is a setting: how much of your waiting it would have hidden, and how many calls it would have made that
    nobody used. The setting to choose hides the most while the share of speculations that are used stays above
    [b]--used-share[/b]. Nothing is changed.
    """
    from spec_mcp.replay.tuning import best, curve

    sessions = _read(files) if files else _recorded(server, config)
    if not sessions:
        raise Failed(f"tune: there is no recorded session to tune by: {HOW_TO_BEGIN}")
    points = curve(sessions)
    chosen = best(points, used_share)
    if plot is not None:
        _draw(points, chosen, plot)
    if as_json:
        curve_json = [point.as_object() for point in points]
        typer.echo(json.dumps({"curve": curve_json, "wasted_call_s": None if chosen is None else chosen.wasted_call_s}))
    else:
        _show(points, chosen, used_share)


def _read(files: list[Path]) -> list[Session]:
    from spec_mcp.records import read_sessions

    return [session for path in files for session in read_sessions(path)]


def _recorded(server: str, config: Path | None) -> list[Session]:
    from spec_mcp.cli.export import as_record

    store = open_store(store_path(config))
    if store is None:
        return []
    try:
        return [as_record(trace) for trace in store.traces() if server in ("", trace.session.scope.server)]
    finally:
        store.close()


def _show(points: list[Point], chosen: Point | None, used_share: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("wasted_call_s", "answered", "used", "waste per 10 calls", "wait hidden", "wait hidden, s"):
        table.add_column(heading, justify="right")
    for point in points:
        table.add_row(
            f"{point.wasted_call_s:g}",
            f"{point.answered_share:.1%}",
            f"{point.used_share:.1%}",
            f"{point.waste_per_ten:.2f}",
            f"{point.hidden_share:.1%}",
            f"{point.hidden_s:.1f}",
            style="bold" if point is chosen else "",
        )
    console = Console(highlight=False)
    console.print(table)
    if chosen is None:
        console.print(f"\nNo setting uses {used_share:.0%} of its speculations: leave it, or record more sessions.")
    else:
        console.print(
            f"\nChoose wasted_call_s = {chosen.wasted_call_s:g} under [speculation] in your configuration.",
            markup=False,
        )


def _draw(points: list[Point], chosen: Point | None, path: Path) -> None:
    from spec_mcp.replay.plots import draw

    def paint(axes: Any) -> None:
        axes.plot([p.waste_per_ten for p in points], [100 * p.hidden_share for p in points], marker="o")
        for point in points:
            axes.annotate(f"{point.wasted_call_s:g}", (point.waste_per_ten, 100 * point.hidden_share))
        if chosen is not None:
            axes.plot([chosen.waste_per_ten], [100 * chosen.hidden_share], "o", markersize=14, fillstyle="none")
        axes.set_xlabel("wasted speculations per ten calls")
        axes.set_ylabel("wait hidden, %")
        axes.set_title("wasted_call_s: cost against latency")

    draw(path, paint)

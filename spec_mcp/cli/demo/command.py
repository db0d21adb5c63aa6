"""`spec-mcp demo`: options, the two runs one after the other, exit status."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.console import Console
from rich.live import Live

from spec_mcp.cli.demo.cases import Case, draw_cases
from spec_mcp.cli.demo.report import Report, compare, guessed_outcome, measured_outcome
from spec_mcp.cli.demo.runner import DemoFailed, Run, run_cases, target, wrapped
from spec_mcp.cli.demo.view import Lane, Timeline, summary
from wrapped_servers.retail.generator import generate

CASES = 8
"""Both runs together then take about a minute."""
QUICK_CASES = 4
QUICK_PACE = 0.3
"""Quick: thinking and latencies shrink alike, so what is answered stays about the same."""
MAX_CASES = 500
FRAMES_PER_S = 12


def demo(
    seed: Annotated[int, typer.Option(help="Another shop, other customers.")] = 0,
    cases: Annotated[int | None, typer.Option(min=1, max=MAX_CASES, help=f"How many customers ({CASES}).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON, and nothing else.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer customers, everything faster.")] = False,
) -> None:
    """A scripted agent at a shop's customer service, first without and then with speculation. Offline."""
    count = cases or (QUICK_CASES if quick else CASES)
    console = Console(quiet=as_json, highlight=False)
    try:
        report = demonstrate(console, seed, count, QUICK_PACE if quick else 1.0)
    except DemoFailed as failure:
        print(f"spec-mcp: demo: {failure}", file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(report.as_json()))
    raise typer.Exit(0 if report.lossless else 1)


def demonstrate(console: Console, seed: int, count: int, pace: float) -> Report:
    """Both runs, shown as they go.

    Raises:
        DemoFailed: a run could not be carried through.
    """
    cases = draw_cases(generate(seed), seed, count)
    console.print(
        f"[bold]{count} customers write to a shop.[/] An agent thinks and calls the shop's tools, "
        "first without speculation, then with it and an empty memory.\n"
    )
    with tempfile.TemporaryDirectory(prefix="spec-mcp-demo-") as name:
        folder = Path(name)
        live_view = Timeline(time.monotonic, pace, console.height if console.is_terminal else None)
        with Live(live_view, console=console, refresh_per_second=FRAMES_PER_S, transient=True) as live:
            # a file or a pipe gets the finished timeline alone
            live.auto_refresh = live.auto_refresh and console.is_terminal
            off = _run(Lane.OFF, folder, seed, pace, cases, live_view)
            on = _run(Lane.ON, folder, seed, pace, cases, live_view)
        outcome = measured_outcome(folder / Lane.ON / "home", on) or guessed_outcome(on, pace)
    live_view.correct(outcome)
    live_view.unfold()
    console.print(live_view)
    report = compare(seed, count, off, on, outcome)
    console.print(summary(report))
    return report


def _run(lane: Lane, folder: Path, seed: int, pace: float, cases: list[Case], view: Timeline) -> Run:
    view.begin(lane)
    return anyio.run(run_cases, target(folder / lane, wrapped(lane), seed, pace), cases, pace, view)

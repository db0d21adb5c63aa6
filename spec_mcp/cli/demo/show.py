"""Both runs, one after the other, shown as they go."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import anyio
from rich.console import Console
from rich.live import Live

from spec_mcp.cli.demo.cases import draw_cases
from spec_mcp.cli.demo.report import Report, compare, guessed_outcome, measured_outcome
from spec_mcp.cli.demo.runner import Run, run_cases, target
from spec_mcp.cli.demo.view import Lane, Timeline, summary
from wrapped_servers.retail.generator import generate

FRAMES_PER_S = 12


def demonstrate(
    seed: int,
    cases: int,
    pace: float,
    quiet: bool,
    direct: bool = False,
) -> Report:
    """Run the same cases with speculation off and on, and compare. `direct`: both times without spec-mcp, to see that
    the measuring itself finds no difference.

    Raises:
        Failed: a run could not be carried through.
    """
    console = Console(quiet=quiet, highlight=False)
    drawn = draw_cases(generate(seed), seed, cases)
    view = Timeline(time.monotonic, pace, console.height)
    console.print(
        f"[bold]{cases} customers write to a shop.[/] An agent thinks, and calls the shop's tools: first without "
        "speculation, then with it and an empty memory.\n"
    )
    with tempfile.TemporaryDirectory(prefix="spec-mcp-demo-") as name:
        folders = {lane: Path(name) / lane for lane in Lane}
        # transient: a file or a pipe, and at last the terminal too, get the finished timeline alone
        live = Live(view, console=console, refresh_per_second=FRAMES_PER_S, transient=True)
        runs: dict[Lane, Run] = {}
        with live if console.is_terminal else nullcontext():
            for lane, folder in folders.items():
                view.begin(lane)
                shop = target(folder, None if direct else lane, seed, pace)
                runs[lane] = anyio.run(run_cases, shop, drawn, pace, view)
        on = runs[Lane.ON]
        outcome = measured_outcome(folders[Lane.ON] / "home", on) or guessed_outcome(on, pace)
    view.finish(outcome)
    report = compare(seed, cases, runs[Lane.OFF], on, outcome)
    console.print(view)
    console.print(summary(report))
    return report

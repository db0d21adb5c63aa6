"""What an environment's benchmark says: our medians and their spread beside the paper's figures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio

from benchmarks.environments.running import ROOT
from spec_mcp.errors import Failed, UserError
from spec_mcp.replay import plots

LIBRARIES = ("spec-mcp", "mcp", "anyio")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the repetitions."""

    median: float
    low: float
    high: float
    repetitions: int

    def text(self, unit: str) -> str:
        """For people."""
        if self.repetitions == 1 or self.low == self.high:
            return _with_unit(self.median, unit)
        return f"{_with_unit(self.median, unit)} ({_bare(self.low, unit)} to {_bare(self.high, unit)})"


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    ordered = [round(value, 6) for value in values]
    return Spread(round(statistics.median(ordered), 6), min(ordered), max(ordered), len(ordered))


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what it is, ours, and the paper's where it has one. A share is between 0 and 1, unit `%`."""

    figure: str
    ours: Spread
    unit: str = "%"
    paper: float | None = None
    paper_says: str = ""
    """Under which conditions the paper's figure holds, or from where to where it goes."""
    arm: str = ""

    @property
    def told(self) -> str:
        """The paper's figure, for people."""
        paper = "" if self.paper is None else _with_unit(self.paper, self.unit)
        return f"{paper} {self.paper_says}".strip() or "–"


@dataclass(frozen=True, slots=True)
class Report:
    """All that one environment's benchmark found."""

    environment: str
    quick: bool
    seed: int
    repetitions: int
    rows: Sequence[Row]
    differences: Sequence[str]
    """In what an arm differs from the run without speculation, which none may where nothing may be lost."""
    notes: Sequence[str] = ()
    """What is to be known to read the figures."""
    details: Mapping[str, Any] | None = None
    """What a plot or a reader may want besides."""

    def as_json(self) -> dict[str, Any]:
        """The report with what it was made with."""
        return {
            **asdict(self),
            "identical": not self.differences,
            "versions": versions(),
            "machine": {"processors": os.cpu_count(), "kernel": platform.release(), "system": platform.system()},
        }


def versions() -> dict[str, str]:
    """Of what took part."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    commit = {"commit": done.stdout.strip()} if done.returncode == 0 else {}
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}, **commit}


def as_command(
    name: str,
    description: str,
    repetitions: int,
    measure: Callable[[argparse.Namespace], Awaitable[Report]],
    paint: Callable[[Report, Any], None],
    add_options: Callable[[argparse.ArgumentParser], object] | None = None,
) -> int:
    """Measure what the command line says, print it, and let `paint` fill the axes (matplotlib's) of the plot that was
    asked for: the exit status, 1 where arms differ that must not or a server failed, 2 where the user is at fault.

    `measure` gets the options that all environments have in common, `json`, `plot`, `quick`, `seed` and `repetitions`,
    and those that are added.
    """
    options = _parser(name, description, repetitions)
    if add_options is not None:
        add_options(options)
    chosen = options.parse_args()
    chosen.repetitions = chosen.repetitions or (1 if chosen.quick else repetitions)
    try:
        if chosen.plot is not None:
            plots.check(chosen.plot)
        report = anyio.run(measure, chosen)
        if chosen.json:
            print(json.dumps(report.as_json(), indent=2))
        else:
            show(report)
        if chosen.plot is not None:
            plots.draw(chosen.plot, partial(paint, report))
    except (UserError, Failed) as error:
        print(f"spec-mcp: {error}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    return 1 if report.differences else 0


def _parser(name: str, description: str, repetitions: int) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog=f"spec-mcp bench {name}", description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object")
    options.add_argument("--plot", type=Path, metavar="FILE", help="draw to FILE (.png, .svg, .pdf)")
    options.add_argument("--quick", action="store_true", help="little of everything, once: to see that it works")
    options.add_argument("--seed", type=int, default=1, metavar="N", help="of all that is drawn (default 1)")
    options.add_argument(
        "--repetitions", type=int, metavar="N", help=f"of every arm (default {repetitions}, 1 with --quick)"
    )
    return options


def show(report: Report) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    what = f"seed {report.seed}, {report.repetitions} repetitions" if report.repetitions > 1 else f"seed {report.seed}"
    title = f"{report.environment}: {what}{', quick' if report.quick else ''}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, right in (("figure", False), ("arm", False), ("ours", True), ("paper", True)):
        table.add_column(heading, justify="right" if right else "left")
    for row in report.rows:
        table.add_row(row.figure, row.arm, row.ours.text(row.unit), row.told)
    console.print(table)
    for note in report.notes:
        console.print(note)
    for difference in report.differences:
        console.print(f"[bold red]NOT THE SAME: {difference}")


def _with_unit(value: float, unit: str) -> str:
    return f"{_bare(value, unit)}{' ' if unit else ''}{unit}"


def _bare(value: float, unit: str) -> str:
    if unit == "%":
        return f"{100 * value:.1f}"
    if not unit or value == int(value):
        return f"{value:g}" if value == int(value) else f"{value:.2f}"
    return f"{value:.1f}"

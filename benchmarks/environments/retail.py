"""`spec-mcp bench retail`: a shop's customer service, whose lookups are made while the customer types.

The paper's second environment. Customers, simulated ones and recorded ones of τ-bench, are served through the proxy in
real time: they type at 40 words a minute, the model thinks three seconds, a tool takes one, all of it at a settable
pace. Every result must be the one of the run without speculation, and the final tables too.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.environments.repeating import differences, hidden_shares, interleaved
from benchmarks.environments.reporting import Report, Row, as_command, spread
from benchmarks.environments.retail_sessions import LATENCY_S, Customers, Turns, agent, recorded, simulated
from benchmarks.environments.running import DIRECT, HOME, ROOT, Arm, Environment, Run, run_arm
from spec_mcp.cli.text import count
from spec_mcp.records import write_sessions
from spec_mcp.replay import plots

ANSWERED, HIDDEN, USED = "calls answered", "wait for tools hidden", "speculations used"
AT_ONCE_TURNS = "turns without a wait"
PAPER_LOW, PAPER_HIGH = 0.22, 0.38
PAPER_TURNS = 1 / 3

PACE, QUICK_PACE = 0.05, 0.02
"""A second of life in so many seconds: what the proxy adds to a call is then a twentieth of a tool's time, not a
thousandth, so the figures are on the low side."""
WASTED_CALL_S = 0.2
AT_ONCE = 0.25
"""A call that took less than this share of a tool's time was waited for by nobody."""

BEFORE, SERVED, REPETITIONS = 60, 20, 3
SPECULATING, WITH_WORDS = "on", "on, words told"


@dataclass(frozen=True, slots=True)
class Lived:
    """One arm through all sessions."""

    run: Run
    turns: Turns


async def live(customers: Customers, arm: Arm, pace: float, folder: Path) -> Lived:
    """All sessions, each with the tables as they were; what was learned goes from one to the next."""
    turns = Turns([])
    runs: list[Run] = []
    home = arm.home
    for number, session in enumerate(customers.served):
        place = folder / str(number)
        one = agent(session, pace, turns, tells_words=arm.name == WITH_WORDS)
        runs.append(await run_arm(shop(customers, pace), replace(arm, home=home), [one], place))
        home = place / HOME
    made = [replace(made, session=number) for number, run in enumerate(runs) for made in run.made]
    states = [run.state for run in runs]
    return Lived(Run(arm.name, made, states, sum(run.wall_s for run in runs), runs[-1].totals), turns)


def shop(customers: Customers, pace: float) -> Environment:
    """The shop behind the proxy, with these customers' tables."""
    server = [sys.executable, "-m", "wrapped_servers.retail", *customers.shop, "--db=shop.db"]
    return Environment("retail", [*server, f"--latency-default={LATENCY_S * pace:.3f}"], snapshot=_tables)


def _tables(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        return list(connection.iterdump())


def learned(customers: Customers, pace: float, folder: Path, *options: str) -> Path:
    """A home in which the proxy has learned from those who came before."""
    home = folder / "-".join(("learned", *options))
    home.mkdir(parents=True)
    record = folder / "before.jsonl"
    write_sessions(record, customers.before)
    environment = shop(customers, pace)
    command = [sys.executable, "-m", "spec_mcp", "learn", str(record), "--server", "retail", *options]
    command += ["--", *environment.command]
    environ = {**os.environ, "SPEC_MCP_HOME": str(home), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return home


async def serve(customers: Customers, pace: float, repetitions: int, folder: Path) -> tuple[list[Row], list[str]]:
    """One group of customers through all arms: rows of the report, and where arms differ."""
    config = f"[speculation]\nwasted_call_s = {WASTED_CALL_S * pace:.4f}\n"
    arms = {
        DIRECT.name: DIRECT,
        SPECULATING: Arm(SPECULATING, config=config, home=learned(customers, pace, folder)),
        WITH_WORDS: Arm(WITH_WORDS, config=config, home=learned(customers, pace, folder, "--context")),
    }
    lived: dict[str, list[Lived]] = {name: [] for name in arms}

    async def one(name: str, repetition: int) -> Run:
        done = await live(customers, arms[name], pace, folder / f"{name}-{repetition}")
        lived[name].append(done)
        return done.run

    runs = await interleaved(customers.title, list(arms), repetitions, one)
    faults = differences(runs, DIRECT.name)
    for name, of_arm in lived.items():
        for done in of_arm:
            if done.turns.unlike:
                faults.append(f"{customers.title}, {name}: {done.turns.unlike} results are not the recorded ones")
    return _rows(customers, runs, lived, pace), faults


def _rows(
    customers: Customers, runs: Mapping[str, Sequence[Run]], lived: Mapping[str, Sequence[Lived]], pace: float
) -> list[Row]:
    rows: list[Row] = []
    for name in (name for name in runs if name != DIRECT.name):
        answered = [(run.counts.hits + run.counts.joins) / run.counts.calls for run in runs[name]]
        used = [1 - run.counts.wasted / max(1, run.counts.speculations) for run in runs[name]]
        prompt = [at_once(done.turns, pace) for done in lived[name]]
        where = f"{customers.title}, {name}"
        paper = f"to {100 * PAPER_HIGH:.1f} % of calls predicted"
        rows += [
            Row(ANSWERED, spread(answered), "%", PAPER_LOW, paper, where),
            Row(USED, spread(used), "%", arm=where),
            Row(HIDDEN, spread(hidden_shares(runs, name, DIRECT.name)), "%", arm=where),
            Row(AT_ONCE_TURNS, spread(prompt), "%", PAPER_TURNS, "of turns", where),
        ]
    return rows


def at_once(turns: Turns, pace: float) -> float:
    """The share of turns in which no call was waited for."""
    fast = [all(wait_s < AT_ONCE * LATENCY_S * pace for wait_s in turn) for turn in turns.waits_s]
    return sum(fast) / len(fast)


async def measure(options: Any) -> Report:
    """All customers, all arms."""
    quick = bool(options.quick)
    before, served = (20, 1) if quick else (BEFORE, SERVED)
    pace = options.pace or (QUICK_PACE if quick else PACE)
    groups = [simulated(options.seed, before, served)]
    notes: list[str] = []
    if (others := recorded(served)) is not None:
        groups.append(others)
    else:
        notes.append("There are no recorded sessions beside the checkout: simulated customers alone.")
    rows: list[Row] = []
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="spec-mcp-retail-") as name:
        for number, customers in enumerate(groups):
            found, differing = await serve(customers, pace, options.repetitions, Path(name) / str(number))
            rows += found
            faults += differing
    notes += [
        f"{count(served, 'session')} of each kind at {pace:g} of life's pace; learned from "
        f"{' and '.join(str(len(group.before)) for group in groups)} before them.",
        "The paper's figure is the share of the calls' predictions that a model of its own got right, from the words "
        "of the customer; here nothing but earlier calls and results is known, unless the arm says so.",
    ]
    return Report("retail", quick, options.seed, options.repetitions, rows, faults, notes)


def paint(report: Report, axes: Any) -> None:
    """What each arm reached, the paper's figures beside it."""
    colours = {ANSWERED: plots.BLUE, HIDDEN: plots.ORANGE, AT_ONCE_TURNS: plots.GREEN, USED: plots.GREY}
    arms = list(dict.fromkeys(row.arm for row in report.rows))
    for offset, (figure, colour) in enumerate(colours.items()):
        found = {row.arm: row.ours for row in report.rows if row.figure == figure}
        axes.barh(
            [number + 0.2 * (offset - 1.5) for number in range(len(arms))],
            [100 * found[arm].median for arm in arms],
            height=0.18,
            color=colour,
            label=figure,
            xerr=[
                [100 * (found[arm].median - found[arm].low) for arm in arms],
                [100 * (found[arm].high - found[arm].median) for arm in arms],
            ],
        )
    axes.axvspan(
        100 * PAPER_LOW, 100 * PAPER_HIGH, color=plots.BLUE, alpha=0.12, label="the paper's calls predicted, by models"
    )
    axes.axvline(100 * PAPER_TURNS, color=plots.GREEN, linestyle="--", label="the paper's turns without a wait")
    axes.set_yticks(range(len(arms)), [arm.replace(", ", ",\n", 1) for arm in arms])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("%")
    axes.figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    plots.titled(axes, "A shop's customers", f"{count(report.repetitions, 'repetition')}, seed {report.seed}")


def main() -> int:
    """Returns the exit status."""
    return as_command(
        "retail",
        "Serves customers; see `spec-mcp bench retail --help`.",
        REPETITIONS,
        measure,
        paint,
        lambda options: options.add_argument(
            "--pace", type=float, metavar="X", help=f"of life's times (default {PACE}, {QUICK_PACE} with --quick)"
        ),
    )


if __name__ == "__main__":
    sys.exit(main())

"""Tuning an operating system, the paper's section 4: `spec-mcp bench tuning`.

The knob is the time slice of threads that answer requests beside threads that compute (`wrapped_servers/tuner`). It is
put to a bad value, and then tuned: by nobody, by a slow Actor alone, by a fast rule of thumb alone, and by both, where
the rule's guesses come into force through the proxy as lossy speculations while the Actor still thinks, and its own
decision overwrites them. What counts is the mean p95 latency over the recovery.

Where the kernel has no such knob, a simulation stands in for it, and is called a model in everything that is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.environments.repeating import interleaved
from benchmarks.environments.reporting import Report, Row, as_command, spread
from benchmarks.environments.running import AgentSession, Arm, Environment, Run, run_arm
from spec_mcp.cli.text import count
from spec_mcp.replay import plots
from wrapped_servers.tuner import knob
from wrapped_servers.tuner.server import MAX_US, MIN_US

BAD_US = MAX_US
"""Where the knob is put before it is tuned."""
REPETITIONS = 3
RECOVERY_S, ACTOR_S, WINDOW_S = 20.0, 12.0, 1.0
"""The paper's experiment, its Actor's 10 to 15 s for a decision, and its Speculator's second."""

UNTUNED, ACTOR, SPECULATOR, BOTH = "untuned", "actor only", "speculator only", "both"
PAPER_MS: Mapping[str, float] = {UNTUNED: 102.97, ACTOR: 54.00, BOTH: 37.93}
TARGET = 0.70
"""Of both to the actor alone; the paper's own figures give it."""

CONFIG = "[speculation]\nlossy = true\nwasted_call_s = 0.005\nbreadth = 1\ndepth = 1\ncheck_every = 0\n"
"""A guess that is overwritten costs little, and gains more than the few milliseconds of a call: its price is
low. At none at all, guesses that have nothing for them would be made too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    repetitions: int
    pace: float
    """Scales all times."""
    model: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A measurement."""

    slice_us: int
    p95_ms: float


class Actor:
    """The slow tuner: it weighs all that was measured, and tries between the best and the end of the range below it."""

    def __init__(self) -> None:
        self.seen: list[Point] = []

    def decide(self) -> int:
        """What to set next: the best so far, or, while the range below it is wide, its geometric middle."""
        best = self.best()
        lower = max([point.slice_us for point in self.seen if point.slice_us < best], default=MIN_US)
        return round(math.sqrt(best * lower)) if best > 8 * lower else best

    def best(self) -> int:
        """The slice with the lowest p95 at the median, so that one noisy window decides nothing."""
        by_slice: dict[int, list[float]] = {}
        for point in self.seen:
            by_slice.setdefault(point.slice_us, []).append(point.p95_ms)
        return min(by_slice, key=lambda slice_us: statistics.median(by_slice[slice_us]))


async def tune(session: AgentSession, arm: str, pace: float) -> None:
    """The recovery: measure in every window, decide as the arm decides."""
    actor, decisions = Actor(), 1
    await session.call("set_slice", slice_us=BAD_US)
    for window in range(1, int(RECOVERY_S / WINDOW_S) + 1):
        await session.think(WINDOW_S * pace)
        found = (await session.call("measure", seconds=WINDOW_S * pace)).data
        if found["p95_ms"] is not None:
            actor.seen.append(Point(found["slice_us"], found["p95_ms"]))
        if arm == SPECULATOR and found["suggestion_us"] is not None:
            await session.call("set_slice", slice_us=found["suggestion_us"])
        if arm in (ACTOR, BOTH) and actor.seen and window * WINDOW_S >= decisions * ACTOR_S:
            decisions += 1
            await session.call("set_slice", slice_us=actor.decide())
    if arm in (ACTOR, BOTH) and actor.seen:
        await session.call("set_slice", slice_us=actor.best())


async def play(plan: Plan, seed: int) -> dict[str, list[Run]]:
    """The runs of all arms, one after the other: they need the processor."""
    core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    how = ["--model", f"--seed={seed}"] if plan.model else [f"--core={core}"]
    environment = Environment(
        "tuner",
        [sys.executable, "-m", "wrapped_servers.tuner", "--state=slice", *how],
        snapshot=lambda folder: int((folder / "slice").read_text()),
    )
    with tempfile.TemporaryDirectory(prefix="spec-mcp-bench-") as name:

        async def one(arm: str, repetition: int) -> Run:
            through = Arm(arm, "on", CONFIG) if arm == BOTH else Arm(arm, "off")
            folder = Path(name) / f"{arm}-{repetition}"
            return await run_arm(environment, through, [partial(tune, arm=arm, pace=plan.pace)], folder)

        return await interleaved("tuning", (UNTUNED, ACTOR, SPECULATOR, BOTH), plan.repetitions, one)


def curve(run: Run) -> list[Point]:
    """What was measured, window by window."""
    said = [json.loads(made.result["content"][0]["text"]) for made in run.made if made.tool == "measure"]
    return [Point(each["slice_us"], each["p95_ms"]) for each in said if each["p95_ms"] is not None]


def mean_p95_ms(run: Run) -> float:
    """Over the recovery."""
    return statistics.mean(point.p95_ms for point in curve(run))


def wrong_ends(runs: Mapping[str, Sequence[Run]]) -> list[str]:
    """Runs that did not end with what their client set last."""
    return [
        f"{arm}, repetition {number}: the slice is {run.state} in the end, the client last set {last}"
        for arm, of_arm in runs.items()
        for number, run in enumerate(of_arm, 1)
        if (last := [made.arguments["slice_us"] for made in run.made if made.tool == "set_slice"][-1]) != run.state
    ]


def rows(runs: Mapping[str, Sequence[Run]]) -> list[Row]:
    """All figures."""
    means = {arm: [mean_p95_ms(run) for run in of_arm] for arm, of_arm in runs.items()}
    made = [
        Row("mean p95 latency over the recovery", spread(values), "ms", PAPER_MS.get(arm), "", arm)
        for arm, values in means.items()
    ]
    ratios = [both / alone for both, alone in zip(means[BOTH], means[ACTOR], strict=True)]
    made.append(Row("both, of actor only", spread(ratios), "%", PAPER_MS[BOTH] / PAPER_MS[ACTOR], "", BOTH))
    counts = [run.counts for run in runs[BOTH]]
    made.append(Row("guesses that came into force", spread([of.speculations for of in counts]), "", arm=BOTH))
    made.append(Row("of them the Actor's very choice", spread([of.lossy for of in counts]), "", arm=BOTH))
    return made


async def measure(options: argparse.Namespace) -> Report:
    """All arms, at the kernel's knob or, where there is none or the user wishes it so, at its model."""
    missing = knob.why_not()
    plan = Plan(options.repetitions, 0.1 if options.quick else 0.5, options.model or missing is not None)
    runs = await play(plan, options.seed)
    asked = "as asked" if missing is None else missing
    notes = [
        f"MODEL ({asked}): latencies are a simulation's." if plan.model else "The kernel's own knob, by sched_setattr.",
        f"{RECOVERY_S:g} s, the Actor decides every {ACTOR_S:g} s, the Speculator every {WINDOW_S:g} s, all × "
        f"{plan.pace}; both tuners are scripts. Another knob, kernel and workload than the paper's: compare ratios.",
        "Lossy: what a guess sets is in force until the Actor's next decision; in the end the Actor's last is.",
    ]
    return Report(
        "Tuning (model)" if plan.model else "Tuning",
        options.quick,
        options.seed,
        plan.repetitions,
        rows(runs),
        wrong_ends(runs),
        notes,
        {
            "plan": asdict(plan),
            "target": TARGET,
            "curves": {arm: [[asdict(point) for point in curve(run)] for run in runs[arm]] for arm in runs},
        },
    )


def paint(report: Report, axes: Any) -> None:
    """p95 after the perturbation, window by window: the paper's figure 9."""
    details: Any = report.details
    plan = Plan(**details["plan"])
    colours = {UNTUNED: plots.GREY, ACTOR: plots.ORANGE, SPECULATOR: plots.GREEN, BOTH: plots.BLUE}
    for arm, of_arm in details["curves"].items():
        curves = [[point["p95_ms"] for point in points] for points in of_arm]
        medians = [statistics.median(values) for values in zip(*curves, strict=False)]
        across = [WINDOW_S * (number + 1) for number in range(len(medians))]
        axes.plot(across, medians, "o-", color=colours[arm], markersize=3, label=arm)
    axes.axvline(ACTOR_S, color=plots.GREY, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"seconds after the perturbation, on the paper's scale (here × {plan.pace})")
    axes.set_ylabel("p95 latency, ms")
    axes.legend(fontsize=9)
    what = "a MODEL of EEVDF" if plan.model else "this kernel's EEVDF slice"
    plots.titled(axes, "Recovery from a bad setting", f"{what}, {count(plan.repetitions, 'repetition')}, medians")


def main() -> int:
    """Returns the exit status."""
    return as_command(
        "tuning",
        __doc__ or "",
        REPETITIONS,
        measure,
        paint,
        lambda options: options.add_argument(
            "--model", action="store_true", help="the simulation, also where the kernel has the knob"
        ),
    )


if __name__ == "__main__":
    sys.exit(main())

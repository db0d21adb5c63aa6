"""What merging, weighing and choosing of speculators is worth, with speculators whose quality is known.

Recorded sessions are replayed with injected speculators (`benchmarks/injected.py`): no model is asked, and no figure
says anything of one. Everything starts from nothing with the first half of each file's tasks, and goes on with the
other half.

Quality: history alone, a free speculator alone, and both merged, for each kind of speculator and each recall, in the
first sessions and after them; what is compared is the waiting hidden less what wasted calls are worth. Merging must not
do worse than the better of both by more than noise: twice the standard error of the difference over seeds and files,
and `NOISE` of all waiting; in the first sessions by `LEARNING` more, since nobody knows then which is the better.

Costs: a small and a large speculator with prices, asked together, at several prices of an hour saved: what was spent,
what might have been, and what was hidden. No more must be spent than might have been.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from benchmarks.injected import Injected, Quality
from benchmarks.prediction import Recording, load, traces
from spec_mcp.cli.columns import Column, fitting
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import Timing
from spec_mcp.errors import UserError
from spec_mcp.predict.bandit import TRIAL_S, TRIAL_SHARE, Costs
from spec_mcp.predict.default import make_predictor
from spec_mcp.predict.guessing import Terms
from spec_mcp.predict.merged import MergedPredictor
from spec_mcp.predict.predictor import Predictor
from spec_mcp.predict.prices import Prices
from spec_mcp.predict.silent import Silent
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.plots import BLUE, GREEN, GREY, ORANGE, check, draw, titled
from spec_mcp.replay.script import Timings, set_stage, write_script

WASTED_CALL_S = Settings().wasted_call_s
NOISE = 0.01
"""Of all waiting: what differs by less is the same."""

LEARNING = 0.03
"""Of all waiting in the first sessions: what it may cost to find out what a speculator is worth."""

KINDS: Mapping[str, Callable[[float], Quality]] = {
    "usual": Quality,
    "quick, sure": lambda recall: Quality(recall, noise=0.1, latency_s=0.05),
}
"""By how well they know what they know: one that answers at once and all but tells right from wrong."""

RECALLS = (0.0, 0.3, 0.6, 0.9)
FILES = ("tau2-retail-gpt5mini", "livemcpbench-sonnet4")
SESSIONS = 25
"""Of each half of a file at the most."""

PRICES_PER_HOUR = (0.0, 2.0, 8.0, 32.0, 128.0)
SMALL = Quality(0.35, latency_s=0.4, prices=Prices(0.1, 0.01, 0.5))
LARGE = Quality(0.7, latency_s=1.0, prices=Prices(2.0, 0.2, 10.0))
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    recalls: Sequence[float]
    files: Sequence[str]
    sessions: int
    seeds: int
    prices_per_hour: Sequence[float]


FULL = Plan(RECALLS, FILES, SESSIONS, 2, PRICES_PER_HOUR)
QUICK = Plan((0.0, 0.9), FILES[:1], 16, 1, (0.0, 8.0))


@dataclass(frozen=True, slots=True)
class Played:
    """One replay of one file."""

    wait_s: float
    hidden_s: float
    wasted: int
    asked: int
    """Questions from the beginning, as of all that follows."""
    spent: float
    allowed: float
    """What might have been spent: `price_per_hour_saved` for the waiting saved, and for what may be tried."""

    @property
    def net_s(self) -> float:
        """What was gained."""
        return self.hidden_s - WASTED_CALL_S * self.wasted


def play(
    recording: Recording, plan: Plan, qualities: Mapping[str, Quality], costs: Costs, seed: int, *, history: bool
) -> tuple[Played, Played]:
    """Live the first half of a recording from nothing, then the second half."""
    timing = Timing()
    stage = set_stage(recording.training, recording.tools, None)
    pool = [call for session in recording.training for call in write_script(session, stage, Timings()).calls]
    terms = {name: Terms(quality.prices) for name, quality in qualities.items()}
    merged: list[MergedPredictor] = []

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Predictor:
        own = make_predictor(policies, number) if history else Silent()
        if not terms:
            return own
        merged.append(MergedPredictor(own, terms, policies, timing, costs))
        return merged[-1]

    options = Options(Settings(WASTED_CALL_S), make=make, speculators=Injected(qualities, pool, seed))
    evaluation = Evaluation(options, timing=timing)
    waited_s, found = 0.0, list[Played]()
    for sessions in (recording.training, recording.test):
        tally = evaluation.play(sessions[: plan.sessions], recording.tools)
        waited_s += tally.wait_s
        standings = merged[0].standings() if merged else ()
        worth_s = sum(max(0.0, standing.saved_s) for standing in standings) + TRIAL_SHARE * waited_s + TRIAL_S
        found.append(
            Played(
                tally.wait_s,
                tally.wait_hidden_s,
                tally.speculations - tally.used,
                sum(standing.asked for standing in standings),
                sum(standing.price for standing in standings),
                costs.price_per_hour_saved / HOUR_S * worth_s,
            )
        )
    return found[0], found[1]


Both = list[tuple[Played, Played]]
"""Of each seed and file, the first sessions and those after them."""


def by_quality(recordings: Sequence[Recording], plan: Plan, advance: Callable[[], None]) -> list[dict[str, Any]]:
    """History, a speculator, and both."""

    def arm(quality: Quality | None, *, history: bool) -> Both:
        qualities = {} if quality is None else {"injected": quality}
        found: Both = []
        for seed in range(plan.seeds):
            for recording in recordings:
                found.append(play(recording, plan, qualities, Costs(), seed, history=history))
                advance()
        return found

    alone = arm(None, history=True)
    rows: list[dict[str, Any]] = []
    for kind, of in KINDS.items():
        for recall in plan.recalls:
            quality = of(recall)
            arms = {"history": alone, "speculator": arm(quality, history=False), "merged": arm(quality, history=True)}
            for is_later in (False, True):
                part = {name: [pair[is_later] for pair in pairs] for name, pairs in arms.items()}
                rows.append({"kind": kind, "recall": recall, "is_later": is_later, **_compare(part, is_later=is_later)})
    return rows


def _compare(arms: Mapping[str, Sequence[Played]], *, is_later: bool) -> dict[str, Any]:
    """Of history, a speculator and both the figures, and whether both together are as good as the better."""
    wait_s = sum(played.wait_s for played in arms["history"])
    net = {name: sum(played.net_s for played in of) / wait_s for name, of in arms.items()}
    better = max(("history", "speculator"), key=lambda name: net[name])
    pairs = zip(arms["merged"], arms[better], strict=True)
    gains = [(one.net_s - other.net_s) / one.wait_s for one, other in pairs]
    noise = NOISE + (2.0 * stdev(gains) / sqrt(len(gains)) if len(gains) > 1 else NOISE)
    noise += 0.0 if is_later else LEARNING
    return {
        **{f"{name}_net_share": round(share, 4) for name, share in net.items()},
        **{f"{name}_hidden_share": round(_hidden(of), 4) for name, of in arms.items()},
        **{f"{name}_wasted": sum(played.wasted for played in of) for name, of in arms.items()},
        "asked": sum(played.asked for played in arms["merged"]),
        "gain": round(net["merged"] - net[better], 4),
        "mean_gain": round(mean(gains), 4),
        "noise": round(noise, 4),
        "holds": net["merged"] >= net[better] - noise,
    }


def by_price(recordings: Sequence[Recording], plan: Plan, advance: Callable[[], None]) -> list[dict[str, Any]]:
    """The cost-latency frontier."""
    rows: list[dict[str, Any]] = []
    for price_per_hour in plan.prices_per_hour:
        found: list[Played] = []
        for seed in range(plan.seeds):
            for recording in recordings:
                qualities = {"small": SMALL, "large": LARGE}
                found.append(play(recording, plan, qualities, Costs(price_per_hour), seed, history=True)[1])
                advance()
        rows.append(
            {
                "price_per_hour_saved": price_per_hour,
                "hidden_share": round(_hidden(found), 4),
                "net_share": round(sum(played.net_s for played in found) / sum(p.wait_s for p in found), 4),
                "asked": sum(played.asked for played in found),
                "spent": round(sum(played.spent for played in found), 6),
                "allowed": round(sum(played.allowed for played in found), 6),
                "holds": all(played.spent <= played.allowed for played in found),
            }
        )
    return rows


def _hidden(found: Sequence[Played]) -> float:
    return sum(played.hidden_s for played in found) / sum(played.wait_s for played in found)


def run(plan: Plan) -> dict[str, Any]:
    """All of it."""
    from rich.progress import Progress

    folder = traces()
    recordings = [recording for name in plan.files for recording in load(folder, name)]
    replays = plan.seeds * len(recordings) * (1 + 2 * len(KINDS) * len(plan.recalls) + len(plan.prices_per_hour))
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("replays", total=replays)
        quality = by_quality(recordings, plan, lambda: bar.advance(task))
        costs = by_price(recordings, plan, lambda: bar.advance(task))
    return {"plan": asdict(plan), "wasted_call_s": WASTED_CALL_S, "quality": quality, "costs": costs}


QUALITY = (
    Column("speculator is"),
    Column("recall"),
    Column("sessions"),
    Column("history"),
    Column("speculator"),
    Column("merged"),
    Column("gain", 1),
    Column("noise", 2),
    Column("asked", 3),
)
COSTS = (
    Column("an hour is worth"),
    Column("hidden"),
    Column("net", 1),
    Column("asked", 2),
    Column("spent"),
    Column("allowed", 3),
)


def show(figures: dict[str, Any]) -> None:
    """The tables for people."""
    console = Console(highlight=False)
    rows = [
        (
            row["kind"],
            f"{row['recall']:.0%}",
            "later" if row["is_later"] else "first",
            *(f"{row[f'{name}_net_share']:.1%}" for name in ("history", "speculator", "merged")),
            f"{100 * row['gain']:+.1f}",
            f"{100 * row['noise']:.1f}",
            f"{row['asked']:,}",
        )
        for row in figures["quality"]
    ]
    console.print("of all waiting, hidden less what wasted calls are worth", fitting(QUALITY, rows, console.width)[0])
    console.print("recall: the next call is among four guesses; gain: of merging over the better of both, points\n")
    rows = [
        (
            f"{row['price_per_hour_saved']:g}",
            f"{row['hidden_share']:.1%}",
            f"{row['net_share']:.1%}",
            f"{row['asked']:,}",
            f"{row['spent']:.4f}",
            f"{row['allowed']:.4f}",
        )
        for row in figures["costs"]
    ]
    console.print("a small and a large speculator with prices", fitting(COSTS, rows, console.width)[0])


def plot(figures: dict[str, Any], path: Path) -> None:
    """The frontier: what is hidden against what it costs.

    Raises:
        UserError: the plotting library is missing, or the file cannot be written.
    """
    rows = figures["costs"]
    across, up = [1e3 * row["spent"] for row in rows], [100 * row["hidden_share"] for row in rows]
    history = next(100 * row["history_hidden_share"] for row in figures["quality"] if row["is_later"])

    def paint(axes: Any) -> None:
        axes.plot(across, up, "o-", color=BLUE, clip_on=False, label="by what an hour of waiting is worth")
        for row, x, y in zip(rows, across, up, strict=True):
            axes.annotate(
                f"{row['price_per_hour_saved']:g}", (x, y), xytext=(0, 8), textcoords="offset points", fontsize=9
            )
        axes.axhline(history, linestyle="--", color=GREY, label="history alone")
        axes.plot(
            [1e3 * row["allowed"] for row in rows], up, "|", color=ORANGE, markersize=12, label="might have been spent"
        )
        rows_free = [row for row in figures["quality"] if row["is_later"] and row["kind"] == "usual"]
        free = [100 * row["merged_hidden_share"] for row in rows_free]
        axes.plot([0.0] * len(free), free, "s", color=GREEN, clip_on=False, label="with a free one, by its recall")
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlabel("spent, thousandths of the prices' currency")
        axes.set_ylabel("wait hidden, % of all waiting")
        titled(
            axes,
            "What speculators with a price hide, and what they cost",
            "Injected guesses of known quality on recorded sessions: no model was asked.",
        )
        axes.legend(fontsize=9, framealpha=1.0)

    draw(path, paint)


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.speculators", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for a program")
    parser.add_argument("--quick", action="store_true", help="few sessions and settings: to see that it works")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the cost-latency frontier")
    arguments = parser.parse_args()
    try:
        if arguments.plot is not None:
            check(arguments.plot)
        figures = run(QUICK if arguments.quick else FULL)
        if arguments.json:
            print(json.dumps(figures))
        else:
            show(figures)
        if arguments.plot is not None:
            plot(figures, arguments.plot)
    except UserError as error:
        print(f"bench speculators: {error}", file=sys.stderr)
        return 2
    broken = [row for row in (*figures["quality"], *figures["costs"]) if not row["holds"]]
    for row in broken:
        print(f"bench speculators: this does not hold: {row}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

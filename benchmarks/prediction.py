"""How well calls are foretold on recorded sessions of other people's agents, beside what others have published.

Each file's sessions are split by their tasks: the predictor learns from the first half and is measured on the second.
One configuration serves all files: the share of speculations to be used is what is asked for, and the price of waste
that leads to it is found while playing. `--online` measures a start from nothing. `--without PART` leaves a part of the
model out. `--conversations` plays each half that is measured as one session that holds many conversations. `--decide`
times decisions after 100,000 calls of history.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import prediction_decide
from benchmarks.prediction_parts import PARTS, without
from benchmarks.prediction_plots import plots
from spec_mcp.cli.columns import Column, fitting, percent
from spec_mcp.engine.policy import Settings
from spec_mcp.errors import UserError
from spec_mcp.records import Session, Tool, halves, read_sessions, read_tools, tools_beside
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.script import Timings
from spec_mcp.replay.tally import Tally, calibration_error, quantile, reliability, share

CHECKOUT = Path(__file__).resolve().parents[1]
USED_SHARES = (0.8, 0.7, 0.6, 0.5, 0.4)
"""The points of the curve of answered share against used share."""

HEADROOM = 0.015
"""Asked for beyond each share: what is found while playing begins below it. Chosen on the training halves."""

CONVERSATIONS_USED = 0.7
CLIENTS_THINK_S = 3.0
PAUSE_S = 600.0
"""Between two conversations of one session: none to speak of, and somebody who comes back later."""

BREADTH = 8
RETAIL = "retail"
PUBLISHED = (
    ("stretto, τ-bench retail", 0.75, (0.42, 0.45)),
    ("Speculative Actions, τ-bench retail", None, (0.22, 0.385)),
    ("PASTE, next call, top 3", None, (0.439, 0.439)),
    ("Nichols et al.", None, (0.06, 0.21)),
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One file."""

    name: str
    training: list[Session]
    test: list[Session]
    tools: list[Tool]


def traces() -> Path:
    """The folder of recorded sessions."""
    folder = Path(environ.get("SPEC_MCP_SHARED") or CHECKOUT.parent / "shared") / "traces"
    if not folder.is_dir():
        raise UserError(f"{folder}: there are no recorded sessions: set SPEC_MCP_SHARED to the folder above `traces`")
    return folder


def load(folder: Path, names: str) -> list[Recording]:
    """All recordings whose name holds this text."""
    found: list[Recording] = []
    for path in sorted(folder.glob("*.jsonl*")):
        name = path.name.split(".jsonl")[0]
        if names in name:
            beside = tools_beside(path)
            first, second = halves(list(read_sessions(path)))
            found.append(Recording(name, first, second, [] if beside is None else read_tools(beside)))
    return found


def measure(recording: Recording, options: Options, *, online: bool, advance: Callable[[], None]) -> Tally:
    """One file at one setting."""
    evaluation = Evaluation(options)
    if online:  # from nothing: the first half is lived, and not counted
        evaluation.play(recording.training, recording.tools)
    else:
        evaluation.train(recording.training, recording.tools)
    tally = evaluation.play(recording.test, recording.tools)
    advance()
    return tally


def run(recordings: Sequence[Recording], shares: Sequence[float], arguments: argparse.Namespace) -> dict[str, Any]:
    """All files at all settings: the figures, by share and file."""
    from rich.progress import Progress

    figures: dict[str, Any] = {}
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("sessions", total=len(shares) * len(recordings))
        for used_share in shares:
            timings = Timings(1.0, 3.0) if arguments.inject else Timings()
            options = Options(
                Settings(breadth=BREADTH, in_flight=BREADTH),
                timings,
                used_share=used_share + HEADROOM,
                context=arguments.context,
            )
            tallies = {
                recording.name: measure(recording, options, online=arguments.online, advance=lambda: bar.advance(task))
                for recording in recordings
            }
            figures[f"{used_share:g}"] = {name: row(tally) for name, tally in tallies.items()}
            figures[f"{used_share:g}"]["retail"] = row(pooled(t for n, t in tallies.items() if RETAIL in n))
    return figures


def pooled(tallies: Any) -> Tally:
    """Several files as one."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def row(tally: Tally) -> dict[str, Any]:
    """The figures of one file, those of `spec-mcp replay` and more."""
    return {
        **tally.report(""),
        "waste_per_ten": round(10 * share(tally.speculations - tally.used, tally.calls), 3),
        "hideable_hidden_share": round(share(tally.wait_hidden_s, tally.oracle_hidden_s), 4),
        "calibration_error": round(calibration_error(tally.calibration), 4),
        "reliability": [[round(q, 3), round(used, 3), count] for q, used, count in reliability(tally.calibration)],
        "wasted": dict(tally.wasted.most_common(8)),
        "missed": dict(tally.missed.most_common()),
        "decide_ms_p99": round(1e3 * quantile(tally.decide_s, 0.99), 3),
    }


COLUMNS = (
    Column("file", left=True),
    Column("calls", 6),
    Column("answered"),
    Column("reads", 2),
    Column("used"),
    Column("waste/10", 3),
    Column("top 1", 4),
    Column("top 3"),
    Column("hidden", 1),
    Column("ECE", 5),
    Column("decide ms", 7),
)
"""Where the terminal is narrow, those with the highest numbers are left out."""


def show(figures: dict[str, Any], shares: Sequence[float]) -> None:
    """The tables for people."""
    console = Console(highlight=False)
    left_out: list[str] = []
    for used_share in shares:
        rows = [_cells(name, of) for name, of in figures[f"{used_share:g}"].items()]
        table, left_out = fitting(COLUMNS, rows, console.width)
        console.print(f"asked for: {used_share:.0%} of speculations used", table, "", sep="\n")
    console.print(
        "answered: of all calls; reads: of those that read; used: of speculations; waste/10: wasted speculations per "
        "ten calls; top 1, top 3: the very next call; hidden: of the wait that a perfect guesser hides"
    )
    if left_out:
        console.print(f"left out for want of room, see --json: {', '.join(left_out)}")
    console.print("published: " + "; ".join(f"{name} {low:.1%} to {high:.1%}" for name, _, (low, high) in PUBLISHED))


def _cells(name: str, of: dict[str, Any]) -> tuple[str, ...]:
    some = of["speculations"] > 0
    return (
        "all of retail" if name == RETAIL else name,
        f"{of['calls']:,}",
        f"{of['answered_share']:.1%}",
        f"{of['answered_reads_share']:.1%}",
        f"{of['used_share']:.1%}" if some else "–",
        f"{of['waste_per_ten']:.2f}",
        f"{of['next_call_top1']:.1%}",
        f"{of['next_call_top3']:.1%}",
        percent(of["hideable_hidden_share"]),
        f"{of['calibration_error']:.3f}" if some else "–",
        f"{of['decide_ms_p50']:.2f}/{of['decide_ms_p99']:.2f}",
    )


def parts(recordings: Sequence[Recording], arguments: argparse.Namespace) -> dict[str, Any]:
    """Retail at 60 % used, whole and without each part of the model."""
    found: dict[str, Any] = {}
    for part in ("nothing", *PARTS):
        with without(part):
            figures = run([r for r in recordings if RETAIL in r.name], (0.6,), arguments)["0.6"]["retail"]
        found[part] = {
            name: figures[name] for name in ("answered_share", "used_share", "next_call_top3", "calibration_error")
        }
    return found


def conversations(recordings: Sequence[Recording], arguments: argparse.Namespace) -> dict[str, Any]:
    """Retail at 70 % used, by whether each conversation has a session of its own."""
    found: dict[str, Any] = {}
    for name, pause_s in (("apart", None), ("one session", CLIENTS_THINK_S), ("one session, pauses", PAUSE_S)):
        options = Options(
            Settings(breadth=BREADTH, in_flight=BREADTH), used_share=CONVERSATIONS_USED + HEADROOM, pause_s=pause_s
        )
        tallies = [
            measure(recording, options, online=arguments.online, advance=lambda: None)
            for recording in recordings
            if RETAIL in recording.name
        ]
        figures = row(pooled(tallies))
        found[name] = {
            name: figures[name]
            for name in ("answered_share", "used_share", "next_call_top1", "next_call_top3", "calibration_error")
        }
    return found


def decide(recordings: Sequence[Recording]) -> dict[str, Any]:
    """How long decisions take after a long history."""
    from rich.progress import Progress

    files = [(recording.training + recording.test, recording.tools) for recording in recordings]
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("calls of history", total=prediction_decide.HISTORY_CALLS)
        return prediction_decide.measure(
            files, prediction_decide.HISTORY_CALLS, lambda lived: bar.update(task, completed=lived)
        )


def main() -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.prediction", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures for a program")
    parser.add_argument("--quick", action="store_true", help="one setting")
    parser.add_argument("--online", action="store_true", help="from nothing: the first half is lived, not counted")
    parser.add_argument("--context", action="store_true", help="show the predictor what user and assistant say")
    parser.add_argument("--inject", action="store_true", help="1 s a call and 3 s of thinking everywhere")
    parser.add_argument("--parts", action="store_true", help="leave each part of the model out in turn")
    parser.add_argument("--conversations", action="store_true", help="many conversations in one session")
    parser.add_argument("--decide", action="store_true", help="how long decisions take after 100,000 calls")
    parser.add_argument("--only", default="", help="files whose name holds this")
    parser.add_argument(
        "--out", type=Path, default=CHECKOUT / "benchmarks" / "results", help="folder for JSON and plots"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        recordings = load(traces(), arguments.only)
        if arguments.parts or arguments.conversations or arguments.decide:
            if arguments.parts:
                figures = parts(recordings, arguments)
            else:
                figures = conversations(recordings, arguments) if arguments.conversations else decide(recordings)
            print(json.dumps(figures, indent=1))
            return 0
        shares = (0.7,) if arguments.quick else USED_SHARES
        figures = run(recordings, shares, arguments)
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "prediction.json").write_text(json.dumps(figures, indent=1))
        if arguments.json:
            print(json.dumps(figures))
        else:
            show(figures, shares)
            print(f"{time.monotonic() - began:.0f} s; {arguments.out / 'prediction.json'}")
        try:
            plots(figures, PUBLISHED, arguments.out)
        except UserError as error:
            print(f"no plots: {error}", file=sys.stderr)
    except UserError as error:
        print(f"bench prediction: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

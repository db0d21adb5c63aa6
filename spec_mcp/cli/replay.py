"""`spec-mcp replay`: recorded sessions through the real engine in virtual time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.progress import meter
from spec_mcp.cli.text import safe
from spec_mcp.errors import UserError

if TYPE_CHECKING:
    from spec_mcp.engine.effects import ServerPolicy


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Recorded sessions: JSON Lines, .gz too.")],
    tools: Annotated[
        Path | None,
        typer.Option("--tools", metavar="FILE", help="The tool catalogue. Default: X.tools.json beside X.jsonl."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file instead of a table.")] = False,
    train: Annotated[
        list[Path] | None, typer.Option("--train", metavar="FILE", help="Learn from these first; may be repeated.")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online/--no-online", help="Learn while replaying, as it does when it is used.")
    ] = True,
    tool_latency: Annotated[
        float | None,
        typer.Option("--tool-latency", min=0.0, metavar="S", help="What a call takes. Default: as recorded, else 1."),
    ] = None,
    think: Annotated[
        float | None,
        typer.Option("--think", min=0.0, metavar="S", help="The client's thinking. Default: as recorded, else 3."),
    ] = None,
    used_share: Annotated[
        float,
        typer.Option("--used-share", min=0.0, max=1.0, metavar="X", help="Find the cost at which X of them are used."),
    ] = 0.0,
    wasted_call_s: Annotated[
        float, typer.Option("--wasted-call-s", min=0.0, metavar="S", help="What a wasted call is worth, in seconds.")
    ] = 0.2,
    breadth: Annotated[int, typer.Option("--breadth", min=0, help="Candidates a step.")] = 4,
    depth: Annotated[int, typer.Option("--depth", min=1, help="Steps ahead.")] = 3,
    predictor: Annotated[
        str, typer.Option("--predictor", metavar="NAME", help="Which predictor.", autocompletion=completing.predictors)
    ] = "history",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N sessions of each file.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="For predictors that draw lots.")] = 0,
    manifest: Annotated[
        Path | None,
        typer.Option("--manifest", metavar="FILE", help="Says which tools read, and what a write spoils."),
    ] = None,
    context: Annotated[
        bool, typer.Option("--context", help="Show the predictor what user and assistant say; a proxy does not see it.")
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, metavar="N", help="Files at once. Default: the number of processors."),
    ] = None,
) -> None:
    """Replay recorded sessions: how many calls would have been answered ahead of time, and at what waste.

    The real engine, policy and predictor run in virtual time. Nothing looks ahead: later events of a session serve
    only to answer what was speculated, and to score.
    """
    from spec_mcp.engine.policy import Settings
    from spec_mcp.replay.evaluate import PREDICTORS, Options
    from spec_mcp.replay.files import Work, jobs_here, play_files
    from spec_mcp.replay.script import Timings

    if predictor not in PREDICTORS:
        raise UserError(f"--predictor {predictor}: there is no such predictor, only {', '.join(PREDICTORS)}")
    options = Options(
        settings=Settings(wasted_call_s=wasted_call_s, breadth=breadth, depth=depth),
        timings=Timings(tool_latency, think),
        used_share=used_share,
        online=online,
        context=context,
        seed=seed,
        manifest=_policy(manifest),
        make=PREDICTORS[predictor],
    )
    played: list[tuple[Path, Mapping[str, Any]]] = []
    try:
        with meter("replaying") as show_calls:
            work = Work(options, tools, limit)
            for path, report in play_files(files, train or [], work, jobs or jobs_here(), show_calls):
                played.append((path, report))  # told when the bar is gone, which both must not write over
    finally:
        for path, report in played:
            if as_json:
                typer.echo(json.dumps(report))
            else:
                show(path.name, report)


def show(name: str, report: Mapping[str, Any]) -> None:
    """The figures of one file for people, each beside what it is a share of."""
    typer.echo(safe(name))
    for heading, text in (
        ("sessions", f"{report['sessions']:,}"),
        ("calls", f"{report['calls']:,}, {report['reads']:,} of them reads, {report['reachable']:,} reachable"),
        (
            "answered",
            f"{report['answered']:,}: {report['answered_share']:.1%} of calls, "
            f"{report['answered_reads_share']:.1%} of reads",
        ),
        ("speculations", f"{report['speculations']:,}, {report['used_share']:.1%} of them used"),
        ("next tool", f"{report['next_tool_top1']:.1%} at the first guess"),
        (
            "next call",
            f"{report['next_call_top1']:.1%} at the first guess, {report['next_call_top3']:.1%} among three",
        ),
        ("wait", f"{report['wait_s']:,.1f} s without speculation"),
        (
            "hidden",
            f"{report['wait_hidden_s']:,.1f} s, {report['wait_hidden_share']:.1%} of it; a perfect guesser hides "
            f"{report['oracle_hidden_s']:,.1f} s",
        ),
        ("decision", f"{report['decide_ms_p50']:.2f} ms median, {report['decide_ms_p99']:.2f} ms 99th percentile"),
    ):
        typer.echo(f"  {heading:<14}{text}")


def _policy(manifest: Path | None) -> ServerPolicy | None:
    if manifest is None:
        return None
    from spec_mcp.manifest.load import load_manifest

    return load_manifest(manifest).policy

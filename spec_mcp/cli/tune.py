"""`spec-mcp tune`: the cost-latency curve of the user's own history, and the setting to choose."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import HOW_TO_BEGIN, ConfigOption, JsonOption, open_store, store_place
from spec_mcp.cli.text import count, safe, seconds
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.config import Config
    from spec_mcp.engine.effects import ServerPolicy
    from spec_mcp.engine.policy import Settings
    from spec_mcp.replay.tuning import Curve, History, Point

MAX_CALLS = 5_000
"""The newest calls that are played, at each setting: half a minute altogether. Older habits say less."""


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE…]", help="Recorded sessions. Default: what is recorded on this machine."),
    ] = None,
    server: Annotated[
        str,
        typer.Option(
            "--server", metavar="NAME", help="Only this server's sessions.", autocompletion=completing.recorded_servers
        ),
    ] = "",
    used_share: Annotated[
        float, typer.Option("--used-share", min=0.0, max=1.0, metavar="X", help="Least share of speculations used.")
    ] = 0.5,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curve: .png, .svg, .pdf.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Replay your own history at several values of [b]wasted_call_s[/b], and say which one to choose.

    Each row is a setting: how much of your waiting it would have hidden, and how many calls it would have made that
    nobody used. The setting to choose hides the most while the share of speculations that are used stays above
    [b]--used-share[/b]; where several hide about the same, it is the one that wastes least. Nothing is changed.
    """
    from spec_mcp.cli.progress import progress
    from spec_mcp.config import find_config, load_config
    from spec_mcp.replay.tuning import COSTS_S, Tuning

    if plot is not None:
        from spec_mcp.replay.plots import check

        check(plot)
    if files and server:
        raise UserError(
            "tune: --server chooses from what is recorded on this machine: give files or --server, not both"
        )
    found = load_config(find_config(config, os.environ))
    histories, left_out = (_read(files), 0) if files else _recorded(server, config)
    tuning = Tuning(histories, _settings(found), COSTS_S)
    steps = len({*COSTS_S, tuning.settings.wasted_call_s}) * sum(len(history.sessions) for history in histories)
    with progress("replaying", steps) as advance:
        curve = tuning.play(advance)
    advice = advise(curve, used_share, found)
    if plot is not None and curve.reads:
        from spec_mcp.replay.plots import cost_and_latency, draw

        draw(plot, cost_and_latency(curve, advice.chosen, curve.at(found.speculation.wasted_call_s)))
    if as_json:
        typer.echo(json.dumps(_as_object(curve, advice, found)))
    else:
        _show(curve, advice, found, left_out)
        if plot is not None and curve.reads:
            typer.echo(safe(f"The curve is drawn in {plot}."))


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, as text."""

    text: str
    chosen: Point | None = None
    """The setting to choose; None where none can be chosen."""


def advise(curve: Curve, used_share: float, config: Config) -> Advice:
    """Which setting to choose and what that changes, or why none can be chosen."""
    from spec_mcp.replay.tuning import NEEDED_CALLS, NEEDED_SESSIONS

    now = curve.at(config.speculation.wasted_call_s)
    keep = f"Keep wasted_call_s = {now.wasted_call_s:g}"
    played = f"{count(curve.calls, 'call')} in {count(curve.sessions, 'session')}"
    if not curve.reads:
        return Advice(
            f"Nothing can be chosen: of {played} none is of a tool that is known to read, so nothing is made ahead. "
            "`spec-mcp doctor` says which tools a manifest declares, `spec-mcp manifest draft -- COMMAND` begins one."
        )
    if not curve.is_enough:
        return Advice(
            f"Too little to choose by: {played} are recorded, and {NEEDED_CALLS} calls in {NEEDED_SESSIONS} sessions "
            f"are needed. {keep} until then."
        )
    chosen = curve.best(used_share, now)
    if chosen is None:
        best = max(curve.points, key=lambda point: point.used_share)
        if best.used_share == 0.0:
            return Advice(f"{keep}: in {played} no call was foretold, so no setting hides anything yet.")
        return Advice(
            f"{keep}: no setting has {used_share:.0%} of its speculations used. The nearest is {best.wasted_call_s:g} "
            f"with {best.used_share:.0%}; `--used-share {best.used_share - 0.005:.2f}` would take it."
        )
    if chosen == now:
        return Advice(f"{keep}: no other setting does better with at least {used_share:.0%} of speculations used.", now)
    why = ""
    if now.used_share < used_share:
        why = f"Now {now.used_share:.0%} of speculations are used, with it {chosen.used_share:.0%}. "
    return Advice(f"{_set(chosen, now, config)}\n{why}{_change(chosen, now)}{_unless(config)}", chosen)


def _set(chosen: Point, now: Point, config: Config) -> str:
    from spec_mcp.config import home

    file = config.file or home(os.environ) / "config.toml"
    where = f"under [speculation] in {file}" if config.file else f"under [speculation] in a new file {file}"
    if file.suffix == ".json":
        where = f'under "speculation" in {file}'
    return f"Set wasted_call_s = {chosen.wasted_call_s:g} {where} (now {now.wasted_call_s:g})."


def _change(chosen: Point, now: Point) -> str:
    return (
        f"It would have hidden {chosen.hidden_share:.0%} of the wait instead of {now.hidden_share:.0%} "
        f"({seconds(chosen.hidden_s)} instead of {seconds(now.hidden_s)}), with {chosen.waste_per_ten:.1f} wasted "
        f"calls per ten instead of {now.waste_per_ten:.1f}."
    )


def _unless(config: Config) -> str:
    wanted = config.speculation.used_share
    if not wanted:
        return ""
    return f"\nYou have used_share = {wanted:g}, which finds wasted_call_s by itself: set it to 0 for this to count."


def _settings(config: Config) -> Settings:
    from spec_mcp.engine.policy import Settings

    chosen = config.speculation
    return Settings(chosen.wasted_call_s, chosen.breadth, chosen.depth, chosen.in_flight, chosen.join)


def _read(files: list[Path]) -> list[History]:
    from spec_mcp.records import read_sessions, read_tools, tools_beside
    from spec_mcp.replay.tuning import History

    histories: list[History] = []
    for path in files:
        beside = tools_beside(path)
        histories.append(History(list(read_sessions(path)), None, [] if beside is None else read_tools(beside)))
    if not any(history.sessions for history in histories):
        raise Failed(f"tune: there is no recorded session in {', '.join(map(str, files))}")
    return histories


def _recorded(server: str, config: Path | None) -> tuple[list[History], int]:
    """The newest sessions of each server, oldest first, and how many older ones are left out."""
    from spec_mcp.cli.export import as_record
    from spec_mcp.cli.unaided import unaided
    from spec_mcp.replay.tuning import History

    store = open_store(store_place(config))
    if store is None:
        raise Failed(f"tune: there is no recorded session to tune by: {HOW_TO_BEGIN}")
    try:
        servers = {summary.session.scope.server for summary in store.sessions()}
        wanted = [trace for trace in store.traces() if server in ("", trace.session.scope.server) and trace.calls]
    finally:
        store.close()
    if server and servers and server not in servers:
        raise Failed(f"tune: nothing is recorded of a server {server}, only of {', '.join(sorted(servers))}")
    if not wanted:
        raise Failed(f"tune: there is no recorded call to tune by: {HOW_TO_BEGIN}")
    newest, calls = 0, 0
    for trace in reversed(wanted):
        calls += len(trace.calls)
        if calls > MAX_CALLS and newest:
            break
        newest += 1
    kept = wanted[len(wanted) - newest :]
    by_scope: dict[Any, list[Any]] = {}
    for trace in kept:
        by_scope.setdefault(trace.session.scope, []).append(as_record(unaided(trace)))
    histories = [History(sessions, _policy(scope.server)) for scope, sessions in by_scope.items()]
    return histories, len(wanted) - newest


def _policy(server: str) -> ServerPolicy | None:
    """The manifest of the server's name: it says what a write spoils."""
    from spec_mcp.config import home
    from spec_mcp.manifest.load import load_manifest
    from spec_mcp.manifest.match import find_manifest

    try:
        return load_manifest(find_manifest(server, home(os.environ))).policy
    except UserError:
        return None


def _as_object(curve: Curve, advice: Advice, config: Config) -> dict[str, object]:
    from spec_mcp.replay.tuning import NEEDED_CALLS, NEEDED_SESSIONS

    return {
        "sessions": curve.sessions,
        "calls": curve.calls,
        "reads": curve.reads,
        "enough": curve.is_enough,
        "needed": {"calls": NEEDED_CALLS, "sessions": NEEDED_SESSIONS},
        "now": config.speculation.wasted_call_s,
        "wasted_call_s": None if advice.chosen is None else advice.chosen.wasted_call_s,
        "advice": advice.text,
        "curve": [point.as_object() for point in curve.points],
    }


def _show(curve: Curve, advice: Advice, config: Config, left_out: int) -> None:
    from rich.console import Console
    from rich.text import Text

    from spec_mcp.cli.columns import Column, fitting

    console = Console(highlight=False)
    columns = (
        Column("wasted_call_s"),
        Column("wait hidden"),
        Column("saves", 3),
        Column("answered", 2),
        Column("used"),
        Column("wasted/10", 1),
        Column("", left=True),
    )
    table, _ = fitting(columns, [_row(point, advice, config) for point in curve.points], console.width)
    said = f"{count(curve.calls, 'call')} in {count(curve.sessions, 'session')}, played at each setting; wasted/10 "
    said += "is wasted speculations per ten calls"
    if left_out:
        said += f"; {count(left_out, 'older session')} left out"
    if curve.reads:
        console.print(Text(f"{said}.\n"), table, "", sep="\n")
    for line in advice.text.split("\n"):
        # paths stay whole, so that they can be copied
        for part in textwrap.wrap(safe(line), console.width, break_long_words=False, break_on_hyphens=False):
            typer.echo(part)


def _row(point: Point, advice: Advice, config: Config) -> Sequence[str]:
    from spec_mcp.cli.columns import percent

    marks = ["now"] * (point.wasted_call_s == config.speculation.wasted_call_s) + ["choose"] * (point is advice.chosen)
    return (
        f"{point.wasted_call_s:g}",
        percent(point.hidden_share),
        seconds(max(0.0, point.hidden_s)),
        f"{point.answered_share:.1%}",
        f"{point.used_share:.1%}",
        f"{point.waste_per_ten:.2f}",
        ", ".join(marks),
    )

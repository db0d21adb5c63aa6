"""One session as a timeline on the terminal: calls, the speculations that served them, and those that served none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spec_mcp.cli.columns import GAP
from spec_mcp.cli.text import arguments_text, count, moment, safe, seconds, size
from spec_mcp.store.rows import CallRow, SpeculationRow
from spec_mcp.store.store import SessionTrace

BAR_CELLS = 28
ARGUMENTS_WIDTH = 48
NOTE_WIDTH = 12
"""What is left to the notes on a narrow terminal, where they wrap."""

WIDE = 110
"""Columns of a terminal that has room for bars."""

STYLES = {
    "hit": "bold green",
    "join": "green",
    "lossy": "yellow",
    "miss": "",
    "wasted": "dim",
    "taken back": "magenta",
    "stuck": "bold red",
    "compared": "cyan",
    "attached": "yellow",
}
"""A colour never says anything that the word beside it does not."""

ENDS = {"compared": "compared", "compensated": "taken back", "stuck": "stuck"}
"""What becomes of a speculation that no call used, in a word; any other is wasted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline; times are seconds since the session's start."""

    start_s: float
    end_s: float
    what: str
    tool: str
    arguments: str
    note: str
    ahead: bool
    """A speculation that no call used."""


def show(trace: SessionTrace, console: Console | None = None) -> None:
    """Print it."""
    console = console or Console(highlight=False)
    session = trace.session
    client = f"{session.client_name} {session.client_version}".strip()
    console.print(Text(f"Session {safe(session.session)}", style="bold"))
    console.print(
        Text(
            f"{safe(session.scope.server)}{f', used by {safe(client)}' if client else ''}: {moment(session.started_at)}"
        )
    )
    lines = timeline(trace)
    if lines:
        console.print()
        console.print(_table(lines, console))
    console.print()
    console.print(Text(_summary(trace)))


def timeline(trace: SessionTrace) -> list[Line]:
    """The lines in the order of time. A speculation that a call used is told in the call's line."""
    began_at = trace.session.started_at
    by_number = {row.number: row for row in trace.speculations}
    lines = [_call_line(call, by_number, began_at) for call in trace.calls]
    used = {call.speculation for call in trace.calls}
    for row in trace.speculations:
        if row.launched_at is not None and row.number not in used:
            lines.append(_speculation_line(row, row.launched_at, began_at))
    return sorted(lines, key=lambda line: (line.start_s, line.ahead))


def _call_line(call: CallRow, speculations: Mapping[int, SpeculationRow], began_at: float) -> Line:
    end = call.t_start if call.t_end is None else call.t_end
    notes = ["failed"] if call.is_error else []
    row = None if call.speculation is None else speculations.get(call.speculation)
    if call.how in ("hit", "join", "lossy") and row is not None and row.launched_at is not None:
        notes.append(f"made {seconds(max(call.t_start - row.launched_at, 0.0))} ahead")
    if call.was_attached:
        notes.append("was attached before")
    if call.saved_s > 0:
        notes.append(f"saved {seconds(call.saved_s)}")
    return Line(
        start_s=call.t_start - began_at,
        end_s=end - began_at,
        what=call.how,
        tool=call.tool,
        arguments=arguments_text(call.arguments, ARGUMENTS_WIDTH),
        note=", ".join(notes),
        ahead=False,
    )


def _speculation_line(row: SpeculationRow, launched_at: float, began_at: float) -> Line:
    end = row.ended_at if row.returned_at is None else row.returned_at
    arguments = row.arguments if isinstance(row.arguments, bytes) else None
    return Line(
        start_s=launched_at - began_at,
        end_s=end - began_at,
        what="attached" if row.attached_to is not None else ENDS.get(row.state, "wasted"),
        tool=row.tool,
        arguments=arguments_text(arguments, ARGUMENTS_WIDTH),
        note=_note_of(row),
        ahead=True,
    )


def _note_of(row: SpeculationRow) -> str:
    if row.attached_to is not None:
        return f"given with the reply to call {row.attached_to}, {size(row.attached_bytes)}: not lossless"
    return f"{row.reason or row.state}, expected with {100 * row.q:.0f} %"


def _table(lines: list[Line], console: Console) -> Table:
    fancy = console.encoding.lower().startswith("utf")
    with_bars = console.width >= WIDE
    times = [(f"{line.start_s:.2f}", seconds(max(line.end_s - line.start_s, 0.0))) for line in lines]
    taken = [max(len(at) for at, _ in times), max(len(took) for _, took in times)]
    taken += [max(len(line.what) for line in lines), NOTE_WIDTH, *([BAR_CELLS] if with_bars else [])]
    room = max(console.width - sum(taken) - GAP * len(taken), NOTE_WIDTH)  # or the library cuts times and words as well
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("call", no_wrap=True, overflow="ellipsis", max_width=room)
    table.add_column("", overflow="fold", min_width=NOTE_WIDTH)
    if with_bars:
        table.add_column("", no_wrap=True)
    span_s = max(line.end_s for line in lines)
    for line, (at, took) in zip(lines, times, strict=True):
        style = STYLES.get(line.what, "")
        table.add_row(
            at,
            took,
            Text(safe(line.what), style=style),
            Text.assemble((safe(line.tool), style), f" {line.arguments}"),
            Text(safe(line.note)),
            *([Text(bar(line, span_s, fancy), style=style)] if with_bars else []),
        )
    return table


def bar(line: Line, span_s: float, fancy: bool) -> str:
    """Where in the session it lies: at least one cell, filled for a call and light for a speculation."""
    cell = ("░" if line.ahead else "█") if fancy else ("." if line.ahead else "#")
    if span_s <= 0:
        return cell
    first = min(max(int(line.start_s / span_s * BAR_CELLS), 0), BAR_CELLS - 1)
    last = min(max(int(line.end_s / span_s * BAR_CELLS), first), BAR_CELLS - 1)
    return " " * first + cell * (last - first + 1)


def _summary(trace: SessionTrace) -> str:
    hits = sum(call.how == "hit" for call in trace.calls)
    joins = sum(call.how == "join" for call in trace.calls)
    launched = [row for row in trace.speculations if row.launched_at is not None]
    wasted = sum(row.state in ("discarded", "compensated", "stuck") and row.attached_to is None for row in launched)
    saved_s = sum(call.saved_s for call in trace.calls)
    summary = (
        f"{count(len(trace.calls), 'call')}: {count(hits, 'hit')}, {count(joins, 'join')}; "
        f"{count(len(launched), 'speculation')}, {wasted:,} wasted; {seconds(saved_s)} of waiting saved"
    )
    attached = [row for row in launched if row.attached_to is not None]
    if attached:
        again = sum(call.was_attached for call in trace.calls)
        summary += f"\n{count(len(attached), 'read')} attached to replies (not lossless), {again:,} called all the same"
    skips: dict[str, int] = {}
    for skip in trace.skips:
        skips[skip.reason] = skips.get(skip.reason, 0) + skip.count
    if skips:
        summary += "\nPredictions not acted on: " + ", ".join(f"{safe(reason)} {n:,}" for reason, n in skips.items())
    return summary

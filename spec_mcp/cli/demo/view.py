"""The timeline: for each case a line without speculation, one with it, and what was speculated beneath.

`Timeline` is told what happens and paints itself at any time; it reads no clock but the one it is given.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from spec_mcp.cli.demo.agent import Call
from spec_mcp.cli.demo.cases import Case
from spec_mcp.cli.demo.report import Outcome, Report, guess
from spec_mcp.cli.demo.runner import Executed, Made
from spec_mcp.engine.commands import How

LABEL_CELLS = 5
SECONDS_CELLS = 8
MIN_BAR_CELLS = 20
LINES_PER_CASE = 4
OTHER_LINES = 6
"""Of the screen: the heading, the legend and what the shell leaves."""
MIN_SCALE_S = 6.0
"""The shortest case that fills the width: the first one should not jump."""


class Lane(StrEnum):
    """A line of a case."""

    OFF = "off"
    ON = "on"


class Kind(StrEnum):
    """What a stretch of a line shows."""

    THINKING = "thinking"
    WAITING = "waiting"
    HIT = "hit"
    JOIN = "join"
    MISS = "miss"
    USED = "used"
    UNUSED = "waste"


STYLES = {
    Kind.THINKING: "bright_black",
    Kind.WAITING: "red",
    Kind.HIT: "bold green",
    Kind.JOIN: "yellow",
    Kind.MISS: "red",
    Kind.USED: "cyan",
    Kind.UNUSED: "bright_black",
}
GLYPHS = {
    Kind.THINKING: "·",
    Kind.WAITING: "█",
    Kind.HIT: "◆",
    Kind.JOIN: "▓",
    Kind.MISS: "█",
    Kind.USED: "━",
    Kind.UNUSED: "╌",
}
PLAIN_GLYPHS = {
    Kind.THINKING: ".",
    Kind.WAITING: "#",
    Kind.HIT: "*",
    Kind.JOIN: "+",
    Kind.MISS: "#",
    Kind.USED: "=",
    Kind.UNUSED: "-",
}
"""For terminals that cannot show the others."""

LEGEND = (Kind.THINKING, Kind.MISS, Kind.JOIN, Kind.HIT, Kind.USED, Kind.UNUSED)

BY_HOW = {How.HIT: Kind.HIT, How.JOIN: Kind.JOIN, How.MISS: Kind.MISS}


@dataclass(slots=True)
class Stretch:
    """A piece of a line, in seconds since the case began; `end_s` is None while it lasts."""

    kind: Kind
    start_s: float
    end_s: float | None = None


@dataclass(slots=True)
class Track:
    """One case in one run."""

    case: Case
    began_s: float
    ended_s: float | None = None
    steps: list[Stretch] = field(default_factory=list[Stretch])
    speculations: list[tuple[Executed, Stretch]] = field(default_factory=list[tuple[Executed, Stretch]])
    made: list[tuple[Made, Stretch]] = field(default_factory=list[tuple[Made, Stretch]])
    running: Call | None = None
    sent_s: float = 0.0

    def duration_s(self, now_s: float) -> float:
        return (self.ended_s or now_s) - self.began_s


class Timeline:
    """What both runs did so far. It is the `Watcher` of the run that goes on, and can be printed."""

    def __init__(self, clock: Callable[[], float], pace: float, height: int | None) -> None:
        """`height`: how many lines it may take, with the newest cases; None: as many as it needs."""
        self._clock = clock
        self._pace = pace
        self._height = height
        self._lane = Lane.OFF
        self._tracks: dict[int, dict[Lane, Track]] = {}
        self._track: Track | None = None

    # --- what happens -------------------------------------------------------------------------------------------------

    def begin(self, lane: Lane) -> None:
        """The next run begins."""
        self._lane = lane
        self._track = None

    def case_began(self, case: Case, at_s: float) -> None:
        self._track = Track(case, at_s)
        self._tracks.setdefault(case.number, {})[self._lane] = self._track

    def case_ended(self, at_s: float) -> None:
        track = self._current()
        self._end_step(track, at_s)
        track.ended_s = at_s

    def thinking(self, at_s: float) -> None:
        track = self._current()
        self._end_step(track, at_s)
        track.steps.append(Stretch(Kind.THINKING, at_s - track.began_s))

    def calling(self, call: Call, at_s: float) -> None:
        track = self._current()
        self._end_step(track, at_s)
        track.steps.append(Stretch(Kind.WAITING, at_s - track.began_s))
        track.running, track.sent_s = call, at_s

    def answered(self, made: Made) -> None:
        track = self._current()
        stretch = track.steps[-1]
        self._end_step(track, made.answered_s)
        how = How.MISS if self._lane is Lane.OFF else guess(made, self._pace)
        stretch.kind = BY_HOW[how]
        track.made.append((made, stretch))
        track.running = None
        for entry, held in track.speculations:
            if (entry.tool, entry.arguments) == (made.tool, made.arguments) and how is not How.MISS:
                held.kind = Kind.USED

    def executed(self, entries: Sequence[Executed]) -> None:
        """What the server executed. Whatever the agent was not waiting for at its start was speculated."""
        track = self._track
        if track is None or self._lane is Lane.OFF:
            return
        for entry in entries:
            if entry.start_s < track.began_s or self._was_asked_for(track, entry):
                continue
            stretch = Stretch(Kind.UNUSED, entry.start_s - track.began_s, entry.end_s - track.began_s)
            if any((entry.tool, entry.arguments) == (made.tool, made.arguments) for made, _ in track.made):
                stretch.kind = Kind.USED
            track.speculations.append((entry, stretch))

    def finish(self, outcome: Outcome) -> None:
        """Both runs are over: show all cases, with what was measured in the place of what was guessed from times."""
        self._height = None
        made = [stretch for lanes in self._tracks.values() for _, stretch in lanes[Lane.ON].made]
        for stretch, how in zip(made, outcome.hows, strict=True):
            stretch.kind = BY_HOW[how]

    def _current(self) -> Track:
        if self._track is None:
            raise ValueError("no case has begun")
        return self._track

    def _end_step(self, track: Track, at_s: float) -> None:
        if track.steps and track.steps[-1].end_s is None:
            track.steps[-1].end_s = at_s - track.began_s

    def _was_asked_for(self, track: Track, entry: Executed) -> bool:
        running = track.running
        if running is not None and (running.tool, running.arguments) == (entry.tool, entry.arguments):
            return entry.start_s >= track.sent_s
        return any(
            (made.tool, made.arguments) == (entry.tool, entry.arguments)
            and made.sent_s <= entry.start_s <= made.answered_s
            for made, _ in track.made
        )

    # --- how it looks -------------------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = GLYPHS if console.encoding.startswith("utf") else PLAIN_GLYPHS
        cells = max(MIN_BAR_CELLS, options.max_width - LABEL_CELLS - SECONDS_CELLS)
        now_s = self._clock()
        tracks = [track for lanes in self._tracks.values() for track in lanes.values()]
        scale_s = max([MIN_SCALE_S, *(track.duration_s(now_s) for track in tracks)]) / cells
        yield _legend(glyphs)
        for lanes in self._shown():
            yield from _case_lines(lanes, now_s, scale_s, cells, glyphs)

    def _shown(self) -> list[dict[Lane, Track]]:
        """The cases that fit, up to the one that goes on."""
        cases = list(self._tracks.values())
        if self._height is None:
            return cases
        fitting = max(1, (self._height - OTHER_LINES) // LINES_PER_CASE)
        last = self._track.case.number if self._track is not None else len(cases)
        first = max(0, last - fitting)
        return cases[first : first + fitting]


def _legend(glyphs: dict[Kind, str]) -> Text:
    legend = Text(" " * LABEL_CELLS, no_wrap=True)
    for kind in LEGEND:
        legend.append(f"{glyphs[kind] * 3} ", STYLES[kind])
        legend.append(f"{kind}   ")
    return legend


def _case_lines(
    lanes: dict[Lane, Track], now_s: float, scale_s: float, cells: int, glyphs: dict[Kind, str]
) -> Iterator[Text]:
    case = next(iter(lanes.values())).case
    yield Text(f"{case.number:>3}  {case.title}", "bold", no_wrap=True, overflow="ellipsis")
    for lane, track in lanes.items():
        line = Text(f"{lane:>{LABEL_CELLS - 1}} ", "default", no_wrap=True)
        line.append_text(_bar(track.steps, now_s - track.began_s, scale_s, cells, glyphs))
        line.append(f" {track.duration_s(now_s):5.1f} s")
        yield line
        if lane is Lane.ON:
            line = Text(" " * LABEL_CELLS, no_wrap=True)
            stretches = [stretch for _, stretch in track.speculations]
            yield line.append_text(_bar(stretches, now_s - track.began_s, scale_s, cells, glyphs))


def _bar(stretches: Sequence[Stretch], now_s: float, scale_s: float, cells: int, glyphs: dict[Kind, str]) -> Text:
    painted: list[Kind | None] = [None] * cells
    # hits and used speculations last: they are short, and nothing may paint over them
    for stretch in sorted(stretches, key=lambda stretch: stretch.kind in (Kind.HIT, Kind.USED)):
        first = min(cells - 1, max(0, int(stretch.start_s / scale_s)))
        end_s = stretch.end_s if stretch.end_s is not None else now_s
        last = min(cells, max(first + 1, int(end_s / scale_s)))
        painted[first:last] = [stretch.kind] * (last - first)
    bar = Text()
    for kind, run in itertools.groupby(painted):
        length = len(list(run))
        bar.append((glyphs[kind] if kind else " ") * length, STYLES[kind] if kind else "")
    return bar


def summary(report: Report) -> Group:
    """The figures, for people."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("")
    for name in ("speculation off", "speculation on", ""):
        table.add_column(name, justify="right" if name else "left")
    whole, later = report.all_cases, report.from_third_case
    table.add_row("time, with starts", _seconds(report.duration_off_s), _seconds(report.duration_on_s), "")
    for name, part in (("waiting for tools", whole), ("  from case 3 on", later)):
        if not part.calls:
            continue
        table.add_row(name, _seconds(part.wait_off_s), _seconds(part.wait_on_s), _cut(part.wait_cut_share))
    table.add_row("writes, as logged", str(report.writes_off), str(report.writes_on), _writes(report))
    source = "" if report.measured else " (guessed from the times: the store has no record)"
    lines = [
        f"{whole.answered} of {whole.calls} calls answered by speculation: {report.hits} hits, {report.joins} joins, "
        f"{report.misses} misses{source}",
        f"{_percent(whole.answered_reads_share)} of the reads answered"
        + (f", {_percent(later.answered_reads_share)} from the third case on" if later.calls else ""),
        f"{report.speculations} speculations, {report.wasted} of them for nothing",
        f"{whole.saved_s:.1f} seconds of waiting saved",
    ]
    verdict = (
        Text("All answers, writes and records are identical: nothing differs but the time.", "bold green")
        if report.lossless
        else Text(f"NOT IDENTICAL: {', '.join(_differences(report))}", "bold red")
    )
    return Group(Rule(style="bright_black"), table, Text(), *(Text(line) for line in lines), Text(), verdict)


def _differences(report: Report) -> Iterator[str]:
    if not report.identical_answers:
        yield "answers differ"
    if not report.identical_writes:
        yield "writes differ"
    if not report.identical_records:
        yield "the shop's records differ"
    if report.early_writes:
        yield f"{report.early_writes} writes were made early"


def _writes(report: Report) -> str:
    return "same ones, same order" if report.identical_writes and not report.early_writes else "NOT the same"


def _seconds(value_s: float) -> str:
    return f"{value_s:.1f} s"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"


def _cut(share: float | None) -> str:
    return "" if share is None else f"cut by {share:.0%}"

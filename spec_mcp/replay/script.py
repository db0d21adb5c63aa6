"""A recorded session as what a replay plays: turns of calls, the client's thinking between them, how long tools take.

All recorded tools stand for one server. A client's own prefix (`mcp__SERVER__TOOL`) is taken off where the rest is
unique, so that what was learned from one client serves for another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

from spec_mcp.engine.calls import Arguments, CallKey, Json, Unmatchable, canonical_arguments
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.resources import Footprint, footprint
from spec_mcp.records import CallEvent, Session, TextEvent, Tool, seen_result

SERVER = "recorded"
"""The one server that all recorded tools stand for."""

REAL_LATENCY_S = 0.01
"""A tool whose median is below is a simulation that took no time: its latency is injected."""

LATENCY_S = 1.0
THINK_S = 3.0
"""What is taken where the record has no times."""

MAX_THINK_S = 60.0
"""A longer recorded pause is a person who went away."""

CLIENT_PREFIX = "mcp__"


@dataclass(frozen=True, slots=True)
class Timings:
    """What replaces recorded times; None where the record decides. Seconds."""

    tool_latency_s: float | None = None
    think_s: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A recorded call as it is played. `number` counts the calls of its session."""

    number: int
    tool: str
    arguments: Arguments
    key: CallKey | None
    touches: Footprint
    result: Json
    is_error: bool
    writes: bool
    latency_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """The calls that the client made at once, after thinking; `said` is what was said before them: role and text."""

    think_s: float
    calls: tuple[Call, ...]
    said: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Script:
    """One session, ready to be played."""

    session: str
    turns: tuple[Turn, ...]
    calls: tuple[Call, ...]

    @cached_property
    def numbers(self) -> Mapping[CallKey, list[int]]:
        """Of each call that can be told from others, when it is made: the numbers of those like it, in order."""
        found: dict[CallKey, list[int]] = defaultdict(list)
        for call in self.calls:
            if call.key is not None:
                found[call.key].append(call.number)
        return dict(found)

    @cached_property
    def writes(self) -> Sequence[int]:
        """The numbers of the calls that write, in order."""
        return [call.number for call in self.calls if call.writes]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is common to the sessions of one file: the tools' policies and how long each takes."""

    policy: ServerPolicy
    names: Mapping[str, str]
    """The server's own name of each recorded tool."""
    latencies_s: Mapping[str, float]
    """The median of each tool whose recorded times count."""


def set_stage(sessions: Sequence[Session], tools: Iterable[Tool], manifest: ServerPolicy | None) -> Stage:
    """What holds for all sessions of a file. Without a manifest the recorded kinds say which tools read, every write
    spoils everything, and the server works on several calls at once."""
    catalogue = list(tools)
    names = own_names({call.tool for session in sessions for call in session.calls()} | {t.name for t in catalogue})
    durations: dict[str, list[float]] = defaultdict(list)
    reads: dict[str, bool] = {names[tool.name]: tool.kind == "read" for tool in catalogue if tool.kind is not None}
    kinds: dict[str, bool] = {}
    for session in sessions:
        for call in session.calls():
            name = names[call.tool]
            if call.kind is not None:
                kinds[name] = kinds.get(name, True) and call.kind == "read"
            if call.t_start is not None and call.t_end is not None:
                durations[name].append(max(0.0, call.t_end - call.t_start))
    policy = manifest or ServerPolicy(
        server=SERVER,
        tools={
            name: ToolPolicy(Effect.READ if read else Effect.UNSAFE, exclusive=True, open_world=False)
            for name, read in {**reads, **kinds}.items()
        },
        concurrent=True,
    )
    medians = {name: median(values) for name, values in durations.items()}
    return Stage(policy, names, {name: value for name, value in medians.items() if value >= REAL_LATENCY_S})


def own_names(names: Iterable[str]) -> dict[str, str]:
    """The server's own name of each tool: without the client's prefix, where no two tools would become one."""
    short = {
        name: name.split("__", 2)[2] if name.startswith(CLIENT_PREFIX) and name.count("__") >= 2 else name
        for name in names
    }
    taken: dict[str, int] = defaultdict(int)
    for name in short.values():
        taken[name] += 1
    return {name: own if taken[own] == 1 else name for name, own in short.items()}


def write_script(session: Session, stage: Stage, timings: Timings) -> Script:
    """A session as turns."""
    turns: list[Turn] = []
    calls: list[Call] = []
    said: list[tuple[str, str]] = []
    group: list[CallEvent] = []
    last_end_s: float | None = None

    def finish() -> None:
        nonlocal last_end_s, group, said
        if not group:
            return
        played = tuple(_call(len(calls) + offset, event, stage, timings) for offset, event in enumerate(group))
        turns.append(Turn(_think_s(group[0].t_start, last_end_s, timings), played, tuple(said)))
        calls.extend(played)
        ends = [event.t_end for event in group if event.t_end is not None]
        last_end_s = max(ends) if ends else None
        group, said = [], []

    for event in session.events:
        if isinstance(event, TextEvent):
            finish()
            said.append((event.type, event.text))
        else:
            if group and (event.batch is None or event.batch != group[-1].batch):
                finish()
            group.append(event)
    finish()
    return Script(session.session, tuple(turns), tuple(calls))


def join(scripts: Sequence[Script], pause_s: float) -> Script:
    """One session of all these conversations, as of a client that keeps its connection, with a pause between them."""
    turns: list[Turn] = []
    calls: list[Call] = []
    for script in scripts:
        first = len(calls)
        calls.extend(replace(call, number=first + call.number) for call in script.calls)
        for turn in script.turns:
            pausing = bool(turns) and turn is script.turns[0]
            own = tuple(calls[first + call.number] for call in turn.calls)
            turns.append(replace(turn, think_s=pause_s if pausing else turn.think_s, calls=own))
    return Script(scripts[0].session if scripts else "", tuple(turns), tuple(calls))


def touched_by(policy: ServerPolicy, tool: str, arguments: Arguments) -> Footprint:
    """What a call touches."""
    of_tool = policy.tool(tool)
    return footprint(SERVER, of_tool.touches, arguments, of_tool.equal)


def key_of(policy: ServerPolicy, tool: str, arguments: Arguments) -> CallKey | None:
    """The identity of a call; None where it has none that is safe."""
    try:
        text = canonical_arguments(arguments, policy.tool(tool).equal)
    except Unmatchable:
        return None
    return CallKey(SERVER, 1, "", tool, "", text, "{}")


def _call(number: int, event: CallEvent, stage: Stage, timings: Timings) -> Call:
    tool = stage.names[event.tool]
    return Call(
        number,
        tool,
        event.arguments,
        key_of(stage.policy, tool, event.arguments),
        touched_by(stage.policy, tool, event.arguments),
        seen_result(event.result),
        event.is_error,
        stage.policy.tool(tool).effect is not Effect.READ,
        _latency_s(event, tool, stage, timings),
    )


def _latency_s(event: CallEvent, tool: str, stage: Stage, timings: Timings) -> float:
    if timings.tool_latency_s is not None:
        return timings.tool_latency_s
    if tool in stage.latencies_s and event.t_start is not None and event.t_end is not None:
        return max(0.0, event.t_end - event.t_start)
    return stage.latencies_s.get(tool, LATENCY_S)


def _think_s(began_s: float | None, last_end_s: float | None, timings: Timings) -> float:
    if timings.think_s is not None:
        return timings.think_s
    if began_s is None or last_end_s is None:
        return THINK_S
    return min(MAX_THINK_S, max(0.0, began_s - last_end_s))

"""What the engine costs a call, by how many sessions it serves at once: `python -m benchmarks.engine_sessions`.

Each session calls three servers in turn, reads mostly, writes sometimes, and thinks in between; its next calls are
foretold. All sessions go through their calls side by side. Time is virtual; what is measured is the time that the
engine takes, for all events of a call together. The figures of one round are interleaved, and the medians printed.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import json
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import Arguments, CallKey, canonical
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Candidate, Event, Outcome
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import SAMPLES_KEPT

SERVERS = ("files", "issues", "search")
THINKS_S = 1.0
LATENCY_S = 0.3
ROUNDS = 5
CALLS = 6000
"""Calls of all sessions together, so that each number of sessions is measured on as many."""

AIM = 1.5
"""A call among a thousand sessions may cost this many times what it costs alone."""

RESULT = Outcome(Answer.RESULT, 2000)

TOOLS = {
    "get": ToolPolicy(Effect.READ, ("{server}:{path}",), ttl_s=60.0, open_world=False),
    "list": ToolPolicy(Effect.READ, ("{server}:{path}/*",), ttl_s=60.0, open_world=False),
    "put": ToolPolicy(Effect.UNSAFE, ("{server}:{path}",), open_world=False),
    "find": ToolPolicy(Effect.READ, ("index",), exclusive=True, open_world=False),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured for one number of sessions."""

    us_a_call: float
    """Microseconds of the engine's own time, for all events of a call together."""
    answered_share: float
    """The share of calls that a speculation answered: with it the work for a call grows."""


@dataclass(slots=True)
class Visit:
    """One session: what it calls next, and where."""

    name: str
    connections: dict[str, str]
    calls: Iterator[tuple[str, str, Arguments]]
    ahead: deque[tuple[str, str, Arguments]] = field(default_factory=deque[tuple[str, str, Arguments]])

    def foresee(self, calls: int) -> list[tuple[str, str, Arguments]]:
        """The next calls."""
        while len(self.ahead) < calls:
            self.ahead.append(next(self.calls))
        return list(self.ahead)[:calls]


def script(session: str) -> Iterator[tuple[str, str, Arguments]]:
    """What a session calls, without end: mostly things of its own."""
    number = 0
    while True:
        for server in SERVERS:
            number += 1
            path = f"/{session}/{number // 7}/{number}"
            if number % 10 == 0:
                yield server, "put", {"server": server, "path": path}
            elif number % 7 == 0:
                yield server, "list", {"server": server, "path": f"/{session}/{number // 7}"}
            elif number % 5 == 0:
                yield server, "find", {"server": server, "words": path}
            else:
                yield server, "get", {"server": server, "path": path}


class Load:
    """One engine under the calls of many sessions."""

    def __init__(self, sessions: int, shared: bool) -> None:
        policies = {server: ServerPolicy(server, TOOLS, concurrent=True, cancel=True) for server in SERVERS}
        self.engine = Engine(Settings(wasted_call_s=0.01), policies)
        self.answered: Counter[str] = Counter()
        self._now_s = 1000.0
        self._spent_s = 0.0
        self._numbers = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._of_calls: dict[int, Visit] = {}
        self._visits = {f"session-{number}": self._visit(f"session-{number}", shared) for number in range(sessions)}
        for server in SERVERS:
            for tool in TOOLS:
                for _ in range(SAMPLES_KEPT):
                    self.engine.world.timing.took(server, tool, LATENCY_S)
        for number, visit in enumerate(self._visits.values()):
            self._after(THINKS_S * number / sessions, partial(self._call, visit))

    def _visit(self, session: str, shared: bool) -> Visit:
        connections = {server: server if shared else f"{session}/{server}" for server in SERVERS}
        for server, connection in connections.items():
            self._tell(events.Attached(session, server, connection))
            if not self.engine.world.connection(connection).connected:
                self._tell(events.Connected(connection, 1))
                self._tell(events.ToolsListed(connection, dict.fromkeys(TOOLS, "as ever")))
        return Visit(session, connections, script(session))

    def run(self, calls: int) -> float:
        """Until so many more are answered; what each took of the engine's time, in seconds."""
        self._spent_s = 0.0
        enough = self.answered.total() + calls
        while self.answered.total() < enough:
            self._now_s, _, happens = heapq.heappop(self._agenda)
            happens()
        return self._spent_s / calls

    def _after(self, delay_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self._now_s + delay_s, next(self._numbers), happens))

    def _tell(self, event: Event) -> None:
        began_s = time.thread_time()
        commands = self.engine.handle(event, self._now_s)
        deadline_s = self.engine.deadline_s  # as a relay asks after each
        self._spent_s += time.thread_time() - began_s
        for command in commands:
            self._carry_out(command)
        if deadline_s is not None and deadline_s <= self._now_s:
            self._tell(events.Ticked())

    def _carry_out(self, command: do.Command) -> None:
        if isinstance(command, do.Invoke):
            self._after(LATENCY_S, partial(self._tell, events.CallReturned(command.call, RESULT)))
        elif isinstance(command, do.Launch):
            self._after(LATENCY_S, partial(self._tell, events.SpeculationReturned(command.speculation, RESULT)))
        elif isinstance(command, do.Predict):
            self._predict(self._visits[command.session], command)
        elif isinstance(command, do.CallSettled):
            self.answered[command.how] += 1
            self._after(THINKS_S, partial(self._call, self._visits[command.session]))

    def _call(self, visit: Visit) -> None:
        server, tool, arguments = visit.foresee(1)[0]
        visit.ahead.popleft()
        connection = visit.connections[server]
        key = CallKey(connection, 1, "", tool, visit.name, canonical(arguments), "{}")
        self._tell(events.CallArrived(next(self._numbers), visit.name, connection, tool, arguments, key))

    def _predict(self, visit: Visit, command: do.Predict) -> None:
        ahead = visit.foresee(len(command.lineage) + 4)[len(command.lineage) :]
        told = tuple(Candidate(server, tool, arguments, 0.8, "script", True) for server, tool, arguments in ahead)
        self._tell(events.Predicted(command.session, command.step, command.lineage, told))


def measure(numbers: list[int], shared: bool, rounds: int, calls: int) -> dict[int, Figures]:
    """By the number of sessions: medians of interleaved rounds."""
    loads = {number: Load(number, shared) for number in numbers}
    for number, load in loads.items():  # each session has made some calls before it counts
        load.run(max(calls, 8 * number))
        load.answered.clear()
    found: dict[int, list[float]] = {number: [] for number in numbers}
    gc.collect()
    for _ in range(rounds):
        for number, load in loads.items():
            found[number].append(load.run(calls) * 1e6)
    return {
        number: Figures(statistics.median(found[number]), 1.0 - load.answered["miss"] / load.answered.total())
        for number, load in loads.items()
    }


def main() -> int:
    """Print the figures; 1 where the aim is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_sessions", description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    report: dict[str, dict[int, Figures]] = {}
    missed = False
    for kind, shared in (("own", False), ("shared", True)):
        report[kind] = found = measure(given.sessions, shared, given.rounds, given.calls)
        base_us = found[given.sessions[0]].us_a_call
        missed |= found[given.sessions[-1]].us_a_call > AIM * base_us
        if not given.json:
            for number, figures in found.items():
                ratio = figures.us_a_call / base_us
                print(
                    f"{kind:>6} connections, {number:>5} sessions: {figures.us_a_call:7.1f} µs a call, {ratio:5.2f} ×, "
                    f"{figures.answered_share:4.0%} answered ahead"
                )
    if given.json:
        print(json.dumps({kind: {n: asdict(one) for n, one in found.items()} for kind, found in report.items()}))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

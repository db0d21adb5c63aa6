"""The one world behind all replicas: a server that answers each request once, and what clients may be shown of it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from random import Random

from tests.sim.replicas.plan import ITEMS, TOOLS, TTL_S, Plan, Planned
from tests.sim.server import Clock, History, Violation

CLOSE = 1e-9
NAMES = tuple(f"{kind}:{number}" for kind in ("item", "out") for number in range(ITEMS))
Seen = dict[str, int]
"""By thing, which version."""


class Server:
    """Reads and writes at some moment between a request and its answer, or later where that is said."""

    def __init__(self, plan: Plan, clock: Clock, random: Random) -> None:
        self.clock, self.random = clock, random
        self._takes_s = [0.05, 0.2, 0.2, 0.6, 1.5] + ([4.0] if plan.theme == "deaths" else [])
        self.histories: defaultdict[str, History] = defaultdict(History)
        self.written: Counter[str] = Counter()
        """How often each call that writes had its effect."""
        self.requests: Counter[str] = Counter()
        if plan.outside_every_s:
            clock.after(plan.outside_every_s, lambda: self._change_outside(plan.outside_every_s))

    def _change_outside(self, every_s: float) -> None:
        self.histories[f"out:{self.random.randrange(ITEMS)}"].change(self.clock.now_s, known=False)
        if self.clock.now_s < 60.0:
            self.clock.after(self.random.expovariate(1 / every_s), lambda: self._change_outside(every_s))

    def request(self, call: Planned, principal: str, place: str, answered: Callable[[bytes], None]) -> None:
        """Do it. `place`: whose call, empty for a speculation."""
        self.requests[place] += bool(place)
        takes_s = self.random.choice(self._takes_s)
        moment_s = self.random.uniform(0.0, takes_s)
        seen: Seen = {}

        def look() -> None:
            seen.update({name: self.histories[name].version for name in touched(call)})

        def write() -> None:
            self.written[place] += 1
            for name in touched(call):
                self.histories[name].change(self.clock.now_s, known=True)

        settle_s = TOOLS[call.tool].settle_s
        if call.tool in ("get", "again", "look", "survey"):
            self.clock.after(moment_s, look)
        else:
            self.clock.after(takes_s + self.random.uniform(0.0, settle_s) if settle_s else moment_s, write)
        self.clock.after(takes_s, lambda: answered(_text(call, principal, seen)))


def _text(call: Planned, principal: str, seen: Seen) -> bytes:
    return json.dumps([call.tool, call.arguments, principal, seen]).encode()


def touched(call: Planned) -> tuple[str, ...]:
    """The things that a call reads or writes."""
    if call.tool in ("survey", "wipe"):
        return NAMES
    return (f"{'out' if call.tool in ('look', 'set') else 'item'}:{call.arguments['id']}",)


def check(
    server: Server, call: Planned, principal: str, result: bytes, window: tuple[float, float], known: Seen
) -> Seen:
    """May this be the answer to a call that was under way for so long, of a client that has seen so much?

    Raises:
        Violation: it may not.
    """
    tool, arguments, whose, seen = json.loads(result)
    arrived_s, answered_s = window
    if (tool, arguments, whose) != (call.tool, call.arguments, principal):
        raise Violation(f"{principal}'s {call} was answered with that of {whose}'s {tool} {arguments}")
    for name, version in seen.items():
        history = server.histories[name]
        spare_s = TTL_S if name.startswith("out") else 0.0
        shown = f"{call} of {arrived_s:.3f} to {answered_s:.3f} was shown version {version} of {name}"
        if version < known.get(name, 0):
            raise Violation(f"{shown}, after version {known[name]}")
        if history.ended_at(version) < arrived_s - spare_s - CLOSE:
            raise Violation(f"{shown}, which had ended at {history.ended_at(version):.3f}")
        told_s = min(history.known_at[version + 1 :], default=float("inf"))
        if told_s < arrived_s - CLOSE:
            raise Violation(f"{shown}, over which a call of ours had written at {told_s:.3f}")
    return seen

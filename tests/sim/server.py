"""Modelled servers over one shared world of things that change, in virtual time."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.events import Answer, Outcome
from tests.sim.plan import FAMILIES, IDS, SETTLE_S, TOOLS, Plan, Tool

if TYPE_CHECKING:
    from tests.sim.relay import Relay

EVENTS_MAX = 20_000
"""Events of one world: a world with more of them is stuck."""


WRONG = (Answer.ERROR, Answer.TOOL_ERROR, Answer.TAINTED, Answer.INPUT_REQUIRED, Answer.OTHER, None)
"""What may come of a speculation instead of a result; None: nothing at all."""


EXTRA_BYTES = (100, 5_000, 100, 9_000, 0)
"""What results take as extra items of other replies; 0: they cannot be such."""


class Violation(AssertionError):  # noqa: N818  named for what happened
    """Something that must hold did not."""


class Clock:
    """Virtual time, and what is to happen in it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._made = count()

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        """Do this later; what is due at the same time happens in the order of asking."""
        heapq.heappush(self._due, (self.now_s + delay_s, next(self._made), do))

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass until this holds or nothing is to happen any more."""
        for _ in range(EVENTS_MAX):
            if not self._due or until():
                return
            self.now_s, _, do = heapq.heappop(self._due)
            do()
        raise Violation(f"after {EVENTS_MAX} events the world still goes on")


@dataclass(slots=True)
class History:
    """One thing: when it changed, and whether we must know of the change."""

    changed_at: list[float] = field(default_factory=lambda: [-1.0])
    known_at: list[float] = field(default_factory=lambda: [-1.0])
    """By version: from when on nobody may be shown an earlier one; infinite for changes by others."""

    @property
    def version(self) -> int:
        return len(self.changed_at) - 1

    def change(self, now_s: float, known: bool) -> int:
        self.changed_at.append(now_s)
        self.known_at.append(now_s if known else float("inf"))
        return self.version

    def ended_at(self, version: int) -> float:
        """When this version ceased to be the present one."""
        return self.changed_at[version + 1] if version < self.version else float("inf")

    def at(self, moment_s: float) -> int:
        """The version at a moment."""
        return bisect_right(self.changed_at, moment_s) - 1


Seen = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """An answer: what was asked, what was seen of the world, and what was told on the way."""

    answer: Answer
    echo: str
    seen: Seen = ()
    notes: tuple[str, ...] = ()
    count: int = 0
    """What a tool adds that is no read, whatever its manifest says."""


@dataclass(slots=True, eq=False)
class Request:
    """Something that a server was sent: a call, another request or a speculation."""

    number: int
    speculated: bool
    echo: str
    members: tuple[tuple[Tool, Arguments], ...] = ()
    method: str = "tools/call"
    cancelled: bool = False
    started: bool = False


class Things:
    """All that servers read and write."""

    def __init__(self) -> None:
        self.histories = {f"{family}:{number}": History() for family in FAMILIES for number in range(IDS)}
        self.histories["web:0"] = History()

    def names(self, tool: Tool, arguments: Arguments) -> list[str]:
        """What a call of this tool touches."""
        if tool.family == "any":
            return [name for name in self.histories if not name.startswith(("file:", "web:"))]
        if tool.family in ("web", "root", "level"):
            return [f"{tool.family}:0"]
        if tool.reach == "all":
            return [f"{tool.family}:{number}" for number in range(IDS)]
        value = arguments.get("ids") if tool.reach == "many" else arguments.get("id")
        given = value if isinstance(value, list) else [value]
        return list(dict.fromkeys(f"{tool.family}:{_number(item)}" for item in given))

    def seen(self, names: list[str]) -> Seen:
        return tuple((name, self.histories[name].version) for name in names)


def _number(value: object) -> int:
    """A lenient server: `1`, `1.0`, `"1"` and `true` are the same thing to it."""
    try:
        return int(float(value)) % IDS  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 0


class Server:
    """The process of a server at the end of one connection, again and again."""

    def __init__(self, name: str, connection: str, plan: Plan, clock: Clock, things: Things, random: Random) -> None:
        self.name, self.connection = name, connection
        self.plan, self.clock, self.things, self.random = plan, clock, things, random
        self.serial = not plan.policies[name].concurrent
        self.relay: Relay
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.alive = True
        self.lives = 0
        self.drifted = False
        self.asked = count(1)
        self.counted = count(1)
        self.prompts: dict[int, Callable[[], None]] = {}
        self.asked_by: dict[int, Request] = {}

    def fingerprints(self) -> dict[str, str]:
        """The definitions of its tools."""
        drifted = {"drift": "drifted"} if self.drifted else {}
        return dict.fromkeys((*self.plan.policies[self.name].tools, "hidden"), "first") | drifted

    def writes(self, tool: Tool) -> bool:
        """Does the tool change anything, as it is now?"""
        return tool.writes or (tool.quirk == "drifts" and self.drifted)

    # --- requests ---------------------------------------------------------------------------------------------------

    def receive(self, request: Request) -> None:
        """Take a request; a serial server works on one at a time, in order."""
        if self.serial and self.running:
            self.waiting.append(request)
        else:
            self._start(request)

    def cancel(self, number: int, speculated: bool) -> None:
        """Stop waiting for an answer: some servers go on all the same and answer, none take back what they did."""
        for request in self.running + self.waiting:
            if request.number == number and request.speculated == speculated:
                request.cancelled = self.random.random() < 0.7

    def _start(self, request: Request) -> None:
        self.running.append(request)
        request.started = True
        life = self.lives
        latency_s = self._latency_s(request)
        moment_s = latency_s * self.random.random()
        answer_s = latency_s - moment_s
        if request.speculated and self._goes_wrong(request, latency_s):
            return
        if any(tool.quirk == "crashes" for tool, _ in request.members):
            self.clock.after(moment_s, lambda: self._die() if life == self.lives else None)
            return
        self.clock.after(moment_s, lambda: self._act(request, answer_s, life))

    def _latency_s(self, request: Request) -> float:
        slow = any(tool.slow for tool, _ in request.members)
        return self.random.choice([1.0, 3.0]) if slow else self.random.choice([0.0, 0.01, 0.05, 0.2, 0.5])

    def _goes_wrong(self, request: Request, latency_s: float) -> bool:
        """Speculations fail in ways that calls do not: each is one that a call would not have met."""
        random, life = self.random, self.lives
        policy = request.members[0][0].policy
        if random.random() < self.plan.rate_limits:
            self._answer_later(request, latency_s, Answer.TOOL_ERROR, rate_limited=True)
        elif random.random() < self.plan.deadly:
            self.clock.after(latency_s, lambda: self._die(request) if life == self.lives else None)
        elif random.random() < self.plan.faults:
            kind = random.choice(WRONG)
            if kind is Answer.TOOL_ERROR and policy is not None and policy.adopt_errors:
                return False
            if kind is not None:
                self._answer_later(request, latency_s, kind)
            elif self.serial:
                self._answer_later(request, 20.0, Answer.ERROR)
        else:
            return False
        return True

    def _answer_later(self, request: Request, latency_s: float, answer: Answer, *, rate_limited: bool = False) -> None:
        life = self.lives
        result = Result(answer, "went wrong")
        self.clock.after(latency_s, lambda: self._answer(request, result, life, rate_limited=rate_limited))

    def _act(self, request: Request, answer_s: float, life: int) -> None:
        """The moment of a request: what it reads and writes, it reads and writes now."""
        if life != self.lives:
            return
        quirk = request.members[0][0].quirk if request.members else ""
        if quirk in ("asks", "logs") and request.method != "asked":
            request.method = "asked"
            self._say(request, quirk, answer_s, life)
            return
        if request.method in ("resources/read", "logging/setLevel"):
            result = self._other_method(request)
        elif quirk in ("late", "task", "hangs") and request.method != "batch":
            self._act_late(request, quirk, answer_s, life)
            return
        else:
            result = self._call_tools(request)
        self.clock.after(answer_s, lambda: self._answer(request, result, life))

    def _other_method(self, request: Request) -> Result:
        if request.method == "logging/setLevel":
            self.things.histories["level:0"].change(self.clock.now_s, known=True)
            return Result(Answer.RESULT, request.echo)
        return Result(Answer.RESULT, request.echo, self.things.seen(self.things.names(TOOLS["survey"], {})))

    def _call_tools(self, request: Request) -> Result:
        names = [name for tool, arguments in request.members for name in self.things.names(tool, arguments)]
        for tool, arguments in request.members:
            if self.writes(tool):
                self._write(tool, arguments)
        seen = self.things.seen(names)
        answer, notes = expected_answer(request.members, seen), expected_notes(request.members)
        counts = any(tool.quirk == "counts" for tool, _ in request.members)
        return Result(answer, request.echo, seen, notes, next(self.counted) if counts else 0)

    def _write(self, tool: Tool, arguments: Arguments) -> None:
        for name in self.things.names(tool, arguments):
            self.things.histories[name].change(self.clock.now_s, known=True)

    def _act_late(self, request: Request, quirk: str, answer_s: float, life: int) -> None:
        """Answered before it takes effect, or never."""
        (tool, arguments), *_ = request.members
        delay_s = self.random.uniform(0.1, SETTLE_S * 0.99)

        def take_effect() -> None:
            if quirk == "late" or life == self.lives:
                self._write(tool, arguments)
            if quirk == "task" and life == self.lives:
                self.relay.task_ended(self, f"task-{request.number}")

        if quirk == "hangs":
            self.clock.after(2 * delay_s, take_effect)
            if self.serial:  # it gives up without a word
                self.clock.after(3 * delay_s, lambda: self._finish(request) if life == self.lives else None)
            return
        self.clock.after(answer_s + delay_s, take_effect)
        result = Result(Answer.TASK if quirk == "task" else Answer.RESULT, request.echo)
        self.clock.after(answer_s, lambda: self._answer(request, result, life))

    def _answer(self, request: Request, result: Result, life: int, *, rate_limited: bool = False) -> None:
        if life != self.lives or request not in self.running:
            return
        self._finish(request)
        if not request.cancelled:
            task = f"task-{request.number}" if result.answer is Answer.TASK else None
            size_bytes = self.random.choice([2**20, 5 * 2**20, 9 * 2**20]) if self.plan.big else 100
            extra_bytes = EXTRA_BYTES[request.number % len(EXTRA_BYTES)]
            outcome = Outcome(result.answer, size_bytes, rate_limited, task, extra_bytes)
            self.relay.answered(self, request, result, outcome)

    def _finish(self, request: Request) -> None:
        self.running.remove(request)
        if self.serial and self.waiting and not self.running:
            self._start(self.waiting.pop(0))

    # --- what it says by itself ---------------------------------------------------------------------------------------

    def _say(self, request: Request, quirk: str, answer_s: float, life: int) -> None:
        if quirk == "logs":
            self.relay.server_logs(self, request)
            self._act(request, answer_s, life)
            return
        number = next(self.asked)
        self.prompts[number] = lambda: self._act(request, answer_s, life)
        self.asked_by[number] = request
        self.relay.server_asks(self, number, "sampling/createMessage")

    def told(self, number: int, *, refused: bool) -> None:
        """The answer to something that it asked."""
        go_on = self.prompts.pop(number, None)
        request = self.asked_by.pop(number, None)
        if request is not None and refused and request in self.running:
            self._answer(request, Result(Answer.TOOL_ERROR, "refused"), self.lives)
        elif go_on is not None:
            go_on()

    def roots_changed(self) -> None:
        """Told that the client's roots are others, it asks for them and goes by them from then on."""
        life = self.lives
        number = next(self.asked)

        def ask() -> None:
            if life == self.lives:
                self.prompts[number] = lambda: self.clock.after(self.random.choice([0.0, 1.5]), learn)
                self.relay.server_asks(self, number, "roots/list")

        def learn() -> None:
            if life == self.lives:
                self.things.histories["root:0"].change(self.clock.now_s, known=True)

        self.clock.after(self.random.choice([0.0, 0.1, 1.0]), ask)

    def drift(self) -> None:
        """A tool that read writes from now on, and the server says that its list has changed."""
        self.drifted = True
        if self.alive:
            self.relay.list_changed(self)

    # --- life and death -----------------------------------------------------------------------------------------------

    def left(self) -> None:
        """Nobody is at the other end any more: it ends, or goes on with what it does, for nobody."""
        self.alive = False
        if self.plan.ends_when_left:
            self.lives += 1

    def _die(self, under: Request | None = None) -> None:
        if not self.alive:  # nobody is told
            self.lives += 1
            return
        if under is not None:
            self.relay.oracle.died_under(self.name, under.members[0][0].name)
        self.alive = False
        self.lives += 1
        self.running.clear()
        self.waiting.clear()
        self.prompts.clear()
        self.asked_by.clear()
        for name, history in self.things.histories.items():
            if name.startswith("mem:") and self.name == "s":
                history.change(self.clock.now_s, known=True)
        self.relay.server_died(self)


def expected_answer(members: tuple[tuple[Tool, Arguments], ...], seen: Seen) -> Answer:
    """How a call is answered that saw this; the same for every call."""
    quirk = members[0][0].quirk if len(members) == 1 else ""
    odd = quirk == "odd" and bool(seen) and seen[0][1] % 2 == 1
    return Answer.TOOL_ERROR if odd or quirk == "fails" else Answer.RESULT


def expected_notes(members: tuple[tuple[Tool, Arguments], ...]) -> tuple[str, ...]:
    """What a call is told on the way."""
    return tuple(f"{tool.name} {step}" for tool, _ in members for step in range(tool.notes))

"""A modelled server over values that outlive it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import Arguments, Json
from tests.sim.server import Clock, Violation
from tests.sim.undo.plan import Plan
from tests.sim.undo.world import TOOLS, State, Values, name_of, names, state_of

if TYPE_CHECKING:
    from tests.sim.undo.run import Run

Answered = Callable[[Json, bool], None]
"""Called with the result, and whether it is an error."""


@dataclass(slots=True, eq=False)
class Request:
    """Something that the server was sent. `whose` is `call`, `speculation`, `reading` or `undo`."""

    whose: str
    tool: str
    arguments: Arguments
    answered: Answered
    key: tuple[int, int] = (0, 0)
    """Of a speculation and its undo: whose."""
    acted: bool = False
    now_read_at: float = 0.0
    method: str = "tools/call"


@dataclass(slots=True)
class Truth:
    """The world as it would be without speculation: what clients did, and nothing else."""

    values: Values = field(default_factory=dict[str, int])

    def do(self, tool: str, arguments: Arguments) -> Json:
        """What a client's call does and gives."""
        return TOOLS[tool].act(self.values, arguments)


class Server:
    """One server's process, again and again; the values outlive it."""

    def __init__(self, run: Run, plan: Plan, clock: Clock, random: Random) -> None:
        self.run, self.plan, self.clock, self.random = run, plan, clock, random
        self.values: Values = {}
        self.truth = Truth()
        self.serial = not plan.policy.concurrent
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.alive = False
        self.lives = 0
        self.foreign = count(100)
        self.changed_by_others: dict[str, float] = {}

    def receive(self, request: Request) -> None:
        """Take a request; a serial server works on one at a time, in order."""
        if self.serial and self.running:
            self.waiting.append(request)
        else:
            self._start(request)

    def _start(self, request: Request) -> None:
        self.running.append(request)
        life, latency_s = self.lives, self.random.choice([0.0, 0.01, 0.05, 0.2, 0.5, 2.0])
        moment_s = latency_s * self.random.random()
        if request.whose != "call" and self.random.random() < self.plan.deaths:
            self.clock.after(moment_s, lambda: self.die() if life == self.lives else None)
            return
        self.clock.after(moment_s, lambda: self._act(request, latency_s - moment_s, life))

    def _act(self, request: Request, answer_s: float, life: int) -> None:
        if life == self.lives:
            result, is_error = self.do(request)
            self.clock.after(answer_s, lambda: self._answer(request, result, is_error, life))

    def do(self, request: Request) -> tuple[Json, bool]:
        """The moment of a request."""
        request.acted = True
        if request.method != "tools/call":
            self._must_be_true("resources/read", "all", {}, TOOLS["all"].act(self.values, {}))
            return None, False
        random, plan = self.random, self.plan
        if request.whose == "reading" and random.random() < plan.failing_reads:
            return None, True
        if request.whose == "undo":
            self._check_undo(request)
            if random.random() < plan.failing_undos:
                return None, True
            if random.random() < plan.lying_undos:
                return None, False
        goes_wrong = request.whose == "speculation" and random.random() < plan.wrong_speculations
        result = None
        if not goes_wrong or random.random() < 0.5:
            result = TOOLS[request.tool].act(self.values, request.arguments)
        if request.whose == "speculation" and TOOLS[request.tool].writes:
            self.run.left_by[request.key] = state_of(self.values, [name_of(request.arguments)])
        if goes_wrong:
            return None, True
        if request.whose == "call":
            self._must_be_true(request.tool, request.tool, request.arguments, result)
        return result, False

    def _must_be_true(self, what: str, tool: str, arguments: Arguments, result: Json) -> None:
        expected = self.truth.do(tool, arguments)
        if result != expected and not self.run.is_excused(names(tool, arguments)):
            raise Violation(f"{what} {arguments} gave {result}, and without speculation {expected}")

    def _check_undo(self, request: Request) -> None:
        changed_at = self.changed_by_others.get(name_of(request.arguments), -1.0)
        if not self.run.left_read_at.get(request.key, float("inf")) < changed_at < request.now_read_at:
            return  # between the answer and the reading after it, or a reading and the undo, nobody can look
        left = self.run.left_by.get(request.key)
        if left is not None and state_of(self.values, [name_of(request.arguments)]) != left:
            raise Violation(f"an undo over what others had done: {request.tool} {request.arguments}")

    def _answer(self, request: Request, result: Json, is_error: bool, life: int) -> None:
        if life == self.lives and request in self.running:
            self.running.remove(request)
            request.answered(result, is_error)
            if self.serial and self.waiting and not self.running:
                self._start(self.waiting.pop(0))

    def read(self, tool_names: list[str]) -> State:
        return state_of(self.values, tool_names)

    def die(self) -> None:
        """What it works on may just have been done."""
        for request in self.running:
            if not request.acted and self.random.random() < 0.5:
                self.do(request)
        self.alive = False
        self.lives += 1
        self.running.clear()
        self.waiting.clear()
        self.run.server_died()

    def change_by_others(self) -> None:
        """Somebody who is not behind us changes something, though the manifest says that nobody does."""
        name = f"k{self.random.randrange(3)}"
        self.values[name] = self.truth.values[name] = next(self.foreign)
        self.changed_by_others[name] = self.clock.now_s

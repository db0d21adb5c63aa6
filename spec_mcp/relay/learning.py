"""What waits until nothing else is to be done: learning from calls, and predicting.

Calls come first: the loop runs one of these tasks only when no line waits to be read. A fault here is counted and
said once, and costs a prediction, never a call.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.commands import Predict
from spec_mcp.engine.events import Candidate, Predicted
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor, Supposed
from spec_mcp.predict.results import seen_result
from spec_mcp.relay import wire
from spec_mcp.relay.saying import say

if TYPE_CHECKING:
    from spec_mcp.predict.disclosure import Guard

QUEUE_MAX = 512
QUEUE_MAX_BYTES = 8 * 2**20
"""Tasks that may wait; beyond it the oldest are given up, since a busy client thinks little anyway."""

LOOKED_INTO_MAX_BYTES = 256 * 1024
"""A larger result is not decoded for prediction: it would hold up the loop."""

SUPPOSED_MAX = 16
SUPPOSED_MAX_BYTES = LOOKED_INTO_MAX_BYTES
"""Supposed results kept decoded: more than are held at once as a rule, and some megabytes at most."""

CANDIDATES_ASKED = 16
"""More than any breadth, so that those already held or refused do not crowd out the rest."""

FINISH_S = 0.3
"""How long the end of the program waits for learning."""

FAULTS_BEARABLE = 20
"""After so many faults the predictor is left alone."""


@dataclass(frozen=True, slots=True)
class Held:
    """A speculation as far as a chain needs it."""

    server: str
    tool: str
    arguments: Arguments
    result: bytes


class LookedInto:
    """Supposed results, decoded once. They are known by their bytes: one is supposed step after step, under other
    chains too, and is an answer in the end; a predictor in turn knows what it has looked into by its identity."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Json] = {}
        self._kept_bytes = 0

    def suppose(self, result: bytes) -> Json:
        """A raw result as predictors see it, kept for the next time."""
        if result in self._kept:
            return self._kept[result]
        seen = look_into(result)
        if seen is not None:
            self._kept[result] = seen
            self._kept_bytes += len(result)
            while len(self._kept) > SUPPOSED_MAX or self._kept_bytes > SUPPOSED_MAX_BYTES:
                self._drop(next(iter(self._kept)))
        return seen

    def answer(self, result: bytes) -> Json:
        """The same, of a call's answer: it will not be supposed again."""
        if result not in self._kept:
            return look_into(result)
        seen = self._kept[result]
        self._drop(result)
        return seen

    def _drop(self, result: bytes) -> None:
        del self._kept[result]
        self._kept_bytes -= len(result)


def worth_a_look(text: bytes) -> bytes:
    """A raw value, if it may be decoded for prediction; else nothing."""
    return text if len(text) <= LOOKED_INTO_MAX_BYTES else b""


def look_into(result: bytes) -> Json:
    """A raw result as predictors see it; None where it is too large or cannot be read."""
    if not result or len(result) > LOOKED_INTO_MAX_BYTES:
        return None
    decoded = wire.value(result)
    return None if isinstance(decoded, bytes) else seen_result(decoded)  # pyright: ignore[reportArgumentType]


def look_into_arguments(text: bytes) -> Arguments:
    """A call's raw arguments; empty where they cannot be read."""
    if not text or len(text) > LOOKED_INTO_MAX_BYTES:
        return {}
    decoded = wire.value(text)
    return decoded if isinstance(decoded, dict) else {}  # pyright: ignore[reportUnknownVariableType]


class Learner:
    """Drives the predictor when there is time."""

    def __init__(self, predictor: Predictor, clock: Callable[[], float], guard: Guard | None = None) -> None:
        """`guard` hears of everything before the predictor does; without one there is one server alone."""
        self.on_predicted: Callable[[Predicted], None] = lambda _: None
        self.on_work: Callable[[], None] = lambda: None
        """Told that there is something to do when nothing else is."""
        self._predictor = predictor
        self._guard = guard
        self._clock = clock
        self._tasks: deque[tuple[Callable[[], None], int]] = deque()
        """With the bytes that each keeps."""
        self._task_bytes = 0
        self.faults = 0
        self.given_up = 0
        self._last_step: dict[str, int] = {}
        self._looked_into = LookedInto()

    @property
    def has_work(self) -> bool:
        """Is there something to do when nothing else is?"""
        return bool(self._tasks)

    def work(self) -> None:
        """Do one task."""
        if not self._tasks:
            return
        task, size_bytes = self._tasks.popleft()
        self._task_bytes -= size_bytes
        if self.faults >= FAULTS_BEARABLE:
            return
        try:
            task()
        except Exception as error:  # noqa: BLE001  rule 17: a fault in predicting costs a prediction, never a call
            self.faults += 1
            if self.faults == 1:
                name = type(error).__name__
                say(f"predicting failed ({name}: {error}); calls go through as before")

    def began(self, make: Callable[[], CallBegan], size_bytes: int) -> None:
        """A call began; `make`, which keeps so many bytes, decodes it when its time has come."""

        def tell() -> None:
            call = make()
            if (guard := self._needed_guard) is not None:
                guard.began(call)
            self._predictor.began(call)

        self.later(tell, size_bytes)

    def ended(self, session: str, call: int, result: bytes, is_error: bool) -> None:
        """A call has its answer."""
        at_s = self._clock()
        kept = worth_a_look(result)

        def tell() -> None:
            answered = CallEnded(session, call, self._looked_into.answer(kept), is_error, at_s)
            if (guard := self._needed_guard) is not None:
                guard.ended(answered)
            self._predictor.ended(answered)

        self.later(tell, len(kept))

    def closed(self, session: str) -> None:
        """The client left."""
        self.later(lambda: self._closed(session))

    def _closed(self, session: str) -> None:
        if self._guard is not None:
            self._guard.closed(session)
        self._predictor.closed(session)

    def left(self, server: str) -> None:
        """What is behind this server's name from now on is another one."""
        if (guard := self._guard) is not None:
            self.later(lambda: guard.leave(server))

    def load(self, learned: Json) -> None:
        """Take over what an earlier run has learned, before anything else that waits."""
        self._tasks.appendleft((lambda: self._predictor.load(learned), 0))
        self.on_work()

    def load_ways(self, learned: Json) -> None:
        """Take over which ways calls have taken between servers."""
        if (guard := self._guard) is not None:
            self._tasks.appendleft((lambda: guard.load(learned), 0))

    def predict(self, command: Predict, held: Callable[[int], Held | None]) -> None:
        """Guess, unless the session has gone on by the time that there is time."""
        self._last_step[command.session] = command.step
        self.later(lambda: self._predict(command, held))

    def finish(self) -> None:
        """Learn from what waits, as far as that takes no longer than `FINISH_S`."""
        until = time.monotonic() + FINISH_S
        self._last_step.clear()  # there is no use in predicting any more
        while self._tasks and time.monotonic() < until:
            self.work()

    def dump(self) -> Json:
        """What was learned since the last time."""
        try:
            return self._predictor.dump()
        except Exception:  # noqa: BLE001  rule 17: nothing is recorded then
            self.faults += 1
            return None

    def _predict(self, command: Predict, held: Callable[[int], Held | None]) -> None:
        if self._last_step.get(command.session) != command.step:
            return
        supposed = self._suppose(command.lineage, held)
        if supposed is None:
            return
        found: list[Candidate] = self._predictor.predict(command.session, supposed, CANDIDATES_ASKED, self._clock())
        if (guard := self._needed_guard) is not None:
            found = guard.judge(command.session, supposed, found)
        if found:
            self.on_predicted(Predicted(command.session, command.step, command.lineage, tuple(found)))

    @property
    def _needed_guard(self) -> Guard | None:
        return self._guard if self._guard is not None and self._guard.is_needed else None

    def _suppose(self, lineage: Sequence[int], held: Callable[[int], Held | None]) -> list[Supposed] | None:
        supposed: list[Supposed] = []
        for number in lineage:
            step = held(number)
            if step is None:  # an ancestor has been adopted: it is history by now
                continue
            supposed.append(
                Supposed(step.server, step.tool, step.arguments, self._looked_into.suppose(step.result), False)
            )
        return None if lineage and held(lineage[-1]) is None else supposed

    def later(self, task: Callable[[], None], size_bytes: int = 0) -> None:
        """Do this when nothing else is to be done; it keeps so many bytes."""
        while len(self._tasks) >= QUEUE_MAX or (self._tasks and self._task_bytes + size_bytes > QUEUE_MAX_BYTES):
            _, given_up_bytes = self._tasks.popleft()
            self._task_bytes -= given_up_bytes
            self.given_up += 1
        self._tasks.append((task, size_bytes))
        self._task_bytes += size_bytes
        self.on_work()

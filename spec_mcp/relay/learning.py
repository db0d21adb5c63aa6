"""What waits until nothing else is to be done: learning from calls, and predicting.

Calls come first: the loop runs one of these tasks only when no line waits to be read. A fault here is counted and
said once, and costs a prediction, never a call.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.commands import BindSurrogate, Predict
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate, Guess, GuessesJudged, Lineage, Predicted, SurrogateBound
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor, Supposed
from spec_mcp.predict.results import seen_result
from spec_mcp.predict.surrogates import Surrogates
from spec_mcp.relay import wire
from spec_mcp.relay.saying import say

if TYPE_CHECKING:
    from spec_mcp.predict.disclosure import Guard
    from spec_mcp.relay.consulting import Consulting

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
    extra: bytes = b""
    """The result as an extra item of another call's reply."""


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


def _say_unreadable(guess: Guess) -> None:
    form = '{"guesses": [{"result": …, "confidence": 0.4}]}'
    say(f"the surrogate of {guess.tool} gave no guesses that can be read: let it answer {form}", server=guess.server)


class Learner:
    """Drives the predictor when there is time."""

    def __init__(
        self,
        predictor: Predictor,
        clock: Callable[[], float],
        guard: Guard | None = None,
        policies: Mapping[str, ServerPolicy] | None = None,
    ) -> None:
        """`guard` hears of everything before the predictor does; without one there is one server alone.

        `policies` says of tools' surrogates; without any there are none.
        """
        self.on_predicted: Callable[[Predicted | SurrogateBound | GuessesJudged], None] = lambda _: None
        self.on_work: Callable[[], None] = lambda: None
        """Told that there is something to do when nothing else is."""
        self.consulting: Consulting | None = None
        """Where speculators are configured."""
        self._predictor = predictor
        self._guard = guard
        self._surrogates = Surrogates({} if policies is None else policies)
        self._surrogates.on_unreadable = _say_unreadable
        self._clock = clock
        self._tasks: deque[tuple[Callable[[], None], int]] = deque()
        """With the bytes that each keeps."""
        self._task_bytes = 0
        self.faults = 0
        self.given_up = 0
        self._last_step: dict[str, int] = {}
        self._steps: dict[str, tuple[Predict, Callable[[int], Held | None]]] = {}
        """The step of each session that was predicted last, as the engine asked for it."""
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
            self._surrogates.began(call)
            self._predictor.began(call)
            if self.consulting is not None:
                self.consulting.began(call)

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
            if self.consulting is not None:
                self.consulting.ended(answered)
            self._tell(self._surrogates.ended(answered))

        self.later(tell, len(kept))

    def said(self, session: str, role: str, text: str) -> None:
        """The client tells what its user or the assistant said, before the call that came with it."""

        def tell() -> None:
            self._predictor.said(session, role, text)
            if self.consulting is not None:
                self.consulting.said(session, role, text)

        self.later(tell, len(text))

    def heard(self, session: str) -> None:
        """All that the client told for now was told: it may change what is likely at this step."""
        self.later(lambda: self._predict_again(session))

    def attached(self, session: str, read: Held) -> None:
        """The client was given a result that it has not asked for."""

        def tell() -> None:
            result = self._looked_into.suppose(read.result)
            given = Supposed(read.server, read.tool, read.arguments, result, False)
            if (guard := self._needed_guard) is not None:
                guard.attached(session, given)
            self._predictor.attached(session, given)

        self.later(tell, len(read.result))

    def closed(self, session: str) -> None:
        """The client left."""
        self.later(lambda: self._closed(session))

    def _closed(self, session: str) -> None:
        if self._guard is not None:
            self._guard.closed(session)
        self._surrogates.closed(session)
        self._predictor.closed(session)
        self._steps.pop(session, None)
        if self.consulting is not None:
            self.consulting.closed(session)

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

    def bind(self, command: BindSurrogate) -> None:
        """Make out the call of a surrogate."""
        self.later(lambda: self._bind(command))

    def _bind(self, command: BindSurrogate) -> None:
        if (bound := self._surrogates.bind(command)) is not None:
            self.on_predicted(bound)

    def _tell(self, judged: Sequence[GuessesJudged]) -> None:
        for verdict in judged:
            self.on_predicted(verdict)

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

    def dump_speculators(self) -> Json:
        """What was learned of speculators since the last time."""
        if self.consulting is None:
            return None
        try:
            return self.consulting.dump()
        except Exception:  # noqa: BLE001  rule 17: nothing is recorded then
            self.faults += 1
            return None

    def load_speculators(self, learned: Json) -> None:
        """Take over what an earlier run has learned of speculators."""
        if (consulting := self.consulting) is not None:
            self.later(lambda: consulting.load(learned))

    def _predict(self, command: Predict, held: Callable[[int], Held | None]) -> None:
        if self._last_step.get(command.session) != command.step:
            return
        last = command.lineage[-1] if command.lineage else None
        if isinstance(last, Guess):
            found = self._follow(command, last, held)
        elif (supposed := self._suppose(command.lineage, held)) is None:
            return
        else:
            if last is not None:
                self._tell(self._surrogates.answered(command.session, supposed[-1]))
            found = self._ask(command.session, supposed)
        if found:
            self.on_predicted(Predicted(command.session, command.step, command.lineage, tuple(found)))
        if not command.lineage:
            self._steps[command.session] = (command, held)
            if self.consulting is not None:
                self.consulting.ask(command.session, lambda: self._predict_again(command.session))

    def _predict_again(self, session: str) -> None:
        """A speculator has answered, or can be asked now, or words came: the session may have gone on to a step for
        which that is of use."""
        if (step := self._steps.get(session)) is not None:
            self._predict(*step)

    def _follow(self, command: Predict, guess: Guess, held: Callable[[int], Held | None]) -> list[Candidate]:
        """What comes after a call, by each of a surrogate's guesses of its answer."""
        said, before = held(guess.surrogate), self._suppose(command.lineage[:-1], held)
        if said is None or before is None:
            return []
        result, session = self._looked_into.suppose(said.result), command.session
        return self._surrogates.predict(
            session, guess, result, before, CANDIDATES_ASKED, lambda supposed: self._ask(session, supposed)
        )

    def _ask(self, session: str, supposed: Sequence[Supposed]) -> list[Candidate]:
        found = self._predictor.predict(session, supposed, CANDIDATES_ASKED, self._clock())
        if (guard := self._needed_guard) is not None:
            found = guard.judge(session, supposed, found)
        return found

    @property
    def _needed_guard(self) -> Guard | None:
        return self._guard if self._guard is not None and self._guard.is_needed else None

    def _suppose(self, lineage: Lineage, held: Callable[[int], Held | None]) -> list[Supposed] | None:
        """What a lineage supposes; None where its last link is not known any more, or a guess in it."""
        supposed: list[Supposed] = []
        for link in lineage:
            if isinstance(link, Guess):
                if (guessed := self._surrogates.supposed(link)) is None:
                    return None
                supposed.append(guessed)
            elif (step := held(link)) is not None:  # else it has been adopted: it is history by now
                result = self._looked_into.suppose(step.result)
                supposed.append(Supposed(step.server, step.tool, step.arguments, result, False))
            elif link == lineage[-1]:
                return None
        return supposed

    def later(self, task: Callable[[], None], size_bytes: int = 0) -> None:
        """Do this when nothing else is to be done; it keeps so many bytes."""
        while len(self._tasks) >= QUEUE_MAX or (self._tasks and self._task_bytes + size_bytes > QUEUE_MAX_BYTES):
            _, given_up_bytes = self._tasks.popleft()
            self._task_bytes -= given_up_bytes
            self.given_up += 1
        self._tasks.append((task, size_bytes))
        self._task_bytes += size_bytes
        self.on_work()

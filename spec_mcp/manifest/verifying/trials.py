"""One try of one tool: is it as the manifest says?

    a read         state, call, state, call: both states and both answers are equal
    a reversible   state, `before`, call, state, undo, state: the first and the last state are equal; where there is a
                   probe, once more as if the answer had been lost
    any write      what it does not claim to touch is the same afterwards

Expressions are evaluated as they are at run time, by `evaluate`. A try that the manifest itself rules out (`unless`)
has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import Before, Effect, ServerPolicy, Undo
from spec_mcp.manifest.evaluate import Unbound, bind, is_true, result_of
from spec_mcp.manifest.verifying.observe import Difference, differences, touched
from spec_mcp.manifest.verifying.scratch import Answer, Bench, Call


class Wrong(StrEnum):
    """What can be wrong. A counter-example stays one, while it is made smaller, as long as this stays the same."""

    CHANGES = "changes"
    UNSTEADY = "unsteady"
    BLIND = "blind"
    UNBOUND = "unbound"
    REFUSED = "refused"
    RESIDUE = "residue"
    NOT_IDEMPOTENT = "not-idempotent"
    PROBE = "probe"
    TOUCHES = "touches"


SAYINGS = {
    Wrong.CHANGES: "it is no read: the state differs after it",
    Wrong.UNSTEADY: "the same call is answered differently, though nothing was called in between",
    Wrong.BLIND: "before does not show what the call changed",
    Wrong.UNBOUND: "an expression gives nothing",
    Wrong.REFUSED: "the undo is refused",
    Wrong.RESIDUE: "the undo does not restore the state",
    Wrong.NOT_IDEMPOTENT: "the undo is not idempotent: the second one changes the state",
    Wrong.PROBE: "the probe is wrong",
    Wrong.TOUCHES: "the call changes what it does not touch",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a try, and why it was made."""

    role: str
    """`before`, `call`, `probe` or `undo`."""
    call: Call
    answer: Answer


@dataclass(frozen=True, slots=True)
class Fault:
    """A counter-example: run on a fresh state, `setup` and then the call show that the manifest is wrong."""

    tool: str
    wrong: Wrong
    detail: str
    """More about it, such as the expression that gave nothing; may be empty."""
    call: Call
    looks: tuple[Call, ...]
    setup: tuple[Call, ...] = ()
    steps: tuple[Step, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def line(self) -> str:
        """What is wrong, in one line."""
        return SAYINGS[self.wrong] + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one try."""

    fault: Fault | None = None
    effective: bool = False
    """A read that answered, a write that changed something: only these prove anything."""


def attempt(bench: Bench, policy: ServerPolicy, call: Call, looks: Sequence[Call]) -> Trial:
    """Try a call on the state at hand, with the reads that show it."""
    setup = tuple(bench.trail)
    effect = policy.tool(call.tool).effect
    if effect is Effect.READ:
        trial = _try_read(bench, call, looks)
    elif effect is Effect.REVERSIBLE:
        trial = _Reversal(bench, policy, call, looks).run()
    else:
        trial = _try_write(bench, policy, call, looks)
    return replace(trial, fault=replace(trial.fault, setup=setup)) if trial.fault is not None else trial


def _try_read(bench: Bench, call: Call, looks: Sequence[Call]) -> Trial:
    before = bench.observe(looks)
    first = bench.call(call)
    after = bench.observe(looks)
    second = bench.call(call)
    steps = (Step("call", call, first), Step("call", call, second))
    changed = differences(looks, before, after)
    if changed:
        return Trial(Fault(call.tool, Wrong.CHANGES, "", call, tuple(looks), (), steps, tuple(changed)))
    if first.text != second.text:
        unlike = (Difference(call, first.result, second.result),)
        return Trial(Fault(call.tool, Wrong.UNSTEADY, "", call, tuple(looks), (), steps, unlike))
    return Trial(effective=not first.is_error)


def _try_write(bench: Bench, policy: ServerPolicy, call: Call, looks: Sequence[Call]) -> Trial:
    before = bench.observe(looks)
    answer = bench.call(call)
    changed = differences(looks, before, bench.observe(looks))
    if beyond := _beyond(policy, call, changed):
        steps = (Step("call", call, answer),)
        return Trial(Fault(call.tool, Wrong.TOUCHES, "", call, tuple(looks), (), steps, tuple(beyond)))
    return Trial(effective=bool(changed))


def _beyond(policy: ServerPolicy, call: Call, changed: Sequence[Difference]) -> list[Difference]:
    """Changes in what the call does not claim to touch."""
    own = touched(policy, call)
    return [difference for difference in changed if not own.overlaps(touched(policy, difference.look))]


class _Stop(Exception):  # noqa: N818  the try is over, and this is why
    def __init__(self, wrong: Wrong, detail: str = "", unlike: Sequence[Difference] = ()) -> None:
        super().__init__(wrong)
        self.wrong, self.detail, self.unlike = wrong, detail, tuple(unlike)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A state: what `before` shows of it, and the other reads."""

    reading: Answer
    others: tuple[Answer, ...]

    @property
    def answers(self) -> tuple[Answer, ...]:
        return (self.reading, *self.others)


class _Reversal:
    """One try of a reversible tool."""

    def __init__(self, bench: Bench, policy: ServerPolicy, call: Call, looks: Sequence[Call]) -> None:
        self._bench, self._policy, self._tool, self._call = bench, policy, policy.tool(call.tool), call
        self._looks = tuple(looks)
        self._steps: list[Step] = []

    def run(self) -> Trial:
        """Do, look, undo, look."""
        undo, before = self._tool.undo, self._tool.before
        assert undo is not None, "the manifest's check sees to it"
        assert before is not None, "the manifest's check sees to it"
        try:
            return self._run(undo, before)
        except _Stop as stop:
            fault = Fault(self._call.tool, stop.wrong, stop.detail, self._call, self._looks, (), tuple(self._steps))
            return Trial(replace(fault, differences=stop.unlike))

    def _run(self, undo: Undo, before: Before) -> Trial:
        read = self._bound("before", before.tool, before.arguments)
        was = self._look(read)
        state = result_of(was.reading.result)
        if was.reading.is_error or self._is_ruled_out(state):
            return Trial()
        if not self._there_and_back(undo, read, was, state, lost=False):
            return Trial()
        if self._tool.probe is not None:  # where the answer is lost, the probe tells, and the undo is bound without it
            self._there_and_back(undo, read, was, state, lost=True)
        return Trial(effective=True)

    def _there_and_back(self, undo: Undo, read: Call, was: _Shown, state: Json, *, lost: bool) -> bool:
        """Do and undo; did the call change anything?"""
        done_before = self._probe(state)
        answer = self._bench.call(self._call)
        self._steps.append(Step("call", self._call, answer))
        now = self._look(read)
        changed = differences((read, *self._looks), was.answers, now.answers)
        if changed and result_of(now.reading.result) == state:
            raise _Stop(Wrong.BLIND, "", changed)
        if beyond := _beyond(self._policy, self._call, changed):
            raise _Stop(Wrong.TOUCHES, "", beyond)
        if changed and done_before:
            raise _Stop(Wrong.PROBE, "it says done before the call")
        if changed and self._probe(state) is False:
            raise _Stop(Wrong.PROBE, "it does not say done after the call")
        if answer.is_error and not changed:
            return False
        # where nothing changed, the undo has nothing to take back, and must not take what was there before
        try:
            back = self._bound("undo", undo.tool, undo.arguments, None if lost else result_of(answer.result), state)
        except _Stop:
            if not lost:
                raise
            # such a speculation is kept for a person to settle: nothing is taken back wrongly
            back = self._bound("undo", undo.tool, undo.arguments, result_of(answer.result), state)
        self._take_back(back, read, was, Wrong.RESIDUE)
        if undo.idempotent:
            self._take_back(back, read, was, Wrong.NOT_IDEMPOTENT)
        return bool(changed)

    def _look(self, read: Call) -> _Shown:
        """The state, `before`'s own reading first."""
        reading = self._bench.call(read)
        self._steps.append(Step("before", read, reading))
        return _Shown(reading, tuple(self._bench.observe(self._looks)))

    def _take_back(self, back: Call, read: Call, was: _Shown, wrong: Wrong) -> None:
        said = self._bench.call(back)
        self._steps.append(Step("undo", back, said))
        if said.is_error:
            raise _Stop(Wrong.REFUSED if wrong is Wrong.RESIDUE else wrong, str(result_of(said.result)))
        if unlike := differences((read, *self._looks), was.answers, self._look(read).answers):
            raise _Stop(wrong, "", unlike)

    def _probe(self, state: Json) -> bool | None:
        """Does the probe say that the call was done? None where there is none."""
        probe = self._tool.probe
        if probe is None:
            return None
        asked = self._bound("probe", probe.tool, probe.arguments, None, state)
        answer = self._bench.call(asked)
        self._steps.append(Step("probe", asked, answer))
        if answer.is_error:
            raise _Stop(Wrong.PROBE, f"it is refused: {result_of(answer.result)}")
        seen = result_of(answer.result)
        try:
            return is_true(probe.done, arguments=self._call.arguments, result=seen, before=state)
        except Unbound as error:
            raise _Stop(Wrong.UNBOUND, f"probe.done: {error}") from error

    def _is_ruled_out(self, state: Json) -> bool:
        """Does the manifest say that the call is not speculated on this state?"""
        if self._tool.unless is None:
            return False
        try:
            return is_true(self._tool.unless, arguments=self._call.arguments, before=state)
        except Unbound as error:
            raise _Stop(Wrong.UNBOUND, f"unless: {error}") from error

    def _bound(
        self, key: str, tool: str, expressions: Mapping[str, str], result: Json = None, state: Json = None
    ) -> Call:
        try:
            return Call(tool, bind(expressions, arguments=self._call.arguments, result=result, before=state))
        except Unbound as error:
            raise _Stop(Wrong.UNBOUND, f"{key}.arguments.{error}") from error

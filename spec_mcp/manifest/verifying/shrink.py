"""Making a counter-example small: as long as the same thing stays wrong, something is left out.

Greedy, and each step is a try on a fresh server, so the number of steps is bounded and the first that works is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.manifest.verifying.scratch import Call
from spec_mcp.manifest.verifying.trials import Fault, Wrong

STEPS_MAX = 40
"""Each starts a server: at half a second, what a person waits for a clear answer."""

Replay = Callable[[Fault], Fault | None]
"""Tries setup, looks and call of a fault on a fresh state: what is wrong now; None where nothing is."""


def shrink(fault: Fault, replay: Replay, steps: int = STEPS_MAX) -> Fault:
    """The smallest counter-example found; the fault itself where it does not come again."""
    found = replay(fault)
    steps -= 1
    if found is None or not _is_same(found, fault):
        return fault
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(found):
            if steps <= 0:
                return found
            steps -= 1
            again = replay(candidate)
            if again is not None and _is_same(again, found):
                found, smaller = again, True
                break
    return found


def blamed(fault: Fault, reads: Collection[str], replay: Replay) -> Fault:
    """Who is at fault where the reads that were to show it may have changed something themselves."""
    asked = [*fault.looks, *(step.call for step in fault.steps), fault.call]
    suspects = [call for index, call in enumerate(asked) if call.tool in reads and call not in asked[:index]]
    if suspects:
        setups = [fault.setup] if fault.call.tool in reads else [fault.setup, (*fault.setup, fault.call)]
        for setup in setups:
            if found := _culprit(replace(fault, setup=setup), suspects, replay):
                return shrink(found, replay)
    return fault


def _culprit(fault: Fault, suspects: Sequence[Call], replay: Replay) -> Fault | None:
    """The read that does not hold on the state after the fault's setup; None where they all do."""

    def tried(call: Call, *looks: Call) -> Fault | None:
        return replay(replace(fault, tool=call.tool, call=call, looks=looks))

    # one that changes something once only is seen when another one comes before it
    if tried(suspects[0], *suspects) is None and tried(suspects[0], *reversed(suspects)) is None:
        return None
    unsteady = {suspect.tool: found for suspect in suspects if (found := tried(suspect)) is not None}
    for suspect in suspects:
        for witness in suspects:
            if witness != suspect and witness.tool not in unsteady:
                found = tried(suspect, witness)
                if found is not None and found.wrong is Wrong.CHANGES:
                    return found
    return next(iter(unsteady.values()), None)


def _is_same(found: Fault, fault: Fault) -> bool:
    return (found.tool, found.wrong) == (fault.tool, fault.wrong)


def _smaller(fault: Fault) -> Iterator[Fault]:
    """Smaller ones to try, those that leave out most first."""
    for setup in _shorter(fault.setup):
        yield replace(fault, setup=setup)
    showing = tuple(difference.look for difference in fault.differences if difference.look in fault.looks)
    if len(showing) < len(fault.looks):
        yield replace(fault, looks=showing)
    for look in showing[1:]:
        yield replace(fault, looks=tuple(other for other in fault.looks if other != look))
    for arguments in _simpler_arguments(fault.call.arguments):
        yield replace(fault, call=Call(fault.call.tool, arguments))
    for index, call in enumerate(fault.setup):
        for arguments in _simpler_arguments(call.arguments):
            changed = (*fault.setup[:index], Call(call.tool, arguments), *fault.setup[index + 1 :])
            yield replace(fault, setup=changed)


def _shorter(calls: Sequence[Call]) -> Iterator[tuple[Call, ...]]:
    """None of the calls, then without ever shorter runs of them."""
    size = len(calls)
    while size:
        for start in range(0, len(calls), size):
            yield (*calls[:start], *calls[start + size :])
        size //= 2


def _simpler_arguments(arguments: Arguments) -> Iterator[Arguments]:
    for simpler in _simpler(arguments):
        if isinstance(simpler, dict):
            yield simpler


def _simpler(value: Json) -> Iterator[Json]:
    """The value with one thing left out or made plain. Texts stay: they are names of what is there."""
    if isinstance(value, dict):
        for key in value:
            yield {other: inner for other, inner in value.items() if other != key}
        for key, inner in value.items():
            for simpler in _simpler(inner):
                yield {**value, key: simpler}
    elif isinstance(value, list):
        for index in range(len(value)):
            yield [*value[:index], *value[index + 1 :]]
        for index, inner in enumerate(value):
            for simpler in _simpler(inner):
                yield [*value[:index], simpler, *value[index + 1 :]]

"""A speculation's states. Everything that moves one from state to state is in the table below.

    proposed -> launched -> ready -> adopted            the call found the result ready: a hit
                launched -> joined -> adopted           the call found it running and waited for the rest: a join
                ready -> compared                       shadow mode: the real call was made and the results compared
    other ends: discarded, each with a reason that is counted and shown.

A joined speculation whose call stops waiting (cancelled, made for real after all) is discarded. Nothing leaves an
end state but a result that a manifest's `reuse_s` lets answer again.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a speculation is in its life."""

    PROPOSED = "proposed"
    LAUNCHED = "launched"
    READY = "ready"
    JOINED = "joined"
    ADOPTED = "adopted"
    COMPARED = "compared"
    DISCARDED = "discarded"


class Step(StrEnum):
    """What moves a speculation."""

    LAUNCH = "launch"
    RETURN = "return"
    JOIN = "join"
    ADOPT = "adopt"
    REUSE = "reuse"
    COMPARE = "compare"
    DISCARD = "discard"


class Reason(StrEnum):
    """Why a speculation was discarded, or why none was launched for a candidate."""

    # ends of a speculation
    EXPIRED = "expired"
    SPOILED = "spoiled"
    ERROR = "error"
    PROMPTED = "prompted"
    EVICTED = "evicted"
    SESSION_ENDED = "session-ended"
    DISCONNECTED = "disconnected"
    LATE = "late"
    STALE = "stale"
    CANCELLED = "cancelled"
    OVERTAKEN = "overtaken"
    SWITCHED_OFF = "switched-off"
    # skips of a candidate
    UNSAFE = "unsafe"
    UNLISTED = "unlisted"
    CHANGED = "changed"
    NOT_LISTED_YET = "not-listed-yet"
    UNMATCHABLE = "unmatchable"
    NOT_WORTH_IT = "not-worth-it"
    KNOWN = "known"
    POLL = "poll"
    CONFLICT = "conflict"
    BREADTH = "breadth"
    DEPTH = "depth"
    BUSY = "busy"
    TOO_SLOW = "too-slow"
    OPEN_WORLD = "open-world"
    RATE_LIMITED = "rate-limited"
    DEMOTED = "demoted"
    UNVALIDATED = "unvalidated"
    FULL = "full"
    STEP_PASSED = "step-passed"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.PROPOSED, Step.LAUNCH): State.LAUNCHED,
    (State.PROPOSED, Step.DISCARD): State.DISCARDED,
    (State.LAUNCHED, Step.RETURN): State.READY,
    (State.LAUNCHED, Step.JOIN): State.JOINED,
    (State.LAUNCHED, Step.DISCARD): State.DISCARDED,
    (State.READY, Step.ADOPT): State.ADOPTED,
    (State.READY, Step.COMPARE): State.COMPARED,
    (State.READY, Step.DISCARD): State.DISCARDED,
    (State.JOINED, Step.ADOPT): State.ADOPTED,
    (State.JOINED, Step.DISCARD): State.DISCARDED,
    (State.ADOPTED, Step.REUSE): State.ADOPTED,
}

ENDS = frozenset({State.ADOPTED, State.COMPARED, State.DISCARDED})


class IllegalStep(Exception):  # noqa: N818  h11's habit: it is named for what happened
    """A programmer's error: the table has no such move. The speculation is left as it was."""


def after(state: State, step: Step) -> State:
    """The state that a step leads to.

    Raises:
        IllegalStep: the table has no such move.
    """
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise IllegalStep(f"{step} does not move a speculation that is {state}") from None

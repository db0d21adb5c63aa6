"""A speculation's states. Everything that moves one from state to state is in the table below.

    proposed -> launched -> ready -> adopted            the call found the result ready: a hit
                launched -> joined -> adopted           the call found it running and waited for the rest: a join
                ready -> compared                       shadow mode: the real call was made and the results compared;
                                                        or it was made to check what another had answered
    other ends: discarded, each with a reason that is counted and shown.

A joined speculation whose call stops waiting (cancelled, made for real after all) is discarded. Nothing leaves an
end state but a result that a manifest's `reuse_s` lets answer again.

A reversible one that has been launched is never discarded: its effect is there, or may be.

    launched, joined -> unknown                         the connection was lost before its answer, or a crash was
    launched, joined, ready, unknown -> compensating    it is being taken back
    compensating -> compensated                         the state is seen to be as before
    compensating -> stuck                               it cannot be taken back for certain: a person must settle it
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
    UNKNOWN = "unknown"
    COMPENSATING = "compensating"
    COMPENSATED = "compensated"
    STUCK = "stuck"


class Step(StrEnum):
    """What moves a speculation."""

    LAUNCH = "launch"
    RETURN = "return"
    JOIN = "join"
    ADOPT = "adopt"
    REUSE = "reuse"
    COMPARE = "compare"
    DISCARD = "discard"
    LOSE = "lose"
    COMPENSATE = "compensate"
    RESTORE = "restore"
    STICK = "stick"


class How(StrEnum):
    """How a call was answered."""

    HIT = "hit"
    JOIN = "join"
    MISS = "miss"
    LOSSY = "lossy"
    """By a speculation with a tool of which the last write wins: not lossless, and never counted with the others."""


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
    MISPREDICTED = "mispredicted"
    GUESSED = "guessed"
    """A surrogate's: the answer that it guessed is there."""
    UNRECORDED = "unrecorded"
    UNLESS = "unless"
    UNREADABLE = "unreadable"
    CRASHED = "crashed"
    CUT_OFF = "cut-off"
    """The board that replicas share could not be reached; also why none was launched."""
    TAKEN = "taken"
    """Another replica has answered a call with it."""
    # why a reversible one is stuck
    FOREIGN_STATE = "foreign-state"
    OUTCOME_UNKNOWN = "outcome-unknown"
    UNBOUND = "unbound"
    UNDO_FAILED = "undo-failed"
    UNDO_UNKNOWN = "undo-unknown"
    RESIDUE = "residue"
    NO_ANSWER = "no-answer"
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
    BUSY = "busy"
    TOO_SLOW = "too-slow"
    OPEN_WORLD = "open-world"
    DISCLOSES = "discloses"
    RATE_LIMITED = "rate-limited"
    RATE = "rate"
    DEMOTED = "demoted"
    UNVALIDATED = "unvalidated"
    FULL = "full"
    NOT_REVERSIBLE_HERE = "not-reversible-here"
    UNPROVEN = "unproven"
    UNSURE = "unsure"
    SUBSCRIBED = "subscribed"
    STUCK_THERE = "stuck-there"
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
    (State.LAUNCHED, Step.LOSE): State.UNKNOWN,
    (State.JOINED, Step.LOSE): State.UNKNOWN,
    (State.LAUNCHED, Step.COMPENSATE): State.COMPENSATING,
    (State.JOINED, Step.COMPENSATE): State.COMPENSATING,
    (State.READY, Step.COMPENSATE): State.COMPENSATING,
    (State.UNKNOWN, Step.COMPENSATE): State.COMPENSATING,
    (State.COMPENSATING, Step.RESTORE): State.COMPENSATED,
    (State.COMPENSATING, Step.STICK): State.STUCK,
}

ENDS = frozenset({State.ADOPTED, State.COMPARED, State.DISCARDED, State.COMPENSATED, State.STUCK})


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

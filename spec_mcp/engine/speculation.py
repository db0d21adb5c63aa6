"""One speculation: what it was made for, how far it has come, and what it awaits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.effects import ToolPolicy
from spec_mcp.engine.events import CallId, ConnectionName, Lineage, OfferId, SpeculationId
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import How, Reason, State, Step, after


class Awaits(StrEnum):
    """Which answer a reversible speculation awaits. The readings have the names of their `Moment`."""

    NOTHING = "nothing"
    BEFORE = "before"
    RECORD = "record"
    ANSWER = "answer"
    EFFECT = "effect"
    """It was answered, and may take effect for a while yet."""
    LEFT = "left"
    ADOPTION = "adoption"
    """The decision for it is on its way to the disk: nothing dooms it any more."""
    NEWER = "newer"
    """What came after it is taken back first."""
    CLAIM = "claim"
    CONNECTION = "connection"
    NOW = "now"
    PROBE = "probe"
    UNDO = "undo"
    RESTORED = "restored"
    RETRY = "retry"
    SETTLED = "settled"
    SETTLE_AGAIN = "settle-again"


@dataclass(slots=True)
class Reversal:
    """How far a reversible speculation has come on its way to being adopted or taken back."""

    awaits: Awaits = Awaits.NOTHING
    asked_at: float = 0.0
    before: str = ""
    """The digest of the state before it."""
    left: str | None = None
    """The digest of the state after it."""
    is_task: bool = False
    """It goes on, and nobody knows for how long."""
    answered: bool = False
    """Its answer has come in this process: whatever it left is there by now."""
    quiet_at: float = 0.0
    """When it can take effect no more."""
    intended: bool = False
    """There is, or may be, a record of it on disk."""
    doomed: Reason | None = None
    """Why it is taken back, or will be once its answer is there."""
    claimed: bool = False
    """It is decided on disk that it is taken back."""
    undo_sent: bool = False
    """An undo went out of which it is not known that it failed."""
    seen: str = ""
    """The digest of the last reading, while the probe is asked."""
    attempts: int = 0
    pauses: int = 0
    retry_at: float | None = None
    newer_than: frozenset[SpeculationId] = frozenset()
    """What the same earlier process had speculated before it."""
    told_on: tuple[ConnectionName, ...] = ()
    """Other connections to its server, over which something was told that it has caused."""


@dataclass(slots=True)
class Met:
    """The call that found a speculation in shadow mode, as far as it must be known when it is over."""

    arrived_at: float
    found_ready: bool
    answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """An adopted result that is made again."""

    launched_at: float
    returned_at: float
    how: How
    saved_s: float


@dataclass(slots=True)
class Speculation:
    """One speculation and all that is needed to judge it."""

    id: SpeculationId
    session: str
    server: str
    connection: ConnectionName
    tool: str
    arguments: Arguments
    key: CallKey
    policy: ToolPolicy
    footprint: Footprint
    q: float
    source: str
    lineage: Lineage
    """What was supposed when it was predicted, the nearest last."""
    proposed_at: float
    state: State = State.PROPOSED
    launched_at: float | None = None
    returned_at: float | None = None
    size_bytes: int = 0
    valid: str | None = None
    """What its validator said before launch."""
    caller: CallId | None = None
    """The call that joined it, or for which its validator is being read."""
    chained_at: int | None = None
    """The step at which its result was last predicted upon."""
    compared_with: CallId | None = None
    """The call that it is compared with: in shadow mode, or as a check of what that call was given."""
    met: Met | None = None
    """That call, in shadow mode."""
    checks: Checked | None = None
    """What it was made to check: it answers no call."""
    stands_for: CallKey | None = None
    """The call that runs and whose answer it guesses."""
    is_expected: bool = True
    """A client's call may use it; else all that it is for is a guess."""
    due_at: float | None = None
    """When a check may be launched, if nothing else is to be; None: at any time."""
    join_until: float | None = None
    cancelled_at: float | None = None
    """When its server was told that its result is no longer wanted; it may say something all the same."""
    adopted_by: CallId | None = None
    foreseen: tuple[int, float] = (0, 0.0)
    """When it was last predicted: the session's step, and the probability of use."""
    extra_bytes: int = 0
    """The size of its result as an extra item of another call's reply; 0: it cannot be one."""
    attached_to: CallId | None = None
    """The call with whose answer the client was given its result."""
    reversal: Reversal | None = None
    """For a reversible one."""
    ended_as: str = ""
    """The reason of its end, for a reversible one."""
    depends_on: frozenset[SpeculationId] = frozenset()
    """Reversible speculations whose effect it may have seen: it falls with them."""
    offer: OfferId | None = None
    """Another replica's, under which this one's result is to be had."""
    taken_as: How | None = None
    """The board is asked whether its caller may have its result, and how that was found."""

    def move(self, step: Step) -> None:
        """Go to the state that the table gives.

        Raises:
            IllegalStep: there is none.
        """
        self.state = after(self.state, step)

    @property
    def under_way(self) -> tuple[float, float]:
        """When it was launched and when it was answered; only where it was."""
        assert self.launched_at is not None, "an answered speculation was launched"
        assert self.returned_at is not None, "it was answered"
        return self.launched_at, self.returned_at

    @property
    def outdated_at(self) -> float | None:
        """When its result becomes too old to adopt; None if never, or not launched."""
        if self.launched_at is None or self.policy.ttl_s is None:
            return None
        return self.launched_at + self.policy.ttl_s

    @property
    def may_be_overtaken(self) -> bool:
        """Would a later real reply on its resources make it run backwards in time?"""
        return not self.policy.exclusive and self.policy.fresh is None

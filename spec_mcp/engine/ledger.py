"""What is held, what is in flight and what has been spoiled: the state that decides whether a result may answer.

Theory: a held result may answer a call only while nothing happened that could have changed it. So every happening
that could is put to `conflicting`, which finds the speculations that it overlaps; a write stays *open* from its
arrival until `settle_s` after its final answer, and while it is open nothing that overlaps it is launched. The engine
is told of each happening in order, so no result can come back from before a write that the ledger has seen.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.effects import ToolPolicy
from spec_mcp.engine.events import CallId, SpeculationId
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import ENDS, Reason, State, Step, after

HELD_MAX = 64
"""Results held at once: more than any breadth and depth in use, few enough to look through at each write."""

HELD_MAX_BYTES = 16 * 2**20
"""Bytes of results held at once, so that the process stays small."""

ANSWERED_MAX = 512
"""Answered calls remembered in order to tell a poll."""

CANCEL_SETTLE_S = 1.0
"""How long a server is taken to work on after a cancellation. One that obeys never answers what was cancelled; without
an end, its place would be lost for the whole session."""

CANCEL_GRACE_S = 10.0
"""How long what a server asks or logs may still be due to a speculation that was cancelled there."""

OPEN_WRITES_MAX = 256
"""Writes without a final answer, by server. A client has a handful in flight; more are of a server that never answers
those that were cancelled, and of that server nothing is held any more until it starts anew."""


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


@dataclass(slots=True)
class Speculation:
    """One speculation and all that is needed to judge it."""

    id: SpeculationId
    session: str
    server: str
    tool: str
    arguments: Arguments
    key: CallKey
    policy: ToolPolicy
    footprint: Footprint
    q: float
    source: str
    lineage: tuple[SpeculationId, ...]
    """Its ancestors in a chain, the nearest last."""
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
    """The call that it is compared with, in shadow mode."""
    unproven: bool = False
    """Its validator is being read, to see whether that comparison counts."""
    join_until: float | None = None
    cancelled_at: float | None = None
    """When its server was told that its result is no longer wanted; it may say something all the same."""
    adopted_by: CallId | None = None
    reversal: Reversal | None = None
    """For a reversible one."""
    ended_as: str = ""
    """The reason of its end, for a reversible one."""
    depends_on: frozenset[SpeculationId] = frozenset()
    """Reversible speculations whose effect it may have seen: it falls with them."""

    def move(self, step: Step) -> None:
        """Go to the state that the table gives.

        Raises:
            IllegalStep: there is none.
        """
        self.state = after(self.state, step)

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


@dataclass(slots=True)
class OpenWrite:
    """A request not known to be a read, until it can take effect no more."""

    footprint: Footprint
    settle_s: float = 0.0
    until: float | None = None
    """None: it has no final answer yet."""
    task: str | None = None
    lost: bool = False
    """The process that worked on it is gone: it can take effect no more once another has taken its place."""


@dataclass(slots=True)
class Ledger:
    """Speculations, open writes and answered calls."""

    live: dict[SpeculationId, Speculation] = field(default_factory=dict[SpeculationId, Speculation])
    by_key: dict[CallKey, Speculation] = field(default_factory=dict[CallKey, Speculation])
    unadopted: dict[SpeculationId, Speculation] = field(default_factory=dict[SpeculationId, Speculation])
    """Reversible ones whose effect may be there and is nobody's: until they are adopted or taken back; stuck ones for
    ever."""
    outstanding: dict[SpeculationId, Speculation] = field(default_factory=dict[SpeculationId, Speculation])
    """Launched and not yet answered by the server, whatever became of them: they use its strength."""
    writes: dict[CallId, OpenWrite] = field(default_factory=dict[CallId, OpenWrite])
    notices: dict[str, OpenWrite] = field(default_factory=dict[str, OpenWrite])
    """By server: what was said to it without asking for an answer, and has not settled yet."""
    sealed: dict[str, OpenWrite] = field(default_factory=dict[str, OpenWrite])
    """Servers on which more is open than can be told apart: all that they touch is being written until they restart."""
    answered: OrderedDict[CallKey, Footprint] = field(default_factory=OrderedDict[CallKey, Footprint])
    held_bytes: int = 0

    def add(self, speculation: Speculation) -> None:
        """Take a proposed speculation in."""
        self.live[speculation.id] = speculation
        self.by_key[speculation.key] = speculation

    def hold(self, speculation: Speculation, size_bytes: int) -> None:
        """Its result is held from now on."""
        speculation.size_bytes = size_bytes
        self.held_bytes += size_bytes

    def remove(self, speculation: Speculation) -> None:
        """It has come to its end."""
        assert speculation.state in ENDS, f"speculation {speculation.id} is {speculation.state}"
        del self.live[speculation.id]
        if self.by_key.get(speculation.key) is speculation:
            del self.by_key[speculation.key]
        self.held_bytes -= speculation.size_bytes

    def conflicting(self, footprint: Footprint) -> list[Speculation]:
        """The live speculations that touch what a write touches, in the order of their making."""
        return [speculation for speculation in self.live.values() if footprint.overlaps(speculation.footprint)]

    def forget_answers(self, footprint: Footprint) -> None:
        """After a write the same question may have another answer."""
        for key in [key for key, read in self.answered.items() if footprint.overlaps(read)]:
            del self.answered[key]

    def remember_answer(self, key: CallKey, footprint: Footprint) -> None:
        """A call was answered, and nothing is writing there."""
        self.answered[key] = footprint
        self.answered.move_to_end(key)
        if len(self.answered) > ANSWERED_MAX:
            self.answered.popitem(last=False)

    def being_written(self, footprint: Footprint, now_s: float) -> bool:
        """May a write that touches this still take effect?"""
        if not (self.writes or self.notices or self.sealed):
            return False
        self._forget_settled(now_s)
        return any(
            write.footprint.overlaps(footprint)
            for writes in (self.writes, self.notices, self.sealed)
            for write in writes.values()
        )

    def open_write(self, call: CallId, write: OpenWrite, now_s: float) -> bool:
        """A write arrived. False: its server has too many open, and must be sealed."""
        self._forget_settled(now_s)
        self.writes[call] = write
        if len(self.writes) <= OPEN_WRITES_MAX:
            return True
        return Counter(other.footprint.server for other in self.writes.values())[write.footprint.server] <= (
            OPEN_WRITES_MAX
        )

    def seal(self, server: Footprint) -> None:
        """Too much is open there to be told apart: one entry for all of it."""
        self.sealed[server.server] = OpenWrite(server)
        for call in [call for call, write in self.writes.items() if write.footprint.server == server.server]:
            del self.writes[call]

    def close_write(self, call: CallId, now_s: float, task: str | None, is_task: bool) -> None:
        """The write has its answer and settles; one that became a task goes on until the task ends."""
        if (write := self.writes.get(call)) is None:
            return
        if is_task:
            write.task = task
        else:
            write.until = now_s + write.settle_s

    def end_task(self, server: str, task: str, now_s: float) -> None:
        """A task that writes is terminal."""
        for write in self.writes.values():
            if write.footprint.server == server and write.task == task and write.until is None:
                write.until = now_s + write.settle_s

    def lose_writes(self, server: str, unsent: Container[CallId]) -> None:
        """The server's process is gone, with all that it had not answered, but for what it has never seen."""
        for call, write in self.writes.items():
            if write.footprint.server == server and write.until is None and call not in unsent:
                write.lost = True
        if (sealed := self.sealed.get(server)) is not None:
            sealed.lost = True

    def forget_lost_writes(self, server: str) -> None:
        """Another process stands in its place. What has arrived in between is on its way to this one."""
        for call in [call for call, write in self.writes.items() if write.footprint.server == server and write.lost]:
            del self.writes[call]
        if server in self.sealed and self.sealed[server].lost:
            del self.sealed[server]

    def settle_anew(self, now_s: float) -> None:
        """The clock was set back: what had been answered settles from now on."""
        for write in (*self.writes.values(), *self.notices.values()):
            if write.until is not None:
                write.until = now_s + write.settle_s

    def _forget_settled(self, now_s: float) -> None:
        for call in [call for call, write in self.writes.items() if write.until is not None and write.until <= now_s]:
            del self.writes[call]
        for server in [name for name, notice in self.notices.items() if (notice.until or 0.0) <= now_s]:
            del self.notices[server]

    def outstanding_on(self, server: str, now_s: float) -> list[Speculation]:
        """What of ours the server may be working on. What was cancelled is mostly never answered: its time runs out."""
        for speculation in list(self.outstanding.values()):
            if _cancelled_longer_than(speculation, CANCEL_GRACE_S, now_s):
                del self.outstanding[speculation.id]
        return [speculation for speculation in self.outstanding.values() if speculation.server == server]

    def using(self, server: str, now_s: float) -> int:
        """How many of ours use the server's strength."""
        return sum(
            not _cancelled_longer_than(speculation, CANCEL_SETTLE_S, now_s)
            for speculation in self.outstanding_on(server, now_s)
        )

    def live_on(self, server: str) -> list[Speculation]:
        """Speculations of this server that have not come to their end, in the order of their making."""
        return [speculation for speculation in self.live.values() if speculation.server == server]

    def unadopted_on(self, server: str) -> list[Speculation]:
        """Reversible ones of this server that are neither adopted nor taken back."""
        return [speculation for speculation in self.unadopted.values() if speculation.server == server]

    def overfull(self) -> Iterator[Speculation]:
        """Which held results must go, the least likely first, until the rest is within bounds."""
        if len(self.live) <= HELD_MAX and self.held_bytes <= HELD_MAX_BYTES:
            return
        held = sorted(
            (speculation for speculation in self.live.values() if speculation.state in (State.READY, State.ADOPTED)),
            key=lambda speculation: (speculation.size_bytes <= HELD_MAX_BYTES, speculation.q, speculation.id),
        )
        count, size_bytes = len(self.live), self.held_bytes
        for speculation in held:
            if count <= HELD_MAX and size_bytes <= HELD_MAX_BYTES:
                return
            if speculation.caller is None and speculation.compared_with is None and speculation.reversal is None:
                count, size_bytes = count - 1, size_bytes - speculation.size_bytes
                yield speculation


def _cancelled_longer_than(speculation: Speculation, limit_s: float, now_s: float) -> bool:
    return speculation.cancelled_at is not None and not 0.0 <= now_s - speculation.cancelled_at < limit_s

"""What is held, what is in flight and what has been spoiled: the state that decides whether a result may answer.

Theory: a held result may answer a call only while nothing happened that could have changed it. So every happening
that could is put to `conflicting`, which finds the speculations that it overlaps; a write stays *open* from its
arrival until `settle_s` after its final answer, and while it is open nothing that overlaps it is launched. The engine
is told of each happening in order, so no result can come back from before a write that the ledger has seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.effects import ToolPolicy
from spec_mcp.engine.events import CallId, SpeculationId
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import ENDS, State, Step, after

HELD_MAX = 64
"""Results held at once: more than any breadth and depth in use, few enough to look through at each write."""

HELD_MAX_BYTES = 16 * 2**20
"""Bytes of results held at once, so that the process stays small."""

ANSWERED_MAX = 512
"""Answered calls remembered in order to tell a poll."""


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
    join_until: float | None = None
    adopted_by: CallId | None = None

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
    epoch: int
    settle_s: float = 0.0
    until: float | None = None
    """None: it has no final answer yet."""
    task: str | None = None


@dataclass(slots=True)
class Ledger:
    """Speculations, open writes and answered calls."""

    live: dict[SpeculationId, Speculation] = field(default_factory=dict[SpeculationId, Speculation])
    by_key: dict[CallKey, Speculation] = field(default_factory=dict[CallKey, Speculation])
    outstanding: dict[SpeculationId, Speculation] = field(default_factory=dict[SpeculationId, Speculation])
    """Launched and not yet answered by the server, whatever became of them: they use its strength."""
    writes: dict[CallId, OpenWrite] = field(default_factory=dict[CallId, OpenWrite])
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
        for call in [call for call, write in self.writes.items() if write.until is not None and write.until <= now_s]:
            del self.writes[call]
        return any(write.footprint.overlaps(footprint) for write in self.writes.values())

    def close_write(self, call: CallId, now_s: float, task: str | None) -> None:
        """The write has its answer and settles; one that became a task goes on until the task ends."""
        if (write := self.writes.get(call)) is None:
            return
        write.task = task
        if task is None:
            write.until = now_s + write.settle_s

    def end_task(self, server: str, task: str, now_s: float) -> None:
        """A task that writes is terminal."""
        for write in self.writes.values():
            if write.footprint.server == server and write.task == task:
                write.until = now_s + write.settle_s

    def forget_writes_before(self, server: str, epoch: int) -> None:
        """The server started anew: what had no final answer can take effect no more."""
        for call, write in list(self.writes.items()):
            if write.footprint.server == server and write.epoch < epoch and write.until is None:
                del self.writes[call]

    def outstanding_on(self, server: str) -> list[Speculation]:
        """What of ours the server is still working on."""
        return [speculation for speculation in self.outstanding.values() if speculation.server == server]

    def overfull(self) -> Iterator[Speculation]:
        """Which ready speculations must go, the least likely first, until the rest is within bounds."""
        ready = sorted(
            (speculation for speculation in self.live.values() if speculation.state is State.READY),
            key=lambda speculation: (speculation.q, speculation.id),
        )
        for speculation in ready:
            if len(self.live) <= HELD_MAX and self.held_bytes <= HELD_MAX_BYTES:
                return
            if speculation.caller is None and speculation.compared_with is None:
                yield speculation

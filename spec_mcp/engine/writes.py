"""Writes that may still take effect: nothing that they touch is speculated on.

Theory: a write is open from its arrival until `settle_s` after its final answer; without one, until the process that
worked on it is gone. Over which connection it travelled says who may answer it; what it touches concerns all others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from spec_mcp.engine.events import CallId, ConnectionName
from spec_mcp.engine.grouped import Grouped
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.touching import Touching

OPEN_WRITES_MAX = 256
"""Writes without a final answer, by connection. A client has a handful in flight; more are of a server that never
answers those that were cancelled, and of that server nothing is held any more until it starts anew."""

ABANDONED_S = 3600.0
"""How long a write may still take effect that had no answer when its connection was given up, where its server goes on:
nobody will ever be told of its end, and what is open for ever would stop speculation there for ever."""

NOTICE = "notice"
"""What was said over a connection without asking for an answer."""

SEAL = "seal"
"""A connection on which more is open than can be told apart: all of its server is being written until it restarts."""

Place = CallId | tuple[str, ConnectionName]
"""What is open: a call's write, or a notice or a seal of a whole connection."""


@dataclass(slots=True)
class OpenWrite:
    """A request not known to be a read, until it can take effect no more."""

    footprint: Footprint
    connection: ConnectionName
    settle_s: float = 0.0
    until: float | None = None
    """None: it has no final answer yet."""
    task: str | None = None
    lost: bool = False
    """The process that worked on it is gone: it can take effect no more once another has taken its place."""


class OpenWrites:
    """All of them. Numbers of calls below zero are of writes that we made."""

    def __init__(self) -> None:
        self._all: dict[Place, OpenWrite] = {}
        self._on: Grouped[Place, OpenWrite] = Grouped()
        self._touching: Touching[Place] = Touching()
        self._ends: list[tuple[float, int, Place]] = []
        """When each settles, soonest first; an entry that says otherwise than the write itself is void."""
        self._noted = count()
        self.over: list[Place] | None = None
        """What is not open any more, for whoever wants to be told and empties it."""

    # --- one after the other ----------------------------------------------------------------------------------------

    def open(self, call: CallId, write: OpenWrite, now_s: float) -> bool:
        """A write arrived. False: its connection has too many open, and must be sealed."""
        self._forget_settled(now_s)
        self._put(call, write)
        return len(self._on.of(write.connection)) <= OPEN_WRITES_MAX

    def close(self, call: CallId, now_s: float, task: str | None, is_task: bool) -> None:
        """The write has its answer and settles; one that became a task goes on until the task ends."""
        if (write := self._all.get(call)) is None:
            return
        if is_task:
            write.task = task
        else:
            self._settle(call, write, now_s)

    def drop(self, call: CallId) -> None:
        """It writes nothing after all, or what it writes was written."""
        self._forget(call)

    def settles_with(self, call: CallId, settle_s: float) -> None:
        """How long it may take effect after its answer is known only now."""
        if (write := self._all.get(call)) is not None:
            write.settle_s = settle_s

    def unanswered_on(self, connection: ConnectionName) -> Iterator[CallId]:
        """The clients' writes there that have no final answer."""
        for place, write in self._on.of(connection).items():
            if isinstance(place, int) and place > 0 and write.until is None:
                yield place

    # --- whole connections ------------------------------------------------------------------------------------------

    def notice(self, connection: ConnectionName, footprint: Footprint, settle_s: float, now_s: float) -> None:
        """Something was said there to which no answer comes."""
        last = self._all.get((NOTICE, connection))
        until = max(now_s + settle_s, 0.0 if last is None or last.until is None else last.until)
        self._put((NOTICE, connection), OpenWrite(footprint, connection, settle_s, until))

    def seal(self, connection: ConnectionName, everything: Footprint) -> None:
        """Too much is open there to be told apart: one entry for all of it, until a new process is there."""
        for place in list(self._on.of(connection)):
            if isinstance(place, int):
                self._forget(place)
        self._put((SEAL, connection), OpenWrite(everything, connection))

    def end_task(self, connection: ConnectionName, task: str, now_s: float) -> None:
        """A task that writes is terminal. Two processes of one server may give two tasks the same name."""
        for place, write in self._on.of(connection).items():
            if write.task == task and write.until is None:
                self._settle(place, write, now_s)

    def lose(self, connection: ConnectionName, is_unsent: Callable[[CallId], bool]) -> None:
        """The process is gone, with all that it had not answered, but for what it has never seen."""
        for place, write in self._on.of(connection).items():
            if write.until is None and not (isinstance(place, int) and is_unsent(place)):
                write.lost = True

    def forget_lost(self, connection: ConnectionName) -> None:
        """Another process stands in its place. What has arrived in between is on its way to this one."""
        for place in [place for place, write in self._on.of(connection).items() if write.lost]:
            self._forget(place)

    def abandon(self, connection: ConnectionName, now_s: float) -> None:
        """No process will stand in its place, and no answer will come."""
        for place, write in self._on.of(connection).items():
            if write.until is None:
                write.settle_s = write.settle_s if write.lost else ABANDONED_S
                self._settle(place, write, now_s)

    # --- questions and time -----------------------------------------------------------------------------------------

    def touch(self, footprint: Footprint, now_s: float) -> bool:
        """May one that touches this still take effect?"""
        if not self._all:
            return False
        self._forget_settled(now_s)
        return self._touching.any_overlapping(footprint)

    def are_settling(self, now_s: float) -> bool:
        """Is there one that was answered, and may take effect for a while yet?"""
        self._forget_settled(now_s)
        return any(write.until is not None for write in self._all.values())

    def pass_time(self, now_s: float) -> None:
        """Forget what can take effect no more."""
        self._forget_settled(now_s)

    @property
    def settles_s(self) -> float | None:
        """When the next one may have settled."""
        return self._ends[0][0] if self._ends else None

    def settle_anew(self, now_s: float) -> None:
        """The clock was set back: what had been answered settles from now on."""
        for place, write in self._all.items():
            if write.until is not None:
                self._settle(place, write, now_s)

    def __contains__(self, place: Place) -> bool:
        return place in self._all

    def __len__(self) -> int:
        return len(self._all)

    # --- keeping them -----------------------------------------------------------------------------------------------

    def _put(self, place: Place, write: OpenWrite) -> None:
        self._remove(place)
        self._all[place] = write
        self._on.add(write.connection, place, write)
        self._touching.add(place, write.footprint)
        if write.until is not None:
            heapq.heappush(self._ends, (write.until, next(self._noted), place))

    def _settle(self, place: Place, write: OpenWrite, now_s: float) -> None:
        write.until = now_s + write.settle_s
        heapq.heappush(self._ends, (write.until, next(self._noted), place))

    def _forget(self, place: Place) -> None:
        self._remove(place)
        if self.over is not None:
            self.over.append(place)

    def _remove(self, place: Place) -> None:
        if (write := self._all.pop(place, None)) is None:
            return
        self._touching.remove(place)
        self._on.drop(write.connection, place)

    def _forget_settled(self, now_s: float) -> None:
        while self._ends and self._ends[0][0] <= now_s:
            _, _, place = heapq.heappop(self._ends)
            write = self._all.get(place)
            if write is not None and write.until is not None and write.until <= now_s:
                self._forget(place)

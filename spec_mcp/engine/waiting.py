"""Calls that must not go out yet: each waits for one thing, and is looked at again when that is over.

A call waits for the undo of an early write that it could see, until speculations are silent over its connection, for
an older call that waits itself, or until other replicas know of it. What it waits for next is only found out then. So
however many wait, what happens elsewhere costs them nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from spec_mcp.engine.deadlines import Deadlines
from spec_mcp.engine.events import CallId, ConnectionName, SpeculationId
from spec_mcp.engine.grouped import Grouped
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.touching import Touching


class Undo(NamedTuple):
    """Until this speculation is adopted or taken back; one of which the last write wins, until it is answered."""

    speculation: SpeculationId


class Silence(NamedTuple):
    """Until no speculation runs there that may prompt or log."""

    connection: ConnectionName


class Older(NamedTuple):
    """Until this call goes out, or is given up."""

    call: CallId


class Unposted(NamedTuple):
    """Until the other replicas know of this call."""

    call: CallId


Blocker = Undo | Silence | Older | Unposted
"""What a call waits for."""


class Waiting:
    """All calls that wait, in the order in which they began to."""

    def __init__(self) -> None:
        self._calls: dict[CallId, CallState] = {}
        self._on: Grouped[CallId, CallState] = Grouped()
        """By connection."""
        self._blockers: dict[CallId, Blocker] = {}
        self._behind: dict[Blocker, dict[CallId, CallState]] = {}
        self._reads: Touching[CallId] = Touching()
        self._writes: Touching[CallId] = Touching()
        self._due: dict[CallId, CallState] = {}
        """Those whose blocker is gone."""
        self._deadlines = Deadlines(self._fails_at)

    def _fails_at(self, number: CallId) -> float | None:
        call = self._calls.get(number)
        return None if call is None else call.kept_until

    # --- coming and going -------------------------------------------------------------------------------------------

    def keep(self, call: CallState, blocker: Blocker, touched: Footprint | None) -> None:
        """It waits for this from now on. `touched`: those that come later and touch the same follow it."""
        if call.id not in self._calls:
            self._calls[call.id] = call
            self._on.add(call.connection, call.id, call)
            if touched is not None:
                (self._reads if call.reads else self._writes).add(call.id, touched)
        self._unblock(call)
        self._blockers[call.id] = blocker
        self._behind.setdefault(blocker, {})[call.id] = call
        self._deadlines.tell(call.id)

    def remove(self, call: CallState) -> None:
        """It goes out, or is given up: who followed it may go on."""
        if self._calls.pop(call.id, None) is None:
            return
        self._on.drop(call.connection, call.id)
        self._reads.remove(call.id)
        self._writes.remove(call.id)
        self._unblock(call)
        self._deadlines.forget(call.id)
        self.wake(Older(call.id))

    def _unblock(self, call: CallState) -> None:
        self._due.pop(call.id, None)
        blocker = self._blockers.pop(call.id, None)
        if blocker is not None and (behind := self._behind.get(blocker)) is not None:
            behind.pop(call.id, None)
            if not behind:
                del self._behind[blocker]

    def wake(self, blocker: Blocker) -> None:
        """What they waited for is over."""
        if (behind := self._behind.pop(blocker, None)) is not None:
            self._due.update(behind)

    def wake_all(self) -> None:
        """Look at all of them again."""
        for blocker in list(self._behind):
            self.wake(blocker)

    # --- questions --------------------------------------------------------------------------------------------------

    @property
    def due(self) -> list[CallState]:
        """Those that must be looked at again, the oldest first."""
        return [self._due[number] for number in sorted(self._due)]

    def failed(self, now_s: float) -> list[CallState]:
        """Those that have waited long enough, the oldest first."""
        return [self._calls[number] for number in self._deadlines.due(now_s)]

    @property
    def fails_s(self) -> float | None:
        """When the next one has."""
        return self._deadlines.next_s

    def before(self, call: CallState, touched: Footprint) -> CallState | None:
        """An older one with which it conflicts."""
        for others in (self._writes,) if call.reads else (self._writes, self._reads):
            for number in others.each_overlapping(touched):
                if number < call.id:
                    return self._calls[number]
        return None

    def silences(self) -> Iterator[ConnectionName]:
        """Where calls wait for silence."""
        return (blocker.connection for blocker in list(self._behind) if isinstance(blocker, Silence))

    def on(self, connection: ConnectionName) -> Collection[CallState]:
        """Those over this connection."""
        return self._on.things(connection)

    def __contains__(self, number: CallId) -> bool:
        return number in self._calls

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[CallState]:
        return iter(self._calls.values())

"""What is held, what is in flight and what has been spoiled: the state that decides whether a result may answer.

Theory: a held result may answer a call only while nothing happened that could have changed it. So every happening
that could is put to `conflicting`, which finds the speculations that it overlaps; a write stays *open* from its
arrival until `settle_s` after its final answer (`writes.py`), and while it is open nothing that overlaps it is
launched. The engine is told of each happening in order, so no result can come back from before a write that the ledger
has seen. What a call touches is told apart by server, whichever connection it travels on and whoever makes it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator

from spec_mcp.engine.ageing import ends_at, steps_at
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.deadlines import Deadlines
from spec_mcp.engine.effects import ToolValidator
from spec_mcp.engine.events import ConnectionName, SpeculationId
from spec_mcp.engine.grouped import Grouped
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import ENDS, State
from spec_mcp.engine.touching import Touching
from spec_mcp.engine.writes import OpenWrites

HELD_MAX = 64
"""Results held at once for a session: more than any breadth and depth in use, few enough to look through."""

HELD_MAX_BYTES = 16 * 2**20
"""Bytes of results held at once for a session: no client needs more, and one session must not take all there is."""

ALL_HELD_MAX = 16_384
"""Results held at once for all sessions: sixteen for each of a thousand."""

ALL_HELD_MAX_BYTES = 256 * 2**20
"""Bytes of results held at once for all sessions, so that the process stays small beside its servers."""

MADE_ROOM = 15 / 16
"""Where all sessions together hold too much, so much of it stays: looking for the least likely is then seldom."""

ANSWERED_MAX = 512
"""Answered calls remembered for a session, in order to tell a poll."""

ALL_ANSWERED_MAX = 16_384
"""The same for all sessions: the oldest go."""

CANCEL_SETTLE_S = 1.0
"""How long a server is taken to work on after a cancellation. One that obeys never answers what was cancelled; without
an end, its place would be lost for the whole session."""

CANCEL_GRACE_S = 10.0
"""How long what a server asks or logs may still be due to a speculation that was cancelled there."""


class Speculations:
    """Some of the speculations, in the order in which they came: by number, connection, server and session."""

    def __init__(self) -> None:
        self._all: dict[SpeculationId, Speculation] = {}
        self._on: Grouped[SpeculationId, Speculation] = Grouped()
        self._at: Grouped[SpeculationId, Speculation] = Grouped()
        self._of: Grouped[SpeculationId, Speculation] = Grouped()

    def add(self, speculation: Speculation) -> None:
        """From now on it is one of these."""
        self._all[speculation.id] = speculation
        self._on.add(speculation.connection, speculation.id, speculation)
        self._at.add(speculation.server, speculation.id, speculation)
        self._of.add(speculation.session, speculation.id, speculation)

    def pop(self, number: SpeculationId) -> Speculation | None:
        """It is one of these no more; None where it was none."""
        if (speculation := self._all.pop(number, None)) is not None:
            self._on.drop(speculation.connection, number)
            self._at.drop(speculation.server, number)
            self._of.drop(speculation.session, number)
        return speculation

    def get(self, number: SpeculationId) -> Speculation | None:
        """The one with this number."""
        return self._all.get(number)

    def __contains__(self, number: SpeculationId) -> bool:
        return number in self._all

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Speculation]:
        return iter(self._all.values())

    def on(self, connection: ConnectionName) -> Collection[Speculation]:
        """Those over this connection."""
        return self._on.things(connection)

    def at(self, server: str) -> Collection[Speculation]:
        """Those at this server, over all its connections."""
        return self._at.things(server)

    def of(self, session: str) -> Collection[Speculation]:
        """Those that were made for this session."""
        return self._of.things(session)


class Touched(Speculations):
    """The same, by what they touch as well."""

    def __init__(self) -> None:
        super().__init__()
        self._touching: Touching[SpeculationId] = Touching()

    def add(self, speculation: Speculation) -> None:
        super().add(speculation)
        self._touching.add(speculation.id, speculation.footprint)

    def pop(self, number: SpeculationId) -> Speculation | None:
        self._touching.remove(number)
        return super().pop(number)

    def overlapping(self, footprint: Footprint) -> list[Speculation]:
        """Those that touch what this touches, in the order of their making."""
        found = self._touching.overlapping(footprint)
        return [self._all[number] for number in sorted(found, key=_by_age)] if found else []


class Ledger:
    """Speculations, open writes and answered calls."""

    def __init__(self) -> None:
        self.live = Touched()
        """All that have not come to their end."""
        self.by_key: dict[CallKey, Speculation] = {}
        self.unadopted = Touched()
        """Reversible ones whose effect may be there and is nobody's: until they are adopted or taken back; stuck ones
        for ever."""
        self.outstanding = Speculations()
        """Launched and not yet answered by the server, whatever became of them: they use its strength."""
        self.in_preparation = Speculations()
        """Those that have a place already, and are launched when something has been read."""
        self.version_checked = Speculations()
        """Those whose validator is a tool of their server."""
        self.dependent = Speculations()
        """Those that may have seen what an unadopted one did, and fall with it."""
        self.writes = OpenWrites()
        self.answered: OrderedDict[CallKey, None] = OrderedDict()
        self.held_bytes = 0
        self.deadlines = Deadlines(self._due_at)
        self._bytes_of_sessions: dict[str, int] = {}
        self._answers: Touching[CallKey] = Touching()
        self._cancelled: deque[Speculation] = deque()
        """Outstanding ones, in the order of their cancellation."""

    def _due_at(self, number: SpeculationId) -> float | None:
        times: list[float | None] = []
        if (speculation := self.live.get(number)) is not None:
            times += [ends_at(speculation), speculation.join_until, speculation.due_at]
        if (speculation := self.unadopted.get(number)) is not None:
            times.append(steps_at(speculation))
        return min((time for time in times if time is not None), default=None)

    # --- speculations -----------------------------------------------------------------------------------------------

    def add(self, speculation: Speculation) -> None:
        """Take a proposed speculation in."""
        self.live.add(speculation)
        if speculation.checks is None:
            self.by_key[speculation.key] = speculation
        if isinstance(speculation.policy.fresh, ToolValidator):
            self.version_checked.add(speculation)
        if speculation.depends_on:
            self.dependent.add(speculation)

    def hold(self, speculation: Speculation, size_bytes: int) -> None:
        """Its result is held from now on."""
        speculation.size_bytes = size_bytes
        self._count_bytes(speculation.session, size_bytes)

    def remove(self, speculation: Speculation) -> None:
        """It has come to its end."""
        assert speculation.state in ENDS, f"speculation {speculation.id} is {speculation.state}"
        assert speculation.id in self.live, f"speculation {speculation.id} has come to its end before"
        self.live.pop(speculation.id)
        if self.by_key.get(speculation.key) is speculation:
            del self.by_key[speculation.key]
        self.in_preparation.pop(speculation.id)
        self.version_checked.pop(speculation.id)
        self.dependent.pop(speculation.id)
        self._count_bytes(speculation.session, -speculation.size_bytes)
        if speculation.id not in self.unadopted:
            self.deadlines.forget(speculation.id)

    def let_go(self, speculation: Speculation) -> None:
        """Its effect is a client's, or is gone."""
        self.unadopted.pop(speculation.id)
        if speculation.id not in self.live:
            self.deadlines.forget(speculation.id)

    def _count_bytes(self, session: str, size_bytes: int) -> None:
        if size_bytes:
            self.held_bytes += size_bytes
            left_bytes = self._bytes_of_sessions.get(session, 0) + size_bytes
            self._bytes_of_sessions[session] = left_bytes
            if not left_bytes:
                del self._bytes_of_sessions[session]

    def conflicting(self, footprint: Footprint) -> list[Speculation]:
        """The live speculations that touch what a write touches, in the order of their making."""
        return self.live.overlapping(footprint)

    def overfull(self, session: str) -> Iterator[Speculation]:
        """Which held results must go, the least likely first, until this session's and all are within bounds."""
        own, own_bytes = self.live.of(session), self._bytes_of_sessions.get(session, 0)
        if len(own) > HELD_MAX or own_bytes > HELD_MAX_BYTES:
            yield from _least_likely(own, own_bytes, HELD_MAX, HELD_MAX_BYTES)
        if len(self.live) > ALL_HELD_MAX or self.held_bytes > ALL_HELD_MAX_BYTES:
            count, size_bytes = int(ALL_HELD_MAX * MADE_ROOM), int(ALL_HELD_MAX_BYTES * MADE_ROOM)
            yield from _least_likely(self.live, self.held_bytes, count, size_bytes)

    # --- what the servers work on for us ------------------------------------------------------------------------------

    def launched(self, speculation: Speculation) -> None:
        """Its call has been made."""
        self.in_preparation.pop(speculation.id)
        self.outstanding.add(speculation)

    def cancelled(self, speculation: Speculation, now_s: float) -> None:
        """Its server is told that nobody waits for it. Mostly it is never answered: its time runs out."""
        speculation.cancelled_at = now_s
        self._cancelled.append(speculation)

    def forget_cancelled(self, now_s: float) -> None:
        """Those of which nothing is to be heard any more."""
        while self._cancelled and _cancelled_longer_than(self._cancelled[0], CANCEL_GRACE_S, now_s):
            self.outstanding.pop(self._cancelled.popleft().id)

    def outstanding_on(self, connection: ConnectionName, now_s: float) -> Collection[Speculation]:
        """What of ours the server may be working on over this connection."""
        self.forget_cancelled(now_s)
        return self.outstanding.on(connection)

    def outstanding_at(self, server: str, now_s: float) -> Collection[Speculation]:
        """What of ours the server may be working on over any connection."""
        self.forget_cancelled(now_s)
        return self.outstanding.at(server)

    # --- answers ------------------------------------------------------------------------------------------------------

    def forget_answers(self, footprint: Footprint) -> None:
        """After a write the same question may have another answer."""
        for key in self._answers.overlapping(footprint):
            self._answers.remove(key)
            del self.answered[key]

    def remember_answer(self, key: CallKey, footprint: Footprint, sessions: int) -> None:
        """A call was answered, and nothing is writing there; there are so many sessions."""
        self.answered[key] = None
        self.answered.move_to_end(key)
        self._answers.add(key, footprint)
        if len(self.answered) > min(ANSWERED_MAX * max(1, sessions), ALL_ANSWERED_MAX):
            oldest, _ = self.answered.popitem(last=False)
            self._answers.remove(oldest)


def using(outstanding: Iterable[Speculation], now_s: float) -> int:
    """How many of those that are outstanding use a server's strength."""
    return sum(not _cancelled_longer_than(speculation, CANCEL_SETTLE_S, now_s) for speculation in outstanding)


def _least_likely(held: Iterable[Speculation], size_bytes: int, most: int, most_bytes: int) -> Iterator[Speculation]:
    held = list(held)
    may_go = sorted(
        (speculation for speculation in held if speculation.state in (State.READY, State.ADOPTED)),
        key=lambda speculation: (speculation.size_bytes <= HELD_MAX_BYTES, speculation.q, speculation.id),
    )
    count = len(held)
    for speculation in may_go:
        if count <= most and size_bytes <= most_bytes:
            return
        if speculation.caller is None and speculation.reversal is None:
            count, size_bytes = count - 1, size_bytes - speculation.size_bytes
            yield speculation


def _cancelled_longer_than(speculation: Speculation, limit_s: float, now_s: float) -> bool:
    return speculation.cancelled_at is not None and not 0.0 <= now_s - speculation.cancelled_at < limit_s


def _by_age(number: SpeculationId) -> tuple[bool, int]:
    """Those of an earlier process count downwards from zero, and come before ours."""
    return number > 0, abs(number)

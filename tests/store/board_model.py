"""The board as one object in memory: what every implementation is held against, and what simulations run on.

Time is told by the clock that is given; nothing here waits. What goes wrong is told by `faults`, which is asked before
each step of a handle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from spec_mcp.engine.events import OfferId, PostId
from spec_mcp.engine.resources import Footprint
from spec_mcp.store.board import (
    ABANDONED_S,
    LEASE_S,
    MAX_CLOSED,
    SHARED_MAX_BYTES,
    AllGone,
    Fate,
    Fence,
    Gift,
    Member,
    NameTaken,
    News,
    Offering,
    OfferNews,
    Posting,
    Process,
    Refusal,
    WriteNews,
)
from spec_mcp.store.store import StoreError

T = TypeVar("T")

NOBODY: Fence = 0
"""Tells what everybody is to hear."""

LOST = -1
"""No life of a board."""


class Fault(StrEnum):
    """What becomes of a step."""

    NONE = "none"
    UNREACHED = "unreached"
    """It is not done, and fails."""
    UNANSWERED = "unanswered"
    """It is done, and fails."""


Faults = Callable[[str], Fault]
"""By the name of the step."""


def no_faults(_step: str) -> Fault:
    """All goes well."""
    return Fault.NONE


@dataclass(slots=True)
class Registered:
    """A replica."""

    process: Process
    fence: Fence
    lease_s: float
    renewed_at: float
    """When it joined, or last renewed its lease."""
    life: int
    is_active: bool = False
    """It has renewed its lease since it joined."""


@dataclass(slots=True)
class Posted:
    """A posting, and when it was over."""

    fence: Fence
    post: PostId | None
    footprint: Footprint | None
    """None: everything of every server."""
    writes: bool
    dies_with_us: bool
    closed_no: int | None = None
    abandoned_at: float | None = None


@dataclass(slots=True)
class Offered:
    """An offer. Its id is the number from before its launch."""

    id: OfferId
    fence: Fence
    offering: Offering
    launched_at: float
    fate: Fate = Fate.RUNNING
    result: bytes | None = None
    returned_no: int | None = None


@dataclass(slots=True)
class BoardModel:
    """All that the board holds."""

    clock: Callable[[], float]
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    members: dict[str, Registered] = field(default_factory=dict[str, Registered])
    posted: list[Posted] = field(default_factory=list[Posted])
    offers: dict[OfferId, Offered] = field(default_factory=dict[OfferId, Offered])
    life: int = 0
    """Counts how often all but the members was lost."""
    handles: list[ModelBoard] = field(default_factory=list["ModelBoard"])

    def handle(self, faults: Faults = no_faults) -> ModelBoard:
        """The board for one thread of a replica."""
        handle = ModelBoard(self, faults)
        self.handles.append(handle)
        return handle

    def crash(self) -> None:
        """Lose what no disk holds."""
        self.life += 1
        self.posted.clear()
        self.offers.clear()

    def tell(self, fence: Fence, news: News) -> None:
        """Let everybody hear it."""
        for handle in self.handles:
            handle.heard.append((fence, news))

    def by_fence(self, fence: Fence) -> Registered | None:
        """The member, if it is one and has joined since the board was last emptied."""
        found = next((member for member in self.members.values() if member.fence == fence), None)
        return found if found is not None and found.life == self.life else None

    def is_fresh(self, member: Registered) -> bool:
        """Does its lease run, and tell of all that it does?"""
        return member.is_active and self.is_in_time(member)

    def is_in_time(self, member: Registered) -> bool:
        """May it renew its lease?"""
        return member.life == self.life and 0 <= self.clock() - member.renewed_at <= member.lease_s

    def strike(self, member: Registered) -> None:
        """As `Board.bury`."""
        now = self.clock()
        unseen = not self.is_fresh(member)
        for posted in self.posted:
            if posted.fence == member.fence and posted.closed_no is None:
                if posted.writes and not posted.dies_with_us:
                    posted.abandoned_at = now
                else:
                    posted.closed_no = next(self.numbers)
        if unseen:
            self.posted.append(Posted(member.fence, None, None, True, False, abandoned_at=now))
        del self.members[member.process.replica]
        self.end_all_offers(NOBODY)

    def end_offers(self, offers: Iterable[OfferId], teller: Fence) -> None:
        """Let go of these."""
        for offer in list(offers):
            gone = self.offers.pop(offer)
            if gone.offering.digest:
                self.tell(teller, OfferNews(offer, gone.offering.digest, Fate.GONE))

    def end_all_offers(self, teller: Fence) -> None:
        """Let go of all of everyone."""
        self.offers.clear()
        self.tell(teller, AllGone())

    def in_the_way(self, offered: Offered, taker: Fence) -> bool:
        """Does a posting speak against it?"""
        return any(
            (posted.closed_no is None or posted.closed_no > offered.id)
            and (posted.writes or offered.offering.may_be_overtaken)
            and not (offered.fence == taker == posted.fence)
            and (posted.footprint is None or posted.footprint.overlaps(offered.offering.footprint))
            for posted in self.posted
        )


class ModelBoard:
    """One thread's handle. See `Board`."""

    def __init__(self, model: BoardModel, faults: Faults) -> None:
        self.model = model
        self.faults = faults
        self.heard: list[tuple[Fence, News]] = []

    def join(self, process: Process, posts: Sequence[Posting], lease_s: float = LEASE_S) -> Fence:
        return self._step("join", lambda: self._join(process, posts, lease_s))

    def renew(self, fence: Fence) -> bool:
        return self._step("renew", lambda: self._renew(fence))

    def leave(self, fence: Fence) -> None:
        self._step("leave", lambda: self._bury(fence))

    def bury(self, fence: Fence) -> bool:
        return self._step("bury", lambda: self._bury(fence))

    def members(self) -> list[Member]:
        return self._step("members", self._members)

    def post(self, fence: Fence, posts: Sequence[Posting]) -> bool:
        return self._step("post", lambda: self._post(fence, posts))

    def unpost(self, fence: Fence, posts: Sequence[PostId]) -> None:
        self._step("unpost", lambda: self._unpost(fence, posts))

    def offer(self, fence: Fence, offering: Offering) -> OfferId | None:
        return self._step("offer", lambda: self._offer(fence, offering))

    def show(self, fence: Fence, offer: OfferId, result: bytes | None) -> None:
        self._step("show", lambda: self._show(fence, offer, result))

    def withdraw(self, fence: Fence, offers: Sequence[OfferId]) -> None:
        self._step("withdraw", lambda: self._withdraw(fence, offers))

    def take(self, fence: Fence, offer: OfferId, keep: bool = False) -> Gift | Refusal:
        return self._step("take", lambda: self._take(fence, offer, keep))

    def news(self, fence: Fence, timeout_s: float) -> list[News]:
        return self._step("news", lambda: self._news(fence))

    def sweep(self, fence: Fence) -> None:
        self._step("sweep", lambda: self._sweep(fence))

    def close(self) -> None:
        self.model.handles.remove(self)

    def _step(self, name: str, step: Callable[[], T]) -> T:
        fault = self.faults(name)
        if fault is Fault.UNREACHED:
            raise StoreError("the board cannot be reached")
        result = step()
        if fault is Fault.UNANSWERED:
            raise StoreError("the board did not answer")
        return result

    def _join(self, process: Process, posts: Sequence[Posting], lease_s: float) -> Fence:
        model, now = self.model, self.model.clock()
        before = model.members.get(process.replica)
        if before is not None and before.process != process:
            if model.is_fresh(before):
                raise NameTaken(f"{process.replica}: another process is the replica of this name")
            model.strike(before)
        elif before is not None:
            model.posted = [posted for posted in model.posted if posted.fence != before.fence]
        for member in model.members.values():
            if member.renewed_at > now:  # the clock was set back: by and by it would seem fresh
                member.life = LOST
        fence = next(model.numbers)
        model.members[process.replica] = Registered(process, fence, lease_s, now, model.life)
        self._post(fence, posts)
        return fence

    def _renew(self, fence: Fence) -> bool:
        member = self.model.by_fence(fence)
        if member is None or not self.model.is_in_time(member):
            return False
        if not member.is_active:
            self.model.end_all_offers(fence)
        member.renewed_at, member.is_active = self.model.clock(), True
        return True

    def _bury(self, fence: Fence) -> bool:
        member = next((member for member in self.model.members.values() if member.fence == fence), None)
        if member is not None:
            self.model.strike(member)
        return member is not None

    def _members(self) -> list[Member]:
        model = self.model
        return [
            Member(member.process, member.fence, model.clock() - member.renewed_at, model.is_fresh(member))
            for member in sorted(model.members.values(), key=lambda member: member.process.replica)
        ]

    def _post(self, fence: Fence, posts: Sequence[Posting]) -> bool:
        if self.model.by_fence(fence) is None:
            return False
        for posting in posts:
            self.model.posted.append(
                Posted(fence, posting.post, posting.footprint, posting.writes, posting.dies_with_us)
            )
            if posting.writes:
                self.model.tell(fence, WriteNews(posting.footprint))
        return True

    def _unpost(self, fence: Fence, posts: Sequence[PostId]) -> None:
        for posted in self.model.posted:
            if posted.fence == fence and posted.post in posts and posted.closed_no is None:
                posted.closed_no = next(self.model.numbers)

    def _offer(self, fence: Fence, offering: Offering) -> OfferId | None:
        model = self.model
        if model.by_fence(fence) is None:
            return None
        offer = next(model.numbers)
        model.offers[offer] = Offered(offer, fence, offering, model.clock())
        self._tell(model.offers[offer])
        return offer

    def _show(self, fence: Fence, offer: OfferId, result: bytes | None) -> None:
        offered = self.model.offers.get(offer)
        if offered is None or offered.fence != fence:
            return
        too_large = result is None or len(result) > SHARED_MAX_BYTES
        offered.fate, offered.result = (Fate.GONE, None) if too_large else (Fate.READY, result)
        offered.returned_no = next(self.model.numbers)
        self._tell(offered)

    def _withdraw(self, fence: Fence, offers: Sequence[OfferId]) -> None:
        model = self.model
        ours = [offer for offer in offers if offer in model.offers and model.offers[offer].fence == fence]
        model.end_offers(ours, fence)

    def _take(self, fence: Fence, offer: OfferId, keep: bool) -> Gift | Refusal:
        model = self.model
        taker, offered = model.by_fence(fence), model.offers.get(offer)
        if taker is None or not model.is_fresh(taker):
            return Refusal.CUT_OFF
        if offered is None or model.by_fence(offered.fence) is None:
            return Refusal.GONE
        own, age_s, ttl_s = offered.fence == fence, model.clock() - offered.launched_at, offered.offering.ttl_s
        if not own and (offered.fate is Fate.GONE or not offered.offering.digest):
            return Refusal.GONE
        if not own and offered.fate is Fate.RUNNING:
            return Refusal.RUNNING
        if age_s < 0 or (ttl_s is not None and age_s > ttl_s):
            return Refusal.TOO_OLD
        if not all(model.is_fresh(member) for member in model.members.values()):
            return Refusal.REPLICA_SILENT
        if model.in_the_way(offered, fence):
            return Refusal.IN_THE_WAY
        seen = offered.returned_no or next(model.numbers)
        model.posted.append(Posted(fence, None, offered.offering.footprint, False, False, closed_no=seen))
        if not keep:
            del model.offers[offer]
            offered.fate = Fate.TAKEN
            self._tell(offered, fence)
        return Gift(None if own else offered.result, age_s)

    def _news(self, fence: Fence) -> list[News]:
        heard, self.heard = self.heard, []
        return [news for teller, news in heard if teller != fence]

    def _sweep(self, fence: Fence) -> None:
        model = self.model
        if model.by_fence(fence) is None:
            return
        now = model.clock()
        for posted in model.posted:
            if posted.abandoned_at is not None and now - posted.abandoned_at > ABANDONED_S:
                posted.abandoned_at, posted.closed_no = None, next(model.numbers)
        closed = sorted(posted.closed_no for posted in model.posted if posted.closed_no is not None)
        for offer, offered in list(model.offers.items()):
            ttl_s = offered.offering.ttl_s
            is_old = ttl_s is not None and now - offered.launched_at > ttl_s
            if is_old or (len(closed) > MAX_CLOSED and offer < closed[-MAX_CLOSED - 1]):
                model.end_offers([offer], NOBODY)
        oldest = min(model.offers, default=math.inf)
        model.posted = [posted for posted in model.posted if posted.closed_no is None or posted.closed_no > oldest]

    def _tell(self, offered: Offered, teller: Fence | None = None) -> None:
        """Of what is of use to nobody else, nothing is told."""
        if offered.offering.digest:
            self.model.tell(teller or offered.fence, OfferNews(offered.id, offered.offering.digest, offered.fate))

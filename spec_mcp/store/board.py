"""What a board is: where the replicas that share a store post what the others must know before they use a result.

A replica is one of several processes that share a store and reach the same servers. It joins, with what it has in
flight posted, and from then on holds a lease that it must renew. Every request that touches anything is posted before
it goes to its server, and closed when it can change nothing any more and its client has seen what it shows. Every
speculated read is offered before its launch; its result answers a call, the replica's own or another's, only by `take`:
one atomic step that looks at all that is posted. News only make things faster: what is not heard is lost, and nothing
that is decided depends on it.

Order is told by numbers that the board counts, never by clocks: an offer has one from before its launch, a posting one
from after its end. Age is told by the board's clock.

A replica whose lease may have run out goes on without the board: what it writes then is not posted. So while one is
registered and its lease is not fresh, nothing is taken. It joins again, which ends all offers, or it is buried, which
does the same and needs the proof that its process is gone. The same holds when the board loses what it held (its
postings and offers, never the list of replicas), and when its clock is set back: all must join again.

Whoever got no answer cannot know whether a step was done, or will be: a network may deliver it late. So a lease that
has run out is never renewed, and whoever got no answer counts it from when the last renewal was sent, twice its length,
since that renewal may have made it fresh once more. (This is also room for a clock that was set back by less.) Until
then it sends nothing to a server; then it is free to, and joins again when it can.

A board is used by one thread at a time; each thread opens its own. Everything that it raises is a `StoreError`: after
one the caller must take itself for cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from spec_mcp.engine.events import OfferId, PostId
from spec_mcp.engine.resources import Footprint
from spec_mcp.store.store import StoreError

LEASE_S = 1.0
"""What a call waits at most twice where the board cannot be reached, and how long nothing is adopted after a crash."""

RENEWALS = 3
"""In one lease: two may be lost."""

ABANDONED_S = 60.0
"""How long a request may take effect after the replica that made it is gone: most servers give up sooner."""

SHARED_MAX_BYTES = 256 * 1024
"""A larger result costs the database more than a call of the server would: it is kept from the others."""

MAX_TRIES = 8
"""How often postings that only seem to be in the way are looked through for one take: each finds the next of them."""

MAX_IN_THE_WAY = 64
"""How many of them at once."""

MAX_CLOSED = 20_000
"""Closed postings kept for what they speak against: beyond that the oldest offers end, and with them what is kept."""

Fence = int
"""One membership of a replica: counted by the board, larger than all before it, and void once it has joined again."""


class NameTaken(StoreError):  # noqa: N818  named for what happened
    """Another process is a living replica of this name. Worth trying again: it may be gone when its lease runs out."""


@dataclass(frozen=True, slots=True)
class Process:
    """Who a replica is. Its name is that of one process at a time; one of the same name that is gone is buried."""

    replica: str
    host: str = ""
    """Processes of equal hosts see each other's numbers: the same boot of one machine, the same container. Empty: not
    to be told."""
    pid: int = 0
    started: str = ""
    """When the process was started, as its host tells it: numbers are used again."""


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that is registered."""

    process: Process
    fence: Fence
    silent_s: float
    """How long ago it renewed its lease."""
    is_current: bool
    """Its lease is fresh."""


@dataclass(frozen=True, slots=True)
class Posting:
    """A request that is about to go to its server, or something that a server said."""

    post: PostId
    """The replica's own number, used once by each membership."""
    footprint: Footprint
    writes: bool
    dies_with_us: bool = False
    """Its server is a child of the replica's process: it can change nothing once that is gone."""


@dataclass(frozen=True, slots=True)
class Offering:
    """A speculated read before its launch."""

    digest: str
    """Equal for calls that are the same whichever replica they reach; empty: of no use to the others."""
    footprint: Footprint
    ttl_s: float | None
    """How old its result may be when it is taken; None: as old as it likes."""
    may_be_overtaken: bool
    """A later reply on its resources makes it run backwards in time."""


@dataclass(frozen=True, slots=True)
class Gift:
    """A result that was taken. It is the taker's alone, unless it was taken to be kept on the board."""

    result: bytes | None
    """As it was shown; None where it is the taker's own, which has it."""
    age_s: float
    """Since its launch."""


class Refusal(StrEnum):
    """Why a result cannot be taken."""

    RUNNING = "running"
    """It is not there yet: worth trying again."""
    GONE = "gone"
    """It is withdrawn, taken, or its replica is gone."""
    TOO_OLD = "too-old"
    IN_THE_WAY = "in-the-way"
    """Something that is posted conflicts with it."""
    REPLICA_SILENT = "replica-silent"
    """Some replica may be writing unseen."""
    CUT_OFF = "cut-off"
    """We are no member, or our own lease has run out."""


class Fate(StrEnum):
    """What becomes of an offer."""

    RUNNING = "running"
    READY = "ready"
    TAKEN = "taken"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class OfferNews:
    """What became of another replica's offer, or of our own at another's hands."""

    offer: OfferId
    digest: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class WriteNews:
    """Another replica is about to write."""

    footprint: Footprint


@dataclass(frozen=True, slots=True)
class AllGone:
    """All offers have ended, our own too."""


News = OfferNews | WriteNews | AllGone


class Board(Protocol):
    """What one thread of a replica sees of the board. All methods may raise `StoreError`."""

    def join(self, process: Process, posts: Sequence[Posting], lease_s: float = LEASE_S) -> Fence:
        """Become a replica, or become one again, with these requests posted, and without a fresh lease as yet.

        What this replica had posted before is gone. One of this name whose process is another is buried. A join that is
        done late, after a newer one of the same name, changes nothing.

        Raises:
            NameTaken: a process that is not this one has a fresh lease of the name.
        """
        ...

    def renew(self, fence: Fence) -> bool:
        """Make the lease fresh, for its length from some moment during this call.

        False: it has run out, or it is longer ago than that that we joined, or we are no member: join again. So
        whatever becomes of a renewal, the lease has run out when twice its length has passed since it was asked for.

        The first one after joining says that all that is in flight is posted, be it since the joining, and ends all
        offers, since we may have written what was not.
        """
        ...

    def leave(self, fence: Fence) -> None:
        """Be no replica any more. What we have posted and not closed is as that of one that is buried."""
        ...

    def members(self) -> list[Member]:
        """All that are registered, the silent ones among them."""
        ...

    def bury(self, fence: Fence) -> bool:
        """Strike out a replica whose process is certainly gone; False where it is no longer this one.

        Its open reads are closed. So are its writes at servers that went with it; the others may take effect still, for
        `ABANDONED_S`. Where its lease had run out it may have written unseen: that is taken for a write to everything,
        for as long. All offers of everyone end.
        """
        ...

    def post(self, fence: Fence, posts: Sequence[Posting]) -> bool:
        """Have others know of these before they happen; False: we are no member, and none is posted."""
        ...

    def unpost(self, fence: Fence, posts: Sequence[PostId]) -> None:
        """Close what was posted: from now on it speaks only against results that were launched before this."""
        ...

    def offer(self, fence: Fence, offering: Offering) -> OfferId | None:
        """What is posted from now on speaks against it. None: we are no member, and it must not be launched."""
        ...

    def show(self, fence: Fence, offer: OfferId, result: bytes | None) -> None:
        """Its result is there for others; None: it is for none of them, being too large."""
        ...

    def withdraw(self, fence: Fence, offers: Sequence[OfferId]) -> None:
        """These of our offers are of no use any more."""
        ...

    def take(self, fence: Fence, offer: OfferId, keep: bool = False) -> Gift | Refusal:
        """Give the result to one call of ours, in one step with the proof that it may answer it.

        We are a member and every member's lease is fresh. It is shown, or it is our own and has returned, as we know.
        It is not too old. No posting overlaps it that was open at any time since its launch and is a write, or any
        where it may be overtaken; of our own offers our own postings do not count, since our engine judges those.
        From then on it counts as a real reply: what was launched before it was there is overtaken by it.

        With `keep` it stays on the board, for further calls.
        """
        ...

    def news(self, fence: Fence, timeout_s: float) -> list[News]:
        """What the others did since this was last asked, waiting for the first of it no longer than told."""
        ...

    def sweep(self, fence: Fence) -> None:
        """Drop what speaks against no offer any more, offers that are too old, and what the abandoned may still do."""
        ...

    def close(self) -> None:
        """Let go of it. The replica stays registered. Nothing else may be called afterwards."""
        ...

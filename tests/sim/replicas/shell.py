"""What stands between one replica's engine and the board, in virtual time: statements, the lease, coming back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.events import Event, OfferId, PostId, SpeculationId
from spec_mcp.store.board import (
    LEASE_S,
    RENEWALS,
    AllGone,
    Fate,
    Fence,
    Gift,
    News,
    Offering,
    Posting,
    Process,
    Refusal,
    WriteNews,
)
from spec_mcp.store.store import StoreError
from tests.sim.replicas.plan import Plan
from tests.sim.server import Clock
from tests.store.board_model import BoardModel, Fault

BOARD_S = 0.1
"""How long a statement on a call's way may take."""
POLL_S = 0.1
REJOIN_S = 0.3
SWEEP_S = 5.0


class Standing(Enum):
    """How a replica stands to the board."""

    OUT = "out"
    JOINING = "joining"
    MEMBER = "member"


@dataclass(slots=True)
class Statement:
    """One step of the board, and who is to be told."""

    name: str
    step: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[], None]
    bound_s: float = BOARD_S


class Shell:
    """The way of one replica's engine to the board."""

    def __init__(self, plan: Plan, process: Process, model: BoardModel, clock: Clock, random: Random) -> None:
        self.plan, self.process, self.clock, self.random = plan, process, clock, random
        self.board = model.handle(self._fault)
        self.feed: Callable[[Event], None] = lambda event: None
        self.result_of: Callable[[SpeculationId], bytes | None] = lambda number: None
        self.is_wanted: Callable[[do.Take], bool] = lambda command: False
        self.fetched: dict[SpeculationId, bytes] = {}
        """Results of other replicas."""
        self.offers: dict[SpeculationId, OfferId] = {}
        self.unreachable_until = -1.0
        self.dead = False
        self.standing = Standing.OUT
        self.begun_s = float("-inf")
        """When the last renewal was begun, of whatever became of it."""
        self.renewed_s = float("-inf")
        """When the last one that was done was begun."""
        self._fence: Fence = 0
        self._under_way: dict[PostId, Posting] = {}
        self._waiting: list[PostId] = []
        """Requests that wait until the board has them, or until it can do without."""
        self._way: deque[Statement] = deque()
        self._busy = False
        self._reaches = True
        """Did the statement that is being done come through?"""
        self._memberships = 0

    def begin(self) -> None:
        """Join, and go on for as long as there is anything to do."""
        self._rejoin()

    # --- statements -----------------------------------------------------------------------------------------------

    def _fault(self, _step: str) -> Fault:
        if not self._reaches:
            return Fault.UNREACHED
        if self.random.random() < self.plan.fails:
            return self.random.choice([Fault.UNREACHED, Fault.UNANSWERED])
        return Fault.NONE

    def _delay_s(self) -> float:
        return self.random.choice([0.15, 0.5, 3.0]) if self.random.random() < self.plan.slow else 0.002

    def _ask(self, statement: Statement) -> None:
        """It is done some time later, or after everybody has given it up, or never; its answer may be lost."""
        is_open, reaches = True, self.clock.now_s >= self.unreachable_until

        def end(told: Callable[[], None]) -> None:
            nonlocal is_open
            if is_open and not self.dead:
                is_open = False
                told()

        def answer(told: Callable[[], None]) -> None:
            if self.clock.now_s >= self.unreachable_until:
                end(told)

        def execute() -> None:
            self._reaches = reaches
            try:
                result = statement.step()
            except StoreError:
                self.clock.after(self._delay_s(), lambda: answer(statement.failed))
            else:
                self.clock.after(self._delay_s(), lambda: answer(lambda: statement.done(result)))

        self.clock.after(self._delay_s(), execute)
        self.clock.after(statement.bound_s, lambda: end(statement.failed))

    def _on_the_way(self, name: str, step: Callable[[], Any], done: Callable[[Any], None] | None = None) -> None:
        """One after the other; if one fails, the replica takes itself for cut off."""
        memberships = self._memberships

        def ended(result: Any) -> None:
            if memberships == self._memberships:
                self._busy = False
                if done is not None:
                    done(result)
                self._next()

        def failed() -> None:
            if memberships == self._memberships:
                self.cut_off()

        self._way.append(Statement(name, step, ended, failed))
        self._next()

    def _next(self) -> None:
        if self._way and not self._busy:
            self._busy = True
            self._ask(self._way.popleft())

    # --- the lease ------------------------------------------------------------------------------------------------

    @property
    def silent_at_s(self) -> float:
        """From when on no other replica can take our lease for fresh."""
        return self.begun_s + 2 * LEASE_S

    def _renew(self, memberships: int) -> None:
        if memberships != self._memberships or self.dead or self.standing is Standing.OUT:
            return
        if self.standing is Standing.MEMBER and self.clock.now_s > self.renewed_s + LEASE_S:
            self.cut_off()
            return
        begun_s = self.begun_s = self.clock.now_s

        def renewed(is_member: bool) -> None:
            if memberships != self._memberships:
                return
            if not is_member:
                self.cut_off()
                return
            self.renewed_s = begun_s
            if self.standing is Standing.JOINING:
                self._joined()

        def failed() -> None:
            if memberships == self._memberships and self.standing is Standing.JOINING:
                self.cut_off()

        fence = self._fence
        self._ask(Statement("renew", lambda: self.board.renew(fence), renewed, failed, LEASE_S / RENEWALS))
        self.clock.after(LEASE_S / RENEWALS, lambda: self._renew(memberships))

    def cut_off(self) -> None:
        """The board cannot be reached, or knows nothing of us."""
        if self.dead:
            return
        self._memberships += 1
        was, self.standing = self.standing, Standing.OUT
        self._way.clear()
        self._busy = False
        self.offers.clear()
        if was is not Standing.OUT:
            self.feed(events.CutOff())
        self._release_when_silent()
        self.clock.after(self.random.uniform(0.5, 1.5) * REJOIN_S, self._rejoin)

    def _release_when_silent(self) -> None:
        """Requests that wait go out when nobody adopts anything any more."""
        waiting, self._waiting = self._waiting, []

        def release() -> None:
            for post in waiting:
                if not self.dead:
                    self.feed(events.Posted(post))

        if waiting:
            self.clock.after(max(0.0, self.silent_at_s - self.clock.now_s), release)

    def _rejoin(self) -> None:
        if self.dead or self.standing is not Standing.OUT:
            return
        self._memberships += 1
        memberships = self._memberships
        self.standing = Standing.JOINING

        def joined(fence: Fence) -> None:
            if memberships == self._memberships:
                self._fence = fence
                self._renew(memberships)

        def failed() -> None:
            if memberships == self._memberships:
                self.cut_off()

        posts = list(self._under_way.values())
        self._ask(Statement("join", lambda: self.board.join(self.process, posts), joined, failed))

    def _joined(self) -> None:
        """What came meanwhile is posted now; what we hold was dropped when we were cut off."""
        self.standing = Standing.MEMBER
        self.feed(events.Rejoined())
        waiting, self._waiting = self._waiting, []
        for post in waiting:
            self._post_now(post)
        memberships = self._memberships
        self.clock.after(POLL_S, lambda: self._hear(memberships))
        self.clock.after(SWEEP_S, lambda: self._sweep(memberships))

    def _sweep(self, memberships: int) -> None:
        if memberships == self._memberships and not self.dead:
            fence = self._fence
            self._on_the_way("sweep", lambda: self.board.sweep(fence))
            self.clock.after(SWEEP_S, lambda: self._sweep(memberships))

    # --- what the engine asks for -----------------------------------------------------------------------------------

    def post(self, command: do.Post) -> None:
        """A request waits for this; a notice does not."""
        self._under_way[command.post] = Posting(command.post, command.footprint, command.writes)
        if self.standing is Standing.MEMBER:
            self._post_now(command.post)
            return
        if command.post > 0:
            self._waiting.append(command.post)
        if self.standing is Standing.OUT:
            self._release_when_silent()

    def _post_now(self, post: PostId) -> None:
        if (posting := self._under_way.get(post)) is None:
            return
        fence = self._fence
        if post > 0:
            self._waiting.append(post)

        def posted(is_member: bool) -> None:
            if not is_member:
                self.cut_off()
            elif post in self._waiting:
                self._waiting.remove(post)
                self.feed(events.Posted(post))

        self._on_the_way("post", lambda: self.board.post(fence, [posting]), posted)

    def unpost(self, command: do.Unpost) -> None:
        """Nobody waits for this."""
        self._under_way.pop(command.post, None)
        if self.standing is Standing.MEMBER:
            fence, post = self._fence, command.post
            self._on_the_way("unpost", lambda: self.board.unpost(fence, [post]))

    def offer(self, command: do.Offer) -> None:
        """The launch waits for this."""
        if self.standing is not Standing.MEMBER:
            self.feed(events.Offered(command.speculation, ok=False))
            return
        fence = self._fence
        offering = Offering(command.digest, command.footprint, command.ttl_s, command.may_be_overtaken)

        def offered(offer: OfferId | None) -> None:
            if offer is not None:
                self.offers[command.speculation] = offer
            self.feed(events.Offered(command.speculation, offer is not None))

        self._on_the_way("offer", lambda: self.board.offer(fence, offering), offered)

    def show(self, speculation: SpeculationId, result: bytes) -> None:
        """It is ready."""
        if (offer := self.offers.get(speculation)) is not None:
            fence = self._fence
            self._on_the_way("show", lambda: self.board.show(fence, offer, result))

    def drop(self, speculation: SpeculationId) -> None:
        """It is of no use any more."""
        self.fetched.pop(speculation, None)
        if (offer := self.offers.pop(speculation, None)) is not None:
            fence = self._fence
            self._on_the_way("withdraw", lambda: self.board.withdraw(fence, [offer]))

    def take(self, command: do.Take) -> None:
        """A call waits for this."""
        offer = command.offer if command.offer is not None else self.offers.get(command.speculation)
        if offer is None or self.standing is not Standing.MEMBER:
            self.feed(events.Taken(command.speculation, command.call, ok=False))
            return
        fence = self._fence

        def taken(gift: Gift | Refusal) -> None:
            if gift is Refusal.RUNNING:
                if self.is_wanted(command):
                    self.clock.after(POLL_S, lambda: self.take(command))
            elif isinstance(gift, Gift):
                if gift.result is not None:
                    self.fetched[command.speculation] = gift.result
                size_bytes = len(gift.result or b"")
                self.feed(events.Taken(command.speculation, command.call, True, gift.age_s, size_bytes))
            else:
                self.feed(events.Taken(command.speculation, command.call, ok=False))

        self._on_the_way("take", lambda: self.board.take(fence, offer, command.keeps), taken)

    # --- what the others do -----------------------------------------------------------------------------------------

    def _hear(self, memberships: int) -> None:
        if memberships != self._memberships or self.dead:
            return
        fence = self._fence

        def heard(found: list[Any]) -> None:
            for news in found:
                if memberships == self._memberships and self.random.random() >= self.plan.unheard:
                    self._tell(news)
            self.clock.after(self.random.choice([0.01, 0.02, POLL_S]), lambda: self._hear(memberships))

        def failed() -> None:
            self.clock.after(POLL_S, lambda: self._hear(memberships))

        self._ask(Statement("news", lambda: self.board.news(fence, 0.0), heard, failed))

    def _tell(self, news: News) -> None:
        if isinstance(news, AllGone):
            self.offers.clear()
            self.feed(events.CutOff())
            self.feed(events.Rejoined())
            return
        if isinstance(news, WriteNews):
            self.feed(events.WrittenElsewhere(news.footprint))
            return
        own = next((number for number, offer in self.offers.items() if offer == news.offer), None)
        if own is not None:
            if news.fate is Fate.TAKEN:
                self.offers.pop(own)
                self.feed(events.TakenAway(own))
        elif news.fate in (Fate.RUNNING, Fate.READY):
            self.feed(events.Announced(news.digest, news.offer, news.fate is Fate.READY))
        else:
            self.feed(events.Withdrawn(news.digest, news.offer))

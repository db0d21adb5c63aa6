"""Held results, as the replicas share them: what we offer, what others do, and which of it answers a call of ours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.events import OfferId, SpeculationId
from spec_mcp.relay.board.posts import RETRY_S, Later
from spec_mcp.relay.board.worker import Worker
from spec_mcp.store.board import (
    SHARED_MAX_BYTES,
    AllGone,
    Fate,
    Fence,
    Gift,
    News,
    Offering,
    OfferNews,
    Refusal,
)
from spec_mcp.store.store import StoreError

POLL_S = 0.1
"""How often a running offer is looked at, where news of it may be lost."""

DIGESTS_MAX = 16_384
"""Offers of others that can be told as gone."""


@dataclass(slots=True)
class Wanted:
    """A call of ours waits for a result that is offered."""

    command: do.Take
    offer: OfferId
    is_asked: bool = False
    """The board is being asked for it."""


class Held:
    """Of one replica. `keep` puts another's result where the speculation's own would be, and tells its size; None: it
    cannot be used."""

    def __init__(
        self,
        calls: Worker,
        aside: Worker,
        later: Later,
        feed: Callable[[events.Event], None],
        keep: Callable[[do.Take, bytes], int | None],
    ) -> None:
        self.fence: Fence | None = None
        """None: we are no member."""
        self._calls = calls
        self._aside = aside
        self._later = later
        self._feed = feed
        self._keep = keep
        self._offers: dict[SpeculationId, OfferId] = {}
        self._speculations: dict[OfferId, SpeculationId] = {}
        self._shareable: set[SpeculationId] = set()
        """Those that others may take."""
        self._wanted: dict[SpeculationId, Wanted] = {}
        self._told: OrderedDict[OfferId, None] = OrderedDict()
        """Offers of others that the engine was told of."""
        self._gone: list[OfferId] = []
        self._is_withdrawing = False

    def __len__(self) -> int:
        return len(self._offers) + len(self._wanted) + len(self._shareable)

    def member(self, fence: Fence | None) -> None:
        """We have joined, or are cut off: what was offered is so no more."""
        self.fence = fence
        self._offers.clear()
        self._speculations.clear()
        self._shareable.clear()
        self._told.clear()
        self._gone.clear()
        for speculation in list(self._wanted):
            self._refused(speculation)

    # --- ours ---------------------------------------------------------------------------------------------------------

    def offer(self, command: do.Offer) -> None:
        """Put it on the board, and say whether it is."""
        fence = self.fence
        if fence is None:
            self._feed(events.Offered(command.speculation, ok=False))
            return
        offering = Offering(command.digest, command.footprint, command.ttl_s, command.may_be_overtaken)
        if command.digest:
            self._shareable.add(command.speculation)
        self._offers[command.speculation] = 0
        self._aside.do(lambda board: board.offer(fence, offering), partial(self._offered, fence, command.speculation))

    def _offered(self, fence: Fence, speculation: SpeculationId, answer: OfferId | StoreError | None) -> None:
        if fence != self.fence:
            self._feed(events.Offered(speculation, ok=False))
        elif not isinstance(answer, int):
            self._forget(speculation)
            self._feed(events.Offered(speculation, ok=False))
        elif speculation not in self._offers:
            self._withdraw(answer)
        else:
            self._offers[speculation] = answer
            self._speculations[answer] = speculation
            self._feed(events.Offered(speculation, ok=True))

    def show(self, speculation: SpeculationId, result: bytes) -> None:
        """Its result is held."""
        fence, offer = self.fence, self._offers.get(speculation, 0)
        if fence is not None and offer and speculation in self._shareable:
            shown = result if len(result) <= SHARED_MAX_BYTES else None
            self._aside.do(
                lambda board: board.show(fence, offer, shown), partial(self._shown, fence, speculation, result)
            )

    def _shown(self, fence: Fence, speculation: SpeculationId, result: bytes, answer: StoreError | None) -> None:
        if answer is not None and fence == self.fence:
            self._later(RETRY_S, partial(self.show, speculation, result))

    def drop(self, command: do.Drop) -> None:
        """It is of no use any more."""
        self._wanted.pop(command.speculation, None)
        offer = self._offers.get(command.speculation, 0)
        self._forget(command.speculation)
        if offer:
            self._withdraw(offer)

    def _forget(self, speculation: SpeculationId) -> None:
        self._shareable.discard(speculation)
        self._speculations.pop(self._offers.pop(speculation, 0), None)

    def _withdraw(self, offer: OfferId) -> None:
        self._gone.append(offer)
        self._withdraw_some()

    def _withdraw_some(self) -> None:
        fence = self.fence
        if self._is_withdrawing or not self._gone or fence is None:
            return
        self._is_withdrawing = True
        gone, self._gone = self._gone, []
        self._aside.do(lambda board: board.withdraw(fence, gone), partial(self._withdrawn, fence, gone))

    def _withdrawn(self, fence: Fence, gone: list[OfferId], answer: StoreError | None) -> None:
        self._is_withdrawing = False
        if answer is not None and fence == self.fence:
            self._gone = gone + self._gone
            self._later(RETRY_S, self._withdraw_some)
        else:  # of another membership all is gone
            self._withdraw_some()

    # --- for a call ---------------------------------------------------------------------------------------------------

    def take(self, command: do.Take) -> None:
        """Ask the board for it, until it says so or the engine drops the speculation."""
        offer = command.offer or self._offers.get(command.speculation, 0)
        if self.fence is None or not offer:
            self._feed(events.Taken(command.speculation, command.call, ok=False))
            return
        self._wanted[command.speculation] = Wanted(command, offer)
        self._ask(command.speculation)

    def _ask(self, speculation: SpeculationId) -> None:
        fence, wanted = self.fence, self._wanted.get(speculation)
        if fence is None or wanted is None or wanted.is_asked:
            return
        wanted.is_asked = True
        offer, keeps = wanted.offer, wanted.command.keeps
        self._calls.do(lambda board: board.take(fence, offer, keeps), partial(self._answered, wanted))

    def _answered(self, wanted: Wanted, answer: Gift | Refusal | StoreError) -> None:
        speculation = wanted.command.speculation
        if self._wanted.get(speculation) is not wanted:  # the call waits no more: what was given is lost
            return
        wanted.is_asked = False
        if answer is Refusal.RUNNING:
            self._later(POLL_S, partial(self._ask_again, wanted))
        elif isinstance(answer, Gift):
            del self._wanted[speculation]
            self._given(wanted.command, answer)
        else:
            self._refused(speculation)

    def _ask_again(self, wanted: Wanted) -> None:
        if self._wanted.get(wanted.command.speculation) is wanted:
            self._ask(wanted.command.speculation)

    def _given(self, command: do.Take, gift: Gift) -> None:
        size_bytes: int | None = 0
        if command.offer is not None:
            size_bytes = None if gift.result is None else self._keep(command, gift.result)
        elif not command.keeps:
            self._forget(command.speculation)
        is_good = size_bytes is not None
        self._feed(events.Taken(command.speculation, command.call, is_good, gift.age_s, size_bytes or 0))

    def _refused(self, speculation: SpeculationId) -> None:
        command = self._wanted.pop(speculation).command
        self._feed(events.Taken(speculation, command.call, ok=False))

    # --- what the others do -------------------------------------------------------------------------------------------

    def heard(self, news: list[News]) -> None:
        """Tell the engine."""
        if self.fence is None:
            return
        for one in news:
            if isinstance(one, OfferNews):
                self._heard_of(one)
            elif isinstance(one, AllGone):
                self._feed(events.CutOff())
                self.member(self.fence)
                self._feed(events.Rejoined())
            else:
                self._feed(events.WrittenElsewhere(one.footprint))

    def _heard_of(self, news: OfferNews) -> None:
        speculation = self._speculations.get(news.offer)
        if news.fate in (Fate.RUNNING, Fate.READY):
            if speculation is None:
                self._announce(news)
            return
        if speculation is not None:
            if news.fate is Fate.TAKEN:
                self._forget(speculation)
                self._feed(events.TakenAway(speculation))
            return
        if news.offer in self._told:
            del self._told[news.offer]
            self._feed(events.Withdrawn(news.digest, news.offer))
        for number, wanted in list(self._wanted.items()):
            if wanted.offer == news.offer and not wanted.is_asked:
                self._refused(number)

    def _announce(self, news: OfferNews) -> None:
        self._told[news.offer] = None
        if len(self._told) > DIGESTS_MAX:
            self._told.popitem(last=False)
        self._feed(events.Announced(news.digest, news.offer, news.fate is Fate.READY))
        for number, wanted in list(self._wanted.items()):
            if wanted.offer == news.offer:
                self._ask(number)

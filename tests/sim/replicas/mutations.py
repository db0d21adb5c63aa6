"""What keeps several replicas lossless, each switched off: these worlds must hold a seed that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spec_mcp.engine import commands as do
from spec_mcp.engine import events, posting, sharing
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import How
from spec_mcp.engine.world import World
from tests.sim.mutations import Rule, _put, _wrap  # pyright: ignore[reportPrivateUsage]
from tests.sim.replicas.shell import Shell, Standing
from tests.store.board_model import BoardModel, ModelBoard, Offered, Registered

# --- the engine -------------------------------------------------------------------------------------------------------


def _needs_no_posting(world: World, call: CallState) -> bool:
    return False


def _posts_writes_alone(needs_posting: Callable[..., bool]) -> Callable[..., bool]:
    return lambda world, call: not call.reads and needs_posting(world, call)


def _posts_reads_alone(needs_posting: Callable[..., bool]) -> Callable[..., bool]:
    return lambda world, call: call.reads and needs_posting(world, call)


def _adopts_unasked(self: Engine, call: CallState, speculation: Speculation, how: How) -> None:
    self._adopt(call, speculation, how)  # pyright: ignore[reportPrivateUsage]


def _takes_any_word(taken: Callable[..., None]) -> Callable[..., None]:
    def says_yes(world: World, adopt: Any, event: events.Taken) -> None:
        held = world.ledger.live.get(event.speculation)
        is_ours = held is not None and held.offer is None
        taken(world, adopt, replace_event(event, ok=event.ok or is_ours))

    return says_yes


def replace_event(event: events.Taken, ok: bool) -> events.Taken:
    """The same with another answer."""
    return events.Taken(event.speculation, event.call, ok, event.age_s, event.size_bytes)


def _knows_no_principal(world: str, entry: str, fingerprint: str, server: str, key: Any) -> str:
    return repr((world, key.tool, key.arguments))


def _knows_no_arguments(world: str, entry: str, fingerprint: str, server: str, key: Any) -> str:
    return repr((world, key.tool, key.principal))


def _unposts_what_settles(unpost: Callable[..., None]) -> Callable[..., None]:
    def unposts(world: World, board: Any) -> None:
        writes = world.ledger.writes
        done = [number for number in board.posted if number not in world.calls and number in writes]
        unpost(world, board)
        for number in done:
            board.posted.discard(number)
            world.out.append(do.Unpost(number))

    return unposts


# --- the way to the board ---------------------------------------------------------------------------------------------


def _waits_for_nothing(self: Shell) -> float:
    return self.clock.now_s


def _waits_a_little(self: Shell) -> float:
    return self.begun_s + 0.3


def _posts_nothing_that_runs(rejoin: Callable[..., None]) -> Callable[..., None]:
    def rejoins(self: Shell) -> None:
        under_way, self._under_way = self._under_way, {}  # pyright: ignore[reportPrivateUsage]
        rejoin(self)
        self._under_way = under_way  # pyright: ignore[reportPrivateUsage]

    return rejoins


def _goes_on_as_before(self: Shell) -> None:
    """Cut off, it takes itself for a member: what it posts then is lost."""
    waiting, self._waiting = self._waiting, []  # pyright: ignore[reportPrivateUsage]
    self._way.clear()  # pyright: ignore[reportPrivateUsage]
    self._busy = False  # pyright: ignore[reportPrivateUsage]
    for post in waiting:
        self.feed(events.Posted(post))
    self.standing = Standing.MEMBER


def _closes_before_the_answer(post: Callable[..., None]) -> Callable[..., None]:
    def posts(self: Shell, command: do.Post) -> None:
        post(self, command)
        self.unpost(do.Unpost(command.post))

    return posts


def _launches_before_it_is_offered(offer: Callable[..., None]) -> Callable[..., None]:
    def offers(self: Shell, command: do.Offer) -> None:
        self.feed(events.Offered(command.speculation, ok=True))
        self.clock.after(0.6, lambda: offer(self, command))

    return offers


# --- the board --------------------------------------------------------------------------------------------------------


def _sees(keep: Callable[[Any, Offered], bool]) -> Callable[..., Callable[..., bool]]:
    """Only some of what is posted is looked at."""

    def make(in_the_way: Callable[..., bool]) -> Callable[..., bool]:
        def looks(self: BoardModel, offered: Offered, taker: int) -> bool:
            posted = self.posted
            self.posted = [post for post in posted if keep(post, offered)]
            try:
                return in_the_way(self, offered, taker)
            finally:
                self.posted = posted

        return looks

    return make


def _ours_never_count(in_the_way: Callable[..., bool]) -> Callable[..., bool]:
    def looks(self: BoardModel, offered: Offered, taker: int) -> bool:
        posted = self.posted
        self.posted = [post for post in posted if post.fence != taker]
        try:
            return in_the_way(self, offered, taker)
        finally:
            self.posted = posted

    return looks


def _always_fresh(self: BoardModel, member: Registered) -> bool:
    return True


def _fresh_at_once(join: Callable[..., int]) -> Callable[..., int]:
    def joins(self: ModelBoard, *given: Any) -> int:
        fence = join(self, *given)
        member = self.model.by_fence(fence)
        if member is not None:
            member.is_active = True
        return fence

    return joins


def _keeps_offers(self: BoardModel, fence: int) -> None:
    return


def _gives_again(take: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, fence, offer, keep: take(self, fence, offer, True)


def _leaves_no_trace(take: Callable[..., Any]) -> Callable[..., Any]:
    def takes(self: ModelBoard, fence: int, offer: int, keep: bool) -> Any:
        before = len(self.model.posted)
        gift = take(self, fence, offer, keep)
        del self.model.posted[before:]
        return gift

    return takes


def _forgets_the_buried(strike: Callable[..., None]) -> Callable[..., None]:
    def strikes(self: BoardModel, member: Registered) -> None:
        strike(self, member)
        self.posted = [post for post in self.posted if post.fence != member.fence]

    return strikes


RULES: dict[str, Rule] = {
    "requests are posted": Rule("calm", _put(posting, "needs_posting", _needs_no_posting)),
    "reads are posted": Rule("sight", _wrap(posting, "needs_posting", _posts_writes_alone)),  # type: ignore[arg-type]
    "writes are posted": Rule("calm", _wrap(posting, "needs_posting", _posts_reads_alone)),  # type: ignore[arg-type]
    "adoptions are put to the board": Rule("calm", _put(Engine, "_may_adopt", _adopts_unasked)),
    "the board has the last word": Rule("calm", _wrap(sharing, "taken", _takes_any_word)),  # type: ignore[arg-type]
    "offers tell principals apart": Rule("calm", _put(sharing, "digest_of", _knows_no_principal)),
    "offers tell arguments apart": Rule("calm", _put(sharing, "digest_of", _knows_no_arguments)),
    "posts stay until they have settled": Rule("calm", _wrap(posting, "unpost", _unposts_what_settles)),  # type: ignore[arg-type]
    "posts stay until they are answered": Rule("calm", _wrap(Shell, "post", _closes_before_the_answer)),
    "launches follow offers": Rule("calm", _wrap(Shell, "offer", _launches_before_it_is_offered)),
    "the cut off wait out their lease": Rule("cut", _put(Shell, "silent_at_s", property(_waits_for_nothing))),
    "and all of it": Rule("cut", _put(Shell, "silent_at_s", property(_waits_a_little))),
    "the cut off are cut off": Rule("cut", _put(Shell, "cut_off", _goes_on_as_before)),
    "who comes back says what runs": Rule("cut", _wrap(Shell, "_rejoin", _posts_nothing_that_runs)),
    "who comes back ends all offers": Rule("cut", _put(BoardModel, "end_all_offers", _keeps_offers)),
    "open posts count": Rule(
        "calm", _wrap(BoardModel, "in_the_way", _sees(lambda post, _: post.closed_no is not None))
    ),
    "closed posts count": Rule("calm", _wrap(BoardModel, "in_the_way", _sees(lambda post, _: post.closed_no is None))),
    "later reads count": Rule("sight", _wrap(BoardModel, "in_the_way", _sees(lambda post, _: post.writes))),
    "what was taken counts": Rule("sight", _wrap(ModelBoard, "_take", _leaves_no_trace)),
    "our own posts count for others' offers": Rule("calm", _wrap(BoardModel, "in_the_way", _ours_never_count)),
    "all leases are fresh": Rule("cut", _put(BoardModel, "is_fresh", _always_fresh)),
    "a late join makes no lease": Rule("cut", _wrap(ModelBoard, "_join", _fresh_at_once)),
    "a late renewal makes no lease": Rule("cut", _put(BoardModel, "is_in_time", _always_fresh)),
    "one result answers one call": Rule("lossy", _wrap(ModelBoard, "_take", _gives_again)),
    "what the buried asked for counts": Rule("deaths", _wrap(BoardModel, "strike", _forgets_the_buried)),
}
"""By what is promised."""

"""One process among several: when its requests may go out, and what it is while it cannot reach the board."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.resources import Footprint, Pattern
from spec_mcp.relay.board.held import Held
from spec_mcp.relay.board.identity import this_process
from spec_mcp.relay.board.lease import START_S, Lease
from spec_mcp.relay.board.posts import Posts
from spec_mcp.store.board import LEASE_S, Offering, Posting, Process
from tests.relay.board.by_hand import Faults, Loop, Thread
from tests.store.board_model import BoardModel, Fault

X = Footprint("s", (Pattern("x", prefix=False),))
Y = Footprint("s", (Pattern("y", prefix=False),))
BOARD_S = 0.1


class Replica:
    """The parts of one, and what it lets out and tells."""

    def __init__(self, loop: Loop, model: BoardModel, name: str) -> None:
        self.faults = Faults()
        self.out: list[int] = []
        self.told: list[events.Event] = []
        self.kept: list[bytes] = []
        threads = [Thread(model.handle(self.faults)) for _ in range(3)]
        self.calls, self.renewing, self.aside = threads
        self.posts = Posts(self.calls, self.aside, loop.later, BOARD_S, self.out.append)
        self.lease = Lease(Process(name), LEASE_S, self.renewing, self.posts, loop.later, loop.clock)
        self.held = Held(self.calls, self.aside, loop.later, self.told.append, self._keep)
        self.lease.on_member = self.held.member
        self.lease.on_cut_off = lambda: self.held.member(None)
        self._model = model

    def _keep(self, command: do.Take, result: bytes) -> int | None:
        self.kept.append(result)
        return len(result)

    def start(self) -> Replica:
        self.lease.start()
        return self

    def post(self, post: int, footprint: Footprint = X, *, writes: bool = True) -> None:
        self.posts.post(Posting(post, footprint, writes))

    @property
    def on_board(self) -> list[int | None]:
        """What it has posted that is open."""
        fence = self.lease.fence
        return [one.post for one in self._model.posted if one.closed_no is None and one.fence == fence]


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def model(loop: Loop) -> BoardModel:
    return BoardModel(loop.clock)


@pytest.fixture
def make(loop: Loop, model: BoardModel) -> Callable[[str], Replica]:
    return lambda name: Replica(loop, model, name)


@pytest.fixture
def a(make: Callable[[str], Replica]) -> Replica:
    return make("a").start()


@pytest.fixture
def b(a: Replica, make: Callable[[str], Replica]) -> Replica:
    return make("b").start()


def offered(replica: Replica, footprint: Footprint = X) -> int:
    """Something that others could take."""
    fence = replica.lease.fence
    assert fence is not None
    offer = replica.aside.board.offer(fence, Offering("d", footprint, 30.0, may_be_overtaken=True))
    assert offer is not None
    replica.aside.board.show(fence, offer, b"{}")
    return offer


def may_take(replica: Replica, offer: int) -> bool:
    fence = replica.lease.fence
    assert fence is not None
    return not isinstance(replica.calls.board.take(fence, offer), str)


# --- posting ----------------------------------------------------------------------------------------------------------


def test_a_request_goes_out_when_it_is_posted_and_is_closed_when_it_is_over(a: Replica) -> None:
    a.calls.is_stuck = True
    a.post(1)
    assert a.out == []
    a.calls.go_on()
    assert a.out == a.on_board == [1]
    a.posts.unpost(1)
    assert a.on_board == []


def test_requests_that_come_while_others_are_posted_are_posted_together(a: Replica, model: BoardModel) -> None:
    a.calls.is_stuck = True
    for post in range(1, 6):
        a.post(post)
    asked: list[int] = []
    post_all = a.calls.board.post
    a.calls.board.post = lambda fence, posts: (asked.append(len(posts)), post_all(fence, posts))[1]  # type: ignore[method-assign]
    a.calls.go_on()
    assert a.out == [1, 2, 3, 4, 5]
    assert asked == [1, 4]


def test_what_is_over_before_it_is_posted_does_not_stay_on_the_board(a: Replica) -> None:
    a.calls.is_stuck = True
    a.post(-1)
    a.post(-2)
    a.posts.unpost(-1)
    a.posts.unpost(-2)
    a.calls.go_on()
    assert a.on_board == []


def test_what_a_server_said_speaks_against_what_was_launched_before_however_soon_it_is_over(
    a: Replica, b: Replica
) -> None:
    offer = offered(b)
    a.calls.is_stuck = True
    a.post(-1, Y)
    a.post(-2, X)
    a.posts.unpost(-1)
    a.posts.unpost(-2)
    a.calls.go_on()
    assert a.on_board == []
    assert not may_take(b, offer)


def test_what_was_said_while_nobody_used_anything_is_not_kept(loop: Loop, a: Replica) -> None:
    a.faults.cut = True
    a.post(1)
    a.post(-1)
    a.posts.unpost(-1)
    loop.pass_time(3 * LEASE_S)
    assert 1 in a.out
    assert list(a.posts.in_flight) == [1]


def test_a_posting_whose_answer_was_lost_is_made_again_and_closed_both_times(loop: Loop, a: Replica) -> None:
    a.faults.by_step["post"] = Fault.UNANSWERED
    a.post(1)
    a.post(2)
    a.posts.unpost(2)
    a.faults.by_step.clear()
    loop.pass_time(0.1)
    assert a.out == [1]
    assert set(a.on_board) == {1}
    a.posts.unpost(1)
    assert a.on_board == []


def test_a_closing_that_fails_is_made_again(loop: Loop, a: Replica) -> None:
    a.post(1)
    a.faults.by_step["unpost"] = Fault.UNREACHED
    a.posts.unpost(1)
    assert a.on_board == [1]
    a.faults.by_step.clear()
    loop.pass_time(0.1)
    assert a.on_board == []


def test_what_ends_while_we_join_again_is_closed_though_an_older_closing_fails(
    loop: Loop, a: Replica, model: BoardModel
) -> None:
    a.post(1)
    a.post(2)
    a.aside.is_stuck = a.renewing.is_stuck = True
    a.posts.unpost(1)
    model.crash()
    a.post(3)
    a.posts.unpost(2)
    a.renewing.go_on()
    a.faults.by_step["unpost"] = Fault.UNREACHED
    a.aside.do_one()
    a.faults.by_step.clear()
    a.aside.go_on()
    loop.pass_time(1.0)
    assert a.on_board == [3]


# --- being cut off ----------------------------------------------------------------------------------------------------


def test_nothing_goes_out_before_the_first_joining_or_for_long(loop: Loop, make: Callable[[str], Replica]) -> None:
    a = make("a")
    a.faults.cut = True
    a.start()
    a.post(1)
    loop.pass_time(START_S - 0.1)
    assert a.out == []
    loop.pass_time(0.2)
    assert a.out == [1]
    a.post(2)
    assert a.out == [1, 2]


def test_a_request_that_cannot_be_posted_waits_until_no_lease_can_be_fresh(loop: Loop, a: Replica, b: Replica) -> None:
    loop.pass_time(0.5)
    offer = offered(b, Y)
    a.faults.cut = True
    a.post(1)
    waited = 0.0
    while not a.out:
        assert waited <= 2 * LEASE_S
        loop.pass_time(0.05)
        waited += 0.05
    assert waited > LEASE_S
    assert not may_take(b, offer), "nobody uses anything while one of us writes unseen"
    assert a.lease.fence is None


@pytest.mark.parametrize("answered", [Fault.UNREACHED, Fault.UNANSWERED])
def test_whatever_became_of_the_last_renewal_nothing_goes_out_while_it_may_hold(
    loop: Loop, a: Replica, b: Replica, model: BoardModel, answered: Fault
) -> None:
    a.faults.by_step["renew"] = answered
    loop.pass_time(LEASE_S * 0.9)
    a.faults.cut = True
    a.post(1)
    while not a.out:
        loop.pass_time(0.01)
    member = model.members["a"]
    assert not model.is_fresh(member)


def test_a_renewal_that_is_done_late_makes_no_lease_fresh_once_requests_go_out(
    loop: Loop, a: Replica, model: BoardModel
) -> None:
    a.renewing.is_stuck = True
    loop.pass_time(0.4)
    a.calls.is_stuck = True
    a.post(1)
    while not a.out:
        loop.pass_time(0.05)
    a.renewing.do_one()
    assert not model.is_fresh(model.members["a"])


def test_a_short_stall_costs_neither_the_membership_nor_what_is_held(loop: Loop, a: Replica) -> None:
    fence = a.lease.fence
    a.calls.is_stuck = True
    a.post(1)
    loop.pass_time(0.5)
    a.calls.go_on()
    assert a.out == [1]
    loop.pass_time(3 * LEASE_S)
    assert a.lease.fence == fence
    assert a.lease.is_member


def test_who_comes_back_has_posted_all_that_is_under_way_before_anything_is_used(
    loop: Loop, a: Replica, b: Replica
) -> None:
    a.post(1)
    offer = offered(b, Y)
    a.faults.cut = True
    a.post(2)
    loop.pass_time(3 * LEASE_S)
    a.post(3)
    assert a.out == [1, 2, 3]
    a.posts.unpost(1)
    a.faults.cut = False
    loop.pass_time(6.0)
    assert a.lease.is_member
    assert sorted(map(int, filter(None, a.on_board))) == [2, 3]
    assert not may_take(b, offer), "what was launched before may be spoiled unseen"
    assert may_take(b, offered(b, Y))
    assert not may_take(b, offered(a, X))


def test_what_goes_out_while_we_join_is_posted_before_our_lease_is_fresh(
    loop: Loop, make: Callable[[str], Replica], model: BoardModel
) -> None:
    a = make("a")
    a.faults.cut = True
    a.start()
    loop.pass_time(START_S + 1)
    a.renewing.is_stuck = True
    a.faults.cut = False
    loop.pass_time(5.0)
    a.post(1)
    assert a.out == [1], "it is known to nobody that we are there"
    a.calls.is_stuck = True
    a.renewing.go_on()
    assert not any(model.is_fresh(member) for member in model.members.values())
    a.calls.go_on()
    assert a.on_board == [1]
    assert a.lease.is_member


def test_who_lost_its_membership_joins_again_at_once(loop: Loop, a: Replica, model: BoardModel) -> None:
    fence = a.lease.fence
    model.crash()
    a.post(1)
    assert a.out == a.on_board == [1]
    assert a.lease.fence != fence
    loop.pass_time(5.0)
    assert a.lease.is_member


def test_another_living_process_of_our_name_is_left_alone(
    loop: Loop, a: Replica, make: Callable[[str], Replica]
) -> None:
    other = make("a")
    other.lease.process = Process("a", pid=99)
    other.start()
    loop.pass_time(20.0)
    assert a.lease.is_member
    assert other.lease.is_member
    assert other.lease.process.replica == "a-2"


def test_who_takes_the_place_of_one_that_has_just_died_gets_its_name(
    loop: Loop, a: Replica, make: Callable[[str], Replica], model: BoardModel
) -> None:
    a.lease.close()
    again = make("a")
    again.lease.process = Process("a", pid=99)
    again.start()
    loop.pass_time(10.0)
    assert again.lease.is_member
    assert list(model.members) == ["a"]


def test_a_living_process_of_this_host_keeps_its_name_also_while_it_is_silent(
    loop: Loop, make: Callable[[str], Replica], model: BoardModel
) -> None:
    a, other = make("a"), make("a")
    a.lease.process = this_process("a")
    a.start()
    a.faults.cut = True
    loop.pass_time(10.0)
    other.lease.process = Process("a", a.lease.process.host, os.getppid(), "another")
    other.start()
    loop.pass_time(1.0)
    assert other.lease.process.replica == "a-2"
    assert set(model.members) == {"a", "a-2"}


# --- offering and taking ----------------------------------------------------------------------------------------------


def offer_of(speculation: int, digest: str = "d") -> do.Offer:
    return do.Offer("c", speculation, digest, X, 30.0, may_be_overtaken=True)


def take_of(speculation: int, call: int, offer: int | None) -> do.Take:
    return do.Take("c", speculation, call, offer, keeps=False)


def hear(replica: Replica) -> None:
    assert replica.lease.fence is not None
    replica.held.heard(replica.renewing.board.news(replica.lease.fence, 0.0))


def announced(replica: Replica) -> int:
    """The one offer that it heard of."""
    (offer,) = {event.offer for event in replica.told if isinstance(event, events.Announced)}
    return offer


def test_a_result_travels_from_the_one_that_offers_to_the_one_that_asks(a: Replica, b: Replica) -> None:
    hear(b)
    hear(a)
    a.told.clear()
    a.held.offer(offer_of(7))
    assert a.told == [events.Offered(7, ok=True)]
    a.held.show(7, b"bytes")
    hear(b)
    b.held.take(take_of(3, 33, announced(b)))
    assert b.kept == [b"bytes"]
    assert isinstance(b.told[-1], events.Taken)
    assert (b.told[-1].speculation, b.told[-1].call, b.told[-1].ok) == (3, 33, True)
    hear(a)
    assert a.told[-1] == events.TakenAway(7)


def test_a_call_waits_for_what_runs_elsewhere_be_the_news_lost(loop: Loop, a: Replica, b: Replica) -> None:
    hear(b)
    a.held.offer(offer_of(7))
    hear(b)
    b.held.take(take_of(3, 33, announced(b)))
    assert not any(isinstance(event, events.Taken) for event in b.told)
    a.held.show(7, b"bytes")
    loop.pass_time(0.2)
    assert b.kept == [b"bytes"]


def test_a_call_that_waits_for_what_is_gone_is_told_so(a: Replica, b: Replica) -> None:
    hear(b)
    a.held.offer(offer_of(7))
    hear(b)
    b.held.take(take_of(3, 33, announced(b)))
    a.held.drop(do.Drop("c", 7))
    hear(b)
    assert events.Taken(3, 33, ok=False) in b.told


def test_a_call_that_waits_no_more_leaves_the_result_to_others(loop: Loop, a: Replica, b: Replica) -> None:
    hear(b)
    a.held.offer(offer_of(7))
    hear(b)
    b.held.take(take_of(3, 33, announced(b)))
    b.held.drop(do.Drop("c", 3))
    a.held.show(7, b"bytes")
    loop.pass_time(1.0)
    a.held.take(take_of(7, 70, None))
    assert isinstance(a.told[-1], events.Taken)
    assert a.told[-1].ok
    assert b.kept == []


def test_what_is_dropped_before_it_is_on_the_board_is_withdrawn(a: Replica, model: BoardModel) -> None:
    a.aside.is_stuck = True
    a.held.offer(offer_of(7))
    a.held.drop(do.Drop("c", 7))
    a.aside.go_on()
    assert model.offers == {}
    assert len(a.held) == 0


def test_what_the_board_did_not_hear_is_said_again(loop: Loop, a: Replica, b: Replica, model: BoardModel) -> None:
    hear(b)
    a.held.offer(offer_of(7))
    a.held.offer(offer_of(8, "e"))
    a.faults.by_step.update(show=Fault.UNREACHED, withdraw=Fault.UNREACHED)
    a.held.show(7, b"bytes")
    a.held.drop(do.Drop("c", 8))
    a.faults.by_step.clear()
    loop.pass_time(0.1)
    assert [offered.result for offered in model.offers.values()] == [b"bytes"]


def test_who_is_cut_off_offers_and_takes_nothing(loop: Loop, a: Replica) -> None:
    a.held.offer(offer_of(7))
    a.faults.cut = True
    a.post(1)
    loop.pass_time(3 * LEASE_S)
    a.held.offer(offer_of(8))
    a.held.take(take_of(7, 70, None))
    assert a.told[-2:] == [events.Offered(8, ok=False), events.Taken(7, 70, ok=False)]
    assert len(a.held) == 0


def test_all_that_is_held_goes_when_another_replica_joins(
    a: Replica, make: Callable[[str], Replica], model: BoardModel
) -> None:
    hear(a)
    a.held.offer(offer_of(7))
    make("c").start()
    hear(a)
    assert a.told[-2:] == [events.CutOff(), events.Rejoined()]
    assert len(a.held) == 0

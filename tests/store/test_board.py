"""What every board must do. One body, run over each implementation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol

import pytest

from spec_mcp.engine.events import OfferId
from spec_mcp.engine.resources import Footprint, Pattern, everything
from spec_mcp.store.board import (
    ABANDONED_S,
    MAX_IN_THE_WAY,
    SHARED_MAX_BYTES,
    AllGone,
    Board,
    Fate,
    Fence,
    Gift,
    NameTaken,
    News,
    Offering,
    OfferNews,
    Posting,
    Process,
    Refusal,
    WriteNews,
)
from spec_mcp.store.postgres.board import PostgresBoard
from spec_mcp.store.postgres.connecting import Database
from tests import postgres
from tests.store.board_model import BoardModel
from tests.store.conftest import POSTGRES

LEASE_S = 60.0
"""So long that a busy machine does not end it."""

BOUND_S = 10.0

A, B, C = Process("a", "host", 1, "then"), Process("b", "host", 2, "then"), Process("c", "host", 3, "then")


class Rig(Protocol):
    """A board, its clock and its misfortunes."""

    def open(self) -> Board: ...

    def pass_time(self, seconds: float) -> None: ...

    def lose(self) -> None: ...


class ModelRig:
    def __init__(self) -> None:
        self.now = 1000.0
        self.model = BoardModel(lambda: self.now)

    def open(self) -> Board:
        return self.model.handle()

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def lose(self) -> None:
        self.model.crash()


class PostgresRig:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.opened: list[Board] = []

    def open(self) -> Board:
        self.opened.append(PostgresBoard(self.database))
        return self.opened[-1]

    def pass_time(self, seconds: float) -> None:
        """The database's clock stays: what it has noted moves."""
        with self.database.connection() as connection:
            for table, column in TIMES:
                moved = f"UPDATE {table} SET {column} = {column} - make_interval(secs => %s)"
                connection.execute(moved.encode(), [seconds])

    def lose(self) -> None:
        with self.database.connection() as connection:
            connection.execute("TRUNCATE postings, offers, board_life")

    def close(self) -> None:
        for board in self.opened:
            board.close()
        postgres.empty(self.database.remote.url)


TIMES = [
    ("replicas", "renewed_at"),
    ("replicas", "expires_at"),
    ("offers", "launched_at"),
    ("postings", "abandoned_at"),
]


@pytest.fixture(params=["model", POSTGRES])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "model":
        yield ModelRig()
        return
    rig = PostgresRig(request.getfixturevalue("shared_connections"))
    yield rig
    rig.close()


class Replica:
    """One replica, as a test speaks of it."""

    def __init__(self, rig: Rig, process: Process) -> None:
        self.board = rig.open()
        self.process = process
        self.fence: Fence = 0
        self._posts = 0

    def join(self, *in_flight: Posting) -> Replica:
        self.fence = self.board.join(self.process, in_flight, LEASE_S)
        assert self.board.renew(self.fence)
        return self

    def post(self, footprint: Footprint, *, writes: bool = False, dies_with_us: bool = False) -> int:
        self._posts += 1
        assert self.board.post(self.fence, [Posting(self._posts, footprint, writes, dies_with_us)])
        return self._posts

    def unpost(self, *posts: int) -> None:
        self.board.unpost(self.fence, posts)

    def offer(
        self,
        footprint: Footprint,
        *,
        digest: str = "d",
        ttl_s: float | None = 30.0,
        overtaken: bool = True,
        shown: bytes | None = b"result",
    ) -> OfferId:
        offer = self.board.offer(self.fence, Offering(digest, footprint, ttl_s, overtaken))
        assert offer is not None
        if shown is not None:
            self.board.show(self.fence, offer, shown)
        return offer

    def take(self, offer: OfferId, *, keep: bool = False) -> Gift | Refusal:
        return self.board.take(self.fence, offer, keep)

    def gets(self, offer: OfferId) -> bool:
        return isinstance(self.take(offer), Gift)

    def hears(self, least: int) -> list[News]:
        """What it is told, once that is so much at least; the first time it only begins to listen."""
        heard = self.board.news(self.fence, 0.0)
        until = time.monotonic() + BOUND_S
        while len(heard) < least and time.monotonic() < until:
            heard += self.board.news(self.fence, 1.0)
        return heard


@pytest.fixture
def a(rig: Rig) -> Replica:
    return Replica(rig, A).join()


@pytest.fixture
def b(rig: Rig, a: Replica) -> Replica:
    return Replica(rig, B).join()


def named(*names: str, server: str = "s") -> Footprint:
    return Footprint(server, tuple(Pattern(name, prefix=False) for name in names))


X, Y = named("file:/x"), named("file:/y")

# --- giving and taking ------------------------------------------------------------------------------------------------


def test_a_result_that_is_shown_answers_one_call_of_another_replica(a: Replica, b: Replica) -> None:
    offer = a.offer(X, shown=b"\x00\xff{}")
    gift = b.take(offer)
    assert isinstance(gift, Gift)
    assert gift.result == b"\x00\xff{}"
    assert 0 <= gift.age_s < 30
    assert b.take(offer) is a.take(offer) is Refusal.GONE


def test_its_own_result_a_replica_takes_without_the_bytes(a: Replica, b: Replica) -> None:
    gift = a.take(a.offer(X))
    assert isinstance(gift, Gift)
    assert gift.result is None


def test_a_result_that_is_to_be_kept_answers_again(a: Replica, b: Replica) -> None:
    offer = a.offer(X, overtaken=False)
    for taker in (a, b, b):
        assert isinstance(taker.take(offer, keep=True), Gift)
    assert b.gets(offer)
    assert not b.gets(offer)


def test_what_runs_still_can_be_taken_by_its_own_replica_alone(a: Replica, b: Replica) -> None:
    offer = a.offer(X, shown=None)
    assert b.take(offer) is Refusal.RUNNING
    assert a.gets(offer)


@pytest.mark.parametrize("shown", [b"x" * (SHARED_MAX_BYTES + 1), None])
def test_a_result_that_is_too_large_can_be_taken_by_its_own_replica_alone(
    a: Replica, b: Replica, shown: bytes | None
) -> None:
    offer = a.offer(X, shown=None)
    a.board.show(a.fence, offer, shown)
    assert b.take(offer) is Refusal.GONE
    assert a.gets(offer)


def test_what_is_of_use_to_nobody_else_is_given_to_nobody_else(a: Replica, b: Replica) -> None:
    b.hears(0)
    offer = a.offer(X, digest="")
    a.post(Y, writes=True)
    assert b.hears(1) == [WriteNews(Y)]
    assert b.take(offer) is Refusal.GONE
    assert a.gets(offer)


def test_what_is_withdrawn_is_gone(a: Replica, b: Replica) -> None:
    offer, other = a.offer(X), a.offer(Y)
    b.board.withdraw(b.fence, [other])
    a.board.withdraw(a.fence, [offer, 12345])
    assert b.take(offer) is Refusal.GONE
    assert b.gets(other)


def test_an_offer_that_was_never_made_is_gone(a: Replica) -> None:
    assert a.take(12345) is Refusal.GONE


def test_nobody_shows_a_result_for_another(a: Replica, b: Replica) -> None:
    offer = a.offer(X, shown=None)
    b.board.show(b.fence, offer, b"false")
    assert b.take(offer) is Refusal.RUNNING


def test_a_result_older_than_it_may_be_is_not_taken(rig: Rig, a: Replica, b: Replica) -> None:
    old, lasting = a.offer(X, ttl_s=10), a.offer(Y, ttl_s=None)
    rig.pass_time(11)
    assert b.take(old) is a.take(old) is Refusal.TOO_OLD
    assert b.gets(lasting)


# --- what is in the way -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", ["a", "b", "c"])
def test_a_write_under_way_is_in_the_way_of_all_but_its_own_replica_s_results(
    rig: Rig, a: Replica, b: Replica, writer: str
) -> None:
    replica = {"a": a, "b": b}.get(writer) or Replica(rig, C).join()
    offer = a.offer(X)
    replica.post(X, writes=True)
    assert b.take(offer) is Refusal.IN_THE_WAY
    assert a.gets(offer) == (writer == "a")


def test_a_write_that_ended_after_the_launch_is_in_the_way(a: Replica, b: Replica) -> None:
    write = b.post(X, writes=True)
    offer = a.offer(X)
    b.unpost(write)
    assert b.take(offer) is Refusal.IN_THE_WAY


def test_a_write_that_began_and_ended_after_the_launch_is_in_the_way(a: Replica, b: Replica) -> None:
    offer = a.offer(X)
    b.unpost(b.post(X, writes=True))
    b.board.sweep(b.fence)
    assert b.take(offer) is Refusal.IN_THE_WAY


def test_a_write_that_ended_before_the_launch_is_not_in_the_way(a: Replica, b: Replica) -> None:
    b.unpost(b.post(X, writes=True))
    assert b.gets(a.offer(X))


def test_a_write_of_something_else_is_not_in_the_way(a: Replica, b: Replica) -> None:
    offer = a.offer(X)
    b.post(Y, writes=True)
    b.post(everything("t"), writes=True)
    assert b.gets(offer)


def test_what_only_seems_to_be_in_the_way_is_looked_at(a: Replica, b: Replica) -> None:
    """Below so many folders an index finds all that lies there; two servers' names are one."""
    deep = "file:/a/b/c/d/e/f/g/"
    folder = Footprint("s", (Pattern(deep, prefix=True),))
    beside = Footprint("s", (Pattern("file:/a/b/c/d/e/f/h/", prefix=True),))
    for _ in range(MAX_IN_THE_WAY + 6):
        b.post(beside, writes=True)
    offer, other = a.offer(folder), a.offer(folder)
    assert b.gets(offer)
    b.post(named(deep + "x", server="t"), writes=True)
    assert b.take(other) is Refusal.IN_THE_WAY


def test_names_of_any_characters_are_compared(a: Replica, b: Replica) -> None:
    odd = named("file:\x00\ud800é'\"\\")
    offer, other = a.offer(odd), a.offer(Y)
    b.post(odd, writes=True)
    assert b.take(offer) is Refusal.IN_THE_WAY
    assert b.gets(other)


def test_a_later_real_reply_overtakes_a_result_that_may_be(a: Replica, b: Replica) -> None:
    offer, unmoved = a.offer(X), a.offer(X, overtaken=False)
    read = b.post(X)
    assert b.take(offer) is Refusal.IN_THE_WAY
    b.unpost(read)
    assert b.take(offer) is Refusal.IN_THE_WAY
    assert b.gets(unmoved)
    assert b.gets(a.offer(X))


def test_an_adopted_result_overtakes_what_was_launched_before_it_was_there(a: Replica, b: Replica) -> None:
    first = a.offer(X)
    second = a.offer(X)
    assert b.gets(second)
    assert b.take(first) is Refusal.IN_THE_WAY
    assert b.gets(a.offer(X))


def test_a_result_overtakes_nothing_that_was_launched_when_it_was_there(a: Replica, b: Replica) -> None:
    first = a.offer(X)
    second = a.offer(X)
    assert b.gets(first)
    assert b.gets(second)


def test_a_result_of_one_s_own_that_was_not_shown_yet_overtakes_all_that_was_launched(a: Replica, b: Replica) -> None:
    own = a.offer(X, shown=None)
    other = b.offer(X)
    assert a.gets(own)
    assert a.take(other) is Refusal.IN_THE_WAY


def test_closing_a_posting_twice_keeps_the_first_end(a: Replica, b: Replica) -> None:
    write = b.post(X, writes=True)
    b.unpost(write)
    offer = a.offer(X)
    b.unpost(write, 12345)
    assert b.gets(offer)


def test_several_are_posted_and_closed_at_once(a: Replica, b: Replica) -> None:
    offer, other = a.offer(X), a.offer(Y)
    assert b.board.post(b.fence, [])
    assert b.board.post(b.fence, [Posting(7, X, True), Posting(-1, Y, False)])
    assert b.take(offer) is b.take(other) is Refusal.IN_THE_WAY
    b.unpost(7, -1)
    assert b.gets(a.offer(X))
    assert b.gets(a.offer(Y))


# --- members ----------------------------------------------------------------------------------------------------------


def test_while_a_replica_is_silent_nothing_is_taken(rig: Rig, a: Replica, b: Replica) -> None:
    Replica(rig, C).join()
    rig.pass_time(LEASE_S / 2)
    assert a.board.renew(a.fence)
    assert b.board.renew(b.fence)
    rig.pass_time(LEASE_S * 0.6)
    offer = a.offer(X)
    assert b.take(offer) is a.take(offer) is Refusal.REPLICA_SILENT
    assert [member.process.replica for member in a.board.members() if not member.is_current] == ["c"]


def test_a_lease_that_has_run_out_is_not_renewed(rig: Rig, a: Replica, b: Replica) -> None:
    offer = a.offer(X, ttl_s=None)
    rig.pass_time(LEASE_S + 1)
    assert not b.board.renew(b.fence)
    assert b.take(offer) is Refusal.CUT_OFF


def test_who_has_joined_and_not_renewed_takes_nothing_and_nobody_does(rig: Rig, a: Replica, b: Replica) -> None:
    c = Replica(rig, C)
    c.fence = c.board.join(C, (), LEASE_S)
    offer = a.offer(X)
    assert b.take(offer) is Refusal.REPLICA_SILENT
    assert c.take(offer) is Refusal.CUT_OFF
    c.post(Y, writes=True)
    assert c.board.renew(c.fence)
    assert b.take(offer) is Refusal.GONE
    assert b.gets(a.offer(X))


def test_a_first_renewal_that_comes_late_is_none(rig: Rig, a: Replica) -> None:
    c = Replica(rig, C)
    c.fence = c.board.join(C, (), LEASE_S)
    rig.pass_time(LEASE_S + 1)
    assert not c.board.renew(c.fence)


def test_joining_again_posts_what_is_in_flight_and_drops_what_was_posted(a: Replica, b: Replica) -> None:
    a.post(X, writes=True)
    void = a.fence
    a.join(Posting(1, Y, True))
    assert b.gets(a.offer(X))
    assert b.take(a.offer(Y)) is Refusal.IN_THE_WAY
    assert not a.board.post(void, [Posting(2, X, True)])
    assert a.board.offer(void, Offering("d", X, None, True)) is None
    assert not a.board.renew(void)
    assert a.board.take(void, b.offer(X)) is Refusal.CUT_OFF


def test_joining_again_ends_all_offers(rig: Rig, a: Replica, b: Replica) -> None:
    c = Replica(rig, C).join()
    offer = a.offer(X)
    b.join()
    assert c.take(offer) is a.take(offer) is Refusal.GONE


def test_a_name_belongs_to_one_living_process(rig: Rig, a: Replica) -> None:
    with pytest.raises(NameTaken, match="another process"):
        rig.open().join(Process("a", "host", 99, "now"), (), LEASE_S)
    assert a.board.renew(a.fence)


def test_a_new_process_of_the_same_name_buries_the_old_one(rig: Rig, a: Replica, b: Replica) -> None:
    a.post(X, writes=True)
    rig.pass_time(LEASE_S * 0.6)
    assert b.board.renew(b.fence)
    rig.pass_time(LEASE_S * 0.6)
    assert b.board.renew(b.fence)
    again = Replica(rig, Process("a", "host", 99, "now")).join()
    assert not a.board.renew(a.fence)
    assert b.take(again.offer(Y)) is Refusal.IN_THE_WAY, "it may have written unseen"
    assert len(b.board.members()) == 2


def test_who_leaves_is_no_member_and_in_nobody_s_way(a: Replica, b: Replica) -> None:
    a.post(X)
    a.post(X, writes=True, dies_with_us=True)
    a.board.leave(a.fence)
    assert [member.process for member in b.board.members()] == [B]
    assert b.gets(b.offer(X))


def test_what_the_buried_were_writing_is_in_the_way_until_it_is_surely_over(rig: Rig, a: Replica, b: Replica) -> None:
    a.post(X, writes=True)
    offer = b.offer(Y)
    assert b.board.bury(a.fence)
    assert not b.board.bury(a.fence)
    assert b.take(offer) is Refusal.GONE
    rig.pass_time(LEASE_S * 0.7)
    assert b.board.renew(b.fence)
    b.board.sweep(b.fence)
    c = Replica(rig, C).join()
    offer, other = b.offer(X), b.offer(Y)
    assert c.take(offer) is Refusal.IN_THE_WAY
    assert c.gets(other), "its lease was fresh: it wrote nothing unseen"
    rig.pass_time(ABANDONED_S - LEASE_S * 0.7 + 1)
    assert b.board.renew(b.fence)
    b.board.sweep(b.fence)
    assert c.take(offer) is Refusal.IN_THE_WAY, "it was launched before that"
    assert c.gets(b.offer(X))


def test_the_buried_who_were_silent_may_have_written_anything(rig: Rig, a: Replica, b: Replica) -> None:
    rig.pass_time(LEASE_S * 0.6)
    assert b.board.renew(b.fence)
    rig.pass_time(LEASE_S * 0.6)
    assert b.board.renew(b.fence)
    assert b.board.bury(a.fence)
    c = Replica(rig, C).join()
    assert c.take(b.offer(X)) is Refusal.IN_THE_WAY
    rig.pass_time(LEASE_S * 0.9)
    assert b.board.renew(b.fence)
    assert c.board.renew(c.fence)
    rig.pass_time(ABANDONED_S - LEASE_S * 0.9 + 1)
    b.board.sweep(b.fence)
    assert c.gets(b.offer(X))


def test_members_are_told_as_they_joined(a: Replica, b: Replica) -> None:
    members = a.board.members()
    assert [(member.process, member.fence, member.is_current) for member in members] == [
        (A, a.fence, True),
        (B, b.fence, True),
    ]
    assert all(0 <= member.silent_s < LEASE_S for member in members)


def test_a_board_that_lost_what_it_held_has_all_join_again(rig: Rig, a: Replica, b: Replica) -> None:
    a.post(X, writes=True)
    rig.lose()
    assert not b.board.renew(b.fence)
    assert not b.board.post(b.fence, [Posting(1, Y, True)])
    b.join()
    assert b.take(b.offer(X)) is Refusal.REPLICA_SILENT, "what the other one writes is not posted any more"
    a.join(Posting(1, X, True))
    assert b.take(a.offer(X)) is Refusal.IN_THE_WAY
    assert b.gets(a.offer(Y))


def test_a_clock_that_is_set_back_has_all_join_again(rig: Rig, a: Replica, b: Replica) -> None:
    offer = a.offer(X)
    rig.pass_time(-5)
    assert b.take(offer) is Refusal.CUT_OFF
    assert not b.board.renew(b.fence)
    b.join()
    rig.pass_time(6)
    assert b.take(b.offer(X)) is Refusal.REPLICA_SILENT, "its lease is not fresh because the clock says so twice"
    a.join()
    assert b.gets(a.offer(X))


# --- news and upkeep --------------------------------------------------------------------------------------------------


def test_the_others_hear_of_offers_and_writes_and_nobody_of_its_own(a: Replica, b: Replica) -> None:
    a.hears(0)
    b.hears(0)
    offer = a.offer(X)
    a.post(Y)
    a.post(Y, writes=True)
    assert b.hears(3) == [
        OfferNews(offer, "d", Fate.RUNNING),
        OfferNews(offer, "d", Fate.READY),
        WriteNews(Y),
    ]
    assert b.gets(offer)
    assert a.hears(1) == [OfferNews(offer, "d", Fate.TAKEN)]
    a.post(X, writes=True)
    assert b.hears(1) == [WriteNews(X)]


def test_the_others_hear_of_what_is_gone(a: Replica, b: Replica) -> None:
    b.hears(0)
    offer, large = a.offer(X), a.offer(Y, shown=b"x" * (SHARED_MAX_BYTES + 1))
    b.hears(4)
    a.board.withdraw(a.fence, [offer])
    assert b.hears(1) == [OfferNews(offer, "d", Fate.GONE)]
    assert b.take(large) is Refusal.GONE
    a.join()
    assert b.hears(1) == [AllGone()]


def test_a_write_to_very_many_names_is_heard_of(a: Replica, b: Replica) -> None:
    b.hears(0)
    a.post(named(*(f"file:/{number}/{'x' * 400}" for number in range(32))), writes=True)
    (news,) = b.hears(1)
    assert isinstance(news, WriteNews)
    assert news.footprint.server == "s"


def test_sweeping_takes_nothing_that_counts(rig: Rig, a: Replica, b: Replica) -> None:
    write, offer = b.post(X, writes=True), a.offer(X)
    b.unpost(write)
    running, old = a.offer(Y, shown=None), a.offer(Y, ttl_s=1)
    rig.pass_time(2)
    for replica in (a, b):
        replica.board.sweep(replica.fence)
    assert b.take(offer) is Refusal.IN_THE_WAY
    assert b.take(running) is Refusal.RUNNING
    assert b.take(old) is Refusal.GONE

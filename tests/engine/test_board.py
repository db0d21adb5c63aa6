"""Where replicas share a board, requests are posted before they go out, and results taken before they answer."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.board import OFFERS_MAX, Board, digest_of
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.sharing import TAKE_S
from spec_mcp.engine.spoiling import NOTICE_SETTLE_S
from spec_mcp.engine.writes import OPEN_WRITES_MAX
from tests.engine.playbook import (
    CLIENT,
    HIT,
    JOIN,
    LOST,
    MISS,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    Wanted,
    ended,
    guess,
    invoke,
    launch,
    reading,
    reply,
    skipped,
    validate,
)

TOOLS_HERE = TOOLS | {"again": reading(reuse_s=30.0, ttl_s=60.0)}


def post(number: int, **members: Any) -> Wanted:
    """What is about to go out is put on the board."""
    return Wanted(do.Post, {"post": number, **members})


def unpost(number: int) -> Wanted:
    """It is over."""
    return Wanted(do.Unpost, {"post": number})


def take(call: int, **members: Any) -> Wanted:
    """The board is asked for a result."""
    return Wanted(do.Take, {"call": call, **members})


OFFER = Wanted(do.Offer)


class Replica(Playbook):
    """One of several, whose server leads all of them to one world."""

    def __init__(self, **more: Any) -> None:
        settings = Settings(wasted_call_s=0.01, board=True)
        self.taking: list[do.Take] = []
        self.offering: list[do.Offer] = []
        super().__init__(TOOLS_HERE, settings=settings, **more)
        _ = self << events.WorldKnown(SERVER, "https://one.example/mcp")
        (
            self
            << self.call(1_000_000, "get", id="first")
            >> post(1_000_000)
            << events.Posted(1_000_000)
            >> invoke(1_000_000)
            << events.CallReturned(1_000_000, RESULT)
            >> unpost(1_000_000)
        )

    def __lshift__(self, event: events.Event) -> Replica:
        super().__lshift__(event)
        self.taking += [command for command in self.pending if isinstance(command, do.Take)]
        self.offering += [command for command in self.pending if isinstance(command, do.Offer)]
        return self

    def __rshift__(self, wanted: Wanted) -> Replica:
        super().__rshift__(wanted)
        return self

    def holding(self, tool: str = "get", **arguments: Any) -> Replica:
        """A result is held, and on the board."""
        arguments = arguments or {"id": 1}
        self << self.predicted(guess(tool, **arguments)) >> OFFER << self.offered() >> launch(tool) << self.returned()
        return self

    def offered(self, ok: bool = True) -> events.Event:
        """The board's answer to the last offer."""
        return events.Offered(self.offering[-1].speculation, ok)

    def taken(self, ok: bool = True, **members: Any) -> events.Event:
        """The board's answer to the last take."""
        asked = self.taking[-1]
        return events.Taken(asked.speculation, asked.call, ok, **members)

    def digest(self, tool: str = "get", **arguments: Any) -> str:
        """What other replicas call such a call."""
        self << self.predicted(guess(tool, **arguments)) >> OFFER << self.offered(False)
        return self.offering[-1].digest

    def hears_of(self, tool: str = "get", ready: bool = True, **arguments: Any) -> Replica:
        """Another replica offers its result."""
        return self << events.Announced(self.digest(tool, **arguments), 77, ready)


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tool", "writes"), [("get", False), ("put", True)])
def test_a_request_goes_out_when_it_is_posted_and_is_taken_from_the_board_when_it_was_answered(
    tool: str, writes: bool
) -> None:
    play = Replica()
    with play << play.call(1, tool, id=1) >> post(1, writes=writes) as play:
        play << events.Posted(1) >> invoke(1)
        play << events.CallReturned(1, RESULT) >> unpost(1)


def test_a_request_that_touches_nothing_is_not_posted() -> None:
    with Replica() as play:
        play << events.RequestArrived(1, CLIENT, SERVER, "tools/list") >> invoke(1)


def test_a_request_that_may_touch_everything_is_posted_so() -> None:
    play = Replica()
    everything = play.engine.world.server(SERVER).everything
    play << events.RequestArrived(1, CLIENT, SERVER, "resources/read") >> post(1, footprint=everything, writes=False)
    play << events.Posted(1) >> invoke(1)
    batch = events.BatchArrived(2, CLIENT, SERVER, (("tools/call", "put"),))
    with play << batch >> post(2, footprint=everything, writes=True):
        pass


def test_a_conflicting_request_does_not_overtake_one_that_is_being_posted() -> None:
    play = Replica()
    play << play.call(1, "put", id=1) >> post(1)
    with play << play.call(2, "get", id=1) as play:
        play << events.Posted(1) >> invoke(1) >> post(2)
        play << events.Posted(2) >> invoke(2)


def test_a_write_that_takes_effect_late_stays_on_the_board_until_it_has_settled() -> None:
    play = Replica()
    play << play.call(1, "put_late", id=1) >> post(1) << events.Posted(1) >> invoke(1)
    with play << events.CallReturned(1, RESULT) as play:
        assert play.engine.deadline_s == play.now_s + 5.0
        _ = play.wait(5.0) >> unpost(1)


def test_a_cancelled_write_stays_on_the_board_until_it_is_answered() -> None:
    play = Replica()
    play << play.call(1, "put", id=1) >> post(1) << events.Posted(1) >> invoke(1)
    play << events.CallCancelled(1) >> Wanted(do.ForwardCancellation)
    with play << events.CallReturned(1, RESULT) >> unpost(1):
        pass


def test_a_request_cancelled_before_it_is_posted_never_goes_out_and_is_taken_from_the_board() -> None:
    play = Replica()
    play << play.call(1, "put", id=1) >> post(1) << events.CallCancelled(1)
    with play << events.Posted(1) >> unpost(1):
        pass


def test_a_write_whose_client_leaves_before_it_is_posted_goes_out_all_the_same() -> None:
    play = Replica()
    play << play.call(1, "put", id=1) >> post(1) << events.SessionClosed(CLIENT)
    with play << events.Posted(1) >> invoke(1):
        pass


def test_a_task_stays_on_the_board_until_it_has_ended() -> None:
    play = Replica()
    play << play.call(1, "get", id=1) >> post(1) << events.Posted(1) >> invoke(1)
    play << events.CallReturned(1, events.Outcome(events.Answer.TASK, 10, task="t"))
    with play << events.TaskEnded(SERVER, "t") >> unpost(1):
        pass


def test_a_lost_write_stays_on_the_board_until_another_process_stands_in_its_servers_place() -> None:
    play = Replica()
    play << play.call(1, "put", id=1) >> post(1) << events.Posted(1) >> invoke(1)
    play << events.Disconnected(SERVER) << events.CallReturned(1, LOST)
    with play << events.Connected(SERVER, 2) >> unpost(1):
        pass


def test_where_more_is_open_than_can_be_told_apart_all_is_posted_until_the_server_starts_anew() -> None:
    play = Replica()
    for number in range(1, OPEN_WRITES_MAX + 1):
        play << play.call(number, "put", id=number) >> post(number) << events.Posted(number) >> invoke(number)
    last = OPEN_WRITES_MAX + 1
    (
        play
        << play.call(last, "put", id=last)
        >> post(-1, writes=True)
        >> post(last)
        << events.Posted(last)
        >> invoke(last)
    )
    play << events.CallReturned(last, RESULT) >> unpost(last)
    play << events.Disconnected(SERVER)
    with play << events.Connected(SERVER, 2) >> unpost(-1):
        pass


def test_what_was_said_without_asking_is_posted_for_as_long_as_the_server_may_act_on_it() -> None:
    play = Replica()
    play << events.ClientNotified(CLIENT, SERVER, "notifications/roots/list_changed") >> post(-1, writes=True)
    with play.wait(NOTICE_SETTLE_S) >> unpost(-1) as play:
        pass


def test_what_a_server_says_has_changed_is_told_to_the_others_at_once() -> None:
    with Replica() as play:
        play << events.ServerNotified(SERVER, "notifications/resources/updated") >> post(-1, writes=True) >> unpost(-1)
        play << events.ServerNotified(SERVER, "notifications/tasks/status") >> post(-2, writes=False) >> unpost(-2)


# --- speculations -----------------------------------------------------------------------------------------------------


def test_a_speculation_is_launched_when_it_is_offered() -> None:
    play = Replica()
    with play << play.predicted(guess("get", id=1)) >> OFFER as play:
        play << play.offered() >> launch("get")


def test_a_speculation_that_cannot_be_offered_is_not_launched() -> None:
    play = Replica()
    with play << play.predicted(guess("get", id=1)) >> OFFER << play.offered(False) >> ended("cut-off"):
        pass


def test_a_speculation_whose_call_came_while_it_was_being_offered_is_not_launched() -> None:
    play = Replica()
    play << play.predicted(guess("get", id=1)) >> OFFER << play.call(1, "get", id=1) >> post(1)
    with play << play.offered():
        pass


def test_a_validator_is_read_before_the_offer_and_the_board_has_the_last_word() -> None:
    play = Replica()
    play << play.predicted(guess("cat", id="/a")) >> validate() << play.validated("v") >> OFFER
    assert play.offering[-1].digest == ""
    play << play.offered() >> launch("cat") << play.returned()
    with play << play.call(1, "cat", id="/a") >> validate(1) << play.validated("v") >> take(1) as play:
        play << play.taken() >> reply(1, HIT)


# --- our own results --------------------------------------------------------------------------------------------------


def test_a_result_answers_when_the_board_gives_it_away() -> None:
    play = Replica().holding()
    with play << play.call(1, "get", id=1) >> take(1, offer=None, keeps=False) << play.taken() >> reply(1, HIT):
        pass


def test_a_result_that_the_board_does_not_give_away_is_dropped_and_the_call_is_made() -> None:
    play = Replica().holding()
    play << play.call(1, "get", id=1) >> take(1)
    with play << play.taken(False) >> post(1) >> ended("spoiled") << events.Posted(1) >> invoke(1) as play:
        assert play.held == 0


def test_a_call_does_not_wait_for_the_boards_word_without_bound_and_a_late_word_changes_nothing() -> None:
    play = Replica().holding()
    play << play.call(1, "get", id=1) >> take(1)
    _ = play.wait(TAKE_S) >> post(1) >> ended("late")
    with play << play.taken() << events.Posted(1) >> invoke(1):
        pass


def test_a_write_that_comes_while_the_board_is_asked_sends_the_call_out_before_it() -> None:
    play = Replica().holding()
    play << play.call(1, "get", id=1) >> take(1)
    play << play.call(2, "put", id=1) >> post(1)
    play << play.taken() << events.Posted(1) >> invoke(1) >> post(2)
    with play << events.Posted(2) >> invoke(2):
        pass


def test_a_call_that_found_it_running_asks_the_board_when_it_has_returned() -> None:
    play = Replica()
    play << play.predicted(guess("get", id=1)) >> OFFER << play.offered() >> launch("get")
    play << play.call(1, "get", id=1)
    with play << play.returned() >> take(1) << play.taken() >> reply(1, JOIN):
        pass


def test_a_result_that_may_be_used_again_is_asked_for_again() -> None:
    play = Replica().holding("again")
    play << play.call(1, "again", id=1) >> take(1, keeps=True) << play.taken() >> reply(1, HIT)
    with play << play.call(2, "again", id=1) >> take(2, keeps=True) << play.taken() >> reply(2, HIT):
        pass


def test_a_result_that_another_replica_used_is_used_and_not_wasted() -> None:
    play = Replica().holding()
    speculation = play.launched[-1]
    with play << events.TakenAway(speculation) >> Wanted(do.SpeculationEnded, {"state": "adopted", "reason": "taken"}):
        pass
    with play << play.call(1, "get", id=1) >> post(1):
        pass


def test_a_call_that_lost_its_result_to_another_replica_is_made() -> None:
    play = Replica().holding()
    play << play.call(1, "get", id=1) >> take(1)
    with play << events.TakenAway(play.launched[-1]) >> post(1) << play.taken(False) << events.Posted(1) >> invoke(1):
        pass


def test_what_another_replica_writes_spoils_what_is_held() -> None:
    play = Replica().holding()
    footprint = play.engine.world.server(SERVER).everything
    with play << events.WrittenElsewhere(footprint) >> ended("spoiled") as play:
        assert play.held == 0


# --- results of others ------------------------------------------------------------------------------------------------


def test_a_call_is_answered_with_what_another_replica_has_ready() -> None:
    play = Replica().hears_of(id=1)
    play << play.call(1, "get", id=1) >> take(1, offer=77)
    with play << play.taken(age_s=3.0, size_bytes=10) >> reply(1, HIT, saved_s=3.0) as play:
        assert not [command for command in play.record if isinstance(command, do.SpeculationEnded)]
        assert play.held == 0


def test_a_call_joins_what_another_replica_is_running() -> None:
    play = Replica().hears_of(ready=False, id=1)
    play << play.call(1, "get", id=1) >> take(1, offer=77)
    play.wait(2 * TAKE_S)
    with play << play.taken(age_s=2 * TAKE_S, size_bytes=10) >> reply(1, JOIN):
        pass


def test_a_call_whose_result_another_replica_cannot_give_is_made() -> None:
    play = Replica().hears_of(id=1)
    play << play.call(1, "get", id=1) >> take(1)
    with play << play.taken(False) >> post(1) << events.Posted(1) >> invoke(1):
        pass


def test_what_another_replica_offers_is_asked_for_once() -> None:
    play = Replica().hears_of(id=1)
    play << play.call(1, "get", id=1) >> take(1)
    with play << play.call(2, "get", id=1) >> post(2):
        pass


def test_what_is_offered_no_more_is_not_asked_for() -> None:
    play = Replica().hears_of(id=1)
    play << events.Withdrawn(play.offering[-1].digest, 77)
    with play << play.call(1, "get", id=1) >> post(1):
        pass


def test_what_another_principal_was_offered_is_not_asked_for() -> None:
    play = Replica().hears_of(id=1)
    with play << play.call_as(1, "get", {"id": 1}, principal="you") >> post(1):
        pass


def test_nothing_of_others_is_asked_for_while_a_write_is_open_there() -> None:
    play = Replica().hears_of(id=1)
    play << play.call(1, "put", id=1) >> post(1) << events.Posted(1) >> invoke(1)
    with play << play.call(2, "get", id=1) >> post(2):
        pass


@pytest.mark.parametrize("mode", [events.Mode.OFF, events.Mode.SHADOW])
def test_nothing_of_others_is_asked_for_when_speculation_is_not_on(mode: events.Mode) -> None:
    play = Replica().hears_of(id=1) << events.ModeSet(mode)
    with play << play.call(1, "get", id=1) >> post(1):
        pass


def test_a_server_that_leads_each_replica_to_a_world_of_its_own_from_now_on_offers_nothing_to_others() -> None:
    play = Replica()
    assert play.digest(id=1)
    _ = play << events.WorldKnown(SERVER, "")
    assert play.digest(id=1) == ""


# --- when the board cannot be reached ---------------------------------------------------------------------------------


def test_cut_off_from_the_board_nothing_is_held_launched_or_taken_until_it_is_back() -> None:
    play = Replica().hears_of(id=2).holding()
    play << events.CutOff() >> ended("cut-off")
    assert play.held == 0
    play << play.predicted(guess("get", id=1)) >> skipped("cut-off")
    play << play.call(1, "get", id=2) >> post(1) << events.Posted(1) >> invoke(1)
    play << events.CallReturned(1, RESULT) >> unpost(1) << events.Rejoined()
    with play << play.predicted(guess("get", id=1)) >> OFFER:
        pass


def test_a_call_that_waits_for_the_board_when_it_is_lost_is_made() -> None:
    play = Replica().holding()
    play << play.call(1, "get", id=1) >> take(1)
    with play << events.CutOff() >> post(1) >> ended("cut-off") << events.Posted(1) >> invoke(1):
        pass


# --- what is told of others is bounded --------------------------------------------------------------------------------


def test_no_more_offers_are_remembered_than_their_bound() -> None:
    board = Board()
    for number in range(OFFERS_MAX + 1):
        board.announce(str(number), number, ready=True)
    assert board.take_up("0") is None
    assert board.take_up("1") is not None


def test_each_part_of_what_a_call_is_tells_it_from_others() -> None:
    key = CallKey("s#1", 4, "p", "get", "me", "{}", "{}")
    same = key._replace(connection="s#2", epoch=9)
    digests = [
        digest_of("w", "e", "f", "s", key),
        digest_of("W", "e", "f", "s", key),
        digest_of("w", "E", "f", "s", key),
        digest_of("w", "e", "F", "s", key),
        digest_of("w", "e", "f", "S", key),
        *(digest_of("w", "e", "f", "s", key._replace(**{name: "x"})) for name in key._fields[2:]),
        digest_of("we", "", "f", "s", key),
    ]
    assert len(set(digests)) == len(digests)
    assert digest_of("w", "e", "f", "s", same) == digests[0]


def test_without_a_board_nothing_is_put_to_one() -> None:
    play = Playbook().begun().holds("get", id=1)
    with play << play.call(1, "get", id=1) >> reply(1, HIT) as play:
        (
            play
            << play.call(2, "put", id=1)
            >> invoke(2)
            << events.CallReturned(2, RESULT)
            >> Wanted(do.CallSettled, {"how": MISS})
        )

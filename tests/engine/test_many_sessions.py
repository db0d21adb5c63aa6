"""Several sessions at once, each over a connection of its own or over one that they share."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events, ledger
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Moment, Outcome
from spec_mcp.engine.ledger import HELD_MAX, HELD_MAX_BYTES
from spec_mcp.engine.overlaps import ENOUGH
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.timing import ENOUGH_TO_COMPARE
from spec_mcp.engine.writes import ABANDONED_S
from tests.engine.playbook import (
    HIT,
    JOIN,
    LOST,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    Wanted,
    ended,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
)
from tests.engine.test_bounds import containers
from tests.engine.test_reversible import changing

ANN, BOB = "ann", "bob"
OF_ANN, OF_BOB = "s#ann", "s#bob"
"""Their own connections to the server."""


def apart(tools: Any = TOOLS, **more: Any) -> Playbook:
    """Two sessions with connections of their own to one server."""
    return Playbook(tools, connect=False, **more).attached(ANN, OF_ANN).attached(BOB, OF_BOB)


def together(tools: Any = TOOLS, **more: Any) -> Playbook:
    """Two sessions that share a connection."""
    return Playbook(tools, connect=False, **more).attached(ANN, "s#shared").attached(BOB, "s#shared")


# --- whose connection -------------------------------------------------------------------------------------------------


def test_what_is_foretold_of_a_server_goes_over_the_connection_of_its_session():
    with apart() as play:
        play << play.predicted(guess("get", id=1), session=ANN) >> Wanted(do.Launch, {"connection": OF_ANN})
        play << play.predicted(guess("get", id=1), session=BOB) >> Wanted(do.Launch, {"connection": OF_BOB})


def test_a_server_to_which_a_session_has_no_connection_is_not_called_for_it():
    servers = {name: ServerPolicy(name, TOOLS, concurrent=True) for name in "st"}
    play = Playbook(servers=servers, connect=False).attached(ANN, "s#ann").attached(BOB, "t#bob", "t")
    with play << play.predicted(guess("get", server="t", id=1), session=ANN) >> skipped("unlisted"):
        play << play.predicted(guess("get", server="t", id=1), session=BOB) >> launch("get", id=1)


def test_a_session_that_is_attached_anew_goes_over_the_new_connection():
    with apart(concurrent=False) as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2), session=ANN) >> launch("get")
        play.attached(ANN, "s#ann-again")
        play << play.returned()  # what waited for a place on the old one waits no more
        launches = Wanted(do.Launch, {"connection": "s#ann-again"})
        play << play.predicted(guess("get", id=3), session=ANN) >> launches


def test_what_was_told_of_a_connection_before_it_was_attached_holds_for_its_server():
    policy = ServerPolicy(SERVER, TOOLS, concurrent=True)
    play = Playbook(connect=False, engine=Engine(Settings(wasted_call_s=0.01), {}))
    with play << events.ManifestFound(OF_ANN, policy, {"get": "old"}):
        play << events.Connected(OF_ANN, 1) << listing(TOOLS, changed="look", server=OF_ANN)
        play.attached(ANN, OF_ANN)
        assert list(play.engine.world.servers) == [SERVER]
        play.wait(5.0) << play.predicted(guess("get", id=1), session=ANN) >> launch("get", id=1)


# --- what may answer --------------------------------------------------------------------------------------------------


def test_a_result_answers_only_over_the_connection_on_which_it_was_made():
    with apart().holds("get", ANN, id=1) as play:
        play << play.call(1, "get", BOB, OF_BOB, id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.call(2, "get", ANN, OF_ANN, id=1) >> reply(2, HIT)


def test_who_shares_a_connection_and_a_principal_shares_its_results():
    with together().holds("get", ANN, id=1) as play:
        play << play.call(1, "get", BOB, "s#shared", id=1) >> reply(1, HIT)


def test_principals_foretell_the_same_call_each_for_themselves():
    play = together(concurrent=False, settings=Settings(wasted_call_s=0.01, in_flight=1))
    for session in (ANN, BOB):
        key = play.key("put", {"id": 0}, server="s#shared", principal=session)
        number = len(session) + ord(session[0])
        play << events.CallArrived(number, session, "s#shared", "put", {"id": 0}, key) >> invoke(number)
        play << events.CallReturned(number, RESULT)
    with play << play.predicted(guess("get", id=1), session=ANN) >> launch("get", id=1):
        play << play.predicted(guess("get", id=2), session=ANN)
        play << play.predicted(guess("get", id=2), session=BOB)
        play << play.returned() >> launch("get", id=2) << play.returned() >> launch("get", id=2)


# --- writes -----------------------------------------------------------------------------------------------------------


def test_a_write_over_one_connection_spoils_what_others_hold_of_its_server():
    with apart().holds("get", ANN, id=1).holds("get", ANN, id=2) as play:
        play << play.call(1, "put", BOB, OF_BOB, id=1) >> invoke(1) >> ended("spoiled")
        play << play.call(2, "get", ANN, OF_ANN, id=1) >> invoke(2)
        play << play.call(3, "get", ANN, OF_ANN, id=2) >> reply(3, HIT)


def test_while_one_session_writes_nobody_speculates_there():
    with apart() as play:
        play << play.call(1, "put", BOB, OF_BOB, id=1) >> invoke(1)
        play << play.predicted(guess("get", id=1), session=ANN) >> skipped("conflict")
        play << events.CallReturned(1, RESULT) << play.predicted(guess("get", id=1), session=ANN) >> launch("get")


def test_a_join_is_made_for_real_before_the_write_of_another_session_goes_out():
    with apart().launches("get", ANN, id=1) as play:
        play << play.call(1, "get", ANN, OF_ANN, id=1)
        play << play.call(2, "put", BOB, OF_BOB, id=1) >> invoke(1) >> invoke(2)


def test_a_message_of_one_client_that_may_change_the_server_spoils_for_all():
    with apart().holds("get", ANN, id=1) as play:
        play << events.ClientNotified(BOB, OF_BOB, "notifications/roots/list_changed") >> ended("spoiled")
        play << play.predicted(guess("get", id=1), session=ANN) >> skipped("conflict")


def test_what_a_server_tells_one_client_has_changed_for_all():
    with apart().holds("get", ANN, id=1) as play:
        play << events.ServerNotified(OF_BOB, "notifications/resources/updated") >> ended("spoiled")


def test_a_task_goes_on_until_its_own_connection_tells_of_its_end():
    with apart() as play:
        play << play.call(1, "put", ANN, OF_ANN, id=1) >> invoke(1)
        play << events.CallReturned(1, Outcome(Answer.TASK, task="1"))
        play << events.TaskEnded(OF_BOB, "1")  # another process's first task
        play << play.predicted(guess("get", id=1), session=BOB) >> skipped("conflict")
        play << events.TaskEnded(OF_ANN, "1")
        play << play.predicted(guess("get", id=1), session=BOB) >> launch("get", id=1)


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_session_that_ends_takes_nothing_of_others_with_it():
    with apart().holds("get", ANN, id=1).holds("get", BOB, id=2) as play:
        play << events.SessionClosed(ANN) >> ended("session-ended")
        play << play.call(1, "get", BOB, OF_BOB, id=2) >> reply(1, HIT)


def test_what_is_held_for_a_client_goes_when_it_is_dropped_but_for_what_a_call_waits_for():
    with apart().holds("get", ANN, id=1).holds("get", BOB, id=2) as play:
        play << play.predicted(guess("get", id=3), session=ANN) >> launch("get", id=3)
        play << play.call(1, "get", ANN, OF_ANN, id=3)
        play << events.HeldDropped(ANN) >> ended("expired")
        play << play.call(2, "get", ANN, OF_ANN, id=1) >> invoke(2)
        play << play.call(3, "get", BOB, OF_BOB, id=2) >> reply(3, HIT)


def test_a_connection_that_dies_takes_nothing_of_others_with_it():
    with apart().holds("get", ANN, id=1).holds("get", BOB, id=2) as play:
        play << events.Disconnected(OF_ANN) >> ended("disconnected")
        play << play.predicted(guess("get", id=3), session=ANN) >> skipped("not-listed-yet")
        play << play.call(1, "get", BOB, OF_BOB, id=2) >> reply(1, HIT)
        play << play.predicted(guess("get", id=4), session=BOB) >> launch("get", id=4)


def test_what_a_dead_process_was_writing_is_open_until_another_stands_in_its_place():
    with apart() as play:
        play << play.call(1, "put", ANN, OF_ANN, id=1) >> invoke(1) << events.CallReturned(1, LOST)
        play << events.Disconnected(OF_ANN)
        play << play.predicted(guess("get", id=1), session=BOB) >> skipped("conflict")
        play << events.Connected(OF_BOB, 2) << listing(TOOLS, server=OF_BOB)  # this is not the one
        play.begun(BOB, OF_BOB) << play.predicted(guess("get", id=1), session=BOB) >> skipped("conflict")
        play << events.Connected(OF_ANN, 2) << play.predicted(guess("get", id=1), session=BOB) >> launch("get")


def test_what_a_dead_process_was_writing_is_over_once_nobody_will_stand_in_its_place():
    with apart() as play:
        play << play.call(1, "put_late", ANN, OF_ANN, id=1) >> invoke(1)
        play << events.Disconnected(OF_ANN) << events.ConnectionClosed(OF_ANN)
        play.wait(4.9) << play.predicted(guess("get", id=1), session=BOB) >> skipped("conflict")
        play.wait(0.2) << play.predicted(guess("get", id=1), session=BOB) >> launch("get")


def test_what_a_living_server_was_writing_stays_open_though_its_client_is_gone():
    with apart() as play:
        play << play.call(1, "put", ANN, OF_ANN, id=1) >> invoke(1)
        play << events.SessionClosed(ANN) << events.Disconnected(OF_ANN, ended=False)
        play << events.ConnectionClosed(OF_ANN)
        play.wait(600.0) << play.predicted(guess("get", id=1), session=BOB) >> skipped("conflict")
        play.wait(ABANDONED_S) << play.predicted(guess("get", id=1), session=BOB) >> launch("get")


def test_of_a_connection_that_is_gone_for_good_nothing_is_left():
    play = Playbook(connect=False).attached(BOB, OF_BOB)
    numbers = count(1)

    def come_and_go() -> dict[str, int]:
        number = next(numbers)
        session, connection = f"session-{number}", f"s#{number}"
        play.attached(session, connection).launches("get", session, id=number).wait(0.5) << play.returned()
        play.launches("get", session, id=-number)
        for tool in ("get", "put", "survey"):
            play << play.call(number * 10, tool, session, connection, id=f"x{number}") >> invoke(number * 10)
            play << events.CallCancelled(number * 10)
            play.pending.clear()
        play << events.RequestArrived(number * 10 + 1, session, connection, "resources/subscribe")
        play.pending.clear()
        play << events.ClientNotified(session, connection, "notifications/whatever")
        play << events.SessionClosed(session) << events.ConnectionClosed(connection, ended=True)
        play.wait(5.0) << play.predicted(guess("get", id=number), session=BOB)  # time is noticed
        play.pending.clear()
        return {path: length for path, length in containers(play.engine.world) if ".timing" not in path}

    for _ in range(20):
        come_and_go()
    early = come_and_go()
    for _ in range(200):
        come_and_go()
    late = come_and_go()
    grown = {path: (early.get(path, 0), length) for path, length in late.items() if length > early.get(path, 0) + 5}
    allowed = {".ledger.answered", ".ledger._answers", ".servers[].launches._at"}  # bounded by number, not by session
    assert not {path for path in grown if not path.startswith(tuple(allowed))}, grown
    assert list(play.engine.world.connections) == [OF_BOB]
    assert list(play.engine.world.sessions) == [BOB]


# --- calls come first -------------------------------------------------------------------------------------------------


def test_calls_of_all_who_share_a_connection_come_first():
    with together(concurrent=False) as play:
        play << play.call(1, "get", BOB, "s#shared", id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2), session=ANN)  # it waits for its place
        play << events.CallReturned(1, RESULT) >> launch("get", id=2)


def test_each_of_those_who_share_a_connection_has_places_of_its_own_where_calls_run_at_once():
    with together(settings=Settings(wasted_call_s=0.01, in_flight=1)) as play:
        play << play.predicted(guess("get", id=1), guess("get", id=2), session=ANN) >> launch("get", id=1)
        play << play.predicted(guess("get", id=3), session=BOB) >> launch("get", id=3)
        play << play.returned(index=0) >> launch("get", id=2)


def test_a_call_over_one_connection_keeps_no_other_from_speculating():
    with apart(concurrent=False) as play:
        play << play.call(1, "get", BOB, OF_BOB, id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2), session=ANN) >> launch("get", id=2)


def test_a_server_that_speculations_slow_down_is_left_alone_whoever_calls_it():
    with apart() as play:
        for _ in range(ENOUGH_TO_COMPARE):
            play.engine.world.timing.compared(SERVER, "get", 0.5, beside=False)
            play.engine.world.timing.compared(SERVER, "get", 5.0, beside=True)
        play << play.call(1, "get", BOB, OF_BOB, id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2), session=ANN)
        play << play.call(2, "get", ANN, OF_ANN, id=3) >> invoke(2)
        play << events.CallReturned(2, RESULT) << play.predicted(guess("get", id=2), session=ANN)
        play << events.CallReturned(1, RESULT)
        play << play.predicted(guess("get", id=2), session=ANN) >> launch("get", id=2)
        play << play.predicted(guess("get", id=4), session=BOB)


def test_a_call_is_slowed_by_what_runs_over_any_connection():
    with apart().launches("get", ANN, id=1) as play:
        play << play.call(1, "get", BOB, OF_BOB, id=2) >> invoke(1)
        play.wait(0.5) << events.CallReturned(1, RESULT)
        assert len(play.engine.world.timing.beside[SERVER].recent) == 1


def test_calls_side_by_side_over_two_connections_do_not_tell_how_a_server_works():
    with apart(concurrent=None) as play:
        for number in range(2, 4 * ENOUGH, 2):
            play << play.call(number, "get", ANN, OF_ANN, id=number) >> invoke(number)
            play << play.call(number + 1, "get", BOB, OF_BOB, id=number) >> invoke(number + 1)
            play.wait(0.5) << events.CallReturned(number, RESULT) << events.CallReturned(number + 1, RESULT)
            play.wait(3.0)
        assert not play.engine.world.timing.works_side_by_side(SERVER)


# --- what holds for a server, over all connections --------------------------------------------------------------------


def test_a_server_that_asks_for_a_rest_gets_it_from_all():
    with apart() as play:
        play << play.call(1, "get", ANN, OF_ANN, id=1) >> invoke(1)
        play << events.CallReturned(1, Outcome(Answer.TOOL_ERROR, 10, rate_limited=True))
        play << play.predicted(guess("get", id=2), session=BOB) >> skipped("rate-limited")


def test_the_user_bounds_what_all_sessions_together_ask_of_a_server():
    with apart(rate_per_minute=1.0).launches("get", ANN, id=1) as play:
        play << play.predicted(guess("get", id=2), session=BOB) >> skipped("rate")


def test_a_tool_under_which_one_process_died_is_speculated_for_nobody():
    with apart().launches("get", ANN, id=1) as play:
        play << events.Disconnected(OF_ANN)
        play << play.predicted(guess("get", id=2), session=BOB) >> skipped("demoted")
        play << play.predicted(guess("look", id=2), session=BOB) >> launch("look")


def test_a_definition_that_one_connection_saw_first_is_the_one_that_others_must_see():
    play = Playbook(connect=False).attached(ANN, OF_ANN)
    play << events.Attached(BOB, SERVER, OF_BOB) << events.Connected(OF_BOB, 1)
    with play << listing(TOOLS, changed="get", server=OF_BOB):
        play.begun(BOB, OF_BOB) << play.predicted(guess("get", id=1), session=BOB) >> skipped("changed")
        play << play.predicted(guess("get", id=1), session=ANN) >> launch("get")


def test_a_manifest_told_again_changes_nothing():
    with apart().holds("get", ANN, id=1) as play:
        play << events.ManifestFound(OF_BOB, play.policies[SERVER], {})
        play << play.call(1, "get", ANN, OF_ANN, id=1) >> reply(1, HIT)


def test_a_manifest_that_says_otherwise_holds_for_all_at_once():
    with apart().holds("get", ANN, id=1) as play:
        policy = ServerPolicy(SERVER, {"look": TOOLS["look"]}, concurrent=True)
        play << events.ManifestFound(OF_BOB, policy, {}) >> ended("spoiled")
        play << play.predicted(guess("get", id=1), session=ANN) >> skipped("unlisted")


# --- what the client sees ---------------------------------------------------------------------------------------------


def test_what_speculations_say_over_one_connection_stops_them_there_alone():
    with apart().launches("get", ANN, id=1) as play:
        play << events.ServerAsked(OF_BOB, 1, "sampling/createMessage") >> Wanted(do.PassOn, {"connection": OF_BOB})
        play << events.ServerAsked(OF_ANN, 2, "sampling/createMessage") >> Wanted(do.Refuse, {"connection": OF_ANN})
        play << play.predicted(guess("get", id=2), session=ANN) >> skipped("demoted")
        play << play.predicted(guess("get", id=2), session=BOB) >> launch("get")


def test_a_shared_connection_is_trusted_again_when_all_are_gone_who_were_there():
    with together().launches("get", ANN, id=1) as play:
        play << events.ServerNotified("s#shared", "notifications/message") >> Wanted(do.Withhold)
        play.wait(5.0).attached("carl", "s#shared")
        for leaver in (ANN, BOB):
            play << play.predicted(guess("get", id=2), session="carl") >> skipped("demoted")
            play << events.SessionClosed(leaver)
        play << play.predicted(guess("get", id=2), session="carl") >> launch("get", id=2)


# --- reversible ones --------------------------------------------------------------------------------------------------


def reversibly(shared: bool = False) -> Playbook:
    """Two sessions at a server with writes that may be made early."""
    tools = {"get": reading(), "survey": reading(None), "set": changing()}
    settings = Settings(wasted_call_s=0.01, reversible=True)
    return (together if shared else apart)(tools, settings=settings)


def launched(play: Playbook, session: str = ANN) -> int:
    """A write was made early for a session; its number."""
    play << play.predicted(guess("set", id=1), session=session)
    (read,) = play.pending
    assert isinstance(read, do.ReadState)
    play.pending.clear()
    play << events.StateRead(read.speculation, Moment.BEFORE, "old") >> Wanted(do.Intend)
    play << events.Recorded(read.speculation, ok=True) >> launch("set")
    return read.speculation


def ready(play: Playbook) -> int:
    """The same, and its server has answered."""
    number = launched(play)
    play << play.returned() >> Wanted(do.ReadState, {"connection": OF_ANN})
    play << events.StateRead(number, Moment.LEFT, "new") >> Wanted(do.NoteOutcome)
    return number


@pytest.mark.parametrize("tool", ["get", "survey", "set"])
def test_a_request_over_another_connection_waits_for_the_undo(tool):
    with reversibly() as play:
        number = ready(play)
        claim = Wanted(do.Claim, {"connection": OF_ANN, "into": State.COMPENSATING})
        play << play.call(1, tool, BOB, OF_BOB, id=1) >> claim
        play << events.Claimed(number, State.COMPENSATING, ok=True) >> Wanted(do.ReadState)
        play << events.StateRead(number, Moment.NOW, "old") >> Wanted(do.Settle)
        play << events.Settled(number, ok=True) >> invoke(1)


def test_nothing_is_made_early_beside_what_conflicts_over_another_connection():
    with reversibly() as play:
        play << play.call(1, "survey", BOB, OF_BOB) >> invoke(1)
        play << play.predicted(guess("set", id=1), session=ANN) >> skipped("conflict")
        play << events.CallCancelled(1) >> Wanted(do.ForwardCancellation)  # it may look on all the same
        play << play.predicted(guess("set", id=1), session=ANN) >> skipped("conflict")
        play << events.CallReturned(1, RESULT) << play.predicted(guess("set", id=1), session=ANN)
        play >> Wanted(do.ReadState)


def test_nothing_is_made_early_while_anyone_subscribes_at_the_server():
    with reversibly() as play:
        play << events.RequestArrived(1, BOB, OF_BOB, "resources/subscribe") >> invoke(1)
        play << events.CallReturned(1, RESULT)
        play << play.predicted(guess("set", id=1), session=ANN) >> skipped("subscribed")
        play << events.SessionClosed(BOB) << events.ConnectionClosed(OF_BOB)
        play << play.predicted(guess("set", id=1), session=ANN) >> Wanted(do.ReadState)


def test_what_an_early_write_makes_the_server_tell_others_waits_for_its_adoption():
    with reversibly() as play:
        number = ready(play)
        play << events.ServerNotified(OF_BOB, "notifications/resources/list_changed")
        play >> Wanted(do.HoldNotification, {"connection": OF_BOB, "speculation": number})
        play << play.call(1, "set", ANN, OF_ANN, id=1) >> Wanted(do.Claim)
        play << events.Claimed(number, State.ADOPTED, ok=True) >> Wanted(do.Settle) >> reply(1, HIT)
        play >> Wanted(do.Tell, {"connection": OF_BOB, "speculation": number})
        play >> Wanted(do.Drop, {"connection": OF_BOB, "speculation": number})


def test_what_a_client_over_another_connection_may_have_caused_is_passed_on():
    with reversibly() as play:
        ready(play)
        play << play.call(1, "unheard-of", BOB, OF_BOB)  # it waits for the undo
        play.pending.clear()
        play << events.RequestArrived(2, BOB, OF_BOB, "ping") >> invoke(2)
        play << events.ServerNotified(OF_ANN, "notifications/resources/list_changed")


def test_what_cannot_be_taken_back_since_its_connection_is_gone_is_stuck():
    with reversibly() as play:
        number = ready(play)
        assert not play.engine.is_settled(OF_ANN)
        assert play.engine.is_settled(OF_BOB)
        play << events.SessionClosed(ANN) >> Wanted(do.Claim)
        play << events.ConnectionClosed(OF_ANN)
        assert OF_ANN in play.engine.world.connections
        play << events.Claimed(number, State.COMPENSATING, ok=True) >> Wanted(do.Settle, {"state": State.STUCK})
        assert OF_ANN not in play.engine.world.connections
        play << play.predicted(guess("set", id=2), session=BOB) >> skipped(Reason.STUCK_THERE)


def test_a_connection_is_forgotten_when_what_was_speculated_there_is_taken_back():
    with reversibly() as play:
        number = ready(play)
        play << events.SessionClosed(ANN) >> Wanted(do.Claim)
        play << events.Claimed(number, State.COMPENSATING, ok=True) >> Wanted(do.ReadState)
        play << events.StateRead(number, Moment.NOW, "old") >> Wanted(do.Settle)
        play << events.Settled(number, ok=True)
        assert play.engine.is_settled(OF_ANN)
        play << events.ConnectionClosed(OF_ANN)
        assert list(play.engine.world.connections) == [OF_BOB]


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_what_one_session_holds_leaves_room_for_others():
    with apart() as play:
        play.holds("get", BOB, id="kept")
        for number in range(HELD_MAX + 3):
            play.launches("get", ANN, id=number).wait(0.5) << play.returned()
        assert play.held == HELD_MAX + 1
        play << play.call(1, "get", BOB, OF_BOB, id="kept") >> reply(1, HIT)


def test_of_too_much_that_all_hold_the_least_likely_goes(monkeypatch):
    monkeypatch.setattr(ledger, "ALL_HELD_MAX_BYTES", HELD_MAX_BYTES)
    with apart() as play:
        for number, session in enumerate((ANN, BOB, BOB, ANN, BOB)):
            q = 0.6 if number == 1 else 0.9
            play << play.predicted(guess("get", q=q, id=number), session=session) >> launch("get")
            play << play.returned(Outcome(Answer.RESULT, HELD_MAX_BYTES // 4))
        assert play.held < 5
        play << play.call(1, "get", BOB, OF_BOB, id=1) >> invoke(1)
        play << play.call(2, "get", BOB, OF_BOB, id=4) >> reply(2, HIT)


def test_answers_are_remembered_for_each_session():
    with apart() as play:
        numbers = count(1)
        for identity in range(ledger.ANSWERED_MAX - 10):
            for session, connection in ((ANN, OF_ANN), (BOB, OF_BOB)):
                number = next(numbers)
                play << play.call(number, "get", session, connection, id=identity) >> invoke(number)
                play << events.CallReturned(number, RESULT)
        play << play.predicted(guess("get", id=0), session=ANN) >> skipped("poll")


def test_a_join_over_one_connection_is_answered_beside_all_that_happens_over_others():
    with apart().launches("get", ANN, id=1) as play:
        play << play.call(1, "get", ANN, OF_ANN, id=1)
        play << play.call(2, "get", BOB, OF_BOB, id=2) >> invoke(2) << events.Disconnected(OF_BOB)
        play << play.returned(index=0) >> reply(1, JOIN)

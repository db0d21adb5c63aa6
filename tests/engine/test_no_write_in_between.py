"""Rule 6: what spoils a held result, and for how long nothing new is held."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

import pytest

from spec_mcp.engine import events
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Answer, Outcome
from spec_mcp.engine.spoiling import NOTICE_SETTLE_S
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    HIT,
    LOST,
    RESULT,
    SERVER,
    TOOL_ERROR,
    TOOLS,
    Playbook,
    ended,
    forward_cancellation,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
    writing,
)

FINAL = [RESULT, TOOL_ERROR, ERROR]


def test_a_write_spoils_what_it_overlaps_from_the_moment_it_arrives():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "put", id=1) >> invoke(1) >> ended("spoiled")
        play << play.call(2, "get", id=1) >> invoke(2)


def test_a_write_leaves_alone_what_it_does_not_overlap():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "put", id=2) >> invoke(1) << play.call(2, "get", id=1) >> reply(2, HIT)


@pytest.mark.parametrize("tool", ["unheard-of", "wipe"])
def test_a_tool_of_which_nothing_is_known_spoils_everything_of_its_server(tool):
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, tool) >> invoke(1) >> ended("spoiled")


DOUBTFUL = [{}, {"id": None}, {"id": {}}, {"id": ""}, {"id": "../1"}, {"id": "*"}, {"id": [2, 1]}]


@pytest.mark.parametrize("written", DOUBTFUL)
def test_a_write_whose_arguments_leave_a_doubt_spoils_more(written):
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "put", **written) >> invoke(1) >> ended("spoiled")


def test_a_write_whose_arguments_cannot_be_read_spoils_all_that_it_could_touch():
    with Playbook().begun().holds("get", id=1) as play:
        play << events.CallArrived(1, CLIENT, SERVER, "put", None, None) >> invoke(1) >> ended("spoiled")


def test_while_a_write_is_open_nothing_that_it_overlaps_is_launched():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1)
        play << play.predicted(guess("get", id=1), guess("get", id=2)) >> skipped("conflict") >> launch("get", id=2)


@pytest.mark.parametrize("outcome", FINAL)
def test_a_write_closes_with_its_final_answer_whatever_that_is(outcome):
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, outcome)
        play << play.predicted(guess("get", id=1)) >> launch("get")


@pytest.mark.parametrize("outcome", FINAL)
def test_a_write_that_takes_effect_late_is_waited_for(outcome):
    with Playbook().begun() as play:
        play << play.call(1, "put_late", id=1) >> invoke(1) << events.CallReturned(1, outcome)
        play.wait(4.9) << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play.wait(0.1) << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_cancelled_write_stays_open_until_it_is_answered():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1)
        play << events.CallCancelled(1) >> forward_cancellation(1)
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.CallReturned(1, ERROR) << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_write_without_a_final_answer_stays_open_until_the_server_starts_anew():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1) << events.CallReturned(1, LOST)
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.Disconnected(SERVER) << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(2, "get", id=9) >> invoke(2)
        play << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_write_that_arrived_while_the_server_was_down_is_open_on_the_new_one():
    with Playbook().begun() as play:
        play << events.Disconnected(SERVER)
        play << play.call(1, "put", id=1) >> invoke(1)
        play << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(2, "get", id=9) >> invoke(2)
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.CallReturned(1, RESULT) << play.predicted(guess("get", id=1)) >> launch("get")


@pytest.mark.parametrize("same_process", [events.Connected(SERVER, 2), events.Disconnected(SERVER, ended=False)])
def test_a_new_handshake_with_the_same_process_closes_no_write(same_process):
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1)
        play << same_process << events.Connected(SERVER, 3) << listing(TOOLS)
        play << play.call(2, "get", id=9) >> invoke(2)
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")


def test_a_write_that_became_a_task_is_open_until_the_task_has_ended():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1) << events.CallReturned(1, Outcome(Answer.TASK, task="t"))
        play << events.TaskEnded(SERVER, "another") << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.TaskEnded(SERVER, "t") << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_task_without_a_name_is_open_until_the_server_starts_anew():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1) << events.CallReturned(1, Outcome(Answer.TASK))
        play.wait(100.0) << play.predicted(guess("get", id=1)) >> skipped("conflict")


@pytest.mark.parametrize("method", ["logging/setLevel", "tasks/cancel", "vendor/anything"])
def test_a_request_that_is_not_known_to_be_pure_spoils_everything_while_it_runs(method):
    with Playbook().begun().holds("get", id=1) as play:
        play << events.RequestArrived(1, CLIENT, SERVER, method) >> invoke(1) >> ended("spoiled")
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.CallReturned(1, RESULT) << play.predicted(guess("get", id=1)) >> launch("get")


@pytest.mark.parametrize("method", ["tools/list", "ping", "resources/read", "tasks/get", "completion/complete"])
def test_a_request_that_is_known_to_be_pure_spoils_nothing(method):
    with Playbook().begun().holds("get", id=1) as play:
        play << events.RequestArrived(1, CLIENT, SERVER, method) >> invoke(1)
        play << events.CallReturned(1, RESULT) << play.call(2, "get", id=1) >> reply(2, HIT)


@pytest.mark.parametrize(
    "said",
    [
        events.ClientNotified(CLIENT, SERVER, "notifications/roots/list_changed"),
        events.ClientNotified(CLIENT, SERVER, "?"),
        events.ClientAnswered(CLIENT, SERVER, "roots/list"),
        events.ClientAnswered(CLIENT, SERVER, "elicitation/create"),
    ],
)
def test_what_a_client_says_spoils_until_the_server_can_have_acted_on_it(said):
    with Playbook().begun().holds("get", id=1) as play:
        play << said >> ended("spoiled")
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play.wait(NOTICE_SETTLE_S) << play.predicted(guess("get", id=1)) >> launch("get")


@pytest.mark.parametrize(
    "said",
    [
        events.ClientNotified(CLIENT, SERVER, "notifications/initialized"),
        events.ClientNotified(CLIENT, SERVER, "notifications/progress"),
        events.ClientAnswered(CLIENT, SERVER, "ping"),
    ],
)
def test_what_a_client_says_without_changing_anything_spoils_nothing(said):
    with Playbook().begun().holds("get", id=1) as play:
        play << said << play.call(1, "get", id=1) >> reply(1, HIT)


@pytest.mark.parametrize("what", ["resources/updated", "resources/list_changed", "prompts/list_changed"])
def test_a_server_that_tells_of_a_change_spoils_everything_of_its_own(what):
    with Playbook().begun().holds("get", id=1) as play:
        play << events.ServerNotified(SERVER, f"notifications/{what}") >> ended("spoiled")


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members", [(("tools/call", "put"),), (("tools/call", None),), (("vendor/x", None),), (("tools/call", "?"),)]
)
def test_a_batch_with_a_write_spoils_everything_of_its_server(members):
    with Playbook().begun().holds("get", id=1) as play:
        play << events.BatchArrived(1, CLIENT, SERVER, (("tools/call", "get"), *members)) >> invoke(1)
        play << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play << events.CallReturned(1, RESULT)
        play.wait(4.9) << play.predicted(guess("get", id=1)) >> skipped("conflict")
        play.wait(0.1) << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_batch_of_reads_spoils_nothing_and_is_made_for_real():
    with Playbook().begun().holds("get", id=1) as play:
        play << events.BatchArrived(1, CLIENT, SERVER, (("tools/call", "get"), ("ping", None))) >> invoke(1)
        play << play.call(2, "get", id=1) >> reply(2, HIT)


# --- several servers and sessions -------------------------------------------------------------------------------------

TWO = {
    "s": ServerPolicy("s", {"get": reading(("file:{id}",)), "put": writing(("file:{id}",))}, concurrent=True),
    "t": ServerPolicy("t", {"get": reading(("file:{id}",)), "note": writing(("note:{id}",))}, concurrent=True),
}


def test_names_are_shared_by_all_servers_and_sessions():
    with Playbook(servers=TWO).begun().begun("d", "t").holds("get", id=1) as play:
        play << play.call(1, "put", "d", "s", id=1) >> invoke(1) >> ended("spoiled")


def test_a_tool_of_which_nothing_is_known_may_write_what_its_server_shares_with_others():
    with Playbook(servers=TWO).begun().begun("d", "t").holds("get", id=1) as play:
        play << play.call(1, "note", "d", "t", id=1) >> invoke(1)
        play << play.call(2, "unheard-of", "d", "t") >> invoke(2) >> ended("spoiled")

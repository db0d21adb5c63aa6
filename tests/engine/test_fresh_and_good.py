"""Rules 7 and 8: how old a result may be, what overtakes it, and which answers are no results."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

import pytest

from spec_mcp.engine import events
from spec_mcp.engine.ageing import VALIDATION_LIMIT_S
from spec_mcp.engine.commands import Refuse
from spec_mcp.engine.effects import ToolValidator
from spec_mcp.engine.engine import JOIN_SLACK_S
from spec_mcp.engine.events import Answer, Outcome
from tests.engine.playbook import (
    CLIENT,
    ERROR,
    HIT,
    JOIN,
    LOST,
    RESULT,
    SERVER,
    TOOL_ERROR,
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


def test_a_result_is_adopted_until_it_is_too_old():
    with Playbook().begun().holds("look", id=1).holds("look", id=2) as play:
        play.wait(9.9) << play.call(1, "look", id=1) >> reply(1, HIT)
        play.wait(0.1) << play.call(2, "look", id=2) >> invoke(2)


def test_age_counts_from_the_launch():
    with Playbook().begun().launches("look", id=1) as play:
        play.wait(6.0) << play.returned()
        play.wait(4.0) << play.call(1, "look", id=1) >> invoke(1)


def test_what_changes_through_us_alone_does_not_age():
    with Playbook().begun().holds("get", id=1) as play:
        play.wait(1e6) << play.call(1, "get", id=1) >> reply(1, HIT)


def test_a_speculation_that_is_not_answered_in_time_is_given_up():
    with Playbook().begun().launches("look", id=1) as play:
        play.wait(10.0) >> ended("late")


def test_a_clock_that_jumps_back_expires_everything():
    with Playbook().begun().holds("get", id=1).launches("get", id=2) as play:
        play << play.call(1, "get", id=2)
        play.now_s -= 1.0
        play << events.Ticked() >> invoke(1)
        play << play.call(2, "get", id=1) >> invoke(2)


def test_a_clock_that_jumps_back_does_not_stop_speculation_for_the_time_it_lost():
    with Playbook().begun() as play:
        play << play.call(1, "put_late", id=1) >> invoke(1)
        play << events.CallReturned(1, Outcome(Answer.RESULT, rate_limited=True))
        play.now_s -= 1e6
        play << events.Ticked() << play.predicted(guess("get", id=1)) >> skipped("rate-limited")
        play.wait(30.0) << play.predicted(guess("get", id=1)) >> launch("get")


def test_a_clock_that_jumps_back_lets_writes_settle_anew():
    with Playbook().begun() as play:
        play << play.call(1, "put_late", id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play.wait(4.0) << events.Ticked()
        play.now_s -= 1.0
        play << events.Ticked()
        play.wait(4.9) << play.predicted(guess("get", id=1)) >> skipped("conflict")


# --- validators -------------------------------------------------------------------------------------------------------


def with_validator() -> Playbook:
    play = Playbook().begun()
    play << play.predicted(guess("cat", id=1)) >> validate()
    return play << play.validated("v1") >> launch("cat")


def test_a_validator_is_read_before_launch_and_must_hold_at_adoption():
    with with_validator() as play:
        play << play.returned() << play.call(1, "cat", id=1) >> validate(1)
        play << play.validated("v1") >> reply(1, HIT)


@pytest.mark.parametrize("value", ["v2", None])
def test_a_validator_that_no_longer_holds_makes_the_call_real(value):
    with with_validator() as play:
        play << play.returned() << play.call(1, "cat", id=1) >> validate(1)
        play << play.validated(value) >> invoke(1) >> ended("stale")


def test_a_joined_result_is_validated_when_it_has_come():
    with with_validator() as play:
        play << play.call(1, "cat", id=1) << play.returned() >> validate(1)
        play << play.validated("v1") >> reply(1, JOIN)


def test_a_write_while_the_validator_is_read_makes_the_call_real_and_first():
    with with_validator() as play:
        play << play.returned() << play.call(1, "cat", id=1) >> validate(1)
        play << play.call(2, "put", id=1) >> invoke(1) >> invoke(2)
        play << play.validated("v1")


def test_what_cannot_be_validated_is_not_launched():
    with Playbook().begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate()
        play << play.validated(None) >> ended("unvalidated")


def test_a_call_does_not_wait_long_for_a_validator():
    with with_validator() as play:
        play << play.returned() << play.call(1, "cat", id=1) >> validate(1)
        play.wait(JOIN_SLACK_S) >> invoke(1)


def test_a_validator_that_is_never_read_takes_no_place_for_ever():
    with Playbook(concurrent=False).begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate()
        play.wait(VALIDATION_LIMIT_S) >> ended("late")
        play << play.predicted(guess("get", id=1)) >> launch("get")


VERSIONED = TOOLS | {"page": reading(ttl_s=30.0, fresh=ToolValidator("get", {"id": "arguments.id"}))}


def test_a_version_that_a_tool_tells_is_read_before_the_launch_and_for_the_call():
    with Playbook(VERSIONED).begun() as play:
        play << play.predicted(guess("page", id=1)) >> validate()
        play << play.validated("v1") >> launch("page") << play.returned()
        play << play.call(1, "page", id=1) >> validate(1)
        play << play.validated("v1") >> reply(1, HIT)


def test_what_the_server_asks_while_it_is_asked_for_a_version_may_be_ours():
    with Playbook(VERSIONED).begun() as play:
        play << play.predicted(guess("page", id=1)) >> validate()
        play << events.ServerAsked(SERVER, 1, "sampling/createMessage") >> Wanted(Refuse)


# --- time never runs backwards ----------------------------------------------------------------------------------------


def test_a_result_is_overtaken_by_a_later_real_reply_about_the_same():
    with Playbook(TOOLS | {"peek": reading(ttl_s=10.0)}).begun().holds("look", id=1) as play:
        play << play.call(1, "peek", id=1) >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, RESULT) >> ended("overtaken")


def test_a_result_is_overtaken_by_a_later_adopted_one_about_the_same():
    with Playbook(TOOLS | {"peek": reading(ttl_s=10.0)}).begun().holds("look", id=1) as play:
        play.wait(1.0).holds("peek", id=1)
        play << play.call(1, "peek", id=1) >> reply(1, HIT) >> ended("overtaken")


@pytest.mark.parametrize(
    "looks",
    [
        events.RequestArrived(1, CLIENT, SERVER, "resources/read"),
        events.RequestArrived(1, CLIENT, SERVER, "tasks/result"),
        events.BatchArrived(1, CLIENT, SERVER, (("tools/call", "get"),)),
    ],
)
def test_a_result_is_overtaken_by_whatever_shows_a_later_moment(looks):
    with Playbook().begun().holds("look", id=1) as play:
        play << looks >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, RESULT) >> ended("overtaken")


def test_a_result_is_overtaken_by_a_task_that_tells_its_state():
    with Playbook().begun().holds("look", id=1) as play:
        play.wait(0.1) << events.ServerNotified(SERVER, "notifications/tasks/status") >> ended("overtaken")


@pytest.mark.parametrize("tool", ["get", "cat"])
def test_what_cannot_have_changed_unseen_is_not_overtaken(tool):
    with Playbook().begun() as play:
        play << play.predicted(guess(tool, id=1))
        if tool == "cat":
            play >> validate() << play.validated("v1")
        play >> launch(tool) << play.returned()
        play << events.RequestArrived(1, CLIENT, SERVER, "resources/read") >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, RESULT)
        assert play.held == 1


def test_a_call_equal_to_one_already_answered_is_a_poll():
    with Playbook().begun() as play:
        play << play.call(1, "look", id=1) >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("look", id=1)) >> skipped("poll")
        play << play.call(2, "put", id=1) >> invoke(2)
        play.wait(0.1) << events.CallReturned(2, RESULT)
        play << play.predicted(guess("look", id=1)) >> launch("look")


def test_a_call_equal_to_an_adopted_one_is_a_poll():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> reply(1, HIT)
        play << play.predicted(guess("get", id=1)) >> skipped("poll")


def test_what_has_a_validator_may_be_polled():
    with Playbook().begun() as play:
        play << play.call(1, "cat", id=1) >> invoke(1)
        play.wait(0.1) << events.CallReturned(1, RESULT)
        play << play.predicted(guess("cat", id=1)) >> validate()


def test_an_answer_that_came_while_a_write_was_open_is_no_poll_afterwards():
    with Playbook().begun() as play:
        play << play.call(1, "look", id=1) >> invoke(1) << play.call(2, "put", id=1) >> invoke(2)
        play << events.CallReturned(1, RESULT)
        play.wait(0.1) << events.CallReturned(2, RESULT)
        play << play.predicted(guess("look", id=1)) >> launch("look")


# --- good -------------------------------------------------------------------------------------------------------------

BAD = [*(Outcome(answer, 10) for answer in Answer if answer is not Answer.RESULT), LOST]


@pytest.mark.parametrize("outcome", BAD, ids=lambda outcome: outcome.answer)
def test_what_is_no_result_is_discarded_and_the_call_made_for_real(outcome):
    with Playbook().begun().launches("get", id=1) as play:
        play << play.returned(outcome) << play.call(1, "get", id=1) >> invoke(1)


@pytest.mark.parametrize("outcome", BAD, ids=lambda outcome: outcome.answer)
def test_a_call_that_waits_for_what_is_no_result_is_made_for_real(outcome):
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << play.returned(outcome) >> invoke(1)


def test_an_error_of_the_tool_is_an_answer_where_the_manifest_says_so():
    with Playbook({"get": reading(adopt_errors=True)}).begun() as play:
        play.launches("get", id=1) << play.returned(TOOL_ERROR) << play.call(1, "get", id=1) >> reply(1, HIT)
        play.launches("get", id=2) << play.returned(ERROR) << play.call(2, "get", id=2) >> invoke(2)

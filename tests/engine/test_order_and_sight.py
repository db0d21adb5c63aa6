"""Rules 9 to 11 and 18: joins, order, cancellation, prompts, log messages, shadow mode."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.engine import JOIN_SLACK_S
from spec_mcp.engine.events import Answer, Mode, Outcome
from spec_mcp.engine.servers import SILENCE_S
from tests.engine.playbook import (
    CLIENT,
    HIT,
    JOIN,
    LOST,
    MISS,
    RESULT,
    SERVER,
    Playbook,
    Wanted,
    ended,
    forward_cancellation,
    guess,
    invoke,
    launch,
    reply,
    skipped,
    validate,
)

REFUSE, PASS_ON, WITHHOLD = Wanted(do.Refuse), Wanted(do.PassOn), Wanted(do.Withhold)
COMPARE, KEEP = Wanted(do.Compare), Wanted(do.Keep)


# --- rule 9 -----------------------------------------------------------------------------------------------------------


def test_a_call_joins_its_running_speculation_and_is_spared_the_head_start():
    with Playbook().begun().launches("get", id=1) as play:
        play.wait(0.3) << play.call(1, "get", id=1)
        play.wait(0.2) << play.returned() >> reply(1, JOIN, saved_s=pytest.approx(0.3))


def test_a_join_waits_no_longer_than_a_learned_bound():
    play = Playbook().begun().launches("get", id=1)
    play.takes("get", 1.0)
    with play:
        play << play.call(1, "get", id=1)
        play.wait(1.9)
        play.wait(0.1) >> invoke(1) >> ended("late")
        play << play.returned()


def test_a_join_of_a_quick_tool_waits_a_little_longer_than_the_tool_takes():
    play = Playbook().begun().launches("get", id=1)
    play.takes("get", 0.01)
    with play:
        play << play.call(1, "get", id=1)
        play.wait(JOIN_SLACK_S)
        play.wait(0.01) >> invoke(1)


def test_joined_reads_go_out_before_a_conflicting_write_and_in_the_clients_order():
    with Playbook().begun().launches("get", id=1).launches("look", id=1) as play:
        play << play.call(1, "look", id=1) << play.call(2, "get", id=1)
        play << play.call(3, "put", id=1) >> invoke(1) >> invoke(2) >> invoke(3)


def test_joined_reads_wait_on_where_a_write_does_not_touch_them():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << play.call(2, "put", id=2) >> invoke(2)
        play << play.returned() >> reply(1, JOIN)


# --- rule 10 ----------------------------------------------------------------------------------------------------------


def test_cancelling_a_joined_call_ends_the_join_and_is_not_forwarded():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << events.CallCancelled(1) >> ended("cancelled")
        play << play.returned()


def test_cancelling_a_call_that_waits_for_a_validator_is_not_forwarded():
    with Playbook().begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate() << play.validated("v1") >> launch("cat")
        play << play.returned() << play.call(1, "cat", id=1) >> validate(1)
        play << events.CallCancelled(1)
        play << play.validated("v1")


def test_cancelling_a_call_that_its_server_has_seen_is_forwarded_once():
    with Playbook().begun() as play:
        play << play.call(1, "get", id=1) >> invoke(1)
        play << events.CallCancelled(1) >> forward_cancellation(1) << events.CallCancelled(1)
        play << events.CallReturned(1, RESULT)


def test_cancelling_a_call_that_fell_back_from_a_join_is_forwarded():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << play.returned(Outcome(Answer.ERROR)) >> invoke(1)
        play << events.CallCancelled(1) >> forward_cancellation(1)


# --- rule 11 ----------------------------------------------------------------------------------------------------------


def asks(number: int = 7, method: str = "sampling/createMessage") -> events.ServerAsked:
    return events.ServerAsked(SERVER, number, method)


LOG = events.ServerNotified(SERVER, "notifications/message")


def test_a_prompt_that_only_a_speculation_can_have_caused_is_refused():
    with Playbook().begun().launches("get", id=1) as play:
        play << asks() >> REFUSE >> ended("prompted")
        play << play.predicted(guess("look", id=1)) >> skipped("demoted")


def test_a_prompt_of_a_joined_speculation_is_refused_and_comes_again_for_the_call():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << asks() >> REFUSE >> ended("prompted")
        play << play.returned(Outcome(Answer.ERROR)) >> invoke(1)
        play << asks(8) >> PASS_ON


def test_a_call_waits_for_a_speculation_that_may_prompt_after_another_did():
    with Playbook().begun().launches("get", id=1).launches("look", id=2) as play:
        play << asks() >> REFUSE >> ended("prompted") >> ended("prompted")
        play << play.returned(Outcome(Answer.ERROR), 0)
        play << play.call(1, "put", id=1) << asks(8) >> REFUSE
        play << play.returned(Outcome(Answer.ERROR), 1) >> invoke(1)
        play << asks(9) >> PASS_ON


def test_a_call_waits_no_longer_than_its_bound_for_a_speculation_that_never_answers():
    with Playbook().begun().launches("get", id=1) as play:
        play << asks() >> REFUSE >> ended("prompted")
        play << play.call(1, "put", id=1) << play.call(2, "look", id=2)
        play.wait(SILENCE_S) >> invoke(1) >> invoke(2)


def test_a_call_that_waits_and_is_cancelled_goes_out_first_as_it_would_have():
    with Playbook().begun().launches("get", id=1) as play:
        play << asks() >> REFUSE >> ended("prompted")
        play << play.call(1, "put", id=1) << events.CallCancelled(1) >> invoke(1) >> forward_cancellation(1)
        play << play.returned(Outcome(Answer.ERROR))


def test_a_prompt_that_a_call_may_have_caused_is_passed_on_and_ends_speculation_there():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "put", id=2) >> invoke(1)
        play << asks() >> PASS_ON >> ended("prompted")
        play << play.predicted(guess("look", id=1)) >> skipped("demoted")


def test_a_prompt_that_a_cancelled_call_may_have_caused_is_passed_on():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "look", id=2) >> invoke(1) << events.CallCancelled(1) >> forward_cancellation(1)
        play << asks() >> PASS_ON


def test_a_prompt_that_a_task_may_have_caused_is_passed_on():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=2) >> invoke(1) << events.CallReturned(1, Outcome(Answer.TASK, task="t"))
        play.launches("get", id=1) << asks() >> PASS_ON


@pytest.mark.parametrize("method", ["ping", "roots/list"])
def test_what_no_person_would_see_is_always_passed_on(method):
    with Playbook().begun().launches("get", id=1) as play:
        play << asks(method=method) >> PASS_ON
        assert play.held == 1


def test_a_prompt_without_any_speculation_is_passed_on_and_changes_nothing():
    with Playbook().begun().holds("get", id=1) as play:
        play << asks() >> PASS_ON << play.call(1, "get", id=1) >> reply(1, HIT)


def test_a_prompt_of_a_spoiled_speculation_that_still_runs_is_refused():
    with Playbook().begun().launches("get", id=1) as play:
        play << events.ServerNotified(SERVER, "notifications/resources/updated") >> ended("spoiled")
        play << asks() >> REFUSE


def test_a_log_message_that_only_a_speculation_can_have_caused_is_withheld():
    with Playbook().begun().launches("get", id=1) as play:
        play << LOG >> WITHHOLD >> ended("prompted")
        play << play.predicted(guess("look", id=1)) >> skipped("demoted")


def test_a_log_message_that_a_call_may_have_caused_goes_through_and_ends_speculation_there():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "put", id=2) >> invoke(1) << LOG >> ended("prompted")
        play << play.predicted(guess("look", id=1)) >> skipped("demoted")


def test_a_log_message_without_any_speculation_goes_through_and_changes_nothing():
    with Playbook().begun().holds("get", id=1) as play:
        play << LOG << play.call(1, "get", id=1) >> reply(1, HIT)


def test_a_listening_stream_is_no_call_that_could_have_caused_a_prompt():
    with Playbook().begun() as play:
        play << events.RequestArrived(1, CLIENT, SERVER, "subscriptions/listen") >> invoke(1)
        play.launches("get", id=1) << asks() >> REFUSE


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_client_that_leaves_ends_its_speculations_but_not_the_calls_of_others():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", "d", id=1)
        play << events.SessionClosed(CLIENT) >> invoke(1) >> ended("session-ended")


def test_a_client_that_leaves_while_it_waits_for_the_speculation_of_another_ends_that_one():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", "d", id=1)
        play << events.SessionClosed("d") >> ended("session-ended")
        play << play.returned() << play.call(2, "get", id=1) >> invoke(2)


def test_an_answer_for_a_client_that_left_brings_it_not_back():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1) << events.SessionClosed(CLIENT)
        play << events.CallReturned(1, RESULT)
        assert not play.engine.world.sessions
        assert not any(isinstance(command, do.Predict) for command in play.record)


def test_a_call_is_reported_once_with_the_way_it_was_answered():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> reply(1, HIT) >> Wanted(do.CallSettled, {"call": 1, "how": HIT})
        play << play.call(2, "put", id=1) >> invoke(2) << events.CallReturned(2, RESULT)
        play >> Wanted(do.CallSettled, {"call": 2, "how": MISS})


# --- shadow mode ------------------------------------------------------------------------------------------------------


def shadow() -> Playbook:
    return Playbook(mode=Mode.SHADOW).begun()


def test_in_shadow_mode_the_call_is_always_made_and_the_results_are_compared():
    with shadow().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << events.CallReturned(1, RESULT) >> COMPARE >> ended("compared")


def test_in_shadow_mode_a_speculation_that_is_slower_than_the_call_is_compared_when_it_comes():
    with shadow().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << events.CallReturned(1, RESULT) << play.returned() >> COMPARE


def test_a_write_in_between_makes_the_comparison_void():
    with shadow().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << play.call(2, "put", id=1) >> invoke(2) >> ended("spoiled") << events.CallReturned(1, RESULT)


def test_a_lost_answer_is_not_compared():
    with shadow().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << events.CallReturned(1, LOST) >> ended("disconnected")


def test_a_cancelled_call_is_not_compared_and_its_speculation_not_kept():
    with shadow().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP
        play << events.CallCancelled(1) >> forward_cancellation(1) >> ended("cancelled")
        assert play.held == 0


@pytest.mark.parametrize(("value", "counts"), [("v1", True), ("v2", False), (None, False)])
def test_in_shadow_mode_a_validator_decides_whether_the_comparison_counts(value, counts):
    with shadow() as play:
        play << play.predicted(guess("cat", id=1)) >> validate() << play.validated("v1") >> launch("cat")
        play << play.returned() << play.call(1, "cat", id=1) >> invoke(1) >> KEEP
        play << events.CallReturned(1, RESULT) >> validate(1) << play.validated(value)
        if counts:
            play >> COMPARE >> ended("compared")
        else:
            play >> ended("stale")


def test_in_shadow_mode_the_validator_is_read_when_both_answers_are_there():
    with shadow() as play:
        play << play.predicted(guess("cat", id=1)) >> validate() << play.validated("v1") >> launch("cat")
        play << play.call(1, "cat", id=1) >> invoke(1) >> KEEP << events.CallReturned(1, RESULT)
        play << play.returned() >> validate(1) << play.validated("v1") >> COMPARE


def test_one_speculation_is_compared_with_one_call():
    with shadow().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1) >> KEEP << play.call(2, "get", id=1) >> invoke(2)


def test_switched_from_shadow_to_on_a_held_result_may_answer():
    with shadow().holds("get", id=1) as play:
        play << events.ModeSet(Mode.ON) << play.call(1, "get", id=1) >> reply(1, HIT)

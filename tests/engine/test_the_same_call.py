"""Rule 5: which call a result may answer, and how often."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

import pytest

from spec_mcp.engine import events
from spec_mcp.engine.calls import Equivalence
from spec_mcp.engine.policy import Settings
from tests.engine.playbook import (
    HIT,
    JOIN,
    RESULT,
    SERVER,
    TOOLS,
    Playbook,
    ended,
    guess,
    invoke,
    launch,
    listing,
    reading,
    reply,
    skipped,
    validate,
)


@pytest.mark.parametrize(
    "members",
    [{"principal": "you"}, {"meta": {"locale": "de"}}, {"protocol": "q"}],
    ids=["principal", "_meta", "protocol"],
)
def test_a_call_of_another_kind_gets_its_own_answer(members):
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call_as(1, "get", {"id": 1}, **members) >> invoke(1)


@pytest.mark.parametrize("other", [1.0, True, "1", None, [1], {"": 1}])
def test_arguments_of_another_type_are_another_call(other):
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=other) >> invoke(1)


def test_a_default_that_is_spelt_out_is_another_call():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1, full=False) >> invoke(1)


def test_an_equivalence_of_the_manifest_widens_what_is_the_same():
    equal = {"id": (Equivalence.CASEFOLD,), "note": (Equivalence.IGNORE,)}
    with Playbook({"get": reading(equal=equal)}).begun().holds("get", id="A", note="x") as play:
        play << play.call(1, "get", id="a") >> reply(1, HIT)


def test_a_call_without_a_key_matches_nothing():
    with Playbook().begun().holds("get", id=1) as play:
        play << events.CallArrived(1, "c", SERVER, "get", {"id": 1}, None) >> invoke(1)


def test_a_guess_that_no_call_could_equal_is_not_made():
    with Playbook().begun() as play:
        play << play.predicted(guess("get", id=2**60)) >> skipped("unmatchable")


def test_before_a_first_call_it_is_unknown_what_calls_look_like():
    with Playbook() as play:
        play.engine.world.session("c")
        play << play.predicted(guess("get", id=1)) >> skipped("unmatchable")


def test_after_a_new_handshake_it_is_unknown_what_calls_look_like():
    with Playbook().begun() as play:
        play << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.predicted(guess("get", id=1)) >> skipped("unmatchable")


def test_one_result_answers_one_call():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> reply(1, HIT)
        play << play.call(2, "get", id=1) >> invoke(2)


def test_while_one_call_waits_for_a_speculation_an_equal_one_is_made_for_real():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1)
        play << play.call(2, "get", id=1) >> invoke(2)
        play << play.returned() >> reply(1, JOIN)


def test_another_session_of_the_same_principal_may_use_the_result():
    with Playbook().begun().holds("get", id=1) as play:
        play << play.call(1, "get", "d", id=1) >> reply(1, HIT)


def test_without_joins_a_call_is_made_while_its_speculation_runs():
    with Playbook(settings=Settings(wasted_call_s=0.01, join=False)).begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) >> invoke(1)


def test_a_call_that_comes_while_the_validator_is_read_is_made_and_the_launch_is_not():
    with Playbook().begun() as play:
        play << play.predicted(guess("cat", id=1)) >> validate()
        play << play.call(1, "cat", id=1) >> invoke(1)
        play << play.validated("v1") >> ended("known")


# --- reuse ------------------------------------------------------------------------------------------------------------

REUSED = {"get": reading(reuse_s=20.0), "look": reading(ttl_s=10.0, reuse_s=20.0), "put": TOOLS["put"]}


def test_a_result_answers_again_where_the_manifest_says_so_and_for_so_long():
    with Playbook(REUSED).begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> reply(1, HIT)
        play << play.call(2, "get", id=1) >> reply(2, HIT)
        play.wait(20.0) << play.call(3, "get", id=1) >> invoke(3)


def test_a_joined_result_answers_again_after_the_join_would_have_ended():
    with Playbook(REUSED).begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << play.returned() >> reply(1, JOIN)
        play.wait(5.0) << play.call(2, "get", id=1) >> reply(2, HIT)


def test_a_reused_result_is_never_older_than_its_tool_allows():
    with Playbook(REUSED).begun().holds("look", id=1) as play:
        play << play.call(1, "look", id=1) >> reply(1, HIT)
        play.wait(10.0) << play.call(2, "look", id=1) >> invoke(2)


def test_a_reused_result_is_spoiled_by_a_write():
    with Playbook(REUSED).begun().holds("get", id=1) as play:
        play << play.call(1, "get", id=1) >> reply(1, HIT)
        play << play.call(2, "put", id=1) >> invoke(2) << events.CallReturned(2, RESULT)
        play << play.call(3, "get", id=1) >> invoke(3)


def test_a_reused_result_is_overtaken_by_a_later_real_reply():
    with Playbook(REUSED | {"peek": reading(ttl_s=10.0)}).begun().holds("look", id=1) as play:
        play << play.call(1, "look", id=1) >> reply(1, HIT)
        play << play.call(2, "peek", id=1) >> invoke(2)
        play.wait(0.1) << events.CallReturned(2, RESULT)
        play << play.call(3, "look", id=1) >> invoke(3)


# --- the connection ---------------------------------------------------------------------------------------------------


def test_nothing_crosses_a_restart():
    with Playbook().begun().holds("get", id=1).launches("get", id=2) as play:
        play << play.call(1, "get", id=2)
        play << events.Disconnected(SERVER) >> invoke(1)
        play << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.call(2, "get", id=1) >> invoke(2)


def test_nothing_crosses_a_new_handshake_with_the_same_process():
    with Playbook().begun().holds("get", id=1).launches("get", id=2) as play:
        play << events.Connected(SERVER, 2) << listing(TOOLS)
        play << play.returned()  # the old connection's answer comes late
        play << play.call(1, "get", id=1) >> invoke(1)
        play << play.call(2, "get", id=2) >> invoke(2)


def test_a_result_that_comes_after_its_speculation_was_spoiled_is_not_brought_back():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "put", id=1) >> invoke(1) << events.CallReturned(1, RESULT)
        play << play.returned()
        play << play.call(2, "get", id=1) >> invoke(2)


def test_a_second_answer_to_the_same_speculation_is_ignored():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.returned() << play.returned()
        play << play.call(1, "get", id=1) >> reply(1, HIT) << play.returned()


def test_an_answer_to_a_call_that_its_server_never_saw_is_ignored():
    with Playbook().begun().launches("get", id=1) as play:
        play << play.call(1, "get", id=1) << events.CallReturned(1, RESULT)
        play << play.returned() >> reply(1, JOIN)


def test_a_second_answer_to_the_same_call_is_ignored():
    with Playbook().begun() as play:
        play << play.call(1, "put", id=1) >> invoke(1)
        play << events.CallReturned(1, RESULT) << events.CallReturned(1, RESULT)
        play.wait(0.1) << play.predicted(guess("get", id=1)) >> launch("get")

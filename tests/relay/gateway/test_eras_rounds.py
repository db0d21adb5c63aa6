"""A handshake server asks a stateless client, as transcripts."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.relay.gateway.eras import words
from tests.relay.gateway.eras_rig import (
    ASK,
    GIVEN,
    META,
    asks,
    calls,
    returns,
    says,
    server_asks,
    stateless_client,
    tells,
    with_meta,
)


def test_a_question_is_the_answer_to_the_request_and_its_answer_comes_with_the_retry() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    (question,) = rig.server(server_asks(99)).to_client
    assert question["id"] == 1
    assert question["result"]["resultType"] == "input_required"
    assert list(question["result"]["inputRequests"].values()) == [ASK]
    rig.client(returns(2, question))
    assert rig.to_server == [says(99, GIVEN)]
    assert rig.to_client == []
    (answer,) = rig.server(says(ours, {"content": []})).to_client
    assert answer == says(2, {"resultType": "complete", "content": []})


def test_there_may_be_many_rounds() -> None:
    rig = stateless_client().client(calls(0))
    ours = rig.last_id
    for number in range(1, 30):
        (question,) = rig.server(server_asks(100 + number)).to_client
        assert question["id"] == number - 1
        assert rig.client(returns(number, question)).to_server == [says(100 + number, GIVEN)]
    assert rig.server(says(ours)).to_client[0]["id"] == 29


def test_questions_asked_at_once_follow_one_another() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    (first,) = rig.server(server_asks(91), server_asks(92), server_asks(93)).to_client
    rig.client(returns(2, first))
    assert rig.to_server == [says(91, GIVEN)]
    (second,) = rig.to_client
    assert second["id"] == 2
    assert len(second["result"]["inputRequests"]) == 2
    assert rig.client(returns(3, second)).to_server == [says(92, GIVEN), says(93, GIVEN)]
    assert rig.server(says(ours)).to_client[0]["id"] == 3


def test_what_was_not_given_is_asked_again() -> None:
    rig = stateless_client().client(calls(1))
    (question,) = rig.server(server_asks(99)).to_client
    (again,) = rig.client(returns(2, question, given=None)).to_client
    assert again["id"] == 2
    assert again["result"]["inputRequests"] == question["result"]["inputRequests"]
    assert rig.client(returns(3, again)).to_server == [says(99, GIVEN)]


def test_an_answer_that_came_while_the_client_was_away_waits_for_it() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    (question,) = rig.server(server_asks(99)).to_client
    assert rig.server(says(ours, {"content": ["late"]})).to_client == []
    (answer,) = rig.client(returns(2, question)).to_client
    assert answer == says(2, {"resultType": "complete", "content": ["late"]})


def test_a_state_is_good_once_and_for_its_own_request_alone() -> None:
    rig = stateless_client().client(calls(1, a=1))
    (question,) = rig.server(server_asks(99)).to_client
    for wrong in (calls(0, a=2), calls(0, a=1.0), calls(0, a=True), calls(0, "other", a=1), calls(0)):
        (refusal,) = rig.client(returns(2, question, call=wrong)).to_client
        assert refusal["id"] == 2
        assert refusal["error"]["code"] == -32602
    forged = {**question, "result": {**question["result"], "requestState": "ours-1"}}
    assert "error" in rig.client(returns(3, forged, call=calls(0, a=1))).to_client[0]
    assert rig.client(returns(4, question, call=calls(0, a=1))).to_server == [says(99, GIVEN)]
    assert "error" in rig.client(returns(5, question, call=calls(0, a=1))).to_client[0]


def test_a_client_may_write_its_arguments_in_another_order() -> None:
    rig = stateless_client().client(calls(1, a=1, b=[{"c": 1, "d": 2}]))
    (question,) = rig.server(server_asks(99)).to_client
    again = returns(2, question, call=calls(0, b=[{"d": 2, "c": 1}], a=1))
    assert rig.client(again).to_server == [says(99, GIVEN)]


@pytest.mark.parametrize(
    ("what", "capabilities"),
    [
        (ASK, {"sampling": {}, "roots": {}}),
        (ASK, {"elicitation": {"url": {}}}),
        ({"method": "elicitation/create", "params": {"mode": "url", "url": "x:y"}}, {"elicitation": {}}),
        ({"method": "sampling/createMessage", "params": {"messages": []}}, {"elicitation": {}}),
        ({"method": "sampling/createMessage", "params": {"tools": []}}, {"sampling": {}}),
        ({"method": "roots/list"}, {}),
    ],
)
def test_what_the_client_does_not_support_is_refused_as_the_sdk_does_it(what: Any, capabilities: Any) -> None:
    meta = with_meta(**{"io.modelcontextprotocol/clientCapabilities": capabilities})
    rig = stateless_client(meta=meta).client(calls(1, meta=meta))
    rig.server(server_asks(99, what))
    assert rig.to_client == []
    assert rig.to_server[0]["id"] == 99
    assert rig.to_server[0]["error"]["code"] == -32600


def test_a_question_that_belongs_to_no_request_is_refused() -> None:
    rig = stateless_client().server(server_asks(99))
    assert rig.to_server[0]["error"]["code"] == -32600
    rig.client(asks(1, "tools/list", META))
    assert rig.server(server_asks(98)).to_server[0]["error"]["code"] == -32600


EARLY = {"method": "roots/list"}
ROOTS = {"roots": []}


def test_roots_that_are_asked_for_at_first_are_asked_of_the_client_with_its_first_call() -> None:
    rig = stateless_client().server(server_asks(99, EARLY))
    assert (rig.to_server, rig.to_client) == ([], [])
    rig.client(asks(1, "tools/list", META))
    assert len(rig.to_server) == 1
    rig.client(calls(2))
    assert rig.to_server == []  # it waits for what the server wanted to know before
    (question,) = rig.to_client
    assert list(question["result"]["inputRequests"].values()) == [EARLY]
    assert rig.client(returns(3, question, given=ROOTS)).to_server == [says(99, ROOTS)]
    assert rig.translator.wakes_at_s == words.EARLY_PAUSE_S
    (call,) = rig.waits(words.EARLY_PAUSE_S).to_server  # the server has had a moment
    assert call["method"] == "tools/call"
    assert rig.server(says(call["id"])).to_client[0]["id"] == 3
    assert len(rig.client(calls(4)).to_server) == 1


def test_calls_that_come_before_the_roots_are_known_all_carry_the_question_and_the_first_answer_counts() -> None:
    rig = stateless_client().server(server_asks(99, EARLY)).client(calls(1, "first"), calls(2, "second"), calls(3))
    first, second, third = rig.to_client
    assert rig.client(returns(4, second, {"roots": [2]}, calls(0, "second"))).to_server == [says(99, {"roots": [2]})]
    rig.client(returns(5, first, {"roots": [1]}, calls(0, "first")))
    rig.client(returns(6, third, given=None), calls(7, "late"), asks(8, "tools/list", META))
    assert [one["method"] for one in rig.to_server] == ["tools/list"]
    sent = rig.waits(words.EARLY_PAUSE_S).to_server
    assert [one["params"]["name"] for one in sent] == ["second", "first", "tool", "late"]


@pytest.mark.parametrize("how", ["just met", "again"])
def test_a_server_that_was_greeted_just_now_may_ask_before_it_gets_a_call(how: str) -> None:
    rig = stateless_client(just_met=how == "just met")
    if how == "again":
        rig.lost().connected()
    rig.client(calls(1), calls(2), asks(3, "tools/list", META))
    assert [one["method"] for one in rig.to_server] == ["tools/list"]
    rig.client(tells("notifications/cancelled", requestId=2))
    (question,) = rig.server(server_asks(99, EARLY)).to_client
    assert question["id"] == 1
    rig.client(returns(4, question, given=ROOTS))
    assert [one["method"] for one in rig.waits(words.EARLY_PAUSE_S).to_server] == ["tools/call"]


def test_a_server_that_does_not_ask_gets_its_calls_after_a_moment() -> None:
    rig = stateless_client(just_met=True).client(calls(1))
    assert rig.to_server == []
    assert len(rig.waits(words.EARLY_PAUSE_S).to_server) == 1
    assert len(rig.client(calls(2)).to_server) == 1
    meta = with_meta(**{"io.modelcontextprotocol/clientCapabilities": {}})
    assert len(stateless_client(meta=meta, just_met=True).client(calls(1, meta=meta)).to_server) == 1


def test_a_call_that_is_cancelled_in_the_pause_never_reaches_the_server() -> None:
    rig = stateless_client().server(server_asks(99, EARLY)).client(calls(1))
    rig.client(returns(2, rig.to_client[0], given=ROOTS))
    assert rig.client(tells("notifications/cancelled", requestId=2)).to_server == []
    assert rig.waits(words.EARLY_PAUSE_S).to_server == []
    assert rig.translator.wakes_at_s is None


def test_a_client_that_never_comes_back_leaves_the_roots_to_another() -> None:
    rig = stateless_client().server(server_asks(99, EARLY)).client(calls(1))
    (question,) = rig.to_client
    rig.waits(words.EARLY_WAIT_S)
    assert [one["id"] for one in rig.to_server] == [99]
    assert rig.waits(words.INPUT_WAIT_S).to_server == []  # neither an answer nor a call that it had never seen
    assert "error" in rig.client(returns(2, question, given=ROOTS)).to_client[0]


def test_roots_are_not_waited_for_longer_than_a_server_waits() -> None:
    rig = stateless_client().server(server_asks(99, EARLY))
    assert rig.translator.wakes_at_s == words.EARLY_WAIT_S
    (question,) = rig.client(calls(1)).to_client
    assert rig.waits(words.EARLY_WAIT_S).to_server[0]["error"]["code"] == -32001
    (call,) = rig.client(returns(2, question, given=ROOTS), calls(3)).to_server[:1]
    assert call["method"] == "tools/call"
    assert rig.to_client == []


def test_no_more_early_questions_are_kept_than_a_server_has_sense_for() -> None:
    rig = stateless_client().server(*(server_asks(number, EARLY) for number in range(words.EARLY_MAX + 1)))
    assert [one["id"] for one in rig.to_server] == [0]
    rig.server(tells("notifications/cancelled", requestId=1)).client(calls("c"))
    assert len(rig.to_client[0]["result"]["inputRequests"]) == words.EARLY_MAX - 1


def test_of_several_requests_the_newest_tool_call_is_asked_and_a_wrong_guess_does_no_harm() -> None:
    rig = stateless_client().client(calls(1, "first"), calls(2, "second"), asks(3, "prompts/get", META, name="p"))
    first, second, prompt = (request["id"] for request in rig.to_server)
    (question,) = rig.server(server_asks(99)).to_client  # the first asked, in truth
    assert question["id"] == 2
    assert rig.client(returns(4, question, call=calls(0, "second"))).to_server == [says(99, GIVEN)]
    for ours, client_id in ((first, 1), (prompt, 3), (second, 4)):
        (answer,) = rig.server(says(ours, {"content": [ours]})).to_client
        assert (answer["id"], answer["result"]["content"]) == (client_id, [ours])


def test_requests_whose_clients_wait_are_asked_before_those_that_are_held() -> None:
    rig = stateless_client().client(calls(1, "first"), calls(2, "second"))
    assert [one["id"] for one in rig.server(server_asks(91), server_asks(92)).to_client] == [2, 1]


def test_a_question_to_a_request_that_is_over_goes_to_another() -> None:
    rig = stateless_client().client(calls(1, "first"), calls(2, "second"))
    second = rig.last_id
    rig.server(server_asks(91), server_asks(92))
    asked_second, asked_first = rig.to_client
    rig.server(server_asks(93))  # for the second, once its client is back
    rig.server(says(second))
    rig.client(returns(3, asked_first, call=calls(0, "first")))
    assert rig.to_server == [says(92, GIVEN)]
    rig.client(returns(4, asked_second, call=calls(0, "second")))
    assert rig.to_server == [says(91, GIVEN)]
    answer, question = rig.to_client
    assert answer == says(4, {"resultType": "complete"})
    assert question["id"] == 3
    assert rig.client(returns(5, question, call=calls(0, "first"))).to_server == [says(93, GIVEN)]


def test_a_client_that_does_not_come_back_is_given_up() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    (question,) = rig.server(server_asks(99), server_asks(98)).to_client
    assert rig.translator.wakes_at_s == words.INPUT_WAIT_S
    assert rig.waits(words.INPUT_WAIT_S - 1).to_server == []
    cancelled, cancellation, second = rig.waits(1).to_server
    assert cancelled == says(99, {"action": "cancel"})
    assert cancellation["params"]["requestId"] == ours
    assert second["error"]["code"] == -32600
    assert "error" in rig.client(returns(2, question)).to_client[0]
    assert rig.server(says(ours)).to_client == []
    assert rig.translator.wakes_at_s is None


def test_the_longest_held_is_given_up_when_too_many_are() -> None:
    rig = stateless_client()
    for number in range(words.HELD_MAX + 1):
        rig.client(calls(number)).server(server_asks(f"q{number}"))
    assert says("q0", {"action": "cancel"}) in rig.to_server


def test_a_server_that_asks_too_much_is_refused() -> None:
    rig = stateless_client().client(calls(1))
    rig.server(*(server_asks(number) for number in range(words.PROMPTS_MAX + 1)))
    assert [one["id"] for one in rig.to_server] == [words.PROMPTS_MAX]
    assert "error" in rig.to_server[0]


def test_a_question_that_the_server_withdraws_is_not_answered() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    (question,) = rig.server(server_asks(91), server_asks(92)).to_client
    rig.server(tells("notifications/cancelled", requestId=91), tells("notifications/cancelled", requestId=92))
    assert rig.client(returns(2, question)).to_server == []
    assert rig.to_client == []
    assert rig.server(says(ours)).to_client[0]["id"] == 2


def test_addresses_that_must_be_visited_first_are_asked_for_and_the_request_made_again() -> None:
    visit = {"mode": "url", "message": "log in", "url": "https://x", "elicitationId": "e1"}
    rig = stateless_client().client(calls(1, meta=with_meta(progressToken="t"), a=1))
    first = rig.to_server[0]
    refusal = says(first["id"], code=-32042, message="visit", data={"elicitations": [visit]})
    (question,) = rig.server(refusal).to_client
    assert list(question["result"]["inputRequests"].values()) == [{"method": "elicitation/create", "params": visit}]
    (again,) = rig.client(returns(2, question, {"action": "accept"}, calls(0, a=1))).to_server
    assert again["id"] != first["id"]
    assert (again["method"], again["params"]) == (first["method"], first["params"])
    assert rig.server(says(first["id"])).to_client == []
    assert rig.server(says(again["id"])).to_client == [says(2, {"resultType": "complete"})]


def test_an_address_that_is_not_visited_ends_the_request() -> None:
    visit = {"mode": "url", "message": "log in", "url": "https://x", "elicitationId": "e1"}
    rig = stateless_client().client(calls(1))
    (question,) = rig.server(says(rig.last_id, code=-32042, message="", data={"elicitations": [visit]})).to_client
    rig.client(returns(2, question, {"action": "decline"}))
    assert rig.to_server == []
    assert rig.to_client[0]["error"]["code"] == -32600


def test_a_client_that_visits_no_addresses_is_told_what_it_lacks() -> None:
    meta = with_meta(**{"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}})
    rig = stateless_client().client(calls(1, meta=meta))
    data = {"elicitations": [{"mode": "url", "url": "https://x"}]}
    (answer,) = rig.server(says(rig.last_id, code=-32042, message="", data=data)).to_client
    assert answer["error"]["code"] == -32021
    assert answer["error"]["data"] == {"requiredCapabilities": {"elicitation": {"url": {}}}}


def test_a_request_that_had_not_gone_out_goes_to_the_next_connection() -> None:
    rig = stateless_client().server(server_asks(99, EARLY)).client(calls(1))
    (question,) = rig.to_client
    assert rig.lost().to_client == []
    (call,) = rig.client(returns(2, question, given={"roots": []})).to_server
    assert call["method"] == "tools/call"

"""A handshake client in front of a stateless server, as transcripts."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.relay.gateway.eras import words
from tests.relay.gateway.eras_rig import (
    ASK,
    CLIENT,
    EVERYTHING,
    GIVEN,
    INITIALIZE,
    LOST,
    META,
    asks,
    quiet,
    raw,
    says,
    tells,
)

ROOTS = {"method": "roots/list"}
SAMPLING = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}


def calls(id: object, tool: str = "tool", meta: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:  # noqa: A002
    return asks(id, "tools/call", meta, name=tool, arguments=arguments)


def needs(id: object, state: str | None = "s", **requests: Any) -> dict[str, Any]:  # noqa: A002
    """The server needs input."""
    result: dict[str, Any] = {"resultType": "input_required"}
    if requests:
        result["inputRequests"] = requests
    if state is not None:
        result["requestState"] = state
    return says(id, result)


# --- plain requests -------------------------------------------------------------------------------------------------


def test_each_request_says_who_asks() -> None:
    rig = quiet().client(calls(7, meta={"progressToken": "t", "io.modelcontextprotocol/protocolVersion": "9"}, a=1))
    (request,) = rig.to_server
    assert request["params"] == {"name": "tool", "arguments": {"a": 1}, "_meta": {**META, "progressToken": "t"}}
    assert request["id"] != 7


def test_a_handshake_is_answered_and_says_who_the_client_is() -> None:
    other: dict[str, Any] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tasks": {}},
        "clientInfo": {**CLIENT, "name": "x"},
    }
    rig = quiet(EVERYTHING).client(asks("hello", "initialize", **other))
    assert rig.to_server == []
    assert rig.to_client == [
        says(
            "hello",
            {
                "protocolVersion": "2025-06-18",
                "capabilities": EVERYTHING,
                "serverInfo": {"name": "a server", "version": "2"},
                "instructions": "be kind",
            },
        )
    ]
    meta = rig.client(asks(1, "prompts/list")).to_server[-1]["params"]["_meta"]
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "x"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}


@pytest.mark.parametrize("params", [{}, {"protocolVersion": "2031-01-01"}, {"protocolVersion": 5}])
def test_an_unknown_version_is_answered_with_the_newest_that_makes_a_handshake(params: dict[str, Any]) -> None:
    (answer,) = quiet().client(asks(1, "initialize", **params)).to_client
    assert answer["result"]["protocolVersion"] == "2025-11-25"


def test_results_lose_what_only_the_other_era_has_and_nothing_else() -> None:
    rig = quiet().client(asks(1, "tools/list"))
    told = {"resultType": "complete", "ttlMs": 1, "cacheScope": "public", "tools": [], "nextCursor": "n"}
    assert rig.server(says(rig.last_id, told)).to_client == [says(1, {"tools": [], "nextCursor": "n"})]
    rig.client(calls(2))
    told = {"resultType": "complete", "ttlMs": 1, "content": [], "structuredContent": {"a": 1}, "_meta": {"x": 1}}
    (answer,) = rig.server(says(rig.last_id, told)).to_client
    assert answer["result"] == {"ttlMs": 1, "content": [], "structuredContent": {"a": 1}, "_meta": {"x": 1}}


def test_a_results_members_stay_byte_for_byte() -> None:
    rig = quiet().client(calls(1))
    odd = b'[ {"type":"text","text":"\\u00e9","x":1e400} ]'
    line = b'{"jsonrpc":"2.0","id":"%s","result":{"resultType":"complete","content":%s}}\n'
    (out,) = rig.translator.from_server(line % (rig.last_id.encode(), odd))
    assert out.line == b'{"jsonrpc":"2.0","id":1,"result":{"content":%s}}\n' % odd


def test_a_result_without_a_type_is_complete_and_passes_as_it_came() -> None:
    rig = quiet().client(calls(1))
    odd = b'{ "content":[] , "content":[] }'
    (out,) = rig.translator.from_server(b'{"id":"%s","result":%s}\n' % (rig.last_id.encode(), odd))
    assert odd in out.line


@pytest.mark.parametrize("structured", [[1], "x", 1, None])
def test_structured_content_that_is_no_object_is_left_out(structured: object) -> None:
    rig = quiet().client(calls(1))
    rig.server(says(rig.last_id, {"content": ["x"], "structuredContent": structured}))
    assert rig.to_client == [says(1, {"content": ["x"]})]


def test_tools_lose_output_schemas_that_this_era_refuses() -> None:
    rig = quiet().client(asks(1, "tools/list"))
    plain = {"name": "a", "outputSchema": {"type": "object"}}
    (answer,) = rig.server(
        says(rig.last_id, {"tools": [plain, {"name": "b", "outputSchema": {"type": "array"}}, {"name": "c"}]})
    ).to_client
    assert answer["result"]["tools"] == [plain, {"name": "b"}, {"name": "c"}]


def test_an_error_passes_and_a_missing_resource_gets_this_eras_number() -> None:
    rig = quiet().client(asks(1, "resources/read", uri="x:y"))
    rig.server(says(rig.last_id, code=-32602, message="no such", data={"uri": "x:y"}))
    assert rig.to_client == [says(1, code=-32002, message="no such", data={"uri": "x:y"})]
    rig.client(asks(2, "resources/read", uri="x:y"))
    assert rig.server(says(rig.last_id, code=-32602, message="bad")).to_client == [says(2, code=-32602, message="bad")]


@pytest.mark.parametrize("kind", ["task", "other", 7])
def test_a_result_of_an_extension_is_an_error(kind: object) -> None:
    rig = quiet().client(calls(1))
    (answer,) = rig.server(says(rig.last_id, {"resultType": kind})).to_client
    assert ("error" in answer) == (kind != 7)


def test_a_task_is_an_ordinary_call() -> None:
    rig = quiet().client(asks(1, "tools/call", name="t", task={"ttl": 1}, requestState="x", inputResponses={}))
    assert rig.to_server[0]["params"] == {"name": "t", "_meta": META}
    assert rig.client(asks(2, "tasks/get", taskId="x")).to_client[0]["error"]["code"] == -32601


@pytest.mark.parametrize("method", ["server/discover", "subscriptions/listen"])
def test_what_this_era_does_not_have_is_refused(method: str) -> None:
    rig = quiet().client(asks(1, method))
    assert rig.to_server == []
    assert rig.to_client[0]["error"]["code"] == -32601


def test_a_ping_is_answered_here_and_news_of_roots_are_swallowed() -> None:
    rig = quiet().client(asks(1, "ping"), tells("notifications/roots/list_changed"))
    assert (rig.to_server, rig.to_client) == ([], [says(1)])


def test_a_server_of_this_era_asks_nothing() -> None:
    rig = quiet().server(asks(1, "ping"), asks(2, "elicitation/create"))
    assert rig.to_client == []
    assert rig.to_server[0] == says(1)
    assert rig.to_server[1]["error"]["code"] == -32601


def test_answers_that_nobody_asked_for_go_nowhere() -> None:
    rig = quiet().client(calls(1))
    assert rig.server(says(1), says("ours-1.99")).to_client == []
    assert rig.client(says("ours-1.99"), says(1), says(None)).to_server == []


# --- logging and progress -------------------------------------------------------------------------------------------


def test_the_level_that_the_client_has_set_goes_with_each_request() -> None:
    rig = quiet().client(calls(1))
    assert "io.modelcontextprotocol/logLevel" not in rig.to_server[0]["params"]["_meta"]
    assert rig.client(asks(2, "logging/setLevel", level="warning")).to_client == [says(2)]
    meta = rig.client(calls(3)).to_server[0]["params"]["_meta"]
    assert meta["io.modelcontextprotocol/logLevel"] == "warning"
    assert rig.client(asks(4, "logging/setLevel", level="loud")).to_client[0]["error"]["code"] == -32602
    message = tells("notifications/message", level="error", data=1)
    assert rig.server(message).to_client == [message]


def test_progress_passes_while_its_request_is_open() -> None:
    rig = quiet().client(calls(1, meta={"progressToken": 5}))
    progress = tells("notifications/progress", progressToken=5, progress=1)
    assert rig.server(progress).to_client == [progress]
    assert rig.belongs == [b"1"]
    rig.server(says("ours-1.1"))
    assert rig.server(progress).to_client == []


# --- input ----------------------------------------------------------------------------------------------------------


def test_what_the_server_needs_is_asked_for_and_goes_with_the_request_made_again() -> None:
    rig = quiet().client(calls(1, meta={"progressToken": 5}, a=1))
    first = rig.to_server[0]
    one, two = rig.server(needs(first["id"], who=ASK, where=ROOTS)).to_client
    assert rig.belongs == [b"1", b"1"]
    assert {key: one[key] for key in ("method", "params")} == ASK
    assert two["method"] == "roots/list"
    assert rig.client(says(two["id"], {"roots": []})).to_server == []
    (again,) = rig.client(says(one["id"], GIVEN)).to_server
    assert again["id"] != first["id"]
    assert again["params"] == {
        **first["params"],
        "inputResponses": {"who": GIVEN, "where": {"roots": []}},
        "requestState": "s",
    }
    assert rig.server(says(first["id"])).to_client == []
    assert rig.server(says(again["id"], {"resultType": "complete", "content": []})).to_client == [
        says(1, {"content": []})
    ]


def test_the_state_goes_back_byte_for_byte_and_only_where_there_was_one() -> None:
    rig = quiet().client(calls(1))
    line = b'{"id":"%s","result":{"resultType":"input_required","requestState":"\\u00e9","inputRequests":{"k":%s}}}\n'
    (question,) = rig.translator.from_server(line % (rig.last_id.encode(), raw(ASK)))
    question_id = question.line.split(b'"id":"')[1].split(b'"')[0]
    (again,) = rig.translator.from_client(raw(says(question_id.decode(), GIVEN)))
    assert b'"requestState":"\\u00e9"' in again.line
    rig = quiet().client(calls(1))
    (question,) = rig.server(needs(rig.last_id, None, who=ASK)).to_client
    assert "requestState" not in rig.client(says(question["id"], GIVEN)).to_server[0]["params"]


def test_each_round_carries_its_own_answers_alone() -> None:
    rig = quiet().client(calls(1))
    (first,) = rig.server(needs(rig.last_id, "1", a=ASK)).to_client
    (second,) = rig.server(needs(rig.client(says(first["id"], GIVEN)).last_id, "2", b=ASK)).to_client
    params = rig.client(says(second["id"], GIVEN)).to_server[0]["params"]
    assert (params["inputResponses"], params["requestState"]) == ({"b": GIVEN}, "2")


def test_a_request_that_needs_only_another_attempt_is_made_again_after_a_pause() -> None:
    rig = quiet().client(calls(1))
    rig.server(needs(rig.last_id, "later"))
    assert (rig.to_server, rig.to_client) == ([], [])
    assert rig.translator.wakes_at_s == pytest.approx(words.PAUSE_S)
    (again,) = rig.waits(words.PAUSE_S).to_server
    assert again["params"]["requestState"] == "later"
    assert "inputResponses" not in again["params"]
    rig.server(needs(again["id"], "later"))
    assert rig.waits(words.PAUSE_S).to_server == []
    assert len(rig.waits(words.PAUSE_S).to_server) == 1


def test_a_server_that_never_has_enough_is_given_up() -> None:
    rig = quiet().client(calls(1))
    for _ in range(words.ROUNDS_MAX):
        (question,) = rig.server(needs(rig.last_id, who=ASK)).to_client
        rig.client(says(question["id"], GIVEN))
    (answer,) = rig.server(needs(rig.last_id, who=ASK)).to_client
    assert (answer["id"], answer["error"]["code"]) == (1, -32603)


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("tools/list", {"inputRequests": {"k": ASK}}),
        ("tools/call", {}),
        ("tools/call", {"inputRequests": {}}),
        ("tools/call", {"inputRequests": {"k": {"method": "what"}}}),
        ("tools/call", {"inputRequests": {"k": 5}}),
        ("tools/call", {"inputRequests": {str(number): ASK for number in range(words.PROMPTS_MAX + 1)}}),
    ],
)
def test_input_that_cannot_be_asked_for_is_an_error(method: str, result: dict[str, Any]) -> None:
    rig = quiet().client(asks(1, method, name="t"))
    rig.server(says(rig.last_id, {"resultType": "input_required", **result}))
    assert [(one["id"], one["error"]["code"]) for one in rig.to_client] == [(1, -32603)]


@pytest.mark.parametrize("what", [ASK, SAMPLING, ROOTS])
def test_a_client_that_does_not_support_it_is_not_asked(what: dict[str, Any]) -> None:
    rig = quiet(initialize={**INITIALIZE, "capabilities": {}}).client(calls(1))
    assert rig.server(needs(rig.last_id, who=what)).to_client[0]["error"]["code"] == -32600


def test_an_address_gets_the_id_that_this_era_wants() -> None:
    rig = quiet().client(calls(1))
    visit = {"method": "elicitation/create", "params": {"mode": "url", "message": "m", "url": "https://x"}}
    (question,) = rig.server(needs(rig.last_id, who=visit)).to_client
    assert question["params"].pop("elicitationId")
    assert question["params"] == visit["params"]
    old = quiet(initialize={**INITIALIZE, "capabilities": {"elicitation": {}}}).client(calls(1))
    assert "error" in old.server(needs(old.last_id, who=visit)).to_client[0]


def test_a_no_of_the_clients_ends_its_request() -> None:
    rig = quiet().client(calls(1))
    one, two = rig.server(needs(rig.last_id, a=ASK, b=ROOTS)).to_client
    withdrawn, answer = rig.client(says(one["id"], code=-1, message="no")).to_client
    assert withdrawn["method"] == "notifications/cancelled"
    assert withdrawn["params"]["requestId"] == two["id"]
    assert answer == says(1, code=-1, message="no")
    assert rig.client(says(two["id"], {"roots": []})).to_server == []


def test_input_is_not_waited_for_for_ever() -> None:
    rig = quiet().client(calls(1))
    (question,) = rig.server(needs(rig.last_id, a=ASK)).to_client
    assert rig.translator.wakes_at_s == words.INPUT_WAIT_S
    withdrawn, answer = rig.waits(words.INPUT_WAIT_S).to_client
    assert withdrawn["params"]["requestId"] == question["id"]
    assert answer["error"]["code"] == -32001
    assert rig.translator.wakes_at_s is None


def test_a_cancellation_reaches_the_present_round() -> None:
    rig = quiet().client(calls(1))
    (question,) = rig.server(needs(rig.last_id, a=ASK)).to_client
    ours = rig.client(says(question["id"], GIVEN)).last_id
    rig.client(tells("notifications/cancelled", requestId=1, reason="enough"))
    assert rig.to_server == [tells("notifications/cancelled", requestId=ours, reason="enough")]
    assert rig.server(says(ours)).to_client == []


def test_a_cancellation_withdraws_what_the_client_is_being_asked() -> None:
    rig = quiet().client(calls(1))
    (question,) = rig.server(needs(rig.last_id, a=ASK)).to_client
    rig.client(tells("notifications/cancelled", requestId=1))
    assert rig.to_server == []
    assert [one["params"]["requestId"] for one in rig.to_client] == [question["id"]]
    assert rig.client(says(question["id"], GIVEN)).to_server == []


def test_too_many_open_requests_are_refused() -> None:
    rig = quiet().client(*(calls(number) for number in range(words.OPEN_MAX)))
    assert rig.to_client == []
    assert "error" in rig.client(calls("more")).to_client[0]


def test_a_lost_server_fails_what_it_had_and_not_what_waits_for_the_client() -> None:
    rig = quiet().client(calls(1), calls(2))
    (question,) = rig.server(needs(rig.last_id, a=ASK)).to_client
    assert rig.lost().to_client == [says(1, **LOST)]
    (again,) = rig.client(says(question["id"], GIVEN)).to_server
    assert rig.server(says(again["id"], {"content": []})).to_client == [says(2, {"content": []})]

"""A stateless client in front of a handshake server, as transcripts."""

from __future__ import annotations

import json

import pytest

from spec_mcp.relay.gateway.eras import Era, Outgoing, ServerAbout, Side, translator, words
from tests.relay.gateway.eras_rig import (
    EVERYTHING,
    LOST,
    META,
    asks,
    calls,
    raw,
    returns,
    says,
    server_asks,
    stateless_client,
    tells,
    with_level,
    with_meta,
)

# --- plain requests -------------------------------------------------------------------------------------------------


def test_the_server_gets_what_it_knows_and_nothing_of_the_other_era() -> None:
    rig = stateless_client().client(calls(7, meta=with_meta(progressToken="t", traceparent="00-1", mine=1), a=1))
    (request,) = rig.to_server
    assert request["params"] == {
        "name": "tool",
        "arguments": {"a": 1},
        "_meta": {"progressToken": "t", "traceparent": "00-1", "mine": 1},
    }
    assert request["method"] == "tools/call"
    assert request["id"] != 7


def test_a_meta_of_nothing_but_the_protocols_own_is_left_out() -> None:
    (request,) = stateless_client().client(asks(1, "tools/list", META, cursor="c")).to_server
    assert request["params"] == {"cursor": "c"}


def test_arguments_reach_the_server_byte_for_byte() -> None:
    odd = b'{ "b":1e400 ,"b":2, "big":123456789012345678901234567890,"\\u00e9":"\\u00e9" }'
    line = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":%s,"_meta":%s}}\n'
    (out,) = stateless_client().translator.from_client(line % (odd, raw(META)))
    assert odd in out.line


def test_a_result_is_complete_and_comes_under_the_clients_id_byte_for_byte() -> None:
    rig = stateless_client().client(calls("mine"))
    odd = b'{"content":[ {"type":"text","text":"\\u00e9"} ],"x":1e400}'
    (out,) = rig.translator.from_server(b'{"jsonrpc":"2.0","id":"%s","result":%s}\n' % (rig.last_id.encode(), odd))
    assert out.line == b'{"jsonrpc":"2.0","id":"mine","result":{"resultType":"complete",%s}\n' % odd[1:]


@pytest.mark.parametrize("method", sorted(words.CACHEABLE - {"server/discover"}))
def test_what_can_be_cached_says_for_how_long(method: str) -> None:
    rig = stateless_client().client(asks(1, method, META))
    (answer,) = rig.server(says(rig.last_id, {"items": []})).to_client
    assert answer["result"] == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "items": []}


def test_what_a_server_says_of_caching_stands_and_its_result_type_means_nothing() -> None:
    rig = stateless_client().client(asks(1, "tools/list", META))
    said = {"ttlMs": 9, "cacheScope": "public", "resultType": "input_required", "tools": []}
    (answer,) = rig.server(says(rig.last_id, said)).to_client
    assert answer["result"] == {**said, "resultType": "complete"}


def test_an_error_passes_and_a_missing_resource_gets_this_eras_number() -> None:
    rig = stateless_client().client(asks(1, "resources/read", META, uri="x:y"))
    (answer,) = rig.server(says(rig.last_id, code=-32002, message="no such", data={"uri": "x:y"})).to_client
    assert answer == says(1, code=-32602, message="no such", data={"uri": "x:y"})
    rig.client(calls(2))
    (answer,) = rig.server(says(rig.last_id, code=-32002, message="no such")).to_client
    assert answer == says(2, code=-32002, message="no such")


def test_the_server_is_known_from_its_handshake() -> None:
    (answer,) = (
        stateless_client({**EVERYTHING, "tasks": {"list": {}}}).client(asks(1, "server/discover", META)).to_client
    )
    assert answer["result"] == {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": EVERYTHING,
        "instructions": "be kind",
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "a server", "version": "2"}},
    }


@pytest.mark.parametrize("method", [*sorted(words.HANDSHAKE_ONLY - {"initialize"}), "tasks/get", "tasks/list"])
def test_what_this_era_does_not_have_is_refused(method: str) -> None:
    rig = stateless_client().client(asks(1, method, META))
    assert rig.to_server == []
    assert rig.to_client[0]["error"]["code"] == -32601


def test_a_handshake_is_refused_with_the_version_that_is_spoken() -> None:
    rig = stateless_client().client(asks(1, "initialize", protocolVersion="2025-11-25"))
    assert rig.to_client[0]["error"]["code"] == -32022
    assert rig.to_client[0]["error"]["data"] == {"supported": ["2026-07-28"], "requested": "2025-11-25"}


def test_a_ping_of_the_servers_is_answered_and_what_is_unknown_refused() -> None:
    rig = stateless_client().server(server_asks(5, {"method": "ping"}), server_asks(6, {"method": "what"}))
    assert rig.to_client == []
    assert rig.to_server[0] == says(5)
    assert rig.to_server[1]["error"]["code"] == -32601


def test_answers_that_nobody_asked_for_go_nowhere() -> None:
    rig = stateless_client().client(calls(1))
    assert rig.server(says(1), says("ours-1.99"), says(None), says(3.5)).to_client == []
    assert rig.client(says("x", {"action": "accept"})).to_server == []


def test_what_is_no_message_is_said_to_be_none() -> None:
    for nothing in (b"garbage\n", b"[]\n", b"{}\n", b'{"id":\x00,"method":"ping"}\n', b'{"id":[],"method":"ping"}\n'):
        rig = stateless_client().client(nothing)
        assert rig.to_client[0]["id"] is None
        assert rig.to_client[0]["error"]["code"] == -32700
    rig = stateless_client()
    assert rig.server(b"garbage\n", b"[]\n", b'{"a":1}\n').to_client == []


def test_a_batch_of_the_servers_is_taken_apart() -> None:
    rig = stateless_client().client(calls(1), calls(2))
    one, two = (request["id"] for request in rig.to_server)
    rig.server(raw([says(two, {"n": 2}), says(one, {"n": 1})]) + b"\n")
    assert [(answer["id"], answer["result"]["n"]) for answer in rig.to_client] == [(2, 2), (1, 1)]


# --- progress, logging, cancelling ----------------------------------------------------------------------------------


def test_progress_belongs_to_its_request_and_follows_it_from_round_to_round() -> None:
    rig = stateless_client().client(calls(1, meta=with_meta(progressToken=1)))
    rig.server(tells("notifications/progress", progressToken=1, progress=1))
    assert rig.to_client == [tells("notifications/progress", progressToken=1, progress=1)]
    assert rig.belongs == [b"1"]
    (question,) = rig.server(server_asks(99)).to_client
    assert rig.server(tells("notifications/progress", progressToken=1, progress=2)).to_client == []
    rig.client(returns(2, question, call=calls(0, meta=with_meta(progressToken="two"))))
    rig.server(tells("notifications/progress", progressToken=1, progress=3))
    assert rig.to_client == [tells("notifications/progress", progressToken="two", progress=3)]
    assert rig.belongs == [b"2"]
    assert rig.server(tells("notifications/progress", progressToken=7, progress=3)).to_client == []


def test_a_token_that_a_held_request_still_has_at_the_server_is_not_used_twice() -> None:
    rig = stateless_client().client(calls(1, meta=with_meta(progressToken=1)))
    rig.server(server_asks(99))
    (request,) = rig.client(calls(2, meta=with_meta(progressToken=1))).to_server
    token = request["params"]["_meta"]["progressToken"]
    assert token != 1
    assert rig.server(tells("notifications/progress", progressToken=1, progress=1)).to_client == []
    rig.server(tells("notifications/progress", progressToken=token, progress=1))
    assert rig.to_client == [tells("notifications/progress", progressToken=1, progress=1)]


def test_the_server_logs_as_the_most_talkative_open_request_wants_it() -> None:
    rig = stateless_client()
    level, _ = rig.client(calls(1, meta=with_level("error"))).to_server
    assert (level["method"], level["params"]) == ("logging/setLevel", {"level": "error"})
    assert rig.server(says(level["id"])).to_client == []
    level, call = rig.client(calls(2, meta=with_level("debug"))).to_server
    assert level["params"] == {"level": "debug"}
    assert len(rig.client(calls(3, meta=with_level("error"))).to_server) == 1
    assert len(rig.client(calls(4)).to_server) == 1
    rig.server(says(call["id"]))
    level, _ = rig.client(calls(5, meta=with_level("error"))).to_server
    assert level["params"] == {"level": "error"}


def test_a_server_that_does_not_log_is_not_told_to() -> None:
    assert len(stateless_client({"tools": {}}).client(calls(1, meta=with_level("debug"))).to_server) == 1


def test_messages_go_to_the_newest_request_that_wants_them_and_to_nobody_else() -> None:
    rig = stateless_client().client(calls(1, meta=with_level("debug")), calls(2, meta=with_level("error")), calls(3))
    info = tells("notifications/message", level="info", data="x")
    assert rig.server(info).to_client == [info]
    assert rig.belongs == [b"1"]
    bad = tells("notifications/message", level="critical", data="x")
    assert rig.server(bad).belongs == [b"2"]
    assert stateless_client().client(calls(1)).server(bad).to_client == []
    assert stateless_client().server(bad).to_client == []


def test_a_level_that_there_is_not_is_refused() -> None:
    rig = stateless_client().client(calls(1, meta=with_level("loud")))
    assert rig.to_client[0]["error"]["code"] == -32602


def test_a_cancellation_reaches_the_server_and_no_answer_comes_after_it() -> None:
    rig = stateless_client().client(calls(1))
    ours = rig.last_id
    rig.client(tells("notifications/cancelled", requestId=1, reason="enough"))
    assert rig.to_server == [tells("notifications/cancelled", requestId=ours, reason="enough")]
    assert rig.server(says(ours)).to_client == []
    assert rig.client(tells("notifications/cancelled", requestId=1)).to_server == []
    assert rig.client(tells("notifications/cancelled")).to_server == []


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/roots/list_changed"])
def test_notifications_of_the_handshake_are_not_the_clients(method: str) -> None:
    assert stateless_client().client(tells(method)).to_server == []


def test_notifications_that_this_era_does_not_have_are_dropped_and_unknown_ones_pass() -> None:
    rig = stateless_client()
    rig.server(tells("notifications/elicitation/complete", elicitationId="e"), tells("notifications/tasks/status"))
    assert rig.to_client == []
    assert rig.server(tells("notifications/x", a=1)).to_client == [tells("notifications/x", a=1)]
    assert rig.client(tells("notifications/y", a=1)).to_server == [tells("notifications/y", a=1)]


def test_too_many_open_requests_are_refused() -> None:
    rig = stateless_client().client(*(calls(number) for number in range(words.OPEN_MAX)))
    assert rig.to_client == []
    assert "error" in rig.client(calls("more")).to_client[0]


# --- connections ----------------------------------------------------------------------------------------------------


def test_whoever_waits_is_told_that_the_server_is_gone_and_whoever_comes_back_too() -> None:
    rig = stateless_client().client(calls(1), calls(2))
    (question,) = rig.server(server_asks(99)).to_client
    assert rig.lost().to_client == [says(1, **LOST)]
    rig.client(returns(3, question))
    assert rig.to_server == []
    assert rig.to_client == [says(3, **LOST)]
    assert rig.lost().to_client == []


# --- straight -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", list(Era))
def test_between_peers_of_one_era_nothing_changes(era: Era) -> None:
    straight = translator(era, era, ServerAbout("", b"{}"))
    line = json.dumps(calls(1)).encode()
    assert list(straight.from_client(line)) == [Outgoing(Side.SERVER, line)]
    assert list(straight.from_server(line)) == [Outgoing(Side.CLIENT, line)]
    assert [*straight.lost(), *straight.connected(), *straight.woken()] == []
    assert straight.wakes_at_s is None


def test_nothing_of_ours_can_be_guessed() -> None:
    ids: set[str] = set()
    for _ in range(3):
        between = translator(Era.STATELESS, Era.HANDSHAKE, ServerAbout("2025-11-25", b"{}"))
        (out,) = between.from_client(raw(calls(1)))
        ids.add(json.loads(out.line)["id"])
    assert len(ids) == 3
    assert all(len(one) > 20 for one in ids)

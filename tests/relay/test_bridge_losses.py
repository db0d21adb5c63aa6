"""What the bridge does when one request is lost, as it may be over HTTP, and when only the way to a server is."""

from __future__ import annotations

import json

import pytest

from tests.relay.rig import TOOLS, Rig, answer, call, cancelled, own_id, request


def errors(lines: list[bytes]) -> list[object]:
    """The ids of the errors among the lines; nothing else is there."""
    messages = [json.loads(line) for line in lines]
    assert all(message["error"]["message"].startswith("spec-mcp: ") for message in messages)
    return [message["id"] for message in messages]


def test_one_request_that_is_lost_gets_an_error_and_the_others_their_answers(rig: Rig) -> None:
    rig.client(call(1, "get")).client(call(2, "get", '{"id":2}'))
    rig.bridge.on_request_lost(b"1", "the stream broke")
    assert errors(rig.to_client) == [1]
    assert rig.server(answer(2)).to_client == [answer(2)]
    assert rig.is_empty()


def test_a_lost_request_that_was_cancelled_is_told_to_nobody(rig: Rig) -> None:
    rig.client(call(1, "get")).client(cancelled(1))
    rig.bridge.on_request_lost(b"1", None)
    assert rig.to_client == []
    assert rig.is_empty()


def test_a_batch_of_which_one_request_is_lost_is_lost(rig: Rig) -> None:
    rig.client(b"[%s,%s]" % (request("a", "ping"), request("b", "ping")))
    rig.bridge.on_request_lost(b'"a"', "the stream broke")
    rig.bridge.on_request_lost(b'"b"', "the stream broke")
    assert errors(rig.to_client) == ["a", "b"]
    assert rig.is_empty()


def test_a_request_that_nobody_made_is_lost_by_nobody(rig: Rig) -> None:
    rig.bridge.on_request_lost(b"7", "the stream broke")
    assert rig.to_client == []


def test_what_was_read_is_not_held_against_a_write_that_was_lost_and_may_have_been_done(rig: Rig) -> None:
    rig.held()
    rig.client(call(1, "put"))
    rig.bridge.on_request_lost(b"1", "the stream broke")
    _ = rig.to_client, rig.to_server
    rig.client(call(2, "get"))
    assert rig.to_server == [call(2, "get")]
    rig.server(answer(2))
    rig.predicts("get", id=1)
    assert rig.to_server == []


def test_a_call_that_waits_for_a_lost_speculation_is_made_for_real(rig: Rig) -> None:
    own = rig.launched()
    rig.client(call(1, "get"))
    assert rig.to_server == []
    rig.bridge.on_request_lost(own, "the stream broke")
    assert rig.to_server == [call(1, "get")]
    assert rig.server(answer(1)).to_client == [answer(1)]
    assert rig.is_empty()


def test_a_read_that_was_lost_is_speculated_again(rig: Rig) -> None:
    own = rig.launched()
    rig.bridge.on_request_lost(own, "the stream broke")
    rig.client(call(901, "unheard-of")).server(answer(901))
    _ = rig.to_server, rig.to_client
    rig.predicts("get", id=1)
    (line,) = rig.to_server
    assert own_id(line) != own


def test_a_request_of_our_own_that_is_lost_has_an_answer_that_says_nothing(rig: Rig) -> None:
    heard: list[bool] = []
    rig.link.ask("tools/list", b"", lambda message: heard.append(bool(message.result or message.error)))
    (line,) = rig.to_server
    rig.bridge.on_request_lost(own_id(line), "the stream broke")
    rig.bridge.on_request_lost(own_id(line), "the stream broke")
    assert heard == [False]
    assert rig.to_client == []


@pytest.mark.parametrize("ends", [True, False])
def test_a_write_ends_with_a_process_and_not_with_the_way_to_a_server(
    rig: Rig, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(rig.link), "ends_with_server", ends)
    rig.client(call(1, "put")).dies()
    rig.client(request(2, "ping")).waits(0.1).server(answer(2))
    rig.lists(TOOLS)
    rig.client(call(3, "unheard-of", '{"id":9}')).server(answer(3))
    _ = rig.to_client, rig.to_server
    rig.predicts("get", id=1)
    assert bool(rig.to_server) == ends

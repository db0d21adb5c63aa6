"""A handshake client subscribes at a stateless server, as transcripts."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.relay.gateway.eras import words
from tests.relay.gateway.eras_rig import (
    INITIALIZE,
    LOST,
    META,
    SUBSCRIPTION,
    Rig,
    asks,
    handshake_client,
    quiet,
    says,
    tells,
)


def subscribes(id: object, uri: str, method: str = "resources/subscribe") -> dict[str, Any]:  # noqa: A002
    return asks(id, method, uri=uri)


def acknowledges(stream: dict[str, Any]) -> dict[str, Any]:
    wanted = stream["params"]["notifications"]
    return tells("notifications/subscriptions/acknowledged", _meta={SUBSCRIPTION: stream["id"]}, notifications=wanted)


def updates(stream: dict[str, Any], uri: str) -> dict[str, Any]:
    return tells("notifications/resources/updated", _meta={SUBSCRIPTION: stream["id"]}, uri=uri)


def updated(uri: str) -> dict[str, Any]:
    return tells("notifications/resources/updated", uri=uri)


def test_a_subscription_is_a_stream_that_is_acknowledged() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    (stream,) = rig.to_server
    assert stream["method"] == "subscriptions/listen"
    assert stream["params"] == {"notifications": {"resourceSubscriptions": ["a:1"]}, "_meta": META}
    assert rig.to_client == []
    assert rig.server(acknowledges(stream)).to_client == [says(1)]
    assert rig.server(updates(stream, "a:1"), updates(stream, "a:1/part")).to_client == [
        updated("a:1"),
        updated("a:1/part"),
    ]
    assert rig.client(subscribes(2, "a:1")).to_client == [says(2)]
    assert rig.to_server == []


def test_what_is_asked_for_at_once_gets_one_stream_more() -> None:
    rig = quiet().client(*(subscribes(number, f"a:{number % 3}") for number in range(6)))
    (first,) = rig.to_server
    (second,) = rig.server(acknowledges(first)).to_server
    assert rig.to_client == [says(0), says(3)]
    assert second["params"]["notifications"] == {"resourceSubscriptions": ["a:1", "a:2"]}
    assert rig.server(acknowledges(second)).to_client == [says(1), says(2), says(4), says(5)]
    assert rig.to_server == []


def test_a_new_subscription_touches_no_other() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    first = rig.to_server[0]
    rig.server(acknowledges(first)).client(subscribes(2, "a:2"))
    (second,) = rig.to_server
    assert rig.server(updates(first, "a:1"), acknowledges(second)).to_client == [updated("a:1"), says(2)]
    assert rig.to_server == []


def test_a_subscription_ends_with_its_stream_and_is_not_heard_of_again() -> None:
    rig = quiet().client(subscribes(1, "a:1"), subscribes(2, "a:2"))
    first = rig.to_server[0]
    (second,) = rig.server(acknowledges(first)).to_server
    rig.server(acknowledges(second)).client(subscribes(3, "a:1", "resources/unsubscribe"))
    assert rig.to_client == [says(3)]
    assert rig.to_server == [tells("notifications/cancelled", requestId=first["id"])]
    assert rig.server(updates(first, "a:1"), updates(second, "a:2")).to_client == [updated("a:2")]


def test_one_of_two_resources_of_a_stream_can_be_given_up_and_taken_again() -> None:
    rig = quiet().client(subscribes(0, "a:0"), subscribes(1, "a:1"), subscribes(2, "a:2"))
    (stream,) = rig.server(acknowledges(rig.to_server[0])).to_server
    rig.server(acknowledges(stream)).client(subscribes(3, "a:1", "resources/unsubscribe"))
    assert rig.to_server == []
    assert rig.server(updates(stream, "a:1"), updates(stream, "a:2")).to_client == [updated("a:2")]
    assert rig.client(subscribes(4, "a:1")).to_client == [says(4)]
    assert rig.server(updates(stream, "a:1")).to_client == [updated("a:1")]


def test_a_subscription_that_is_given_up_before_it_is_made_is_answered_and_leaves_nothing() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    stream = rig.to_server[0]
    assert rig.client(subscribes(2, "a:1", "resources/unsubscribe")).to_client == [says(1), says(2)]
    rig.server(acknowledges(stream))
    assert rig.to_server == [tells("notifications/cancelled", requestId=stream["id"])]
    assert rig.to_client == []


def test_a_resource_that_the_server_does_not_watch_is_refused() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    nothing = tells("notifications/subscriptions/acknowledged", _meta={SUBSCRIPTION: rig.last_id}, notifications={})
    assert rig.server(nothing).to_client[0]["error"]["code"] == -32602
    rig.client(subscribes(2, "a:1"))
    refusal = {"code": -32603, "message": "no more"}
    assert rig.server(says(rig.last_id, **refusal)).to_client == [says(2, **refusal)]
    assert rig.translator.wakes_at_s is None
    assert quiet({"resources": {}}).client(subscribes(1, "a:1")).to_client[0]["error"]["code"] == -32601
    assert quiet().client(asks(1, "resources/subscribe")).to_client[0]["error"]["code"] == -32602


def many_streams() -> tuple[Rig, list[dict[str, Any]]]:
    """As many streams as are held, each of one resource."""
    rig, streams = quiet(), list[dict[str, Any]]()
    for number in range(words.HELD_STREAMS_MAX):
        streams += rig.client(subscribes(number, f"a:{number}")).to_server
        rig.server(acknowledges(streams[-1]))
    assert len(streams) == words.HELD_STREAMS_MAX
    return rig, streams


def test_many_streams_become_one_and_a_change_in_between_is_not_missed() -> None:
    rig, streams = many_streams()
    (all_in_one,) = rig.client(subscribes("new", "a:new")).to_server
    uris = [f"a:{number}" for number in range(words.HELD_STREAMS_MAX)]
    assert all_in_one["params"]["notifications"]["resourceSubscriptions"] == sorted([*uris, "a:new"])
    assert rig.server(updates(streams[0], "a:0")).to_client == [updated("a:0")]
    rig.server(acknowledges(all_in_one))
    assert [one["params"]["requestId"] for one in rig.to_server] == [stream["id"] for stream in streams]
    assert rig.to_client == [says("new"), *(updated(uri) for uri in sorted(uris))]
    assert rig.server(updates(streams[0], "a:0"), updates(all_in_one, "a:0")).to_client == [updated("a:0")]


def test_streams_stay_where_the_one_in_their_place_is_refused() -> None:
    rig, streams = many_streams()
    rig.client(subscribes("new", "a:new"))
    refusal = {"code": -32603, "message": "no more"}
    assert rig.server(says(rig.last_id, **refusal)).to_client == [says("new", **refusal)]
    assert rig.server(updates(streams[0], "a:0")).to_client == [updated("a:0")]
    assert rig.translator.wakes_at_s is None


@pytest.mark.parametrize("how", ["result", "cancelled"])
def test_a_stream_that_the_server_ends_is_opened_again_and_nothing_is_missed(how: str) -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    stream = rig.to_server[0]
    rig.server(acknowledges(stream))
    ends = says(stream["id"], {}) if how == "result" else tells("notifications/cancelled", requestId=stream["id"])
    assert rig.server(ends).to_client == []
    assert rig.waits(words.REOPEN_S / 2).to_server == []
    (again,) = rig.waits(words.REOPEN_S / 2).to_server
    assert rig.server(acknowledges(again)).to_client == [updated("a:1")]
    assert rig.translator.wakes_at_s is None


def test_a_server_that_ends_its_streams_at_once_is_asked_less_and_less_often() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    rig.server(acknowledges(rig.to_server[0]))
    rig.server(tells("notifications/cancelled", requestId="ours-1.1"))
    pauses: list[float] = []
    for _ in range(9):
        assert rig.translator.wakes_at_s is not None
        pauses.append(rig.translator.wakes_at_s - rig.now_s)
        (again,) = rig.waits(pauses[-1]).to_server
        rig.server(says(again["id"], code=-32603, message="not now"))
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_lists_are_listened_to_when_the_client_is_ready_and_their_changes_lose_the_streams_name() -> None:
    rig = handshake_client().client(asks(1, "initialize", **INITIALIZE))
    assert rig.to_server == []
    (stream,) = rig.client(tells("notifications/initialized")).to_server
    assert stream["params"]["notifications"] == {
        "promptsListChanged": True,
        "resourcesListChanged": True,
        "toolsListChanged": True,
    }
    rig.server(acknowledges(stream))
    assert rig.to_client == []
    changed = tells("notifications/tools/list_changed", _meta={SUBSCRIPTION: stream["id"], "mine": 1})
    assert rig.server(changed).to_client == [tells("notifications/tools/list_changed", _meta={"mine": 1})]
    changed = tells("notifications/tools/list_changed", _meta={SUBSCRIPTION: stream["id"]})
    assert rig.server(changed).to_client == [tells("notifications/tools/list_changed")]
    changed = tells("notifications/tools/list_changed", _meta={SUBSCRIPTION: "another's"})
    assert rig.server(changed).to_client == []
    assert (
        rig.client(tells("notifications/initialized"), asks(1, "tools/call", name="tool")).to_server[0]["method"]
        == "tools/call"
    )


@pytest.mark.parametrize("how", ["connected", "a call"])
def test_lists_are_listened_to_even_where_nobody_says_that_the_client_is_ready(how: str) -> None:
    rig = handshake_client()
    lines = (rig.connected() if how == "connected" else rig.client(asks(1, "tools/call", name="tool"))).to_server
    assert lines[0]["method"] == "subscriptions/listen"


def test_a_server_that_does_not_know_streams_is_not_asked_again() -> None:
    rig = handshake_client().client(tells("notifications/initialized"))
    rig.server(says(rig.last_id, code=-32601, message="what?"))
    assert rig.translator.wakes_at_s is None
    assert len(rig.client(asks(1, "tools/call", name="tool")).to_server) == 1


def test_after_a_lost_connection_all_is_listened_to_again_and_may_have_changed() -> None:
    rig = handshake_client({"tools": {"listChanged": True}, "resources": {"subscribe": True}})
    rig.connected().server(acknowledges(rig.to_server[0]))
    rig.client(subscribes(1, "a:1")).server(acknowledges(rig.to_server[0])).client(subscribes(2, "a:2"))
    assert rig.lost().to_client == [says(2, **LOST)]
    (stream,) = rig.connected().to_server
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["a:1"]}
    assert stream["params"]["notifications"] == wanted
    told = rig.server(acknowledges(stream)).to_client
    assert [one["method"] for one in told] == ["notifications/tools/list_changed", "notifications/resources/updated"]
    assert rig.connected().to_server == []


def test_what_the_client_subscribed_to_once_more_after_a_stream_had_ended_is_told_of_too() -> None:
    rig = quiet().client(subscribes(1, "a:1"))
    first = rig.to_server[0]
    rig.server(acknowledges(first), says(first["id"])).client(subscribes(2, "a:1"))
    second = rig.to_server[0]
    assert rig.server(acknowledges(second)).to_client == [says(2)]
    assert rig.waits(words.REOPEN_S).to_client == [updated("a:1")]
    assert rig.to_server == []


def test_too_many_resources_are_refused() -> None:
    rig = quiet().client(*(subscribes(number, f"a:{number}") for number in range(words.URIS_MAX + 1)))
    assert [one["id"] for one in rig.to_client] == [words.URIS_MAX]

"""A stateless client listens to a handshake server, as transcripts."""

from __future__ import annotations

from typing import Any

from spec_mcp.relay.gateway.eras import words
from tests.relay.gateway.eras_rig import (
    LOST,
    META,
    SUBSCRIPTION,
    asks,
    says,
    stateless_client,
    tells,
)


def listens(id: object, **wanted: object) -> dict[str, Any]:  # noqa: A002
    return asks(id, "subscriptions/listen", META, notifications=wanted)


def stamped(method: str, stream: object, **params: object) -> dict[str, Any]:
    return tells(method, _meta={SUBSCRIPTION: stream}, **params)


def test_a_stream_is_acknowledged_when_the_server_has_taken_all_its_resources() -> None:
    rig = stateless_client().client(listens("s", toolsListChanged=True, resourceSubscriptions=["a:1", "a:2"]))
    one, two = rig.to_server
    assert [(one["method"], one["params"]["uri"]) for one in rig.to_server] == [
        ("resources/subscribe", "a:1"),
        ("resources/subscribe", "a:2"),
    ]
    rig.server(says(one["id"]), tells("notifications/resources/updated", uri="a:1"))
    rig.server(tells("notifications/resources/updated", uri="a:1"))
    assert rig.to_client == []
    rig.server(says(two["id"], code=-32602, message="no such"))
    assert rig.to_client == [
        stamped(
            "notifications/subscriptions/acknowledged",
            "s",
            notifications={"toolsListChanged": True, "resourceSubscriptions": ["a:1"]},
        ),
        stamped("notifications/resources/updated", "s", uri="a:1"),
    ]
    assert rig.belongs == [b'"s"', b'"s"']


def test_a_server_is_asked_for_no_more_than_it_has() -> None:
    rig = stateless_client({"tools": {}, "prompts": {"listChanged": True}})
    rig.client(listens(1, toolsListChanged=True, promptsListChanged=True, resourceSubscriptions=["a:1"]))
    assert rig.to_server == []
    assert rig.to_client[0]["params"]["notifications"] == {"promptsListChanged": True}


def test_each_stream_hears_what_it_asked_for() -> None:
    rig = stateless_client().client(listens(1, toolsListChanged=True), listens("1", promptsListChanged=True))
    rig.server(tells("notifications/tools/list_changed", _meta={"mine": 1}))
    assert rig.to_client == [tells("notifications/tools/list_changed", _meta={"mine": 1, SUBSCRIPTION: 1})]
    rig.server(tells("notifications/prompts/list_changed"))
    assert rig.to_client == [stamped("notifications/prompts/list_changed", "1")]
    assert rig.server(tells("notifications/resources/list_changed")).to_client == []


def test_a_part_of_a_resource_is_told_to_those_who_listen_to_any() -> None:
    rig = stateless_client().client(
        listens(1, resourceSubscriptions=["a:1"]), listens(2, resourceSubscriptions=["a:2"])
    )
    rig.server(*(says(one["id"]) for one in rig.to_server))
    rig.server(tells("notifications/resources/updated", uri="a:2"))
    assert rig.to_client == [stamped("notifications/resources/updated", 2, uri="a:2")]
    assert len(rig.server(tells("notifications/resources/updated", uri="a:2/part")).to_client) == 2


def test_a_resource_is_given_up_with_the_last_stream_that_wanted_it() -> None:
    rig = stateless_client().client(listens(1, resourceSubscriptions=["a:1"]))
    rig.server(says(rig.last_id))
    assert rig.client(listens(2, resourceSubscriptions=["a:1"])).to_server == []
    assert rig.to_client[0]["method"] == "notifications/subscriptions/acknowledged"
    assert rig.client(tells("notifications/cancelled", requestId=1)).to_server == []
    (given_up,) = rig.client(tells("notifications/cancelled", requestId=2)).to_server
    assert (given_up["method"], given_up["params"]) == ("resources/unsubscribe", {"uri": "a:1"})
    assert rig.client(listens(3, resourceSubscriptions=["a:1"])).to_server == []  # after the answer to the other
    (subscribed,) = rig.server(says(given_up["id"])).to_server
    assert subscribed["method"] == "resources/subscribe"
    assert rig.server(says(subscribed["id"])).to_client[0]["method"] == "notifications/subscriptions/acknowledged"


def test_a_stream_that_is_cancelled_at_once_leaves_nothing_at_the_server() -> None:
    rig = stateless_client().client(listens(1, resourceSubscriptions=["a:1"]))
    ours = rig.last_id
    assert rig.client(tells("notifications/cancelled", requestId=1)).to_server == []
    (given_up,) = rig.server(says(ours)).to_server
    assert given_up["method"] == "resources/unsubscribe"
    assert rig.server(says(given_up["id"])).to_server == []
    assert rig.to_client == []


def test_two_streams_of_one_id_and_too_many_streams_are_refused() -> None:
    rig = stateless_client().client(listens(1), listens(1))
    assert [("error" in one) for one in rig.to_client] == [False, True]
    rig.client(*(listens(f"s{number}") for number in range(words.STREAMS_MAX)))
    assert [one["id"] for one in rig.to_client if "error" in one] == [f"s{words.STREAMS_MAX - 1}"]
    many = [f"a:{number}" for number in range(words.URIS_MAX + 1)]
    assert "error" in stateless_client().client(listens(1, resourceSubscriptions=many)).to_client[0]


def test_a_stream_ends_with_the_connection() -> None:
    rig = stateless_client().client(listens(1, toolsListChanged=True), listens(2, resourceSubscriptions=["a:1"]))
    ours = rig.last_id
    assert rig.lost().to_client == [says(1, **LOST), says(2, **LOST)]
    assert rig.server(says(ours), tells("notifications/tools/list_changed")).to_client == []

"""Streamable HTTP in the stateless era: what stands in headers, what closing a stream says, and what is never sent."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request, decode_header_value

from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.headers import StatelessHeaders, stateless_version
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.clock import now_s
from tests.relay.back.hostile import Asked, Hostile, Out, Plain, hostile
from tests.relay.back.keeping import STATELESS, WAIT_S, Client, kept

pytestmark = pytest.mark.anyio

PLACED = {
    "name": "placed",
    "inputSchema": {
        "type": "object",
        "properties": {"place": {"type": "string", "x-mcp-header": "Place"}, "rest": {"type": "string"}},
    },
}


def link(server: Hostile) -> HttpBack:
    return HttpBack(Address(server.url, {}), now_s, chance=lambda: 0.0)


async def answer(asked: Asked, out: Out) -> None:
    await out.answer(asked, {"resultType": "complete"})


async def lists(asked: Asked, out: Out) -> None:
    await out.answer(asked, {"tools": [PLACED]})


def judged(asked: Asked) -> object:
    """What the SDK's server makes of a request's headers."""
    return classify_inbound_request(asked.message, headers=asked.headers)


async def test_what_stands_in_headers_is_what_the_sdk_s_server_wants() -> None:
    async with hostile(answer) as server, kept(link(server), STATELESS) as client:
        for method, params in (
            ("server/discover", {}),
            ("tools/call", {"name": "simple"}),
            ("tools/call", {"name": " öä\n"}),
            ("tools/call", {"name": "=?base64?eA==?="}),
            ("prompts/get", {"name": "p"}),
            ("resources/read", {"uri": "file:///ä b"}),
            ("resources/list", {}),
        ):
            await client.answer(client.send(method, params))
        for asked in server.asked:
            assert isinstance(judged(asked), InboundModernRoute), asked
            assert "mcp-session-id" not in asked.headers


@given(st.text(max_size=40))
def test_any_name_of_a_tool_can_be_sent(name: str) -> None:
    params = json.dumps({"name": name}).encode()
    headers = dict(StatelessHeaders().of(b"2026-07-28", "tools/call", params))
    value = headers[b"mcp-name"]
    assert b"\n" not in value
    assert b"\r" not in value
    assert decode_header_value(value.decode()) == name.encode("utf-8", "replace").decode()


async def test_arguments_that_a_listed_tool_wants_in_headers_are_there() -> None:
    async def handle(asked: Asked, out: Out) -> None:
        await (lists if asked.name == "tools/list" else answer)(asked, out)

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        await client.answer(client.call("placed", place="x", rest="y"))
        await client.answer(client.send("tools/list"))
        await client.answer(client.call("placed", place="här", rest="y"))
        await client.answer(client.call("placed", rest="y"))
        before, after, without = server.named("tools/call")
        assert "mcp-param-place" not in before.headers
        assert decode_header_value(after.headers["mcp-param-place"]) == "här"
        assert "mcp-param-place" not in without.headers
        assert not any(name.startswith("mcp-param-rest") for name in after.headers)


def mismatch(asked: Asked) -> bytes:
    error = {"code": -32020, "message": "Mcp-Param-Place header is missing"}
    return json.dumps({"jsonrpc": "2.0", "id": asked.message["id"], "error": error}).encode()


async def test_a_tool_that_was_not_listed_here_is_listed_when_the_server_misses_its_headers() -> None:
    async def handle(asked: Asked, out: Out) -> None:
        if asked.name == "tools/list":
            cursor = asked.message["params"].get("cursor")
            await out.answer(asked, {"tools": [PLACED]} if cursor else {"tools": [], "nextCursor": "next"})
        elif "mcp-param-place" in asked.headers:
            await out.answer(asked, "done")
        else:
            await out.reply(400, mismatch(asked))

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        assert (await client.answer(client.call("placed", token="mine", place="x")))["result"] == "done"
        assert [asked.name for asked in server.asked] == ["tools/call", "tools/list", "tools/list", "tools/call"]
        for asked in server.named("tools/list"):
            assert isinstance(judged(asked), InboundModernRoute)
            assert "progressToken" not in asked.message["params"]["_meta"]
        assert len(client.lines) == 1


async def test_a_mismatch_that_listing_does_not_mend_is_the_answer() -> None:
    async def handle(asked: Asked, out: Out) -> None:
        if asked.name == "tools/list":
            await out.reply(500)
        else:
            await out.reply(400, mismatch(asked))

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        call = client.call("placed", place="x")
        await client.answer(call)
        assert client.error(call) == "Mcp-Param-Place header is missing"
        assert len(server.named("tools/call")) == 1
        assert len(client.lines) == 1


async def test_a_cancellation_closes_the_stream_and_is_not_sent() -> None:
    left = anyio.Event()

    async def handle(asked: Asked, out: Out) -> None:
        if asked.name != "tools/call":
            await out.answer(asked)
            return
        await out.stream()
        await out.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
        await out.until_left()
        left.set()

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        call = client.call("t")
        await client.message(lambda message: "method" in message, "progress")
        client.cancel(call)
        with anyio.fail_after(WAIT_S):
            await left.wait()
        await client.answer(client.send("ping"))
        client.cancel(call)
        client.cancel(999)
        await client.answer(client.send("ping"))
        assert server.named("notifications/cancelled") == []
        assert client.error(call) is None


async def test_who_keeps_the_link_is_told_that_a_cancelled_request_is_over() -> None:
    lost: list[tuple[bytes, str | None]] = []

    async def handle(asked: Asked, out: Out) -> None:
        await out.until_left()

    async with hostile(handle) as server:
        back = link(server)
        back.on_request_lost = lambda id_raw, why: lost.append((id_raw, why))
        async with kept(back, STATELESS) as client:
            call = client.call("t")
            await server.came("tools/call")
            client.cancel(call)
            with anyio.fail_after(WAIT_S):
                while not lost:  # noqa: ASYNC110  nothing else tells of it
                    await anyio.sleep(0.005)
    assert lost == [(b"%d" % call, None)]


async def test_a_request_of_our_own_that_is_cancelled_has_an_answer_all_the_same() -> None:
    answers: list[Any] = []

    async def handle(asked: Asked, out: Out) -> None:
        await out.until_left()

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        client.link.wake()
        await client.until(lambda: client.restarts or None, "the beginning")
        params = json.dumps({"name": "t", "_meta": client.meta}).encode()
        client.link.ask("tools/call", params, answers.append)
        own = (await server.came("tools/call")).message["id"]
        client.tell("notifications/cancelled", {"requestId": own})
        await client.until(lambda: answers or None, "an answer")
        assert b"cancelled" in answers[0].error


async def test_a_stream_of_subscriptions_stays_open_and_tells_its_end() -> None:
    go_on, end = anyio.Event(), anyio.Event()

    async def handle(asked: Asked, out: Out) -> None:
        if asked.name != "subscriptions/listen":
            await out.answer(asked)
            return
        await out.stream()
        meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": asked.message["id"]}}
        await out.event({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": meta})
        await go_on.wait()
        await out.event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": meta})
        await end.wait()
        await out.end()

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        listen = client.send("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        await client.message(lambda message: "acknowledged" in message.get("method", ""), "the beginning")
        await client.answer(client.send("ping"))
        go_on.set()
        changed = await client.message(lambda message: "list_changed" in message.get("method", ""), "the change")
        assert changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == listen
        end.set()
        assert "closed the stream" in str((await client.answer(listen))["error"])


async def test_a_stream_that_breaks_is_not_come_back_to() -> None:
    async def handle(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.event(None, "id")
        await out.end()

    async with hostile(handle) as server, kept(link(server), STATELESS) as client:
        call = client.call("t")
        await client.answer(call)
        assert "closed the stream" in (client.error(call) or "")
        assert server.named("GET") == []


async def test_one_link_serves_a_client_that_tries_the_one_era_and_goes_by_the_other() -> None:
    class Older(Plain):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.name == "server/discover":
                await out.reply(400, b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}')
            else:
                await super().__call__(asked, out)

    async with hostile(Older()) as server, kept(link(server)) as client:
        client.era = STATELESS
        probe = client.send("server/discover")
        assert (await client.answer(probe))["error"] == {"code": -32600, "message": "no"}
        client.era = "2025-11-25"
        await client.hello()
        await client.answer(client.call("t"))
        assert server.named("tools/call")[0].headers["mcp-protocol-version"] == "2025-11-25"
        assert "mcp-method" not in server.named("tools/call")[0].headers


async def test_an_answer_of_the_client_s_goes_nowhere_where_servers_ask_nothing() -> None:
    async with hostile(answer) as server, kept(link(server), STATELESS) as client:
        await client.answer(client.send("ping"))
        client.link.tell(b'{"jsonrpc":"2.0","id":5,"result":{}}\n')
        await client.answer(client.send("ping"))
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("params", "version"),
    [
        (b'{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}', b"2026-07-28"),
        (b'{"_meta":{"io.modelcontextprotocol/protocolVersion":5}}', b""),
        (b'{"_meta":{"io.modelcontextprotocol/protocolVersion":"a\\r\\nb"}}', b""),
        (b'{"protocolVersion":"2025-11-25"}', b""),
        (b'{"_meta":"protocolVersion"}', b""),
        (b"", b""),
    ],
)
def test_a_request_says_itself_in_which_era_it_is_made(params: bytes, version: bytes) -> None:
    assert stateless_version(params) == version


async def many(client: Client, count: int) -> None:
    """So many calls at once are all answered."""
    calls = [client.call("t", number=number) for number in range(count)]
    for call in calls:
        await client.answer(call)


async def test_many_calls_at_once_are_all_answered() -> None:
    async with hostile(answer) as server, kept(link(server), STATELESS) as client:
        await many(client, 300)
        assert len(server.named("tools/call")) == 300

"""Clients of the stateless era: every request stands for itself."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from spec_mcp.config import Listen
from tests.relay.front.rig import (
    MODERN,
    Events,
    Rig,
    Scripted,
    ScriptedSession,
    modern_request,
    names,
    request,
    serving,
    until,
)

pytestmark = pytest.mark.anyio

CALL = {"name": "echo", "arguments": {}}
LISTEN = {"notifications": {"toolsListChanged": True}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def ask(rig: Rig, method: str, params: Any = None, request_id: Any = 1, meta: Any = None, **headers: str) -> Any:
    body, named = modern_request(method, params, request_id, meta, **headers)
    return rig.ask(body, **named)


async def test_an_answer_gets_the_clients_own_id_and_the_result_as_it_came() -> None:
    async with serving(Scripted()) as rig:
        asked = ask(rig, "tools/call", CALL, "mine")
        await until(lambda: rig.gateway.sessions, "somebody is there")
        heard = await rig.gateway.session.heard("tools/call")
        assert heard["id"] != "mine"
        line = b'{"jsonrpc":"2.0","id":"%s","result":{"x": 1e400,"x":[ ]}}\n' % heard["id"].encode()
        rig.gateway.session.client.put(line)
        response = await asked.response()
        assert response.status_code == 200
        assert response.content == b'{"jsonrpc":"2.0","id":"mine","result":{"x": 1e400,"x":[ ]}}'
        assert "mcp-session-id" not in response.headers


async def test_clients_with_the_same_ids_and_tokens_get_their_own_answers_and_progress() -> None:
    async with serving(Scripted()) as rig:
        first = ask(rig, "tools/call", {**CALL, "arguments": {"n": 1}}, 1, {"progressToken": 1})
        await until(lambda: rig.gateway.sessions, "somebody is there")
        scripted = rig.gateway.session
        one = await scripted.heard("tools/call")
        second = ask(rig, "tools/call", {**CALL, "arguments": {"n": 2}}, 1, {"progressToken": 1})
        two = await scripted.heard("tools/call", 2)
        for heard, said in ((two, "two"), (one, "one")):
            token = heard["params"]["_meta"]["progressToken"]
            scripted.notify("notifications/progress", progressToken=token, progress=1, message=said)
            scripted.answer(heard["id"], {"said": said})
        for asked, said in ((first, "one"), (second, "two")):
            progress, answer = messages(await asked.response())
            assert progress["params"] == {"progressToken": 1, "progress": 1, "message": said}
            assert answer == {"jsonrpc": "2.0", "id": 1, "result": {"said": said}}
        assert len(rig.gateway.sessions) == 1


def messages(response: Any) -> list[Any]:
    """Those of a stream."""
    assert response.headers["content-type"] == "text/event-stream"
    lines = response.text.splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_params_go_on_as_they_came_but_for_the_token() -> None:
    async with serving(Scripted()) as rig:
        meta = (
            b'{ "io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}'
            b',"progressToken" : 7 ,"x":1e400}'
        )
        arguments = b'{"a":1.0, "a":"\\ud800", "_meta":' + meta + b"}"
        params = b'{"name":"echo" ,"arguments":' + arguments + b', "_meta":' + meta + b"}"
        body = b'{"id":5,"method":"tools/call","jsonrpc":"2.0","params":' + params + b"}"
        asked = rig.ask(body, mcp_protocol_version=MODERN, mcp_method="tools/call", mcp_name="echo")
        await until(lambda: rig.gateway.sessions and rig.gateway.session.lines, "the call is there")
        line = rig.gateway.session.lines[0]
        own = json.loads(line.replace(b"\\ud800", b""))["id"].encode()
        changed = params[: -len(meta) - 1] + meta.replace(b" 7 ", b' "' + own + b'" ') + b"}"
        assert line == b'{"jsonrpc":"2.0","id":"' + own + b'","method":"tools/call","params":' + changed + b"}\n"
        rig.gateway.session.answer(own.decode())
        assert (await asked.response()).json()["id"] == 5


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"mcp_method": "tools/list"}, -32020),
        ({"mcp_method": "TOOLS/CALL"}, -32020),
        ({"mcp_name": "other"}, -32020),
        ({"mcp_name": "=?base64?!!?="}, -32020),
        ({"mcp_protocol_version": "2027-01-01"}, -32020),
    ],
)
async def test_headers_that_say_something_else_than_the_body_are_refused(changed: dict[str, str], code: int) -> None:
    async with serving(Scripted()) as rig:
        response = await rig.modern("tools/call", CALL, **changed)
        assert response.status_code == 400
        assert (response.json()["error"]["code"], response.json()["id"]) == (code, 1)
        assert not rig.gateway.sessions


@pytest.mark.parametrize("missing", ["mcp_method", "mcp_name", "mcp_protocol_version"])
async def test_headers_that_are_missing_are_refused(missing: str) -> None:
    async with serving(Scripted()) as rig:
        body, headers = modern_request("tools/call", CALL)
        del headers[missing]
        response = await rig.post(body, **headers)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


async def test_a_header_that_is_there_twice_is_refused() -> None:
    async with serving(Scripted()) as rig:
        body, headers = modern_request("tools/call", CALL)
        twice = [*rig.headers(**headers).items(), ("Mcp-Name", "echo")]
        response = await rig.http.post(rig.url, json=body, headers=twice)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


async def test_a_version_that_is_not_served_is_told_those_that_are() -> None:
    async with serving(Scripted()) as rig:
        version = "v999"
        meta = {"io.modelcontextprotocol/protocolVersion": version}
        response = await rig.modern("server/discover", {}, meta=meta, mcp_protocol_version=version)
        assert response.status_code == 400
        error = response.json()["error"]
        assert (error["code"], error["data"]) == (-32022, {"supported": [MODERN], "requested": version})


@pytest.mark.parametrize("params", [None, {}, {"_meta": {}}, {"_meta": 1}, {"_meta": {"progressToken": 1}}])
async def test_a_request_without_its_envelope_is_refused(params: Any) -> None:
    async with serving(Scripted()) as rig:
        headers = {"mcp_protocol_version": MODERN, "mcp_method": "tools/list"}
        response = await rig.post(request("tools/list", params, 9), **headers)
        assert response.status_code == 400
        assert (response.json()["error"]["code"], response.json()["id"]) == (-32602, 9)


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe"])
async def test_what_this_era_has_no_more_is_not_found(method: str) -> None:
    async with serving(Scripted()) as rig:
        response = await rig.modern(method, request_id="x")
        assert response.status_code == 404
        assert (response.json()["error"]["code"], response.json()["id"]) == (-32601, "x")
        assert not rig.gateway.sessions


@pytest.mark.parametrize(("code", "status"), [(-32601, 404), (-32602, 400), (-32021, 400), (-32603, 200), (-1, 200)])
async def test_an_error_has_the_status_that_the_revision_gives_it(code: int, status: int) -> None:
    async with serving(Scripted()) as rig:
        asked = ask(rig, "x/y")
        await until(lambda: rig.gateway.sessions, "somebody is there")
        heard = await rig.gateway.session.heard("x/y")
        rig.gateway.session.say({"id": heard["id"], "error": {"code": code, "message": "m", "data": [1]}})
        response = await asked.response()
        assert response.status_code == status
        assert response.json() == {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "m", "data": [1]}}


async def test_notifications_are_taken_and_answers_are_not() -> None:
    async with serving(Scripted()) as rig:
        notification = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert (await rig.post(notification, mcp_protocol_version=MODERN)).status_code == 202
        assert (await rig.post(notification, mcp_protocol_version="v999")).status_code == 400
        for body in ({"jsonrpc": "2.0", "id": 1, "result": {}}, [request("tools/list")]):
            assert (await rig.post(body, mcp_protocol_version=MODERN)).status_code == 400
        assert not rig.gateway.sessions


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_only_post_is_allowed(method: str) -> None:
    async with serving(Scripted()) as rig, rig.stream(None, "", method, mcp_protocol_version=MODERN) as response:
        assert (response.status_code, response.headers["allow"]) == (405, "POST")


async def test_a_client_that_closes_its_exchange_has_cancelled_its_request() -> None:
    async with serving(Scripted()) as rig:
        body, headers = modern_request("tools/call", CALL, 1, {"progressToken": "t"})
        rig.tasks.start_soon(say_progress, rig)
        async with rig.stream(body, **headers) as response:
            await Events(response).message()
        cancelled = await rig.gateway.session.heard("notifications/cancelled")
        asked = await rig.gateway.session.heard("tools/call")
        assert cancelled["params"]["requestId"] == asked["id"]
        rig.gateway.session.answer(asked["id"])  # too late, and to nobody


async def say_progress(rig: Rig) -> None:
    await until(lambda: rig.gateway.sessions, "somebody is there")
    heard = await rig.gateway.session.heard("tools/call")
    token = heard["params"]["_meta"]["progressToken"]
    rig.gateway.session.notify("notifications/progress", progressToken=token, progress=1)


async def test_a_client_that_leaves_before_anything_was_said_has_cancelled_too() -> None:
    async with serving(Scripted()) as rig:
        with anyio.CancelScope() as leaving:
            rig.tasks.start_soon(cancel_once_heard, rig, leaving)
            await rig.modern("tools/call", CALL)
        assert leaving.cancelled_caught
        await rig.gateway.session.heard("notifications/cancelled")


async def test_a_client_that_leaves_has_cancelled_what_it_sent_behind_what_was_answered() -> None:
    async with serving(Scripted()) as rig:
        stream = await rig.connect()
        await stream.send(written(rig, 1) + written(rig, 2))
        await until(lambda: rig.gateway.sessions, "somebody is there")
        scripted = rig.gateway.session
        first = await scripted.heard("tools/call")
        scripted.answer(first["id"])
        second = await scripted.heard("tools/call", 2)
        await stream.aclose()
        cancelled = await scripted.heard("notifications/cancelled")
        assert cancelled["params"]["requestId"] == second["id"]


def written(rig: Rig, request_id: int) -> bytes:
    """A call as it goes over the wire."""
    body, named = modern_request("tools/call", CALL, request_id)
    text = json.dumps(body).encode()
    headers = {"host": "127.0.0.1", "content-length": str(len(text)), **rig.headers(**named)}
    lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + text


async def cancel_once_heard(rig: Rig, scope: anyio.CancelScope) -> None:
    await until(lambda: rig.gateway.sessions, "somebody is there")
    await rig.gateway.session.heard("tools/call")
    scope.cancel()


async def test_an_answered_request_is_not_cancelled() -> None:
    async with serving(Scripted()) as rig:
        asked = ask(rig, "tools/call", CALL)
        await until(lambda: rig.gateway.sessions, "somebody is there")
        heard = await rig.gateway.session.heard("tools/call")
        rig.gateway.session.answer(heard["id"])
        await asked.response()
        asked = ask(rig, "tools/list")
        await rig.gateway.session.heard("tools/list")
        assert names(rig.gateway.session.messages) == ["tools/call", "tools/list"]


async def test_each_listener_hears_its_own_subscription_under_its_own_id() -> None:
    async with serving(Scripted()) as rig:
        body, headers = modern_request("subscriptions/listen", LISTEN, "mine")
        first = rig.ask(body, **headers)
        await until(lambda: rig.gateway.sessions, "somebody is there")
        scripted = rig.gateway.session
        one = await scripted.heard("subscriptions/listen")
        second = rig.ask(body, **headers)
        two = await scripted.heard("subscriptions/listen", 2)
        acknowledge(scripted, one)
        acknowledge(scripted, two)
        scripted.notify("notifications/tools/list_changed", _meta={SUBSCRIPTION: two["id"]})
        scripted.notify("notifications/tools/list_changed")  # whose, nobody says
        scripted.answer(one["id"], {"_meta": {SUBSCRIPTION: one["id"]}})
        scripted.answer(two["id"], {"_meta": {SUBSCRIPTION: two["id"]}})
        acknowledged = "notifications/subscriptions/acknowledged"
        for asked, heard in ((first, [acknowledged]), (second, [acknowledged, "notifications/tools/list_changed"])):
            said = messages(await asked.response())
            assert names(said) == [*heard, "mine"]
            assert [one["params"]["_meta"][SUBSCRIPTION] for one in said[:-1]] == ["mine"] * len(heard)
            assert said[-1]["result"]["_meta"] == {SUBSCRIPTION: "mine"}


def acknowledge(scripted: ScriptedSession, heard: Any) -> None:
    scripted.notify("notifications/subscriptions/acknowledged", _meta={SUBSCRIPTION: heard["id"]}, **LISTEN)


async def test_logs_go_to_a_request_that_asked_for_them_alone() -> None:
    async with serving(Scripted()) as rig:
        asks = {"io.modelcontextprotocol/logLevel": "info"}
        loud = ask(rig, "tools/call", CALL, 1, asks)
        await until(lambda: rig.gateway.sessions, "somebody is there")
        scripted = rig.gateway.session
        one = await scripted.heard("tools/call")
        quiet = ask(rig, "tools/call", CALL, 2)
        two = await scripted.heard("tools/call", 2)
        scripted.notify("notifications/message", level="info", data="x")
        scripted.answer(two["id"])
        scripted.answer(one["id"])
        assert names(messages(await loud.response())) == ["notifications/message", 1]
        assert (await quiet.response()).headers["content-type"] == "application/json"


async def test_a_request_of_a_server_is_refused_since_nobody_could_answer_it() -> None:
    async with serving(Scripted()) as rig:
        asked = ask(rig, "tools/call", CALL)
        await until(lambda: rig.gateway.sessions, "somebody is there")
        scripted = rig.gateway.session
        heard = await scripted.heard("tools/call")
        scripted.say({"id": "s", "method": "sampling/createMessage", "params": {}})
        assert scripted.messages[-1]["id"] == "s"
        assert scripted.messages[-1]["error"]["code"] == -32601
        scripted.answer(heard["id"])
        assert (await asked.response()).headers["content-type"] == "application/json"


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SAME_TRACE = "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-00"
OTHER_TRACE = "00-11111111111111111111111111111111-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({}, {}, True),
        ({"meta": {"spec-mcp/session": "a"}}, {"meta": {"spec-mcp/session": "a", "traceparent": TRACE}}, True),
        ({"meta": {"spec-mcp/session": "a"}}, {"meta": {"spec-mcp/session": "b"}}, False),
        ({"meta": {"spec-mcp/session": "x" * 999}}, {"meta": {"spec-mcp/session": "x" * 998}}, False),
        ({"meta": {"spec-mcp/session": 5}}, {}, True),
        ({"meta": {"traceparent": TRACE}}, {"traceparent": SAME_TRACE}, True),
        ({"meta": {"traceparent": TRACE}}, {"traceparent": OTHER_TRACE}, False),
        ({"meta": {"traceparent": TRACE}, "traceparent": OTHER_TRACE}, {"traceparent": TRACE}, True),
        ({"traceparent": "nonsense"}, {"meta": {"traceparent": "00-" + "0" * 32 + "-1-01"}}, True),
        ({"traceparent": TRACE}, {}, False),
    ],
)
async def test_conversations_are_told_apart(one: dict[str, Any], other: dict[str, Any], is_same: bool) -> None:
    async with serving(Scripted()) as rig:
        for how in (one, other):
            asked = ask(rig, "tools/list", {}, 1, **how)
            await until(lambda: any(session.lines for session in rig.gateway.sessions), "it is there")
            await until(lambda: unanswered(rig), "it waits for its answer")
            scripted, request_id = unanswered(rig)[0]
            scripted.answer(request_id)
            scripted.lines.clear()
            assert (await asked.response()).status_code == 200
        assert len({session.visitor.conversation for session in rig.gateway.sessions}) == len(rig.gateway.sessions)
        assert (len(rig.gateway.sessions) == 1) == is_same


def unanswered(rig: Rig) -> list[Any]:
    return [(session, message["id"]) for session in rig.gateway.sessions for message in session.messages]


SCHEMA = b'{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}'


@pytest.mark.parametrize(
    ("arguments", "header", "status"),
    [
        ({"region": "eu"}, "eu", 200),
        ({"region": "eu"}, "=?base64?ZXU=?=", 200),
        ({"region": "eu"}, "us", 400),
        ({"region": "eu"}, None, 400),
        ({}, "eu", 400),
        ({}, None, 200),
    ],
)
async def test_headers_of_parameters_say_what_the_arguments_say(
    arguments: dict[str, str], header: str | None, status: int
) -> None:
    seen: list[str] = []

    def schema_of(principal: object, tool: str) -> bytes:
        seen.append(tool)
        return SCHEMA

    async with serving(Scripted(), schema_of=schema_of) as rig:
        headers = {} if header is None else {"mcp_param_region": header}
        asked = ask(rig, "tools/call", {"name": "echo", "arguments": arguments}, **headers)
        if status == 200:
            await until(lambda: rig.gateway.sessions, "somebody is there")
            rig.gateway.session.answer((await rig.gateway.session.heard("tools/call"))["id"])
        response = await asked.response()
        assert response.status_code == status
        assert status == 200 or response.json()["error"]["code"] == -32020
        assert seen == ["echo"]


async def test_a_listener_that_does_not_read_is_disconnected() -> None:
    async with serving(Scripted(), Listen(stream_bytes=1000)) as rig:
        body, headers = modern_request("subscriptions/listen", LISTEN, 1)
        text = json.dumps(body)
        named = rig.headers(host="127.0.0.1", content_length=str(len(text)), **headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        async with await rig.connect() as lazy:
            await lazy.send(f"POST /mcp HTTP/1.1\r\n{head}\r\n{text}".encode())
            await until(lambda: rig.gateway.sessions, "somebody is there")
            scripted = rig.gateway.session
            heard = await scripted.heard("subscriptions/listen")
            for _ in range(300):
                meta = {SUBSCRIPTION: heard["id"]}
                scripted.notify("notifications/resources/updated", _meta=meta, uri="x" * 100_000)
                await anyio.lowlevel.checkpoint()
            await scripted.heard("notifications/cancelled")

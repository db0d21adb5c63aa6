"""Clients of the handshake era: sessions, streams and who hears what."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx2
import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front import saying
from tests.relay.front.rig import (
    BOTH,
    LEGACY,
    WAIT_S,
    Events,
    Scripted,
    ScriptedSession,
    call,
    names,
    request,
    serving,
)

pytestmark = pytest.mark.anyio


async def test_an_answer_that_comes_first_is_plain_json_byte_for_byte() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        asked = rig.ask(request("tools/list", {}, "a\u00e9"), session)
        await rig.gateway.session.heard("tools/list")
        line = '{"id": "a\u00e9" ,"jsonrpc":"2.0","result":{"x":1e400,"x":2}}'.encode()
        rig.gateway.session.client.send(line + b"\n")
        response = await asked.response()
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["mcp-session-id"] == session
        assert response.content == line
        assert len(rig.front.sessions) == 1


async def test_what_must_be_said_before_the_answer_makes_it_a_stream_of_events() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        rig.tasks.start_soon(answer_with_progress, rig.gateway.session)
        async with rig.stream(call("count", request_id=7, progressToken="t"), session) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["mcp-session-id"] == session
            events = Events(response)
            first = await events.next()
            assert (first.data, first.retry) == ("", 1000)
            assert first.id
            second = await events.next()
            assert second.id
            assert second.id != first.id
            assert "progress" in second.data
            assert names(await events.rest()) == [7]


async def answer_with_progress(scripted: ScriptedSession) -> None:
    heard = await scripted.heard("tools/call")
    scripted.notify("notifications/progress", progressToken="t", progress=1)
    scripted.answer(heard["id"])


async def test_a_request_that_stays_silent_becomes_a_stream_that_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saying, "PING_S", 0.05)
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        async with rig.stream(call("slow", request_id=7), session) as response:
            lines = response.aiter_lines()
            told = [await anext(lines) for _ in range(6)]
            assert told[1:] == ["retry: 1000", "data:", "", ": ping", ""]
            rig.gateway.session.answer(7)
            assert "data: " in "".join([line async for line in lines])


async def test_clients_before_the_revision_of_empty_events_get_none() -> None:
    async with serving(Scripted("2025-06-18")) as rig:
        session = await rig.initialize()
        rig.tasks.start_soon(answer_with_progress, rig.gateway.session)
        async with rig.stream(call("count", request_id=7, progressToken="t"), session) as response:
            events = Events(response)
            assert (await events.next()).data
            assert names(await events.rest()) == [7]


async def test_notifications_and_answers_of_the_client_are_accepted_and_passed_on() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        for body in ({"method": "notifications/x"}, {"id": 3, "result": {}}, {"id": 4, "error": {"code": 1}}):
            response = await rig.post({"jsonrpc": "2.0", **body}, session)
            assert (response.status_code, response.content) == (202, b"")
        assert len(rig.gateway.session.lines) == 2 + 3


async def test_a_body_over_several_lines_reaches_the_gateway_as_one() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        body = b'{"jsonrpc":"2.0",\r\n "method":"notifications/x",\n "params":{"a":"b\\n"}}\n'
        assert (await rig.post(body, session)).status_code == 202
        assert rig.gateway.session.lines[-1] == body.rstrip().replace(b"\r", b" ").replace(b"\n", b" ") + b" \n"


async def test_progress_goes_to_the_request_that_asked_and_the_rest_to_the_last_call() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        one = rig.ask(call("one", request_id=1, progressToken=1), session)
        await scripted.heard("tools/call")
        two = rig.ask(call("two", request_id=2, progressToken="1"), session)
        await scripted.heard("tools/call", 2)
        three = rig.ask(request("resources/read", {"uri": "a:b"}, 3), session)
        await scripted.heard("resources/read")
        progress = "notifications/progress"
        scripted.notify(progress, progressToken=1, progress=1)
        scripted.notify(progress, progressToken="1", progress=1)
        scripted.notify("notifications/message", level="info", data="x")
        scripted.say({"id": "s1", "method": "sampling/createMessage", "params": {}})
        scripted.answer(2)
        assert told(await two.response()) == [progress, "notifications/message", "sampling/createMessage", 2]
        scripted.notify("notifications/tools/list_changed")
        scripted.answer(1)
        assert told(await one.response()) == [progress, "notifications/tools/list_changed", 1]
        scripted.notify("notifications/prompts/list_changed")
        scripted.answer(3)
        assert told(await three.response()) == ["notifications/prompts/list_changed", 3]


async def test_the_cancellation_of_a_servers_request_follows_it() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        one = rig.ask(call("one", request_id=1), session)
        await scripted.heard("tools/call")
        scripted.say({"id": "s1", "method": "elicitation/create", "params": {}})
        two = rig.ask(call("two", request_id=2), session)
        await scripted.heard("tools/call", 2)
        scripted.notify("notifications/cancelled", requestId="s1")
        scripted.answer(1)
        scripted.answer(2)
        assert told(await one.response()) == ["elicitation/create", "notifications/cancelled", 1]
        assert told(await two.response()) == [2]


async def test_what_belongs_to_no_request_waits_for_the_sessions_own_stream() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        scripted.notify("notifications/tools/list_changed")
        async with rig.listen(session) as response:
            assert response.status_code == 200
            events = Events(response)
            assert (await events.message())["method"] == "notifications/tools/list_changed"
            scripted.say({"id": 1, "method": "ping"})
            assert (await events.message())["method"] == "ping"


async def test_a_second_own_stream_takes_the_place_of_the_first() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        async with rig.listen(session) as first, rig.listen(session) as second:
            assert await Events(first).rest() == []
            rig.gateway.session.notify("notifications/x")
            assert names([await Events(second).message()]) == ["notifications/x"]


async def test_a_client_that_comes_back_gets_what_it_missed_of_its_own_stream() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        async with rig.listen(session) as response:
            events = Events(response)
            scripted.notify("notifications/one")
            while not (event := await events.next()).data:
                pass
            scripted.notify("notifications/two")
            await events.message()
        scripted.notify("notifications/three")
        async with rig.listen(session, last_event_id=event.id) as response:
            events = Events(response)
            assert names([await events.message(), await events.message()]) == [
                "notifications/two",
                "notifications/three",
            ]


async def test_a_call_goes_on_while_its_client_is_away_and_its_answer_waits() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        rig.tasks.start_soon(begin_with_progress, scripted)
        async with rig.stream(call("slow", progressToken=5), session) as response:
            events = Events(response)
            priming = await events.next()
            await events.message()
        scripted.notify("notifications/progress", progressToken=5, progress=2)
        scripted.answer(1)
        for _ in range(2):
            async with rig.listen(session, last_event_id=priming.id or "") as response:
                messages = await Events(response).rest()
                assert names(messages) == ["notifications/progress", "notifications/progress", 1]
        assert "notifications/cancelled" not in names(scripted.messages)


async def begin_with_progress(scripted: ScriptedSession) -> None:
    await scripted.heard("tools/call")
    scripted.notify("notifications/progress", progressToken=5, progress=1)


async def test_the_answer_to_a_client_that_left_too_early_is_for_nobody() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        with anyio.CancelScope() as leaving:
            rig.tasks.start_soon(cancel_once_heard, scripted, leaving)
            await rig.post(call("slow", request_id=1), session)
        assert leaving.cancelled_caught
        again = rig.ask(call("slow", request_id=2), session)
        await scripted.heard("tools/call", 2)
        scripted.answer(1, {"whose": "nobody's"})
        scripted.answer(2, {"whose": "the second's"})
        assert (await again.response()).json()["result"] == {"whose": "the second's"}
        async with rig.listen(session) as response:
            scripted.notify("notifications/x")
            assert names([await Events(response).message()]) == ["notifications/x"]


async def cancel_once_heard(scripted: ScriptedSession, scope: anyio.CancelScope) -> None:
    await scripted.heard("tools/call")
    scope.cancel()


@pytest.mark.parametrize("event_id", ["0-99", "9-1", "x", "0-", "0-x", "-1", "0--1", "0-" + "9" * 40])
async def test_an_event_that_never_was_cannot_be_come_back_to(event_id: str) -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        async with rig.listen(session, last_event_id=event_id) as response:
            assert response.status_code == 400


async def test_of_what_a_client_misses_only_the_newest_is_kept() -> None:
    async with serving(Scripted(), Listen(replay_bytes=1000)) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        for number in range(100):
            scripted.notify(f"notifications/{number}")
        async with rig.listen(session) as response:
            events = Events(response)
            first = await events.message()
            kept = int(first["method"].partition("/")[2])
            assert kept > 80
            for number in range(kept + 1, 100):
                assert (await events.message())["method"] == f"notifications/{number}"


async def test_a_cancelled_request_is_answered_though_its_server_says_nothing() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        asked = rig.ask(call("slow", request_id="a"), session)
        await scripted.heard("tools/call")
        params = {"requestId": "a"}
        await rig.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}, session)
        answer = (await asked.response()).json()
        assert answer == {"jsonrpc": "2.0", "id": "a", "error": {"code": -32800, "message": "Request cancelled"}}
        scripted.answer("a")  # too late, and to nobody
        assert (await scripted.heard("notifications/cancelled"))["params"] == params


async def test_a_session_ends_with_delete_and_is_unknown_after() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        response = await rig.http.delete(rig.url, headers={"mcp-session-id": session})
        assert response.status_code == 204
        await rig.gateway.session.left()
        for method in ("GET", "POST", "DELETE"):
            async with rig.stream(request("ping") if method == "POST" else None, session, method) as response:
                assert response.status_code == 404


async def test_what_is_in_flight_when_a_session_ends_gets_an_error() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        asked = rig.ask(call("slow", request_id=4), session)
        await rig.gateway.session.heard("tools/call")
        async with rig.listen(session) as own:
            await rig.http.delete(rig.url, headers={"mcp-session-id": session})
            assert await Events(own).rest() == []
        response = await asked.response()
        assert (response.status_code, response.json()["id"]) == (404, 4)


async def test_a_handshake_that_fails_leaves_no_session() -> None:
    async with serving(Scripted("")) as rig:
        response = await rig.post(request("initialize", {}))
        assert (response.status_code, response.json()["error"]["code"]) == (200, -32602)
        assert "mcp-session-id" not in response.headers
        assert len(rig.front.sessions) == 0
        assert rig.gateway.session.is_closed


async def test_without_a_session_only_initialize_is_served() -> None:
    async with serving(Scripted()) as rig:
        assert (await rig.post(request("tools/list"))).status_code == 400
        assert (await rig.post(request("tools/list"), "unknown")).status_code == 404
        async with rig.listen("unknown") as response:
            assert response.status_code == 404
        async with rig.stream(None, "", "GET") as response:
            assert response.status_code == 400


async def test_two_requests_in_flight_may_not_have_one_id() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        number = rig.ask(call("slow", request_id=1), session)
        await scripted.heard("tools/call")
        assert (await rig.post(call("slow", request_id=1.0), session)).status_code == 400
        text = rig.ask(call("slow", request_id="1"), session)
        await scripted.heard("tools/call", 2)
        scripted.answer("1", {"id": "text"})
        scripted.answer(1, {"id": "number"})
        assert (await text.response()).json()["result"] == {"id": "text"}
        assert (await number.response()).json()["result"] == {"id": "number"}


async def test_a_batch_is_answered_with_an_array_in_the_revision_that_has_them() -> None:
    async with serving(Scripted("2025-03-26")) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        notification = {"jsonrpc": "2.0", "method": "notifications/x"}
        asked = rig.ask([request("tools/list", {}, 1), notification, request("ping", {}, 2)], session)
        await scripted.heard("ping")
        scripted.answer(2)
        scripted.answer(1, {"tools": []})
        assert [one["id"] for one in (await asked.response()).json()] == [2, 1]
        assert names(scripted.messages)[-3:] == ["tools/list", "notifications/x", "ping"]
        assert (await rig.post([notification, notification], session)).status_code == 202


async def test_a_batch_that_is_not_only_answered_becomes_a_stream() -> None:
    async with serving(Scripted("2025-03-26")) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        asked = rig.ask([call("one", request_id=1, progressToken=1), call("two", request_id=2)], session)
        await scripted.heard("tools/call", 2)
        scripted.answer(2)
        scripted.notify("notifications/progress", progressToken=1, progress=1)
        scripted.answer(1)
        assert told(await asked.response()) == [2, "notifications/progress", 1]


async def test_no_other_revision_has_batches() -> None:
    async with serving(Scripted(LEGACY)) as rig:
        session = await rig.initialize()
        assert (await rig.post([request("ping", {}, 1)], session)).status_code == 400
        assert len(rig.gateway.session.lines) == 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}', -32700),
        (b'{"jsonrpc":"2.0","method":"x","params":{"a":"\n"}}', -32700),
        (b"1", -32600),
        (b"[]", -32600),
        (b"[1]", -32600),
        (b"[[]]", -32600),
        (b"{}", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"x"}', -32600),
        (b'{"id":1,"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}', -32600),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 2000 + b'","method":"x"}', -32600),
    ],
)
async def test_a_body_that_is_no_message_gets_an_error_and_goes_nowhere(body: bytes, code: int) -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        response = await rig.post(body, session)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == code
        assert len(rig.gateway.session.lines) == 2


async def test_text_that_few_readers_take_is_passed_on_all_the_same() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        for params in (
            b'{"a":"\\ud800"}',
            b'{"a":1e400,"a":2}',
            b'{"a":"\xff"}',
            b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}",
        ):
            body = b'{"jsonrpc":"2.0","method":"notifications/x","params":' + params + b"}"
            assert (await rig.post(body, session)).status_code == 202
            assert rig.gateway.session.lines[-1] == body + b"\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": "text/html"}, 406),
        ({"accept": "*/*"}, 202),
        ({"accept": "application/*;q=0.5, TEXT/*"}, 202),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 202),
        ({"mcp_protocol_version": LEGACY}, 202),
        ({"mcp_protocol_version": "1999-01-01"}, 400),
        ({"mcp_protocol_version": "nonsense"}, 400),
    ],
)
async def test_headers_say_what_may_be_said(headers: dict[str, str], status: int) -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        body = {"jsonrpc": "2.0", "method": "notifications/x"}
        assert (await rig.post(body, session, **headers)).status_code == status


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "PATCH", "HEAD"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    async with serving(Scripted()) as rig:
        response = await rig.http.request(method, rig.url)
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST, DELETE")


async def test_a_header_that_is_there_twice_is_refused_where_one_is_meant() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        headers = [*rig.headers(session).items(), ("mcp-session-id", session)]
        assert (await rig.http.post(rig.url, content=b"{}", headers=headers)).status_code == 400


async def test_a_client_that_does_not_read_is_disconnected_and_can_come_back() -> None:
    async with serving(Scripted(), Listen(stream_bytes=1000, replay_bytes=4000)) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        head = f"GET /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {BOTH}\r\nmcp-session-id: {session}\r\n\r\n"
        async with await rig.connect() as lazy:
            await lazy.send(head.encode())
            assert b"200 OK" in await lazy.receive()
            text = "x" * 100_000
            for _ in range(300):
                scripted.notify("notifications/x", text=text)
                await anyio.lowlevel.checkpoint()
            assert await received_bytes(lazy) < 300 * len(text)
        scripted.notify("notifications/last")
        async with rig.listen(session) as response:
            assert names([await Events(response).message()]) == ["notifications/last"]


async def received_bytes(stream: anyio.abc.ByteReceiveStream) -> int:
    """How much comes until the other side closes."""
    size_bytes = 0
    try:
        with anyio.fail_after(WAIT_S):
            while True:
                size_bytes += len(await stream.receive())
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return size_bytes


def told(response: httpx2.Response) -> list[Any]:
    """What was said in an answer: methods, and the ids of answers."""
    if response.headers["content-type"] == "application/json":
        return names([response.json()])
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return names([json.loads(one) for one in data])

"""Streamable HTTP in the handshake era: sessions, order, streams, and what servers do with them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from spec_mcp.relay.back import exchange, http, listening, posting
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.link import STABLE_S
from tests.relay.back.hostile import VERSION, Asked, Gone, Hostile, Out, Plain, hostile
from tests.relay.back.keeping import WAIT_S, kept

pytestmark = pytest.mark.anyio


def link(server: Hostile, **headers: str) -> HttpBack:
    return HttpBack(Address(server.url, headers), now_s, chance=lambda: 0.0)


async def idle(back: HttpBack) -> None:
    """Wait until nothing is under way."""
    with anyio.fail_after(WAIT_S):
        while back._exchanges:  # noqa: ASYNC110  nothing tells of it
            await anyio.sleep(0.005)


async def test_a_session_is_begun_kept_and_ended_as_the_protocol_says() -> None:
    async with hostile(Plain()) as server:
        async with kept(link(server)) as client:
            await client.hello()
            await client.answer(client.call("t"))
        first, *rest = [asked for asked in server.asked if asked.method != "GET"]
        assert first.name == "initialize"
        assert "mcp-session-id" not in first.headers
        assert "mcp-protocol-version" not in first.headers
        assert first.headers["accept"] == "application/json, text/event-stream"
        assert first.headers["content-type"] == "application/json"
        assert [asked.name for asked in rest] == ["notifications/initialized", "tools/call", "DELETE"]
        for asked in rest:
            assert asked.headers["mcp-session-id"] == "session-1"
            assert asked.headers["mcp-protocol-version"] == VERSION
        assert client.losses == []


async def test_what_the_client_wrote_is_sent_byte_for_byte() -> None:
    line = b'{"jsonrpc": "2.0", "id":7,  "method":"tools/call","params":{"a":1e400,"a":2,"b":"\\ud800"}}\n'
    async with hostile(Plain()) as server, kept(link(server)) as client:
        await client.hello()
        assert client.link.send("tools/call", line) is None
        assert (await server.came("tools/call")).body == line


async def test_what_the_server_wrote_arrives_byte_for_byte_on_one_line() -> None:
    body = b'{\n  "jsonrpc": "2.0",\r\n  "id": 3, "result": {"a": 1e400, "a": "\\ud800"}\n}'

    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, body)

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        client.send("ping")
        client.call("t")
        await client.until(lambda: len(client.lines) == 3 or None, "the answer")
        assert body.translate(bytes.maketrans(b"\r\n", b"  ")) + b"\n" in client.lines


async def test_one_connection_serves_one_call_after_another_whether_they_are_streamed_or_not() -> None:
    async def read(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": {}})
        await anyio.sleep(0.01)  # its end comes in a packet of its own
        await out.end()

    async with hostile(Plain(resources__read=read)) as server, kept(back := link(server)) as client:
        await client.hello()
        await server.came("GET")
        for _ in range(5):
            await client.answer(client.call("t"))
        before = server.connections
        for _ in range(5):
            await client.answer(client.send("resources/read", {"uri": "a:b"}))
            await idle(back)
            await client.answer(client.call("t"))
        assert server.connections == before


async def test_a_notification_has_arrived_before_the_request_after_it_is_sent() -> None:
    taken = anyio.Event()

    async def initialized(asked: Asked, out: Out) -> None:
        await anyio.sleep(0.2)
        taken.set()
        await out.reply(202)

    async def call(asked: Asked, out: Out) -> None:
        await out.answer(asked, {"was": taken.is_set()})

    special: dict[str, Any] = {"notifications/initialized": initialized, "tools/call": call}
    async with hostile(Plain(**special)) as server, kept(link(server)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["result"] == {"was": True}


async def test_a_notification_that_is_never_taken_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "ORDER_S", 0.1)

    async def hang(asked: Asked, out: Out) -> None:
        await out.until_left()

    special: dict[str, Any] = {"notifications/initialized": hang}
    async with hostile(Plain(**special)) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))


async def test_what_is_said_before_the_handshake_is_done_waits_for_it() -> None:
    may_go = anyio.Event()

    async def initialize(asked: Asked, out: Out) -> None:
        await may_go.wait()
        await out.answer(asked, {"protocolVersion": VERSION}, Mcp_Session_Id="s")

    plain = Plain(initialize=initialize)
    plain.session = "s"
    async with hostile(plain) as server, kept(link(server)) as client:
        client.send("initialize", {"protocolVersion": VERSION})
        client.tell("notifications/initialized")
        call = client.call("t")
        await server.came("initialize")
        await anyio.sleep(0.05)
        assert [asked.name for asked in server.asked] == ["initialize"]
        may_go.set()
        await client.answer(call)
        assert server.named("tools/call")[0].headers["mcp-session-id"] == "s"


async def test_a_session_that_is_gone_is_begun_anew_and_what_met_that_is_made_again() -> None:
    plain = Plain()
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))
        restarts = client.restarts
        plain.session = "another"  # as after a restart of the server
        calls = [client.call("t", number=number) for number in range(5)]
        for call in calls:
            assert (await client.answer(call))["result"] == {"name": "tools/call"}
        assert client.restarts == restarts + 1
        assert client.losses == []
        assert plain.sessions == 2
        assert len(server.named("notifications/initialized")) == 2
        made = [a.message["params"]["arguments"]["number"] for a in server.named("tools/call")[1:]]
        assert sorted(made) == sorted([*range(5)] * 2)


@pytest.mark.parametrize(
    "words",
    [
        "Bad Request: No valid session ID provided",
        "Invalid or missing session ID",
        "Session not found",
        "Unknown session",
        "The session ID is expired",
    ],
)
async def test_a_session_that_is_gone_is_known_by_the_words_of_servers_that_answer_400(words: str) -> None:
    class Wordy(Plain):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.method == "POST" and asked.headers.get("mcp-session-id", self.session) != self.session:
                error = {"code": -32000, "message": words}
                await out.reply(400, json.dumps({"jsonrpc": "2.0", "error": error, "id": None}).encode())
            else:
                await super().__call__(asked, out)

    plain = Wordy()
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))
        plain.session = "another"
        assert "result" in await client.answer(client.call("t"))
        assert plain.sessions == 2


async def test_a_bad_request_is_no_session_that_is_gone() -> None:
    async def call(asked: Asked, out: Out) -> None:
        body = {"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": -32602, "message": "no such table"}}
        await out.reply(400, json.dumps(body).encode())

    plain = Plain(tools__call=call)
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["error"]["message"] == "no such table"
        assert plain.sessions == 1


async def test_a_session_that_was_forgotten_before_its_first_use_is_begun_anew_too() -> None:
    time_s = 1000.0
    plain = Plain()
    async with (
        hostile(plain) as server,
        kept(HttpBack(Address(server.url, {}), lambda: time_s, chance=lambda: 0.0)) as client,
    ):
        await client.hello()
        plain.session = "another"
        time_s += STABLE_S
        assert "result" in await client.answer(client.call("t"))
        assert plain.sessions == 2
        assert client.losses == []


async def test_an_error_that_speaks_of_some_session_is_the_answer_where_a_new_one_does_not_mend_it() -> None:
    async def call(asked: Asked, out: Out) -> None:
        body = {"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": 1, "message": "Invalid session cookie"}}
        await out.reply(400, json.dumps(body).encode())

    plain = Plain(tools__call=call)
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.send("ping"))
        for _ in range(3):
            assert (await client.answer(client.call("t")))["error"]["message"] == "Invalid session cookie"
        assert client.losses == []
        assert plain.sessions == 2


async def test_a_server_that_forgets_its_sessions_at_once_is_not_asked_all_the_time() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(404)

    plain = Plain(tools__call=call)
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        client.call("t")
        assert "forgets its sessions" in await client.lost()
        for times in range(2, 5):
            client.call("t")
            await client.lost(times)
        assert plain.sessions <= 5


async def test_a_stream_that_breaks_is_come_back_to_where_it_broke() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.event(None, "first")
        await out.part(b"retry: 10\n\n")
        await out.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}, "second")
        raise_cut()

    async def get(asked: Asked, out: Out) -> None:
        if asked.headers.get("last-event-id") != "second":
            await out.reply(405)
            return
        call = next(asked for asked in server.asked if asked.name == "tools/call")
        await out.stream()
        await out.event({"jsonrpc": "2.0", "id": call.message["id"], "result": {"resumed": True}}, "third")
        await out.end()

    async with hostile(Plain(tools__call=call, GET=get)) as server, kept(link(server)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["result"] == {"resumed": True}
        assert len(server.named("tools/call")) == 1
        assert [m["method"] for m in client.messages if "method" in m] == ["notifications/progress"]


async def test_a_stream_is_not_come_back_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "RESUME_S", 0.01)

    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.event(None, "first")
        raise_cut()

    async def get(asked: Asked, out: Out) -> None:
        if "last-event-id" not in asked.headers:
            await out.reply(405)
            return
        await out.stream()
        raise_cut()

    async with hostile(Plain(tools__call=call, GET=get)) as server, kept(link(server)) as client:
        await client.hello()
        assert "broke before" in (await client.answer(client.call("t")))["error"]["message"]
        assert len(server.named("GET")) <= 1 + exchange.RESUMED_MAX
        await client.answer(client.send("ping"))


async def test_what_the_server_says_on_its_own_account_is_heard_through_broken_streams() -> None:
    ids: list[str | None] = []

    async def get(asked: Asked, out: Out) -> None:
        ids.append(asked.headers.get("last-event-id"))
        await out.stream()
        await out.part(b"retry: 10\n\n")
        await out.event({"jsonrpc": "2.0", "method": f"notifications/{len(ids)}"}, str(len(ids)))
        if len(ids) == 3:
            await out.until_left()
        await out.end()

    async with hostile(Plain(GET=get)) as server, kept(link(server)) as client:
        await client.hello()
        await client.message(lambda message: message.get("method") == "notifications/3", "the third")
        assert ids == [None, "1", "2"]
        assert server.named("GET")[0].headers["mcp-session-id"] == "session-1"
        assert server.named("GET")[0].headers["accept"] == "text/event-stream"


async def test_a_server_without_anything_to_say_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "RESUME_S", 0.01)
    async with hostile(Plain()) as server, kept(link(server)) as client:
        await client.hello()
        await server.came("GET")
        await anyio.sleep(0.1)
        await client.answer(client.call("t"))
        assert len(server.named("GET")) == 1


async def test_listening_in_vain_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "RESUME_S", 0.001)
    monkeypatch.setattr(listening, "HEARD_IN_VAIN_MAX", 4)

    async def get(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.end()

    async with hostile(Plain(GET=get)) as server, kept(link(server)) as client:
        await client.hello()
        await server.came("GET", 4)
        await anyio.sleep(0.1)
        await client.answer(client.call("t"))
        assert len(server.named("GET")) == 4


async def test_a_session_that_is_gone_while_nobody_asks_is_begun_anew_once() -> None:
    first = anyio.Event()

    async def get(asked: Asked, out: Out) -> None:
        if first.is_set():
            if asked.headers["mcp-session-id"] != plain.session:
                await out.reply(404)
                return
            await out.stream()
            await out.until_left()
        await out.stream()
        await out.part(b"retry: 10\n\n")
        await first.wait()
        await out.end()

    plain = Plain(GET=get)
    async with hostile(plain) as server, kept(link(server)) as client:
        await client.hello()
        await server.came("GET")
        await client.answer(client.call("t"))
        plain.session = "another"
        first.set()
        await server.came("initialize", 2)
        await server.came("GET", 3)
        await client.answer(client.call("t"))
        assert plain.sessions == 2


async def test_an_answer_in_the_stream_of_others_is_nobody_s() -> None:
    async def get(asked: Asked, out: Out) -> None:
        await out.stream()
        await server.came("tools/call")
        await out.event({"jsonrpc": "2.0", "id": server.named("tools/call")[0].message["id"], "result": "forged"})
        await out.event({"jsonrpc": "2.0", "method": "notifications/end"})
        await out.until_left()

    async def call(asked: Asked, out: Out) -> None:
        await client.message(lambda message: message.get("method") == "notifications/end", "the end")
        await out.answer(asked, "true")

    async with hostile(Plain(GET=get, tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        await server.came("GET")
        call_id = client.call("t")
        assert (await client.answer(call_id))["result"] == "true"
        assert len([m for m in client.messages if m.get("id") == call_id]) == 1


async def test_a_client_that_begins_anew_gets_another_session_and_the_old_one_is_ended() -> None:
    async with hostile(Plain()) as server, kept(link(server)) as client:
        await client.hello()
        await client.hello()
        assert (await server.came("DELETE")).headers["mcp-session-id"] == "session-1"
        await client.answer(client.call("t"))
        assert server.named("tools/call")[0].headers["mcp-session-id"] == "session-2"


async def test_a_cancellation_follows_its_request_and_the_connection_is_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "CANCELLED_S", 0.2)
    left = anyio.Event()

    async def hang(asked: Asked, out: Out) -> None:
        await out.until_left()
        left.set()

    async with hostile(Plain(tools__call=hang)) as server, kept(link(server)) as client:
        await client.hello()
        call = client.call("t")
        client.cancel(call)
        await server.came("notifications/cancelled")
        names = [asked.name for asked in server.asked]
        assert names.index("tools/call") < names.index("notifications/cancelled")
        with anyio.fail_after(60):
            await left.wait()
        await client.answer(client.send("ping"))
        assert client.error(call) is None


async def test_a_batch_is_answered_as_it_was_asked() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(
            200, json.dumps([{"jsonrpc": "2.0", "id": m["id"], "result": {}} for m in asked.message]).encode()
        )

    class Batches(Plain):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.body.startswith(b"["):
                await call(asked, out)
            else:
                await super().__call__(asked, out)

    async with hostile(Batches()) as server, kept(link(server)) as client:
        await client.hello()
        server.asked.clear()
        lines = [json.dumps({"jsonrpc": "2.0", "id": number, "method": "ping"}) for number in ("a", "b")]
        client.link.send("", f"[{','.join(lines)}]\n".encode())
        await client.until(lambda: next((m for m in client.messages if isinstance(m, list)), None), "the batch")


async def test_a_cookie_is_shown_again_for_the_sake_of_balancers() -> None:
    async def initialize(asked: Asked, out: Out) -> None:
        await out.answer(asked, {"protocolVersion": VERSION}, Set_Cookie="lb=one; Path=/")

    async with hostile(Plain(initialize=initialize)) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))
        assert server.named("tools/call")[0].headers["cookie"] == "lb=one"


async def test_headers_of_the_configuration_are_sent_with_everything() -> None:
    async with hostile(Plain()) as server:
        async with kept(link(server, **{"X-Tenant": "mine", "Authorization": "Bearer secret"})) as client:
            await client.hello()
            await client.answer(client.call("t"))
        assert server.asked
        for asked in server.asked:
            assert asked.headers["x-tenant"] == "mine"
            assert asked.headers["authorization"] == "Bearer secret"


def raise_cut() -> None:
    """The server's end of the connection goes."""
    raise Gone


async def test_nothing_is_left_of_a_link_that_is_not_kept_any_more() -> None:
    async def hang(asked: Asked, out: Out) -> None:
        await out.until_left()

    async def get(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.until_left()

    async with hostile(Plain(tools__call=hang, GET=get)) as server:
        await (await anyio.connect_tcp("127.0.0.1", server.port)).aclose()
        before = len(asyncio.all_tasks())
        async with kept(link(server)) as client:
            await client.hello()
            for _ in range(20):
                client.call("t")
            await server.came("tools/call", 20)
            await server.came("GET")
        with anyio.fail_after(WAIT_S):
            while server.open_connections or len(asyncio.all_tasks()) > before:  # noqa: ASYNC110  they tell nobody
                await anyio.sleep(0.005)
        assert client.lines[1:] == []
        assert client.losses == []

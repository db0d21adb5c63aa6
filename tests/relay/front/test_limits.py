"""Everything has a bound, and what goes beyond it gets an answer that says so."""

from __future__ import annotations

import gzip
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front.connection import Connection
from tests.relay.front.rig import (
    BOTH,
    INITIALIZE,
    MODERN,
    WAIT_S,
    Events,
    Rig,
    Scripted,
    call,
    modern_request,
    request,
    serving,
    until,
)

pytestmark = pytest.mark.anyio

HEAD = f"host: 127.0.0.1\r\naccept: {BOTH}\r\ncontent-type: application/json\r\n"


async def closed_in_time(stream: anyio.abc.ByteReceiveStream) -> bytes:
    """What comes until the other side closes."""
    heard = bytearray()
    with anyio.fail_after(WAIT_S):
        while True:
            try:
                heard += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return bytes(heard)


async def test_a_body_that_says_that_it_is_too_large_is_refused() -> None:
    async with serving(Scripted(), Listen(body_bytes=2000)) as rig:
        response = await rig.post(request("initialize", {"x": "y" * 2000}))
        assert response.status_code == 413
        assert "[listen] body_bytes" in response.json()["error"]["message"]
        assert (await rig.post(request("initialize", {"x": "y" * 1500}))).status_code == 200


async def test_a_large_body_is_told_so_while_it_is_being_sent() -> None:
    async with serving(Scripted()) as rig:
        assert (await rig.post(request("initialize", {"x": "y" * 17 * 2**20}))).status_code == 413


async def test_a_body_that_does_not_say_how_large_it_is_is_counted() -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(1000):
            yield b" " * 1000

    async with serving(Scripted(), Listen(body_bytes=5000)) as rig:
        response = await rig.http.post(rig.url, content=endless(), headers=rig.headers())
        assert response.status_code == 413


@pytest.mark.parametrize("length", ["99999999999999999", "20000"])
async def test_a_length_is_believed_before_the_body_has_come(length: str) -> None:
    async with serving(Scripted(), Listen(body_bytes=10_000, slow_s=1.0)) as rig, await rig.connect() as stream:
        await stream.send(f"POST /mcp HTTP/1.1\r\n{HEAD}content-length: {length}\r\n\r\n".encode())
        assert b" 413 " in await closed_in_time(stream)


async def test_a_slow_body_is_not_waited_for() -> None:
    async with serving(Scripted(), Listen(slow_s=0.2)) as rig, await rig.connect() as stream:
        await stream.send(f"POST /mcp HTTP/1.1\r\n{HEAD}content-length: 100\r\n\r\n{{".encode())
        heard = await closed_in_time(stream)
        assert b" 408 " in heard
        assert b"[listen] slow_s" in heard


@pytest.mark.parametrize("beginning", ["", "POST", "POST /mcp HTTP/1.1\r\nhost: 127"])
async def test_a_slow_head_is_not_waited_for(beginning: str) -> None:
    async with serving(Scripted(), Listen(slow_s=0.2)) as rig, await rig.connect() as stream:
        await stream.send(beginning.encode())
        assert await closed_in_time(stream) == b""


async def test_a_slow_head_after_an_answer_is_not_waited_for_either() -> None:
    async with serving(Scripted(), Listen(slow_s=1.0)) as rig, await rig.connect() as stream:
        await stream.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"alive" in await stream.receive()
        await stream.send(b"GET /he")
        await closed_in_time(stream)


async def test_large_headers_are_refused() -> None:
    async with serving(Scripted(), Listen(header_bytes=2000)) as rig:
        response = await rig.post(request("initialize", INITIALIZE), x="y" * 3000)
        assert response.status_code in (431, 400)  # as a whole, or while they are still being read
        async with await rig.connect() as stream:
            await stream.send(f"POST /mcp HTTP/1.1\r\nx: {'y' * 200_000}\r\n".encode())
            await closed_in_time(stream)
        assert not rig.gateway.sessions


async def test_there_is_room_for_so_many_sessions() -> None:
    async with serving(Scripted(), Listen(sessions=2)) as rig:
        first = await rig.initialize()
        await rig.initialize()
        refused = await rig.post(request("initialize", INITIALIZE))
        assert refused.status_code == 503
        assert "[listen] sessions" in refused.json()["error"]["message"]
        await rig.http.delete(rig.url, headers={"mcp-session-id": first})
        await rig.initialize()


async def test_what_the_gateway_has_no_room_for_is_told_in_its_words() -> None:
    async with serving(Scripted(most=0)) as rig:
        refused = await rig.post(request("initialize", INITIALIZE))
        assert (refused.status_code, refused.json()["error"]["message"]) == (503, "no room")
        assert len(rig.front.sessions) == 0


async def answered(rig: Rig, name: str) -> None:
    """A stateless request of this conversation, and its answer."""
    body, headers = modern_request("tools/list", {}, 1, {"spec-mcp/session": name})
    asked = rig.ask(body, **headers)
    await until(lambda: waiting(rig), "it is there")
    session, request_id = waiting(rig)[0]
    session.answer(request_id)
    session.lines.clear()
    assert (await asked.response()).status_code == 200


def waiting(rig: Rig) -> list[Any]:
    return [(one, message["id"]) for one in rig.gateway.sessions for message in one.messages]


async def test_the_conversation_that_was_used_least_lately_makes_room() -> None:
    async with serving(Scripted(), Listen(sessions_per_principal=2)) as rig:
        for name in ("a", "b", "a", "c"):
            await answered(rig, name)
        gone = {one.visitor.conversation: one.is_closed for one in rig.gateway.sessions}
        assert gone == {"session:a": False, "session:b": True, "session:c": False}


async def test_a_conversation_in_use_and_a_session_make_no_room() -> None:
    async with serving(Scripted(), Listen(sessions_per_principal=2)) as rig:
        await rig.initialize()
        body, headers = modern_request("tools/list", {}, 1, {"spec-mcp/session": "a"})
        asked = rig.ask(body, **headers)
        await until(lambda: len(rig.gateway.sessions) == 2, "it is there")
        await rig.gateway.session.heard("tools/list")
        body, headers = modern_request("tools/list", {}, 1, {"spec-mcp/session": "b"})
        refused = await rig.post(body, **headers)
        assert refused.status_code == 503
        assert "[listen] sessions_per_principal" in refused.json()["error"]["message"]
        rig.gateway.session.answer(rig.gateway.session.messages[0]["id"])
        assert (await asked.response()).status_code == 200


async def test_so_many_requests_are_in_flight_in_a_session() -> None:
    async with serving(Scripted(), Listen(requests_per_session=2)) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        asked = [rig.ask(call("slow", request_id=number), session) for number in (1, 2)]
        await scripted.heard("tools/call", 2)
        refused = await rig.post(call("slow", request_id=3), session)
        assert (refused.status_code, refused.json()["id"]) == (429, 3)
        assert "retry-after" in refused.headers
        for number in (1, 2):
            scripted.answer(number)
        for one in asked:
            assert (await one.response()).status_code == 200


async def test_so_many_requests_are_in_flight_in_a_conversation() -> None:
    async with serving(Scripted(), Listen(requests_per_session=1)) as rig:
        body, headers = modern_request("tools/list")
        rig.ask(body, **headers)
        await until(lambda: rig.gateway.sessions, "it is there")
        await rig.gateway.session.heard("tools/list")
        refused = await rig.modern("tools/list", request_id="x")
        assert (refused.status_code, refused.json()["id"]) == (429, "x")


class Clock:
    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


async def test_a_session_that_nobody_uses_ends_and_one_with_an_open_stream_does_not() -> None:
    clock = Clock()
    async with serving(Scripted(), Listen(idle_s=100), steady_s=clock) as rig:
        left = await rig.initialize()
        listens = await rig.initialize()
        async with rig.listen(listens) as own:
            for _ in range(3):
                clock.at_s += 60
                rig.front.sessions.sweep_once()
            assert [one.is_closed for one in rig.gateway.sessions] == [True, False]
            assert (await rig.post(call("x"), left)).status_code == 404
            rig.gateway.session.notify("notifications/x")
            assert (await Events(own).message())["method"] == "notifications/x"
        assert (await rig.post({"jsonrpc": "2.0", "method": "x"}, listens)).status_code == 202

        def is_over() -> bool:
            clock.at_s += 101
            rig.front.sessions.sweep_once()
            return rig.gateway.session.is_closed

        await until(is_over, "its client has left, and the session is over")


async def test_a_conversation_that_nobody_uses_ends_sooner() -> None:
    clock = Clock()
    async with serving(Scripted(), Listen(stateless_idle_s=10), steady_s=clock) as rig:
        await answered(rig, "a")
        clock.at_s += 9
        await answered(rig, "a")
        clock.at_s += 9
        rig.front.sessions.sweep_once()
        assert not rig.gateway.session.is_closed
        clock.at_s += 2
        rig.front.sessions.sweep_once()
        assert rig.gateway.session.is_closed
        await answered(rig, "a")
        assert len(rig.gateway.sessions) == 2


async def test_a_client_that_does_not_take_its_answer_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Connection.connection_lost
    gone: list[int] = []

    def noted(connection: Connection, error: Exception | None) -> None:
        lost(connection, error)
        assert connection.client is not None
        gone.append(connection.client[1])

    monkeypatch.setattr(Connection, "connection_lost", noted)
    async with serving(Scripted(), Listen(slow_s=1.0)) as rig:
        session = await rig.initialize()
        body = b'{"jsonrpc":"2.0","id":1,"method":"x/y"}'
        head = f"{HEAD}mcp-session-id: {session}\r\ncontent-length: {len(body)}\r\n\r\n"
        async with await rig.connect() as lazy:
            await lazy.send(f"POST /mcp HTTP/1.1\r\n{head}".encode() + body)
            await rig.gateway.session.heard("x/y")
            size_bytes = 50_000_000
            rig.gateway.session.answer(1, {"x": "y" * size_bytes})
            port = lazy.extra(anyio.abc.SocketAttribute.local_port)
            await until(lambda: port in gone, "it is disconnected, and has read nothing")
            assert len(await closed_in_time(lazy)) < size_bytes


async def test_more_connections_than_may_be_are_told_so() -> None:
    async with serving(Scripted(), Listen(connections=3)) as rig:
        async with await rig.connect(), await rig.connect():
            response = await rig.http.get(rig.url.replace("/mcp", "/healthz"))
            assert response.status_code == 503
        await until(lambda: len(rig.front.sessions) == 0, "they are gone")


async def test_a_fault_of_the_gateway_costs_one_request_and_tells_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    class Faulty(Scripted):
        def open(self, visitor: Any, client: Any) -> Any:
            raise ValueError("s3cret")

    async with serving(Faulty()) as rig:
        response = await rig.post(request("initialize", INITIALIZE))
        assert response.status_code == 500
        assert "s3cret" not in response.text
        assert (await rig.http.get(rig.url.replace("/mcp", "/healthz"))).status_code == 200
        assert (await rig.post(request("tools/list"), mcp_protocol_version=MODERN)).status_code == 400
    said = capfd.readouterr().err
    assert "ValueError" in said
    assert "s3cret" not in said


async def test_a_session_that_cannot_be_ended_holds_up_the_end_of_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    async with serving(Scripted(), Listen(idle_s=100), steady_s=clock) as rig:
        for _ in range(3):
            await rig.initialize()
        first, *others = rig.gateway.sessions
        first.is_closed = True  # the gateway thinks that it has ended already, and fails
        clock.at_s += 101
        await until(lambda: all(one.is_closed for one in others), "the others' ends")
        assert len(rig.front.sessions) == 0
        assert (await rig.post(request("initialize", INITIALIZE))).status_code == 200
    assert "AssertionError" in capfd.readouterr().err


async def test_all_clients_together_have_so_much_under_way() -> None:
    async with serving(Scripted(), Listen(memory_bytes=10_000)) as rig:
        one, other = await rig.initialize(), await rig.initialize()
        first = rig.ask(call("x", {"y": "z" * 6000}), one)
        await rig.gateway.sessions[0].heard("tools/call")
        refused = await rig.post(call("x", {"y": "z" * 6000}), other)
        assert refused.status_code == 503
        assert "[listen] memory_bytes" in refused.json()["error"]["message"]
        assert refused.headers["retry-after"] == "1"
        rig.gateway.sessions[0].answer(1)
        assert (await first.response()).status_code == 200
        second = rig.ask(call("x", {"y": "z" * 6000}), other)
        await rig.gateway.sessions[1].heard("tools/call")
        rig.gateway.sessions[1].answer(1)
        assert (await second.response()).status_code == 200


async def test_what_is_kept_for_clients_that_are_away_gives_way_to_those_that_are_here() -> None:
    async with serving(Scripted(), Listen(memory_bytes=10_000)) as rig:
        away, here = await rig.initialize(), await rig.initialize()
        for size_bytes in (4000, 2000):
            rig.gateway.sessions[0].notify(f"notifications/{size_bytes}", data="x" * size_bytes)
        rig.gateway.sessions[1].notify("notifications/other", data="x" * 1000)
        rig.front.sessions.sweep_once()
        body = {"jsonrpc": "2.0", "method": "notifications/x", "params": {"y": "z" * 6000}}
        assert (await rig.post(body, here)).status_code == 202
        async with rig.listen(away) as own:
            assert (await Events(own).message())["method"] == "notifications/2000"


async def test_a_session_that_has_ended_holds_no_room() -> None:
    async with serving(Scripted(), Listen(memory_bytes=10_000)) as rig:
        for _ in range(3):
            session = await rig.initialize()
            rig.gateway.session.notify("notifications/message", data="x" * 6000)
            await rig.http.delete(rig.url, headers=rig.headers(session))
        assert (await rig.post(request("initialize", INITIALIZE))).status_code == 200


async def test_a_reader_that_lags_is_cut_off_where_there_is_no_room() -> None:
    async with serving(Scripted(), Listen(memory_bytes=1_000_000)) as rig:
        session = await rig.initialize()
        head = f"GET /mcp HTTP/1.1\r\n{HEAD}mcp-session-id: {session}\r\n\r\n".encode()
        async with await rig.connect() as lazy:
            await lazy.send(head)
            await until(lambda: rig.gateway.session.client.own.reader is not None, "its own stream")
            for _ in range(60):  # more than the system takes for it
                rig.gateway.session.notify("notifications/message", data="x" * 500_000)
                await anyio.lowlevel.checkpoint()
            await closed_in_time(lazy)


async def test_a_request_that_is_packed_is_no_message_and_unpacks_to_nothing() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        bomb = gzip.compress(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * 2**20 + b'"}')
        response = await rig.post(bomb, session, content_encoding="gzip")
        assert response.status_code == 400
        assert (await rig.post({"jsonrpc": "2.0", "method": "notifications/x"}, session)).status_code == 202

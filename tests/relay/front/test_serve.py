"""Beginning and ending: a port, answers that are let come to their end, and nothing that is left."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable

import anyio
import httpx2
import pytest

from spec_mcp.config import Listen
from spec_mcp.errors import Failed
from spec_mcp.relay.front.serve import Ending, listening, port_of
from tests.relay.front.rig import (
    INITIALIZE,
    Events,
    Scripted,
    ScriptedSession,
    call,
    modern_request,
    request,
    serving,
    until,
)

pytestmark = pytest.mark.anyio


async def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with listening("127.0.0.1", 0) as first:
        port = port_of(first)
        with pytest.raises(Failed, match=f"--http 127.0.0.1:{port}: Address already in use"):
            listening("127.0.0.1", port)
    with pytest.raises(Failed, match=r"--http no\.such\.name\.invalid:1"):
        listening("no.such.name.invalid", 1)


async def test_who_is_told_the_address_may_knock_before_anybody_serves() -> None:
    with listening("127.0.0.1", 0) as bound:
        async with await anyio.connect_tcp("127.0.0.1", port_of(bound)) as knocking:
            assert knocking.extra(anyio.abc.SocketAttribute.remote_port) == port_of(bound)


async def test_small_answers_do_not_wait_for_each_other() -> None:
    with listening("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP  # where it is named, asyncio sends at once


async def test_signals_stay_the_callers() -> None:
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    async with serving(Scripted()) as rig:
        await rig.initialize()
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


async def test_what_is_in_flight_comes_to_its_end_and_what_waits_for_nothing_is_ended() -> None:
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        asked = rig.ask(call("slow", request_id=1), session)
        await scripted.heard("tools/call")
        body, headers = modern_request("subscriptions/listen", {"notifications": {}})
        subscribed = rig.ask(body, **headers)
        await until(lambda: len(rig.gateway.sessions) == 2, "the listener is there")
        await rig.gateway.session.heard("subscriptions/listen")
        async with rig.listen(session) as own:
            rig.ending.told.set()
            assert await Events(own).rest() == []
        await rig.gateway.session.heard("notifications/cancelled")
        assert not asked.is_answered
        scripted.answer(1, {"said": "in time"})
        assert (await asked.response()).json()["result"] == {"said": "in time"}
        await subscribed.response()
        await scripted.left()
        async with httpx2.AsyncClient(trust_env=False) as late:
            with pytest.raises(httpx2.ConnectError):
                await late.post(rig.url, json=request("initialize"))


async def test_what_does_not_come_to_its_end_in_time_gets_an_error() -> None:
    async with serving(Scripted(), Listen(drain_s=0.2)) as rig:
        session = await rig.initialize()
        asked = rig.ask(call("endless", request_id=1), session)
        await rig.gateway.session.heard("tools/call")
        rig.ending.told.set()
        response = await asked.response()
        assert (response.status_code, response.json()["id"]) == (503, 1)
        await rig.gateway.session.left()


async def test_under_notice_all_is_served_and_who_asks_is_told_to_go_elsewhere() -> None:
    ending = Ending(notice_s=lambda: 3600.0)
    async with serving(Scripted(), ending=ending) as rig:
        session = await rig.initialize()
        root = rig.url.removesuffix("/mcp")
        assert (await rig.http.get(root + "/readyz")).status_code == 200
        ending.told.set()
        await until(lambda: rig.front.is_leaving, "notice is given")
        assert (await rig.http.get(root + "/readyz")).status_code == 503
        assert (await rig.http.get(root + "/healthz")).status_code == 200
        asked = rig.ask(call("any", request_id=1), session)
        await rig.gateway.session.heard("tools/call")
        rig.gateway.session.answer(1, {"said": "as ever"})
        response = await asked.response()
        assert response.json()["result"] == {"said": "as ever"}
        assert response.headers["connection"] == "close"
        assert await rig.initialize()
        ending.hurried.set()
        await rig.gateway.session.left()


async def test_who_comes_too_late_learns_that_nothing_was_done_while_the_rest_is_finished() -> None:
    async with serving(Scripted(), Listen(drain_s=3600)) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        asked = rig.ask(call("slow", request_id=1), session)
        await scripted.heard("tools/call")
        rig.ending.told.set()
        await until(lambda: rig.front.is_draining, "nothing new is begun")
        for late in (
            await rig.post(call("late", request_id=2), session),
            await rig.post(request("initialize", INITIALIZE, 2)),
            await rig.modern("tools/call", {"name": "late"}, request_id=2),
        ):
            assert (late.status_code, late.headers["retry-after"], late.json()["id"]) == (503, "1", 2)
            assert late.headers["connection"] == "close"
        async with rig.listen(session) as own:
            assert own.status_code == 503
        assert (await rig.http.get(rig.url.removesuffix("/mcp") + "/healthz")).status_code == 200
        scripted.say({"id": 7, "method": "roots/list"})
        answered = await rig.post({"jsonrpc": "2.0", "id": 7, "result": {"roots": []}}, session)
        assert answered.status_code == 202
        assert "late" not in str(scripted.messages)
        scripted.answer(1, {"said": "in time"})
        assert "in time" in (await asked.response()).text
        await scripted.left()


async def test_who_is_told_to_end_twice_waits_for_nothing() -> None:
    async with serving(Scripted(), Listen(drain_s=3600)) as rig:
        session = await rig.initialize()
        asked = rig.ask(call("endless", request_id=1), session)
        await rig.gateway.session.heard("tools/call")
        rig.ending.told.set()
        await until(lambda: rig.front.is_draining, "nothing new is begun")
        rig.ending.hurried.set()
        response = await asked.response()
        assert (response.status_code, response.json()["id"]) == (503, 1)
        await rig.gateway.session.left()


async def progress(scripted: ScriptedSession) -> None:
    await scripted.heard("tools/call", 2)
    scripted.notify("notifications/progress", progressToken="t", progress=1)


async def test_the_rest_of_an_answer_may_be_had_while_it_ends() -> None:
    async with serving(Scripted(), Listen(drain_s=3600)) as rig:
        session = await rig.initialize()
        scripted = rig.gateway.session
        slow = rig.ask(call("slow", request_id=9), session)
        await scripted.heard("tools/call")
        rig.tasks.start_soon(progress, scripted)
        async with rig.stream(call("broken", request_id=1, progressToken="t"), session) as broken:
            events = Events(broken)
            while not (event := await events.next()).data:
                pass
        rig.ending.told.set()
        await until(lambda: rig.front.is_draining, "nothing new is begun")
        async with rig.listen(session, last_event_id=event.id) as again:
            scripted.answer(1, {"said": "after all"})
            assert (await Events(again).message())["result"] == {"said": "after all"}
        scripted.answer(9)
        await slow.response()


async def expect_no_answer(sending: Awaitable[httpx2.Response]) -> None:
    try:
        response = await sending
    except httpx2.TransportError:
        return
    assert response.status_code == 503  # the end of the session was quicker than that of the connection


async def test_a_cancellation_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    async with serving(Scripted()) as rig:
        session = await rig.initialize()
        rig.tasks.start_soon(expect_no_answer, rig.post(call("endless", request_id=1), session))
        await rig.gateway.session.heard("tools/call")
        async with await rig.connect() as idle, rig.listen(session) as own:
            rig.serving.cancel()
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await idle.receive()
            await until(lambda: rig.gateway.session.is_closed, "the session is over")
            try:
                assert await Events(own).rest() == []
            except httpx2.TransportError:
                pass  # it was closed in the middle of a stream
        assert rig.gateway.session.is_closed
        assert len(rig.front.sessions) == 0
    await until(lambda: asyncio.all_tasks() == before, "no task is left")

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
from spec_mcp.relay.front.serve import listening, port_of
from tests.relay.front.rig import Events, Scripted, call, modern_request, request, serving, until

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
            rig.stop.set()
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
        rig.stop.set()
        response = await asked.response()
        assert (response.status_code, response.json()["id"]) == (503, 1)
        await rig.gateway.session.left()


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

"""What every link behind a gateway does, whatever carries its lines."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.relay.back.keeping import STATELESS, WAIT_S, appears, kept

pytestmark = pytest.mark.anyio

MANY = 8

with_sessions = pytest.mark.parametrize("shared_place", ["stdio", "http", "sse"], indirect=True, scope="module")
"""A stateless server asks by its results, speaks in the streams of requests alone and remembers nothing."""


async def test_a_call_is_answered(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        assert await client.said(client.call("echo", text="öäü \u2028")) == "öäü \u2028"
        assert client.losses == []


async def test_requests_that_come_before_the_server_is_there_wait_for_it(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        greeting = client.send("server/discover") if place.era == STATELESS else client.send("ping")
        await client.answer(greeting)


async def test_calls_are_made_at_once_and_answered_as_they_end(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        calls = [client.call("wait", name=str(number)) for number in range(MANY)]
        for number in range(MANY):
            await appears(place.folder / f"begun-{number}")
        quick = client.call("echo", text="quick")
        assert await client.said(quick) == "quick"
        for number in reversed(range(MANY)):
            (place.folder / f"go-{number}").touch()
            assert await client.said(calls[number]) == str(number)
        answered = [message["id"] for message in client.messages if "result" in message]
        assert answered[-MANY:] == calls[::-1]


async def test_progress_comes_before_the_answer_and_in_order(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        call = client.call("steps", token="t", count=5)
        await client.answer(call)
        ours = [m for m in client.messages if m.get("id") == call or m.get("method") == "notifications/progress"]
        assert [m["params"]["progress"] for m in ours[:-1]] == [1, 2, 3, 4, 5]
        assert ours[-1]["id"] == call


async def test_a_result_of_many_mebibytes_is_no_problem(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        assert len(await client.said(client.call("large", bytes=8 << 20))) == 8 << 20


async def test_a_large_request_is_no_problem(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        assert len(await client.said(client.call("echo", text="x" * (2 << 20)))) == 2 << 20


@with_sessions
async def test_a_server_asks_back_and_gets_its_answer(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        call = client.call("elicit", message="name?")
        asked = await client.message(lambda message: message.get("method") == "elicitation/create", "a question")
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "accept", "content": {"name": "n"}}}
        client.link.tell(json.dumps(reply).encode() + b"\n")
        assert await client.said(call) == "accept"


@with_sessions
async def test_what_the_server_says_of_itself_arrives_too(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        with anyio.fail_after(WAIT_S):
            while not any(message.get("method") == "notifications/tools/list_changed" for message in client.messages):
                client.tell("notifications/roots/list_changed")  # a server may say so while nobody listens yet
                await anyio.sleep(0.1)


async def test_a_cancelled_call_is_cancelled_there_and_others_go_on(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        other, mine = client.call("wait", name="other"), client.call("wait", name="mine")
        for name in ("other", "mine"):  # a cancellation may overtake its call, and then there is nothing to cancel
            await appears(place.folder / f"begun-{name}")
        client.cancel(mine)
        await appears(place.folder / "cancelled-mine")
        (place.folder / "go-other").touch()
        assert await client.said(other) == "other"
        assert not (place.folder / "cancelled-other").exists()


async def test_a_server_that_dies_in_the_middle_is_lost_with_its_calls_and_the_next_one_finds_it_again(
    place: Any,
) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        restarts = client.restarts
        first = await client.said(client.call("pid"))
        call = client.call("wait", name="a")
        await appears(place.folder / "begun-a")
        place.kill()
        await client.until(lambda: client.losses or client.error(call) or None, "word of the call's end")
        await place.come_back()
        assert await client.said(client.call("pid")) != first
        assert client.restarts > restarts or place.era == STATELESS
        assert len(client.losses) <= 1


@with_sessions
async def test_a_server_that_is_begun_anew_is_told_what_the_old_one_knew(place: Any) -> None:
    async with kept(place.link, place.era) as client:
        await client.hello()
        await client.said(client.call("pid"))
        place.kill()
        await place.come_back()
        if place.tells_of_its_end:
            await client.lost()
        call = client.call("elicit", message="name?")
        asked = await client.message(lambda message: message.get("method") == "elicitation/create", "a question")
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": {"action": "decline"}}
        client.link.tell(json.dumps(reply).encode() + b"\n")
        assert await client.said(call) == "decline"

"""Servers that do anything at all, by chance: each request has one end, its own, and the link serves on.

What goes wrong can be seen again by the seed that a failure names.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from spec_mcp.relay.back import exchange
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.clock import now_s
from tests.relay.back.hostile import Asked, Gone, Out, Plain, head, hostile
from tests.relay.back.keeping import HANDSHAKE, STATELESS, Client, kept

pytestmark = pytest.mark.anyio

CALLS = 120
AT_ONCE = 12

Way = Callable[[Asked, Out, random.Random], Awaitable[None]]


def message(asked: Asked, **members: Any) -> Any:
    return {"jsonrpc": "2.0", "id": asked.message["id"], **members}


def own(asked: Asked) -> Any:
    """The right answer: what was asked for."""
    return message(asked, result={"number": asked.message["params"]["arguments"]["number"]})


async def well(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.reply(200, json.dumps(own(asked)).encode())


async def streamed(asked: Asked, out: Out, chance: random.Random) -> None:
    parts = b": hello\r\n\r\nid: %d\ndata: " % chance.randrange(100) + json.dumps(own(asked)).encode() + b"\n\n"
    await out.stream()
    while parts:
        cut = chance.randrange(1, 20)
        await out.part(parts[:cut])
        parts = parts[cut:]
    await out.end()


async def in_pieces(asked: Asked, out: Out, chance: random.Random) -> None:
    body = json.dumps(own(asked), indent=chance.choice([None, 2])).encode()
    data = head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}) + body
    while data:
        cut = chance.randrange(1, 40)
        await out.raw(data[:cut])
        data = data[cut:]


async def forged(asked: Asked, out: Out, chance: random.Random) -> None:
    """Answers to others, then perhaps the right one."""
    await out.stream()
    for other in chance.sample(range(2 * CALLS), chance.randrange(4)):
        if other != asked.message["id"]:
            await out.event({"jsonrpc": "2.0", "id": other, "result": {"number": "forged"}})
    if chance.random() < 0.5:
        await out.event(own(asked))
    await out.end()


async def gone(asked: Asked, out: Out, chance: random.Random) -> None:
    raise Gone


async def cut(asked: Asked, out: Out, chance: random.Random) -> None:
    body = json.dumps(own(asked)).encode()
    data = head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}) + body
    await out.raw(data[: chance.randrange(1, len(data))])
    raise Gone


async def status(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.reply(chance.choice([202, 204, 400, 403, 405, 429, 500, 503]), b"" if chance.random() < 0.5 else b"{}")


async def nonsense(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.reply(200, chance.randbytes(chance.randrange(200)), chance.choice(["application/json", "text/plain", ""]))


async def noise(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.stream()
    await out.part(chance.randbytes(chance.randrange(1, 200)) + b"\n\n")
    await out.event({"jsonrpc": "2.0", "method": "notifications/x"})
    await out.end()


async def no_http(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.raw(chance.randbytes(chance.randrange(1, 200)))
    raise Gone


async def forgotten(asked: Asked, out: Out, chance: random.Random) -> None:
    await out.reply(404)


WELL: list[Way] = [well, streamed, in_pieces]
BADLY: list[Way] = [forged, gone, cut, status, nonsense, noise, no_http]


def judged(client: Client, number: int, call: int) -> str:
    """What became of a call: exactly one end, and no answer but its own."""
    ends = [m for m in client.messages if m.get("id") == call]
    assert len(ends) == 1, ends
    if "result" in ends[0]:
        assert ends[0]["result"] == {"number": number}
        return "answered"
    assert ends[0]["error"]["message"]
    return "failed"


@pytest.mark.parametrize("era", [HANDSHAKE, STATELESS])
@pytest.mark.parametrize("seed", range(6))
async def test_every_call_has_one_end_of_its_own_whatever_the_server_does(
    seed: int, era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "RESUME_S", 0.001)
    chance = random.Random(seed)
    ways = [*WELL, *BADLY, *([forgotten] if era == HANDSHAKE else [])]

    async def call(asked: Asked, out: Out) -> None:
        way = chance.choice(ways) if chance.random() < 0.6 else chance.choice(WELL)
        if way is forgotten and asked.headers.get("mcp-session-id") == plain.session and chance.random() < 0.3:
            plain.session = "another"
        await way(asked, out, chance)

    plain = Plain(tools__call=call)
    async with hostile(plain) as server, kept(HttpBack(Address(server.url, {}), now_s), era) as client:
        await client.hello()
        calls: dict[int, int] = {}
        for number in range(CALLS):
            while (refused := try_to(client, number, calls)) is not None:
                assert "tried again" in refused or "forgets" in refused
                await anyio.sleep(0.05)
            if number % AT_ONCE == AT_ONCE - 1:
                await ended(client, calls)
        await ended(client, calls)
        became = Counter(judged(client, number, call) for number, call in calls.items() if call not in client.abandoned)
        assert became["answered"] > CALLS / 4
        await client.answer(client.send("ping"))


def try_to(client: Client, number: int, calls: dict[int, int]) -> str | None:
    """Make a call; why not, where the link does not take it."""
    client._asked += 1
    params = {"name": "t", "arguments": {"number": number}, "_meta": client.meta if client.era == STATELESS else {}}
    body = {"jsonrpc": "2.0", "id": client._asked, "method": "tools/call", "params": params}
    why = client.link.send("tools/call", json.dumps(body).encode() + b"\n")
    if why is None:
        calls[number] = client._asked
        client.under_way.add(client._asked)
    return why


async def ended(client: Client, calls: dict[int, int]) -> None:
    """Wait for the end of all that is under way: an answer, or the loss of the server."""

    def all_ended() -> bool | None:
        client.under_way -= {m["id"] for m in client.messages if "id" in m}
        return not client.under_way or None

    await client.until(all_ended, "the end of every call")

"""Servers of the older HTTP transport, and what they can do."""

from __future__ import annotations

import json

import anyio
import pytest

from spec_mcp.relay.back import sse
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.sse import SseBack
from spec_mcp.relay.clock import now_s
from tests.relay.back.hostile import Asked, Hostile, Out, hostile
from tests.relay.back.keeping import WAIT_S, kept

pytestmark = pytest.mark.anyio


def link(server: Hostile, **headers: str) -> SseBack:
    return SseBack(Address(server.url, headers), now_s, chance=lambda: 0.0)


class Older:
    """A server of one stream; what is posted is answered there."""

    def __init__(self, endpoint: str = "/post?session=1") -> None:
        self.endpoint = endpoint
        self.streams = 0
        self.post_status = 202
        self.out: Out | None = None
        self.cut = anyio.Event()

    async def __call__(self, asked: Asked, out: Out) -> None:
        if asked.method == "GET":
            self.streams += 1
            self.out = out
            await out.stream()
            await out.part(f"event: endpoint\ndata: {self.endpoint}\n\n".encode())
            await self.cut.wait()
            self.cut = anyio.Event()
            await out.end()
            return
        await out.reply(self.post_status)
        if self.post_status == 202:
            await self.posted(asked)

    async def posted(self, asked: Asked) -> None:
        assert self.out is not None
        if "id" in asked.message:
            await self.out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": {"name": asked.name}})


async def test_what_is_posted_goes_where_the_stream_says() -> None:
    async with hostile(Older()) as server, kept(link(server, X="1")) as client:
        await client.answer(client.call("t"))
        stream, post = server.asked
        assert (stream.method, stream.target, stream.headers["accept"]) == ("GET", "/mcp", "text/event-stream")
        assert (post.method, post.target, post.headers["x"]) == ("POST", "/post?session=1", "1")
        assert post.headers["content-type"] == "application/json"


@pytest.mark.parametrize("endpoint", ["http://other.invalid/post", "//other.invalid/post", "http://u:p@127.0.0.1/x"])
async def test_an_address_of_another_server_is_not_posted_to(endpoint: str) -> None:
    async with hostile(Older(endpoint)) as server, kept(link(server)) as client:
        client.call("t")
        assert "another server" in await client.lost()


async def test_a_stream_that_ends_loses_what_was_asked_and_the_next_request_opens_another() -> None:
    class Silent(Older):
        async def posted(self, asked: Asked) -> None:
            if asked.name == "ping":
                await super().posted(asked)

    older = Silent()
    async with hostile(older) as server, kept(link(server)) as client:
        await client.answer(client.send("ping"))
        client.call("t")
        await server.came("tools/call")
        older.cut.set()
        assert "closed its stream" in await client.lost()
        await client.answer(client.send("ping"))
        assert older.streams == 2


async def test_a_server_that_never_says_where_to_post_to_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "ENDPOINT_S", 0.2)

    async def handle(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.part(b": hello\n\ndata: {}\n\n")
        await out.until_left()

    async with hostile(handle) as server, kept(link(server)) as client:
        client.call("t")
        assert "where to post to" in await client.lost()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (200, "text/html", "text/html instead of a stream"),
        (404, "text/html", "(404)"),
        (500, "text/html", "(500)"),
        (401, "text/html", "wants credentials"),
        (403, "text/html", "(403)"),
    ],
)
async def test_what_is_no_stream(status: int, kind: str, words: str) -> None:
    async def handle(asked: Asked, out: Out) -> None:
        await out.reply(status, b"<html>", kind)

    async with hostile(handle) as server, kept(link(server)) as client:
        client.call("t")
        assert words in await client.lost()
        if status in (401, 403):
            client.call("t", why=words)
            assert len(server.asked) == 1


async def test_a_post_that_is_refused_fails_that_request_alone() -> None:
    older = Older()
    async with hostile(older) as server, kept(link(server)) as client:
        await client.answer(client.send("ping"))
        older.post_status = 400
        call = client.call("t")
        await client.answer(call)
        assert "(400)" in (client.error(call) or "")
        older.post_status = 202
        await client.answer(client.send("ping"))
        assert client.losses == []


@pytest.mark.parametrize(("status", "words"), [(404, "session"), (401, "wants credentials")])
async def test_a_post_to_a_session_that_is_gone_loses_the_server(status: int, words: str) -> None:
    older = Older()
    async with hostile(older) as server, kept(link(server)) as client:
        await client.answer(client.send("ping"))
        older.post_status = status
        client.call("t")
        assert words in await client.lost()


async def test_answers_that_nobody_waits_for_are_nobody_s() -> None:
    class Forging(Older):
        async def posted(self, asked: Asked) -> None:
            assert self.out is not None
            for message in ("nonsense", {"jsonrpc": "2.0", "id": 999, "result": 1}, [{"jsonrpc": "2.0", "id": 998}]):
                await self.out.part(b"data: %s\n\n" % json.dumps(message).encode())
            await super().posted(asked)
            await super().posted(asked)

    async with hostile(Forging()) as server, kept(link(server)) as client:
        await client.answer(client.call("t"))
        await client.answer(client.call("t"))
        assert len(client.lines) == 2


async def test_a_flood_in_the_stream_holds_up_nobody_else() -> None:
    class Flooding(Older):
        async def posted(self, asked: Asked) -> None:
            assert self.out is not None
            while True:
                await self.out.part(b'data: {"jsonrpc":"2.0","method":"notifications/flood"}\n\n' * 500)

    async with (
        hostile(Flooding()) as server,
        hostile(Older()) as other,
        kept(link(server)) as flooded,
        kept(link(other)) as client,
    ):
        flooded.call("t")
        await flooded.until(lambda: flooded.lines or None, "the flood")
        for _ in range(20):
            await client.answer(client.send("ping"))
        flooded.link.pause()  # type: ignore[attr-defined]
        await client.answer(client.send("ping"))
        heard = len(flooded.lines)
        for _ in range(20):
            await client.answer(client.send("ping"))
        assert len(flooded.lines) <= heard + 5000
        flooded.link.resume()  # type: ignore[attr-defined]
        await flooded.until(lambda: len(flooded.lines) > heard + 5000 or None, "more")


async def test_notifications_are_posted_in_their_order() -> None:
    order: list[str] = []

    class Slow(Older):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.method == "POST":
                if "id" not in asked.message:
                    await anyio.sleep(0.05)
                order.append(asked.name)
            await super().__call__(asked, out)

    async with hostile(Slow()) as server, kept(link(server)) as client:
        await client.answer(client.send("ping"))
        for number in range(5):
            client.tell(f"notifications/{number}")
        await client.answer(client.call("t"))
        assert order == ["ping", *(f"notifications/{number}" for number in range(5)), "tools/call"]


async def test_the_stream_is_closed_at_the_end() -> None:
    left = anyio.Event()

    class Noting(Older):
        async def __call__(self, asked: Asked, out: Out) -> None:
            if asked.method == "POST":
                await super().__call__(asked, out)
                return
            self.out = out
            await out.stream()
            await out.part(b"event: endpoint\ndata: /post\n\n")
            await out.until_left()
            left.set()

    async with hostile(Noting()) as server:
        async with kept(link(server)) as client:
            await client.answer(client.send("ping"))
        with anyio.fail_after(WAIT_S):
            await left.wait()

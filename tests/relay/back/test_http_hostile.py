"""What a hostile or broken HTTP server can do: fail the request that it was asked, clearly, and nothing else."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from spec_mcp.relay.back import http, reaching, remote
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds
from spec_mcp.relay.clock import now_s
from tests.relay.back.hostile import Asked, Gone, Handle, Hostile, Out, Plain, head, hostile
from tests.relay.back.keeping import WAIT_S, Client, kept

pytestmark = pytest.mark.anyio

SECRET = "s3cret-token"


def link(
    server: Hostile, clock: Callable[[], float] = now_s, bounds: Bounds = DEFAULT_BOUNDS, **headers: str
) -> HttpBack:
    return HttpBack(Address(server.url, headers), clock, chance=lambda: 0.0, bounds=bounds)


def result(asked: Asked, size: int = 0) -> bytes:
    body = {"jsonrpc": "2.0", "id": asked.message["id"], "result": {"text": "x" * size}}
    return json.dumps(body).encode()


async def ends_well(client: Client) -> None:
    """The link serves on."""
    await client.answer(client.send("ping"))
    assert client.losses == []


async def error_of(handle: Handle, bounds: Bounds = DEFAULT_BOUNDS, **more: Any) -> str:
    """What a call is told whose server does this; other calls are served before and after."""
    async with hostile(Plain(tools__call=handle, **more)) as server, kept(link(server, bounds=bounds)) as client:
        await client.hello()
        call = client.call("t")
        await client.answer(call)
        why = client.error(call)
        assert why is not None
        await ends_well(client)
        assert len([message for message in client.messages if message.get("id") == call]) == 1
        return why


# --- replies that are none --------------------------------------------------------------------------------------------


async def test_a_page_instead_of_an_answer() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, b"<html>Login</html>", "text/html; charset=utf-8")

    assert "text/html instead of JSON" in await error_of(call)


async def test_a_reply_without_a_kind() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    assert "instead of JSON" in await error_of(call)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"[]", b"nonsense", b'{"jsonrpc":"2.0","id":1', b"\xff\xfe", b"[1]"]
)
async def test_a_body_that_is_no_message(body: bytes) -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, body)

    assert "none to what it was asked" in await error_of(call)


async def test_a_stream_that_is_called_json() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, b"data: " + result(asked) + b"\n\n")

    assert "none to what it was asked" in await error_of(call)


async def test_json_that_is_called_a_stream() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, result(asked), "text/event-stream")

    assert "closed the stream before" in await error_of(call)


async def test_a_request_that_is_taken_and_promised_no_answer() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(202)

    assert "(202)" in await error_of(call)


async def test_garbage_in_a_stream_is_passed_over() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.part(b"data: nonsense\n\ndata: [\n\ndata: 5\n\nevent: ping\ndata: {}\n\n: comment\n\n")
        await out.part(b"data: " + result(asked) + b"\n\n")
        await out.end()

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))
        assert len(client.lines) == 2


# --- ids --------------------------------------------------------------------------------------------------------------


async def test_an_answer_to_another_request_is_none() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, b'{"jsonrpc":"2.0","id":%d,"result":"forged"}' % (asked.message["id"] + 1))

    assert "none to what it was asked" in await error_of(call)


async def test_answers_to_others_in_a_stream_are_nobody_s_and_a_second_one_neither() -> None:
    async def slow(asked: Asked, out: Out) -> None:
        await server.came("tools/call")
        await client.until(lambda: client.lines[1:] or None, "the other's answer")
        await out.answer(asked, "true")

    async def call(asked: Asked, out: Out) -> None:
        other = (await server.came("prompts/get")).message["id"]
        await out.stream()
        await out.event({"jsonrpc": "2.0", "id": other, "result": "forged"})
        await out.event({"jsonrpc": "2.0", "id": client.link.own_prefix + "1", "result": "forged"})
        await out.event([{"jsonrpc": "2.0", "id": other, "result": "forged"}])
        await out.event({"jsonrpc": "2.0", "id": str(asked.message["id"]), "result": "forged"})
        await out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": "mine"})
        await out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": "mine too"})
        await out.end()

    async with hostile(Plain(tools__call=call, prompts__get=slow)) as server, kept(link(server)) as client:
        await client.hello()
        other, mine = client.send("prompts/get"), client.call("t")
        assert (await client.answer(mine))["result"] == "mine"
        assert (await client.answer(other))["result"] == "true"
        await ends_well(client)
        assert len(client.lines) == 4


async def test_an_error_without_an_id_is_the_answer_to_the_only_request_that_it_can_be() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(400, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"bad", "data": 1e400}}')

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        call_id = client.call("t")
        await client.answer(call_id)
        want = b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32600,"message":"bad", "data": 1e400}}\n' % call_id
        assert client.lines[-1] == want


async def test_the_server_s_own_error_is_passed_on_whatever_the_status() -> None:
    async def call(asked: Asked, out: Out) -> None:
        body = {"jsonrpc": "2.0", "id": asked.message["id"], "error": {"code": -32601, "message": "no such method"}}
        await out.reply(405, json.dumps(body).encode())

    assert await error_of(call) == "no such method"


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "refused the request (400)"),
        (403, "does not do this for us (403)"),
        (405, "its type is sse"),
        (413, "(413)"),
        (429, "too many requests (429)"),
        (500, "failed (500)"),
        (502, "failed (502)"),
        (503, "failed (503)"),
        (504, "failed (504)"),
        (599, "failed (599)"),
    ],
)
async def test_a_status_becomes_an_error_that_names_it(status: int, words: str) -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(status, b"<html>never shown</html>", "text/html")

    why = await error_of(call)
    assert words in why
    assert "never shown" not in why


async def test_a_server_that_is_soon_available_is_asked_again() -> None:
    async def call(asked: Asked, out: Out) -> None:
        if len(server.named("tools/call")) == 1:
            await out.reply(503, Retry_After="0")
        else:
            await out.answer(asked, "done")

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["result"] == "done"


async def test_a_server_that_wants_to_be_left_alone_is() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(503, Retry_After="86400")

    time_s = 1000.0
    async with hostile(Plain(tools__call=call)) as server, kept(link(server, lambda: time_s)) as client:
        await client.hello()
        first = client.call("t")
        await client.answer(first)
        assert "(503)" in (client.error(first) or "")
        client.call("t", why="(503)")
        assert len(server.named("tools/call")) == 1
        time_s += remote.BUSY_MAX_S
        await client.answer(client.send("ping"))


async def test_a_server_that_wants_credentials_is_parked_and_not_asked_all_the_time() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(401, WWW_Authenticate="Bearer")

    time_s = 1000.0
    async with hostile(Plain(tools__call=call)) as server, kept(link(server, lambda: time_s)) as client:
        await client.hello()
        client.call("t")
        assert "wants credentials" in await client.lost()
        asked = len(server.asked)
        for _ in range(20):
            client.call("t", why="wants credentials")
        assert len(server.asked) == asked
        assert "wants credentials" in client.link.status  # type: ignore[attr-defined]
        time_s += remote.BARRED_S
        await client.answer(client.send("ping"))
        assert client.link.status == "up"  # type: ignore[attr-defined]


async def test_a_server_that_lets_nobody_in_is_parked_too() -> None:
    async def initialize(asked: Asked, out: Out) -> None:
        await out.reply(403)

    async with hostile(Plain(initialize=initialize)) as server, kept(link(server)) as client:
        client.send("initialize")
        assert "(403)" in await client.lost()
        client.send("initialize", why="(403)")


# --- redirects --------------------------------------------------------------------------------------------------------


async def test_a_redirect_within_the_server_is_followed_with_its_body() -> None:
    async def call(asked: Asked, out: Out) -> None:
        if asked.target == "/mcp":
            await out.reply(307, Location="/mcp/")
        else:
            await out.answer(asked, asked.message["params"]["name"])

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["result"] == "t"


async def test_a_redirect_elsewhere_is_not_followed_and_gets_no_credentials() -> None:
    async def elsewhere(asked: Asked, out: Out) -> None:
        raise AssertionError("nothing goes there")

    async def call(asked: Asked, out: Out) -> None:
        await out.reply(307, Location=other.url + f"?token={SECRET}")

    async with (
        hostile(elsewhere) as other,
        hostile(Plain(tools__call=call)) as server,
        kept(link(server, Authorization=SECRET)) as client,
    ):
        await client.hello()
        call_id = client.call("t")
        await client.answer(call_id)
        why = client.error(call_id) or ""
        assert other.url in why
        assert SECRET not in why
        assert other.asked == []


@pytest.mark.parametrize("location", ["/mcp", "http://[::1", "ftp://x/", "//user:pass@127.0.0.1/"])
async def test_a_redirect_in_circles_or_to_nowhere_comes_to_an_end(location: str) -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(307, Location=location)

    assert "redirects" in await error_of(call)


async def test_a_redirect_that_would_drop_the_message_is_not_followed() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(303, Location="/other")

    assert "redirects" in await error_of(call)


# --- bytes that do not end, or do not come ----------------------------------------------------------------------------


async def test_a_body_that_is_cut() -> None:
    async def call(asked: Asked, out: Out) -> None:
        body = result(asked)
        await out.raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-5]
        )
        raise Gone

    assert "broke before its answer was complete" in await error_of(call)


async def test_a_stream_that_is_cut() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}})
        raise Gone

    assert "broke before" in await error_of(call)


async def test_a_connection_that_is_closed_without_a_byte() -> None:
    async def call(asked: Asked, out: Out) -> None:
        raise Gone

    assert "closed the connection without an answer" in await error_of(call)


async def test_a_call_is_never_made_twice_and_what_is_only_read_is_where_a_connection_was_closed() -> None:
    async def close_once(asked: Asked, out: Out) -> None:
        if len(server.named(asked.name)) == 1:
            raise Gone
        await out.answer(asked)

    async with hostile(Plain(tools__call=close_once, tools__list=close_once)) as server, kept(link(server)) as client:
        await client.hello()
        assert "result" in await client.answer(client.send("tools/list"))
        assert "error" in await client.answer(client.call("t"))
        assert len(server.named("tools/call")) == 1


@pytest.mark.parametrize(
    "reply", [b"\x00\xff nonsense\r\n\r\n", b"HTTP/9.9 abc\r\n\r\n", b"SSH-2.0-x\r\n", b"x" * 200_000]
)
async def test_what_is_no_http(reply: bytes) -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.raw(reply)
        raise Gone

    assert "closed the connection without an answer" in await error_of(call)


async def test_headers_that_do_not_end() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.raw(b"HTTP/1.1 200 OK\r\n")
        while True:
            await out.raw(b"X-A: " + b"x" * 1000 + b"\r\n")

    assert "without an answer" in await error_of(call)


async def test_a_body_that_does_not_end() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await out.part(b" " * 65536)

    assert "longer than 4 MiB" in await error_of(call, Bounds(message_bytes=4 << 20))


async def test_bodies_that_are_long_together_are_cut_off_and_the_next_one_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reaching, "HELD_MAX_BYTES", 4 << 20)
    begun = 0

    async def call(asked: Asked, out: Out) -> None:
        nonlocal begun
        if asked.message["params"]["name"] == "short":
            await out.reply(200, result(asked, 3 << 20))
            return
        body = result(asked, 3 << 20)
        await out.raw(head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}) + body[:-1])
        begun += 1
        await out.until_left()

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        long = [client.call("long"), client.call("long")]
        cut = await client.until(lambda: next((why for one in long if (why := client.error(one))), None), "an error")
        assert "longer than 4 MiB at once" in cut
        assert begun >= 1
        client.cancel(long[0])
        client.cancel(long[1])
        await ends_well(client)


async def test_an_event_that_does_not_end() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        while True:
            await out.part(b"data: " + b"x" * 65536 + b"\n")

    assert "more than 4 MiB" in await error_of(call, Bounds(message_bytes=4 << 20))


async def test_a_stream_of_nothing_that_does_not_end_holds_up_nobody() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        while True:
            await out.part(b": " + b"x" * 65536 + b"\n\n")

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        call_id = client.call("t")
        await server.came("tools/call")
        for _ in range(20):
            await client.answer(client.send("ping"))
        assert client.error(call_id) is None


async def test_a_server_that_hangs_holds_up_neither_its_other_calls_nor_another_server() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.until_left()

    async with (
        hostile(Plain(tools__call=call)) as server,
        hostile(Plain()) as other,
        kept(link(server)) as client,
        kept(link(other)) as second,
    ):
        await client.hello()
        await second.hello()
        for _ in range(50):
            client.call("t")
        await server.came("tools/call", 50)
        await second.answer(second.call("t"))
        await ends_well(client)


async def test_a_server_that_does_not_begin_to_answer_is_given_up_in_the_end() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.until_left()

    assert "did not begin to answer" in await error_of(call, Bounds(answer_s=0.2))


async def test_a_body_that_stops_in_the_middle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching.Reply.read, "__defaults__", (0.2,))

    async def call(asked: Asked, out: Out) -> None:
        await out.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await out.until_left()

    assert "was silent for" in await error_of(call)


async def test_a_long_call_that_keeps_its_stream_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = Bounds(answer_s=0.1)
    monkeypatch.setattr(reaching.Reply.read, "__defaults__", (0.1,))

    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await anyio.sleep(0.5)
        await out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": "late"})
        await out.end()

    async with hostile(Plain(tools__call=call)) as server, kept(link(server, bounds=bounds)) as client:
        await client.hello()
        assert (await client.answer(client.call("t")))["result"] == "late"


async def test_an_answer_that_comes_byte_by_byte_is_an_answer() -> None:
    async def call(asked: Asked, out: Out) -> None:
        body = result(asked, 100)
        reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for byte in reply:
            await out.raw(bytes([byte]))

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        assert "result" in await client.answer(client.call("t"))


async def test_a_result_of_a_hundred_mebibytes_is_no_problem() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, result(asked, 100 << 20))

    async def read(asked: Asked, out: Out) -> None:
        await out.stream()
        await out.part(b"data: " + result(asked, 100 << 20) + b"\n\n")
        await out.end()

    async with hostile(Plain(tools__call=call, resources__read=read)) as server, kept(link(server)) as client:
        await client.hello()
        client.call("t")
        client.send("resources/read")
        await client.until(lambda: client.lines[2:] or None, "both")
        assert all(len(line) > 100 << 20 for line in client.lines[1:])


async def test_what_is_packed_is_unpacked() -> None:
    async def call(asked: Asked, out: Out) -> None:
        assert asked.headers["accept-encoding"] == "gzip"
        await out.reply(200, gzip.compress(result(asked, 3 << 20)), Content_Encoding="gzip")

    async def read(asked: Asked, out: Out) -> None:
        packing = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
        await out.stream(Content_Encoding="gzip")
        first = b'data: {"jsonrpc":"2.0","method":"notifications/first"}\n\n'
        await out.part(packing.compress(first) + packing.flush(zlib.Z_SYNC_FLUSH))
        await client.message(lambda message: message.get("method") == "notifications/first", "the first")
        await out.part(packing.compress(b"data: " + result(asked) + b"\n\n") + packing.flush())
        await out.end()

    async with hostile(Plain(tools__call=call, resources__read=read)) as server, kept(link(server)) as client:
        await client.hello()
        assert len((await client.answer(client.call("t")))["result"]["text"]) == 3 << 20
        await client.answer(client.send("resources/read"))


async def test_what_becomes_endless_when_it_is_unpacked_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(500)) + bomb.flush()
    largest = 0

    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, packed, Content_Encoding="gzip")

    read = reaching.Reply.read

    async def noting(self: reaching.Reply, silence_s: float = reaching.BETWEEN_S) -> bytes | None:
        nonlocal largest
        part = await read(self, silence_s)
        largest = max(largest, len(part or b""))
        return part

    monkeypatch.setattr(reaching.Reply, "read", noting)
    assert "longer than 4 MiB" in await error_of(call, Bounds(message_bytes=4 << 20))
    assert largest <= reaching.PIECE_BYTES


@pytest.mark.parametrize(
    "packed", [b"no gzip at all", gzip.compress(b"{}", mtime=0)[:-4], b""], ids=["none", "half", "empty"]
)
async def test_what_cannot_be_unpacked(packed: bytes) -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, packed, Content_Encoding="gzip")

    assert "the server's answer" in await error_of(call)


async def test_what_is_packed_in_another_way() -> None:
    async def call(asked: Asked, out: Out) -> None:
        await out.reply(200, b"...", Content_Encoding="br")

    assert "packs its answers" in await error_of(call)


# --- nobody there -----------------------------------------------------------------------------------------------------


async def test_a_server_that_cannot_be_reached_is_told_left_alone_for_longer_and_longer_and_found_again() -> None:
    time_s = 1000.0
    async with hostile(Plain()) as server, kept(link(server, lambda: time_s)) as client:
        await server.shut()
        for times in range(1, 6):
            time_s += 3.0
            client.send("ping")
            assert "cannot be reached: Connection refused" in await client.lost(times)
        client.send("ping", why="tried again in 4 s")
        await server.open()
        time_s += 60.0
        await client.answer(client.send("ping"))


async def test_a_server_that_is_replaced_quickly_is_waited_for() -> None:
    async with hostile(Plain()) as server, kept(link(server)) as client:
        await server.shut()
        client.send("ping")
        await anyio.sleep(0.1)
        await server.open()
        await client.answer(client.send("ping"))
        assert client.losses == []


async def test_a_call_that_is_under_way_goes_on_where_others_cannot_be_connected() -> None:
    may_go = anyio.Event()

    async def call(asked: Asked, out: Out) -> None:
        await out.stream()
        await may_go.wait()
        await out.event({"jsonrpc": "2.0", "id": asked.message["id"], "result": "late"})
        await out.end()

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        long = client.call("t")
        await server.came("tools/call")
        await server.shut()
        others = [client.send("ping") for _ in range(40)]  # more than connections are kept
        for other in others:
            await client.answer(other)
        assert any("cannot be reached" in (client.error(other) or "") for other in others)
        may_go.set()
        assert (await client.answer(long))["result"] == "late"
        assert client.losses == []


# --- secrets ----------------------------------------------------------------------------------------------------------


async def test_no_credential_is_in_any_error_or_log(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ways: list[Handle] = []

    def way(handle: Handle) -> None:
        ways.append(handle)

    @way
    async def _(asked: Asked, out: Out) -> None:
        await out.reply(500, json.dumps(asked.headers).encode(), "text/html")

    @way
    async def _(asked: Asked, out: Out) -> None:
        await out.reply(307, Location=f"http://u:{SECRET}@other.invalid/?k={SECRET}#{SECRET}")

    @way
    async def _(asked: Asked, out: Out) -> None:
        raise Gone

    @way
    async def _(asked: Asked, out: Out) -> None:
        await out.reply(200, SECRET.encode(), f"text/{SECRET[:0]}plain")

    caplog.set_level(0)
    heard: list[str] = []
    for handle in ways:
        async with hostile(Plain(tools__call=handle)) as server:
            address = f"http://user:{SECRET}@127.0.0.1:{server.port}/mcp?key={SECRET}"
            back = HttpBack(Address(address, {"X-Key": SECRET}), now_s)
            assert SECRET not in str(back.address)
            async with kept(back) as client:
                await client.hello()
                await client.answer(client.call("t"))
                await server.shut()
                heard += [line.decode() for line in client.lines] + client.losses + [back.status]
            assert server.asked[0].target == f"/mcp?key={SECRET}"
            assert server.asked[0].headers["authorization"].startswith("Basic ")
    written = capfd.readouterr()
    assert len(heard) > len(ways)
    for text in (*heard, caplog.text, written.out, written.err):
        assert SECRET not in text


async def test_a_header_that_cannot_be_sent_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="'X-Key' cannot be sent") as caught:
        Address("http://127.0.0.1/", {"X-Key": f"{SECRET}\r\nX-Other: 1"})
    assert SECRET not in str(caught.value)
    for url in (f"ftp://{SECRET}/", SECRET, f"http://[::1/{SECRET}", f"http://x:port{SECRET}/", "http://"):
        with pytest.raises(ValueError, match="no address") as caught:
            Address(url, {})
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("session", ["with space", "\u00fc", "x" * 5000])
async def test_a_session_that_no_header_can_hold_is_none(session: str) -> None:
    async def initialize(asked: Asked, out: Out) -> None:
        await out.answer(asked, {"protocolVersion": "2025-11-25"}, Mcp_Session_Id=session)

    async with hostile(Plain(initialize=initialize)) as server, kept(link(server)) as client:
        await client.hello()
        await client.answer(client.call("t"))
        assert "mcp-session-id" not in server.named("tools/call")[0].headers


async def test_only_so_many_requests_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IN_FLIGHT_MAX", 5)

    async def call(asked: Asked, out: Out) -> None:
        await out.until_left()

    async with hostile(Plain(tools__call=call)) as server, kept(link(server)) as client:
        await client.hello()
        await server.came("GET")
        with anyio.fail_after(WAIT_S):
            while len(server.named("tools/call")) < 5:
                if len(client.link._exchanges) < 5:  # type: ignore[attr-defined]
                    client.call("t")
                await anyio.sleep(0.01)
        client.call("t", why="too many requests")

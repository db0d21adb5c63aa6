"""A stdio server behind a gateway: its start, its end, and what it can do to others (nothing)."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from spec_mcp.relay.back import stdio
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.back.stdio import StdioBack
from spec_mcp.relay.bounds import Bounds
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.link import PAUSE_WAITED_S
from tests.pipes import is_alive
from tests.relay.back.keeping import WAIT_S, appears, kept
from tests.relay.running import ECHO, server

pytestmark = pytest.mark.anyio

SILENT = "while hear() is not None: pass\n"
FLOOD = """
while hear() is not None:
    while True:
        os.write(1, b'{"jsonrpc":"2.0","method":"notifications/message","params":{}}\\n' * 500)
"""


def link(code: str, starts: Starts | None = None, **bounds: float) -> StdioBack:
    return StdioBack(server(code), None, None, now_s, starts or Starts(), Bounds(**bounds))  # type: ignore[arg-type]


async def test_nothing_is_left_of_a_server_and_what_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = (
        "import subprocess\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(child)!r}, 'w').write(str(child.pid))\n" + ECHO
    )
    async with kept(link(code)) as client:
        pid = (await client.answer(client.send("ping")))["result"]["pid"]
    assert not is_alive(pid)
    assert not is_alive(int(child.read_text()))


async def test_a_server_that_was_never_asked_for_is_never_started() -> None:
    async with kept(StdioBack([sys.executable, "-c", "1/0"], None, None, now_s, Starts())) as client:
        client.tell("notifications/initialized")
        await anyio.lowlevel.checkpoint()
        assert client.link.group == 0
        assert client.losses == []


async def test_a_command_that_cannot_be_started_is_told_and_not_tried_all_the_time() -> None:
    async with kept(StdioBack(["/no/such/program"], None, None, now_s, Starts())) as client:
        for time in range(1, 4):
            client.send("ping")
            assert "No such file" in await client.lost(time)
        with anyio.fail_after(WAIT_S):
            while (pause_s := client.link._earliest_s - now_s()) <= PAUSE_WAITED_S:
                client.send("ping")
                await client.lost(len(client.losses) + 1)
        assert pause_s > PAUSE_WAITED_S
        client.send("ping", why="tried again in")


async def test_a_server_that_says_nothing_is_ended_in_the_end() -> None:
    async with kept(link(SILENT, start_s=0.5)) as client:
        client.send("ping")
        assert "said nothing within" in await client.lost()


async def test_a_server_that_nobody_asked_anything_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with kept(link(ECHO, start_s=0.1)) as client:
        client.link.wake()
        await client.until(lambda: client.restarts or None, "a start")
        await anyio.sleep(0.3)  # longer than it had, had it been asked
        await client.answer(client.send("ping"))
        assert client.losses == []


async def test_a_server_that_hangs_at_its_start_keeps_no_other_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "STARTING_S", 0.2)
    starts = Starts(at_once=1)
    async with kept(link(SILENT, starts)) as hanging:
        hanging.send("ping")
        await hanging.until(lambda: hanging.link.group or None, "a start")
        async with kept(link(ECHO, starts)) as client:
            await client.answer(client.send("ping"))
        assert hanging.losses == []


async def test_servers_start_only_so_many_at_once() -> None:
    starts = Starts(at_once=1)
    async with kept(link("time.sleep(0.2)\n" + ECHO, starts)) as first, kept(link(ECHO, starts)) as second:
        first.send("ping")
        await first.until(lambda: first.link.group or None, "a start")
        second.send("ping")
        await anyio.lowlevel.checkpoint()
        assert second.link.group == 0
        await second.until(lambda: second.lines or None, "an answer")
        assert first.lines


async def test_a_server_that_never_stops_talking_keeps_nobody_else_waiting() -> None:
    async with kept(link(FLOOD)) as flooding, kept(link(ECHO)) as client:
        flooding.send("ping")
        await flooding.until(lambda: flooding.lines or None, "the flood")
        for _ in range(20):
            await client.answer(client.send("ping"))
        flooding.link.pause()  # type: ignore[attr-defined]
        heard = len(flooding.lines)
        for _ in range(20):
            await client.answer(client.send("ping"))
        assert len(flooding.lines) - heard < 100_000
        flooding.link.resume()  # type: ignore[attr-defined]
        await flooding.until(lambda: len(flooding.lines) > heard + 1000 or None, "more of the flood")


async def test_a_server_that_does_not_read_is_sent_no_more_than_so_much() -> None:
    bound = 1 << 20
    async with kept(link("time.sleep(600)\n", waiting_bytes=bound)) as client:
        text = "x" * (1 << 18)
        client.link.wake()
        await client.until(lambda: client.restarts or None, "a start")
        while client.link.waiting_bytes <= bound:
            client.send("ping", {"text": text})
        client.send("ping", why="does not read")
        before = client.link.waiting_bytes
        client.tell("notifications/progress")
        assert client.link.waiting_bytes <= before


async def test_a_server_that_closes_its_input_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "DEAF_S", 0.1)
    async with kept(link("answer(hear())\nos.close(0)\nsay(method='deaf')\ntime.sleep(600)\n")) as client:
        await client.answer(client.send("ping"))
        await client.message(lambda message: message.get("method") == "deaf", "its last word")
        client.send("ping")
        assert "takes no more" in await client.lost()


async def test_what_a_server_says_without_an_end_of_line_is_heard_where_it_is_whole() -> None:
    async with kept(link('hear()\nos.write(1, b\'{"jsonrpc":"2.0","id":1,"result":{}}\')\n')) as client:
        await client.answer(client.send("ping"))
        assert "exit code 0" in await client.lost()


async def test_half_a_message_is_nobody_s() -> None:
    async with kept(link('hear()\nos.write(1, b\'{"jsonrpc":"2.0","id":1,\')\nos._exit(7)\n')) as client:
        client.send("ping")
        assert "exit code 7" in await client.lost()
        assert client.lines == []


async def test_a_message_that_is_too_long_to_be_collected_ends_the_server() -> None:
    async with kept(link("hear()\nwhile True: os.write(1, b'x' * 65536)\n", message_bytes=1 << 20)) as client:
        client.send("ping")
        assert "more than 1 MiB" in await client.lost()


async def test_a_fault_of_ours_costs_no_server() -> None:
    faults: list[Exception] = []
    back = link(ECHO)
    back.on_fault = faults.append
    async with kept(back) as client:
        heard, back.on_line = back.on_line, lambda line: 1 / 0  # type: ignore[assignment]
        client.send("ping")
        with anyio.fail_after(WAIT_S):
            while not faults:  # noqa: ASYNC110  nothing else tells of it
                await anyio.sleep(0.01)
        back.on_line = heard
        await client.answer(client.send("ping"))
        assert client.losses == []


async def test_a_server_that_ends_between_calls_is_started_by_the_next(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    async with kept(link(f"answer(hear())\nopen({str(gone)!r}, 'w')\nos._exit(0)\n")) as client:
        await client.answer(client.send("ping"))
        await appears(gone)
        await client.lost()
        await client.answer(client.send("ping"))

"""Lines without an end: they go through, nothing of them is kept, and the session goes on after them."""

from __future__ import annotations

import json
import os
import select
import time
import tracemalloc
from collections.abc import Callable, Generator

import pytest

from spec_mcp.relay import lines as lines_module
from spec_mcp.relay import pump as pump_module
from spec_mcp.relay.lines import Piece
from spec_mcp.relay.passing import Passing
from tests.pipes import eventually
from tests.relay.rig import Rig, answer, call, request
from tests.relay.running import ECHO, MOMENT_S, WAIT_S, Running, server

BOUND = 1 << 16
CHUNK = b"x" * (1 << 16)
MIB = 1 << 20
LONG_MIB = 96
KEPT_MAX_BYTES = 24 * MIB
"""What may wait for a peer that reads slowly, and a little; a quarter of the line."""


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LINE_MAX_BYTES", BOUND)


@pytest.fixture
def peak_bytes() -> Generator[Callable[[], int]]:
    """How much memory was in use at once since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def hear_up_to(running: Running, end: bytes) -> int:
    """Read what comes, without keeping it, until it ends with these bytes; how much it was."""
    total, last, until = 0, b"", time.monotonic() + WAIT_S
    while not last.endswith(end):
        assert time.monotonic() < until, f"{total} bytes, and then {last[-100:]}"
        if select.select([running.out_read], [], [], MOMENT_S)[0]:
            data = os.read(running.out_read, 1 << 16)
            total, last = total + len(data), (last + data)[-1000:]
    return total


def ping(number: int) -> bytes:
    return request(number, "ping")


def test_a_servers_endless_line_passes_and_what_it_says_next_is_read(peak_bytes: Callable[[], int]) -> None:
    endless = f"m = hear()\nfor n in range({LONG_MIB}): os.write(1, b'x' * {MIB})\nos.write(1, b'\\n')\nanswer(m)\n"
    with Running(endless + ECHO) as running:
        running.send(ping(1))
        assert hear_up_to(running, b'"result": {}}\n') > LONG_MIB * MIB
        assert peak_bytes() < KEPT_MAX_BYTES
        running.send(ping(2))
        assert json.loads(running.receive(1)[0])["id"] == 2


def test_a_clients_endless_line_passes_and_what_it_says_next_is_read(peak_bytes: Callable[[], int]) -> None:
    counts = (
        "count = 0\n"
        "while b'\\n' not in (data := os.read(0, 1 << 16)): count += len(data)\n"
        "say(method='counted', params={'bytes': count + data.index(b'\\n')})\n"
    )
    with Running(counts + ECHO) as running:

        def send() -> None:
            for _ in range(LONG_MIB * 16):
                os.write(running.in_write, CHUNK)
            os.write(running.in_write, b"\n")

        sender = running.later(send)
        assert json.loads(running.receive(1)[0])["params"] == {"bytes": LONG_MIB * MIB}
        sender.join()
        assert peak_bytes() < KEPT_MAX_BYTES
        running.send(ping(2))
        assert json.loads(running.receive(1)[0])["id"] == 2


def test_a_peer_that_does_not_read_an_endless_line_stops_it() -> None:
    with Running("m = hear()\nwhile True: os.write(1, b'x' * 65536)\n") as running:
        running.send(ping(1))
        eventually(lambda: running.client_out.waiting_bytes >= pump_module.BACKLOG_MAX_BYTES, "the backlog is full")
        assert running.client_out.waiting_bytes < pump_module.BACKLOG_MAX_BYTES + MIB


def test_a_server_that_ends_in_a_long_line_is_replaced_and_its_client_hears_of_it() -> None:
    with Running(f"m = hear()\nos.write(1, b'x' * {MIB})\nos._exit(0)\n") as running:
        running.send(ping(1))
        assert hear_up_to(running, b'starts it again"}}\n') > MIB
        running.link.command = server(ECHO)
        running.send(ping(2))
        assert json.loads(running.receive(1)[0])["id"] == 2


def test_a_server_that_is_started_in_a_clients_long_line_gets_nothing_of_it() -> None:
    with Running(f"got = 0\nwhile got < {MIB}: got += len(os.read(0, 65536))\nos._exit(0)\n") as running:
        first = running.link.process
        for _ in range(16):
            os.write(running.in_write, CHUNK)
        eventually(lambda: running.link.process is not first, "its end is noticed")
        running.link.command = server(ECHO)
        running.send(CHUNK, ping(2))
        assert json.loads(running.receive(1)[0])["id"] == 2


def test_a_clients_long_line_spoils_what_is_held(rig: Rig) -> None:
    rig.held("get", id=1)
    Passing(rig.bridge, rig.link, rig.bridge.client).from_client(Piece(b'{"jsonrpc":'))
    assert rig.to_server == [b'{"jsonrpc":']
    rig.client(call(1, "get"))
    assert rig.to_server == [call(1, "get")]


def test_a_long_answer_to_a_request_of_ours_is_not_for_the_client(rig: Rig) -> None:
    own = rig.launched("get", id=1)
    passing = Passing(rig.bridge, rig.link, rig.bridge.client)
    passing.from_server(Piece(answer(own)[:-1]))
    passing.from_server(Piece(b" }\n"))
    passing.from_server(Piece(b"another\n"))
    assert rig.to_client == [b"another"]


def test_a_long_line_for_a_server_that_does_not_start_is_dropped_to_its_end(rig: Rig) -> None:
    for _ in range(6):
        rig.dies()
    for piece in (b"begun", b" and going on", b" and ended\n", b"next\n"):
        rig.link.pass_on(Piece(piece))
    rig.waits(60.0)
    assert rig.to_server == []

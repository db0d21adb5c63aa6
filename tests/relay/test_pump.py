"""The loop, with real pipes and processes: peers that do not read, that leave, that die in odd ways."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from spec_mcp.relay import pump as pump_module
from tests.pipes import eventually, is_alive
from tests.relay.rig import call, notification, request
from tests.relay.running import ECHO, Running, server

LEAVES_S = pump_module.LEAVING_S + 11.5
"""With what a loaded machine may add."""


def ping(number: int) -> bytes:
    return request(number, "ping")


def ids(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["id"] for line in lines]


def test_lines_pass_in_order() -> None:
    with Running(ECHO) as running:
        running.send(*map(ping, range(500)))
        assert ids(running.receive(500)) == list(range(500))


def test_thousands_of_lines_in_one_write_pass_in_order() -> None:
    with Running(ECHO) as running:
        running.send(b"\n".join(map(ping, range(5000))))
        assert ids(running.receive(5000)) == list(range(5000))


def test_a_client_that_does_not_read_stops_the_server_and_gets_all_when_it_does() -> None:
    total = 40
    flood = (
        f"m = hear()\nfor n in range({total}): say(method='x', params={{'n': n, 'x': 'y' * 1_000_000}})\nanswer(m)\n"
        + ECHO
    )
    with Running(flood) as running:
        running.send(ping(1))
        eventually(lambda: running.client_out.waiting_bytes >= pump_module.BACKLOG_MAX_BYTES, "the backlog is full")
        assert running.client_out.waiting_bytes < pump_module.BACKLOG_MAX_BYTES + 2_000_000
        lines = running.receive(total + 1)
        assert [json.loads(line)["params"]["n"] for line in lines[:-1]] == list(range(total))


def test_a_server_that_does_not_read_stops_the_client_and_gets_all_when_it_does(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with Running(f"open({str(gate)!r}).read()\n" + ECHO) as running:
        calls = [call(number, "put", '{"x":"%s"}' % ("y" * 1_000_000)) for number in range(40)]
        sender = running.later(lambda: running.send(*calls))
        eventually(lambda: running.link.waiting_bytes >= pump_module.BACKLOG_MAX_BYTES, "the backlog is full")
        assert running.link.waiting_bytes < pump_module.BACKLOG_MAX_BYTES + 2_000_000
        gate.write_text("go on")
        assert ids(running.receive(40)) == list(range(40))
        sender.join()


def test_a_flood_from_both_sides_ends_in_no_deadlock() -> None:
    with Running(ECHO) as running:
        count = 60
        calls = [call(number, "put", '{"x":"%s"}' % ("y" * 1_000_000)) for number in range(count)]
        sender = running.later(lambda: running.send(*calls))
        assert ids(running.receive(count)) == list(range(count))
        sender.join()


def test_a_server_that_dies_is_started_again_by_the_next_request() -> None:
    with Running("m = hear()\nos._exit(7)\n") as running:
        running.send(ping(1))
        (error,) = running.receive(1)
        assert "the server ended" in json.loads(error)["error"]["message"]
        running.link.command = server(ECHO)
        running.send(ping(2))
        assert ids(running.receive(1)) == [2]


def test_the_last_word_of_a_server_passes_and_half_a_word_does_not() -> None:
    last = (
        "m = hear()\nos.write(1, json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'result': {}}).encode())\nos._exit(0)\n"
    )
    with Running(last) as running:
        running.send(ping(1))
        assert "result" in json.loads(running.receive(1)[0])
        running.link.command = server("m = hear()\nos.write(1, b'{\"jsonrpc\":')\nos._exit(0)\n")
        running.send(ping(2))
        (error,) = running.receive(1)
        assert json.loads(error)["id"] == 2
        assert "error" in json.loads(error)


def test_a_server_that_closes_its_output_and_lives_on_is_ended_and_replaced() -> None:
    mute = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "answer(hear(), {'pid': os.getpid()})\nhear()\nos.close(1)\ntime.sleep(600)\n"
    )
    with Running(mute) as running:
        running.send(ping(1))
        pid = json.loads(running.receive(1)[0])["result"]["pid"]
        running.send(ping(2))
        assert "error" in json.loads(running.receive(1)[0])
        running.link.command = server(ECHO)
        running.send(ping(3))
        assert ids(running.receive(1)) == [3]
        assert not is_alive(pid), "two of one server at once"


def test_a_server_that_closes_its_input_and_lives_on_is_ended_and_replaced() -> None:
    with Running("os.close(0)\nsay(method='closed')\ntime.sleep(600)\n") as running:
        running.receive(1)
        running.send(ping(1))
        assert "error" in json.loads(running.receive(1)[0])
        running.link.command = server(ECHO)
        running.send(ping(2))
        assert ids(running.receive(1)) == [2]


def test_a_command_that_does_not_start_any_more_is_an_error_that_says_so() -> None:
    with Running("m = hear()\nos._exit(0)\n") as running:
        running.send(ping(1)).receive(1)
        running.link.command = ["/no/such/program"]
        running.send(ping(2))
        assert "cannot start" in json.loads(running.receive(1)[0])["error"]["message"]


def test_when_the_client_leaves_the_server_is_told_and_its_last_answers_pass() -> None:
    at_the_end = "seen = []\nwhile (m := hear()) is not None: seen.append(m)\nfor m in seen: answer(m)\n"
    with Running(at_the_end) as running:
        running.send(*map(ping, range(20))).leave()
        assert running.end() < LEAVES_S
        assert ids(running.receive(20)) == list(range(20))


def test_a_server_that_ignores_the_end_of_its_client_is_not_waited_for() -> None:
    stubborn = ECHO + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)\n"
    with Running(stubborn) as running:
        running.send(ping(1)).receive(1)
        running.leave()
        assert running.end() < LEAVES_S
        assert running.pump.was_patient


def test_a_server_that_floods_its_client_that_left_is_not_waited_for() -> None:
    with Running("while True: say(method='x', params={'x': 'y' * 1000})\n") as running:
        stop = threading.Event()

        def read_on() -> None:
            while not stop.is_set():
                running.read_once()
                running.received.clear()

        reader = running.later(read_on)
        running.leave()
        assert running.end() < LEAVES_S
        stop.set()
        reader.join()


def test_a_server_that_reads_nothing_does_not_hold_a_client_that_left() -> None:
    with Running("time.sleep(600)\n") as running:
        running.send(notification("notifications/x", '{"x":"%s"}' % ("y" * 1_000_000))).leave()
        assert running.end() < LEAVES_S


def test_a_client_that_neither_reads_nor_writes_any_more_is_gone_at_once() -> None:
    with Running(ECHO) as running:
        running.send(ping(1)).receive(1)
        running.send(request(2, "x/never")).receive(1)
        running.stop_reading()
        assert running.end() < LEAVES_S


def test_a_client_with_a_call_in_flight_that_reads_no_more_is_not_waited_for() -> None:
    with Running("m = hear()\nsay(method='got')\ntime.sleep(600)\n") as running:
        running.send(ping(1)).receive(1)
        running.leave().stop_reading()
        assert running.end() < LEAVES_S


def test_a_client_with_a_call_in_flight_that_still_reads_gets_its_answer() -> None:
    slow = f"m = hear()\nsay(method='got')\nhear()\ntime.sleep({pump_module.LEAVING_S + 0.5})\nanswer(m)\n"
    with Running(slow) as running:
        running.send(ping(1)).receive(1)
        running.leave()
        assert ids(running.receive(1)) == [1]
        running.end()


def test_what_a_client_said_before_it_left_is_read_though_it_reads_its_answers_late() -> None:
    with Running(ECHO) as running:
        count = 40
        calls = [call(number, "put", '{"x":"%s"}' % ("y" * 1_000_000)) for number in range(count)]

        def send_and_leave() -> None:
            running.send(*calls)
            running.leave()

        sender = running.later(send_and_leave)
        eventually(lambda: running.client_out.waiting_bytes >= pump_module.BACKLOG_MAX_BYTES, "the backlog is full")
        assert ids(running.receive(count)) == list(range(count))
        sender.join()
        running.end()


def test_a_signal_ends_the_loop_at_any_time() -> None:
    with Running(ECHO) as running:
        running.stopping.stop(signal.SIGHUP)
        running.stopping.stop(signal.SIGTERM)
        running.end()
        assert running.stopping.number == signal.SIGHUP


def test_a_fault_in_what_waits_costs_no_call(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RuntimeError("a fault of ours")

    with Running(ECHO) as running:
        running.pump.call_soon(fail)
        eventually(lambda: running.bridge.engine is None, "it is a plain proxy now")
        running.send(ping(1))
        assert ids(running.receive(1)) == [1]
    assert "plain proxy" in capfd.readouterr().err


def test_a_loop_leaves_no_descriptor_and_no_thread_behind() -> None:
    def count() -> tuple[int, int]:
        return len(os.listdir("/dev/fd")), threading.active_count()

    before = count()
    for code in (ECHO, "os._exit(0)\n", "time.sleep(600)\n"):
        with Running(code) as running:
            running.send(ping(1))
            running.leave()
            if code is ECHO:
                running.end()
    assert count() == before


def test_nothing_is_done_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    with Running(ECHO) as running:
        running.send(ping(1)).receive(1)
        polls: list[float] = []
        original = running.pump._poll

        def counted(timeout_ms: float | None) -> list[tuple[int, int]]:
            polls.append(time.monotonic())
            return original(timeout_ms)

        monkeypatch.setattr(running.pump, "_poll", counted)
        running.send(ping(2)).receive(1)
        running.send(ping(3)).receive(1)
        assert len(polls) < 20

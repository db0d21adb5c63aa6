"""`spec-mcp wrap` as a process: told to stop at any time, started with odd standard streams, and gone in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spec_mcp.relay.wrap import main
from tests.pipes import eventually, is_alive
from tests.relay.running import ECHO, server

GONE_S = 2.0
"""How long clients wait for us after they have left, or have told us to stop; beyond it they kill us."""

SLACK_S = 12.0
"""What a loaded machine may add."""

STUBBORN = (
    "for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(n, signal.SIG_IGN)\n"
    "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
)
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def wrap(command: list[str]) -> list[str]:
    return [sys.executable, "-m", "spec_mcp", "wrap", "--", *command]


def pid_in(path: Path) -> int:
    eventually(lambda: path.exists() and path.read_text(), "the server has told its number")
    return int(path.read_text())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "wrap: say which server, after `--`: spec-mcp wrap -- COMMAND [ARG]…"),
        (["--nope"], "wrap: unrecognized arguments: --nope: see `spec-mcp wrap --help`"),
        (["--mode", "maybe", "--", "server"], "wrap: argument --mode: invalid choice: 'maybe'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_and_not_to_the_client(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"spec-mcp: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_we_are_still_loading_ends_us_and_the_server(tmp_path: Path, number: signal.Signals) -> None:
    told = tmp_path / "pid"
    with subprocess.Popen(
        wrap([*server(STUBBORN + "time.sleep(600)\n"), str(told)]), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as us:
        pid = pid_in(told)
        us.send_signal(number)
        began = time.monotonic()
        _, said = us.communicate(timeout=20)
        assert time.monotonic() - began < GONE_S + SLACK_S
        assert us.returncode == 128 + number
        assert b"Traceback" not in said
    eventually(lambda: not is_alive(pid), "the server is gone")


def test_what_our_parent_had_us_ignore_stays_ignored(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", 'trap "" HUP; exec "$@"', "sh", *wrap(server(ECHO))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as us:
        assert us.stdin is not None
        assert us.stdout is not None
        us.stdin.write(PING)
        us.stdin.flush()
        assert us.stdout.readline()
        us.send_signal(signal.SIGHUP)
        us.stdin.write(PING)
        us.stdin.flush()
        assert us.stdout.readline()
        us.stdin.close()
        assert us.wait(20) == 0


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_client_that_leaves_a_stubborn_server_is_rid_of_it_in_time(tmp_path: Path, in_flight: bool) -> None:
    told = tmp_path / "pid"
    deaf = "m = hear()\nsay(method='got')\n" + ("" if in_flight else "answer(m)\n") + "time.sleep(600)\n"
    with subprocess.Popen(
        wrap([*server(STUBBORN + deaf), str(told)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as us:
        assert us.stdin is not None
        assert us.stdout is not None
        us.stdin.write(PING)
        us.stdin.close()
        us.stdout.readline()
        pid = pid_in(told)
        began = time.monotonic()
        if in_flight:
            us.stdout.close()  # as it is when the client's process ends; one that stays sends a signal
        us.wait(20)
        assert time.monotonic() - began < GONE_S + SLACK_S
    eventually(lambda: not is_alive(pid), "the server is gone")


def test_requests_from_a_file_are_answered_into_a_file(tmp_path: Path) -> None:
    asked, answers = tmp_path / "asked", tmp_path / "answers"
    asked.write_bytes(b"".join(b'{"jsonrpc":"2.0","id":%d,"method":"ping"}\n' % number for number in range(3000)))
    with asked.open("rb") as stdin, answers.open("wb") as stdout:
        subprocess.run(wrap(server(ECHO)), stdin=stdin, stdout=stdout, check=True, timeout=60)
    assert [json.loads(line)["id"] for line in answers.read_bytes().splitlines()] == list(range(3000))


def test_a_socket_serves_as_well_as_pipes(tmp_path: Path) -> None:
    import socket

    ours, theirs = socket.socketpair()
    with ours, subprocess.Popen(wrap(server(ECHO)), stdin=theirs.fileno(), stdout=theirs.fileno()) as us:
        theirs.close()
        ours.settimeout(20)
        ours.sendall(PING)
        assert json.loads(ours.recv(4096))["id"] == 1
        ours.shutdown(socket.SHUT_WR)
        assert us.wait(20) == 0


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_standard_stream_that_is_closed_is_taken_for_an_empty_one(tmp_path: Path, closed: str) -> None:
    mark = tmp_path / "mark"
    code = f"hear()\nopen({str(mark)!r}, 'w').write('ended')\n"
    script = f'exec "$@" {closed}'
    with subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *wrap(server(code))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as us:
        assert us.stdin is not None
        us.stdin.close()
        assert us.wait(20) == 0
    assert mark.read_text() == "ended"


def test_a_log_that_nobody_reads_holds_up_no_call(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    with subprocess.Popen(wrap(server(ECHO)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer) as us:
        call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}\n'
        assert us.stdin is not None
        assert us.stdout is not None
        for _ in range(3):
            us.stdin.write(call)
            us.stdin.flush()
            assert us.stdout.readline()
        us.stdin.close()
        assert us.wait(20) == 0
    os.close(reader)
    os.close(writer)

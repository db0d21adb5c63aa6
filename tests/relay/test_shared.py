"""Standard output that is somebody else's too: what others write to it never fails because of us."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Generator

import pytest

from spec_mcp.relay import shared
from spec_mcp.relay.shared import SharedWriter, is_same_opening
from tests.pipes import eventually
from tests.relay.running import server
from tests.relay.test_wrap import PING, wrap

LINES = [b"%d:%s\n" % (number, b"x" * (number * 977 % 20_000)) for number in range(200)]
WAIT_S = 60.0


def cannot_say_so(fd: int, parts: object, offset: int, flags: int) -> int:
    raise OSError(95, "Operation not supported")


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    ends = os.pipe()
    os.set_blocking(ends[0], False)
    yield ends
    for end in ends:
        os.close(end)


def drained(fd: int, writer: SharedWriter) -> bytes:
    found, until = b"", time.monotonic() + WAIT_S
    while True:
        assert time.monotonic() < until
        try:
            found += os.read(fd, 1 << 16)
        except BlockingIOError:
            if not writer.waiting_bytes:
                return found
        writer.flush()


@pytest.mark.parametrize("system", ["new", "old"])
@pytest.mark.parametrize("is_stderr", [False, True])
def test_what_fills_goes_out_whole_and_a_shared_descriptor_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, pipe: tuple[int, int], system: str, is_stderr: bool
) -> None:
    other = os.dup(pipe[1])
    if is_stderr:
        monkeypatch.setattr(shared, "STDERR", other)
    if system == "old":
        monkeypatch.setattr(os, "pwritev", cannot_say_so)
    writer = SharedWriter(pipe[1])
    for line in LINES:
        writer.send(line)
        assert os.get_blocking(other) or not is_stderr
    assert 0 < writer.waiting_bytes < sum(map(len, LINES))
    assert drained(pipe[0], writer) == b"".join(LINES)
    writer.restore()
    assert os.get_blocking(pipe[1])
    os.close(other)


def test_where_the_system_lets_us_a_pipe_is_left_as_it_is_for_whoever_else_may_hold_it(pipe: tuple[int, int]) -> None:
    writer = SharedWriter(pipe[1])
    writer.send(b"x" * (1 << 20) + b"\n")
    assert writer.waiting_bytes
    assert os.get_blocking(pipe[1]) == hasattr(os, "RWF_NOWAIT")


def test_two_descriptors_are_of_one_opening_or_not(pipe: tuple[int, int]) -> None:
    copy = os.dup(pipe[1])
    again = os.open("/dev/null", os.O_WRONLY)
    flags = fcntl.fcntl(pipe[1], fcntl.F_GETFL)
    try:
        assert is_same_opening(pipe[1], copy)
        assert not is_same_opening(pipe[1], again)
        assert not is_same_opening(pipe[1], pipe[0])
        assert fcntl.fcntl(pipe[1], fcntl.F_GETFL) == flags
    finally:
        os.close(copy)
        os.close(again)
    assert not is_same_opening(pipe[1], copy), "a closed one is nobody's"


FLOOD = """
m = hear()
failed = 0
for n in range(500):
    say(method='x', params={'x': '^' * 1000})
    noise = memoryview(b'~' * 5000)
    while noise:
        try: noise = noise[os.write(2, noise):]
        except BlockingIOError: failed += 1
answer(m, {'failed': failed})
"""

OLD_SYSTEM = "import os, sys; del os.RWF_NOWAIT; from spec_mcp.__main__ import main; main()"


@pytest.mark.parametrize("command", [["-m", "spec_mcp"], ["-c", OLD_SYSTEM]], ids=["new", "old"])
def test_a_server_that_floods_its_stderr_writes_all_of_it_where_that_is_our_stdout_too(command: list[str]) -> None:
    started = [sys.executable, *command, *wrap(server(FLOOD))[3:]]
    with subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as us:
        assert us.stdin is not None
        assert us.stdout is not None
        us.stdin.write(PING)
        us.stdin.flush()
        output = us.stdout.fileno()
        eventually(lambda: waiting_in(output) > 1 << 15, "the pipe fills")
        us.stdin.close()
        said = us.stdout.read()
    assert b'"failed": 0' in said
    assert (said.count(b"~"), said.count(b"^")) == (500 * 5000, 500 * 1000)


def waiting_in(fd: int) -> int:
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]

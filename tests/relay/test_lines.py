"""Bytes to lines and back, in any pieces, over pipes that fill."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.relay import lines as lines_module
from spec_mcp.relay.lines import READ_BYTES, WRITE_PARTS, LineReader, LineWriter, Piece

WAIT_S = 30.0


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    """Both ends, neither of which blocks; whoever closes one first says so by closing it."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            pass  # the test has closed it


def drained(fd: int, writer: LineWriter, bound_s: float = WAIT_S) -> bytes:
    """All that a writer has, read from the other end."""
    found: list[bytes] = []
    until = time.monotonic() + bound_s
    while writer.waiting_bytes or not found:
        assert time.monotonic() < until, f"{writer.waiting_bytes} bytes still wait"
        try:
            found.append(os.read(fd, 1 << 20))
        except BlockingIOError:
            pass
        writer.flush()
    while True:
        try:
            found.append(os.read(fd, 1 << 20))
        except BlockingIOError:
            return b"".join(found)


@given(st.binary(max_size=200).map(lambda data: data.replace(b"a", b"\n")), st.lists(st.integers(0, 200), max_size=20))
def test_lines_are_the_same_in_whatever_pieces_they_come(data: bytes, cuts: list[int]) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    try:
        reader, lines, last = LineReader(read_end), list[bytes](), 0
        for cut in [*sorted(cuts), len(data)]:
            if data[last:cut]:
                os.write(write_end, data[last:cut])
            last = max(last, cut)
            lines += reader.read()
        assert b"".join(lines) == data[: data.rfind(b"\n") + 1]
        os.close(write_end)
        write_end = -1
        lines += reader.read()
        assert reader.ended
        assert lines == _split(data)
    finally:
        os.close(read_end)
        if write_end >= 0:
            os.close(write_end)


@given(
    st.binary(max_size=200).map(lambda data: data.replace(b"a", b"\n")),
    st.lists(st.integers(0, 200), max_size=20),
    st.integers(0, 30),
)
def test_of_a_line_that_is_too_long_no_more_is_held_than_the_bound(data: bytes, cuts: list[int], bound: int) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lines_module, "LINE_MAX_BYTES", bound)
        patched.setattr(lines_module, "PIECE_BYTES", 7)
        reader, parts, last = LineReader(read_end), list[bytes](), 0
        for cut in [*sorted(cuts), len(data)]:
            if data[last:cut]:
                os.write(write_end, data[last:cut])
            last = max(last, cut)
            parts += reader.read()
            assert min(last, len(data)) - len(b"".join(parts)) <= bound
        os.close(write_end)
        parts += reader.read()
    os.close(read_end)
    assert b"".join(parts) == data
    for part in parts[:-1]:
        assert type(part) is Piece or part.endswith(b"\n")
        assert b"\n" not in part[:-1]


def _split(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def test_of_all_lines_together_no_more_is_held_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "PIECE_BYTES", 1 << 14)
    monkeypatch.setattr(lines_module, "ALL_LINES_MAX_BYTES", 1 << 18)
    pipes = [os.pipe() for _ in range(6)]
    readers = [LineReader(read) for read, _ in pipes]
    try:
        given = 0
        for reader, (_, write) in zip(readers, pipes, strict=True):
            os.write(write, b"x" * (1 << 16))
            given += len(b"".join(reader.read()))
        assert sum(len(reader._rest) for reader in readers) <= 1 << 18
        assert given == 2 * (1 << 16)
        os.write(pipes[-1][1], b"\nnext\n")
        assert readers[-1].read() == [b"\n", b"next\n"]
        os.write(pipes[0][1], b"\n")
        assert readers[0].read() == [b"x" * (1 << 16) + b"\n"]
    finally:
        for pair in pipes:
            for fd in pair:
                os.close(fd)


def test_thousands_of_lines_in_one_read_come_in_order(pipe: tuple[int, int]) -> None:
    reader = LineReader(pipe[0])
    lines = [b"%d\n" % number for number in range(10_000)]
    os.write(pipe[1], b"".join(lines))
    assert reader.read() == lines


def test_nothing_to_read_is_no_end(pipe: tuple[int, int]) -> None:
    reader = LineReader(pipe[0])
    assert reader.read() == []
    assert not reader.ended


def test_a_descriptor_that_fails_is_an_end() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    os.close(write_end)
    reader = LineReader(read_end)
    assert reader.read() == []
    assert reader.ended


def test_a_pipe_that_fills_gets_every_line_once_and_in_order(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    lines = [b"%d:%s\n" % (number, b"x" * (number * 37 % 5000)) for number in range(WRITE_PARTS * 5)]
    for line in lines:
        writer.send(line)
    assert 0 < writer.waiting_bytes < sum(map(len, lines))
    assert drained(pipe[0], writer) == b"".join(lines)
    assert writer.waiting_bytes == 0


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=8), st.lists(st.integers(1, 70_000), max_size=40))
def test_whatever_the_peer_takes_at_a_time_it_gets_the_same(sizes: list[int], takes: list[int]) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    try:
        writer = LineWriter(write_end)
        lines = [bytes([65 + index]) * size + b"\n" for index, size in enumerate(sizes)]
        found = b""
        for line in lines:
            writer.put(line)
        writer.flush()
        for take in takes:
            try:
                found += os.read(read_end, take)
            except BlockingIOError:
                break
            writer.flush()
        if writer.waiting_bytes or len(found) < sum(map(len, lines)):
            found += drained(read_end, writer)
        assert found == b"".join(lines)
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_line_without_its_end_is_ended_before_the_next_and_only_then(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.send(b"half")
    assert os.read(pipe[0], 100) == b"half"
    writer.send(b"whole\n")
    writer.send(b"another\n")
    assert os.read(pipe[0], 100) == b"\nwhole\nanother\n"


def test_between_the_pieces_of_a_line_nothing_else_is_written(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.send(b"half")
    writer.send(Piece(b"begun "))
    writer.send(b"beside\n")
    assert os.read(pipe[0], 100) == b"half\nbegun "
    assert (writer.waiting_bytes, writer.kept_back_bytes) == (0, len(b"beside\n"))
    writer.send(Piece(b"and ended\n"))
    writer.send(b"after\n")
    assert os.read(pipe[0], 100) == b"and ended\nbeside\nafter\n"
    assert writer.kept_back_bytes == 0


def test_a_peer_that_is_gone_breaks_the_writer_and_nothing_more_is_kept(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    os.close(pipe[0])
    writer.send(b"x\n")
    assert writer.broken
    writer.put(b"y\n")
    assert writer.waiting_bytes == 0


def test_a_writer_that_was_stopped_writes_nothing_to_whoever_has_its_descriptor(pipe: tuple[int, int]) -> None:
    writer = LineWriter(pipe[1])
    writer.put(b"late\n")
    writer.stop()
    writer.flush()
    writer.send(b"later\n")
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)


def cpu_of_passing(size: int) -> float:
    """Processor time of our side for writing and reading one line of this size through pipes."""
    there, back = os.pipe(), os.pipe()
    for end in (*there, *back):
        os.set_blocking(end, False)
    stop = threading.Event()

    def echo() -> None:
        pending = memoryview(b"")
        while not stop.is_set():
            try:
                if not pending:
                    pending = memoryview(os.read(there[0], 1 << 16))
                pending = pending[os.write(back[1], pending) :]
            except BlockingIOError:
                stop.wait(0.0005)

    other = threading.Thread(target=echo)
    other.start()
    try:
        writer, reader = LineWriter(there[1]), LineReader(back[0])
        lines: list[bytes] = []
        until = time.monotonic() + WAIT_S
        writer.put(b"x" * size + b"\n")
        began = time.thread_time()
        while not lines:
            assert time.monotonic() < until
            writer.flush()
            lines = reader.read()
        used = time.thread_time() - began
        assert len(lines[0]) == size + 1
        return used
    finally:
        stop.set()
        other.join()
        for end in (*there, *back):
            os.close(end)


def test_a_line_of_50_mb_takes_ten_times_as_long_as_one_of_5_and_not_a_hundred_times() -> None:
    small = min(cpu_of_passing(5_000_000) for _ in range(3))
    assert cpu_of_passing(50_000_000) < 40 * max(small, 0.02)


def test_one_read_is_bounded() -> None:
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(write_end, False)
        written = os.write(write_end, b"x\n" * READ_BYTES)
        assert len(b"".join(LineReader(read_end).read())) <= min(written, READ_BYTES)
    finally:
        os.close(read_end)
        os.close(write_end)

"""Parts of an answer that are written together reach the client in one piece."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from spec_mcp.relay.front.gathering import Gathering

pytestmark = pytest.mark.anyio


class Wire:
    """A transport that remembers what was handed to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.end = ""

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.end = "closed"

    def abort(self) -> None:
        self.end = "aborted"

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.pieces))

    def is_closing(self) -> bool:
        return bool(self.end)


def gathering() -> tuple[Gathering, Wire]:
    wire = Wire()
    return Gathering(cast("asyncio.Transport", wire), asyncio.get_running_loop()), wire


async def test_a_head_and_a_body_are_one_piece_once_flushed() -> None:
    gathered, wire = gathering()
    gathered.write(b"head")
    gathered.write(b"")
    gathered.write(b"body")
    assert wire.pieces == []
    gathered.flush()
    assert wire.pieces == [b"headbody"]
    await asyncio.sleep(0)
    assert wire.pieces == [b"headbody"]


async def test_what_nobody_flushes_goes_out_when_the_loop_comes_round() -> None:
    gathered, wire = gathering()
    gathered.write(b"event")
    await asyncio.sleep(0)
    assert wire.pieces == [b"event"]


async def test_a_close_says_all_first_and_an_abort_nothing() -> None:
    gathered, wire = gathering()
    gathered.write(b"last")
    gathered.close()
    assert (wire.pieces, wire.end, gathered.is_closing()) == ([b"last"], "closed", True)
    gathered, wire = gathering()
    gathered.write(b"never")
    gathered.abort()
    await asyncio.sleep(0)
    assert (wire.pieces, wire.end) == ([], "aborted")


async def test_what_was_gathered_counts_as_not_taken() -> None:
    gathered, wire = gathering()
    wire.write(b"1234")
    gathered.write(b"56")
    assert gathered.get_write_buffer_size() == 6

"""One stream becomes one HTTP answer: plain JSON where the answer is all there is to say, else events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

from spec_mcp.relay.front.http import JSON, Http
from spec_mcp.relay.front.stream import PING, Reader, Stream

PING_S = 15.0
"""Shorter than any proxy waits for a silent connection; so long the answer may come as plain JSON."""

Heads = Callable[[], Sequence[tuple[bytes, bytes]]]


async def say_all(
    http: Http, stream: Stream, reader: Reader, *, primes: bool, slow_s: float, headers: Heads = tuple
) -> bool:
    """Say what the stream holds and will hold, until it ends or another reads on.

    False: the client has left before the end, or does not read.
    """
    if stream.ended and not stream.begun:  # nothing to wait for, so nobody has to watch
        await _say_plainly(http, stream, headers)
        return True
    reader.say_plainly = lambda: http.reply_at_once(stream.status, stream.plain(), (JSON, *headers()))
    try:
        with anyio.CancelScope() as reader.scope:
            http.watch(reader.scope.cancel)
            await _say(http, stream, reader, primes, slow_s, headers)
    finally:
        http.unwatch()
    if reader.scope.cancelled_caught:
        http.connection.abort()
    return not reader.scope.cancelled_caught


async def _say(http: Http, stream: Stream, reader: Reader, primes: bool, slow_s: float, headers: Heads) -> None:
    with anyio.move_on_after(PING_S):
        while not (stream.begun or stream.ended or reader.is_over):
            await reader.news()
    if stream.ended and not stream.begun:
        if not http.answered:
            await _say_plainly(http, stream, headers)
        elif http.fault is not None:
            raise http.fault
        return
    opening = stream.opening() if primes else b""
    stream.begin()
    await http.begin_events(headers())
    while not reader.is_over:
        frames = opening + stream.take()
        opening = b""
        if stream.ended:
            await _within(slow_s, reader, http.end_events(frames))
            return
        if frames or not await _heard(reader):
            await _within(slow_s, reader, http.send_events(frames or PING))
    await http.end_events()


async def _say_plainly(http: Http, stream: Stream, headers: Heads) -> None:
    await http.reply(stream.status, stream.plain(), (JSON, *headers()))


async def _heard(reader: Reader) -> bool:
    with anyio.move_on_after(PING_S):
        await reader.news()
        return True
    return False


async def _within(slow_s: float, reader: Reader, sending: Awaitable[None]) -> None:
    """Cut the client off where it does not take this in time."""
    with anyio.move_on_after(slow_s) as patience:
        await sending
    if patience.cancelled_caught:
        reader.cut()
        await anyio.lowlevel.checkpoint()  # where the cut takes hold

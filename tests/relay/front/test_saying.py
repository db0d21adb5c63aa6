"""An answer goes out at once, before what else follows from it, and the connection is the next request's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from spec_mcp.relay.front.http import CONNECTION, Http
from spec_mcp.relay.front.load import Load, Part
from spec_mcp.relay.front.saying import say_all
from spec_mcp.relay.front.stream import Stream

pytestmark = pytest.mark.anyio

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{}}'
PATIENCE_S = 10.0


class Line:
    """A connection, and what was said over it."""

    has_body = True

    def __init__(self, takes_more: bool = True, on_end: Callable[[], None] = lambda: None) -> None:
        self.takes_more = takes_more
        self.watcher: Callable[[], None] | None = None
        self.said: list[Any] = []
        self._on_end = on_end

    def abort(self) -> None:
        pass

    def watch(self, when_lost: Callable[[], None] | None) -> None:
        self.watcher = when_lost

    async def send(self, message: Any) -> None:
        self.said.append(message)
        if "body" in message and not message.get("more_body"):
            self._on_end()

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.said)


async def unread() -> Any:
    raise AssertionError("nothing is read any more")


def request(line: Line) -> Http:
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": [], "extensions": {CONNECTION: line}}
    return Http(scope, unread, line.send)


async def say(line: Line, stream: Stream) -> None:
    with anyio.fail_after(PATIENCE_S):
        await say_all(request(line), stream, stream.attach(), primes=False, slow_s=PATIENCE_S)


def stream() -> Stream:
    return Stream("", 10_000, Part(Load()))


async def test_an_answer_is_out_before_whoever_has_it_goes_on() -> None:
    line, one = Line(), stream()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say, line, one)
        await anyio.wait_all_tasks_blocked()
        one.answer(ANSWER)
        assert line.text == ANSWER
    assert len(line.said) == 2, "it is said once"


async def test_a_client_that_has_not_taken_what_came_before_is_waited_for() -> None:
    line, one = Line(takes_more=False), stream()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say, line, one)
        await anyio.wait_all_tasks_blocked()
        one.answer(ANSWER)
        assert line.said == []
    assert line.text == ANSWER


async def test_a_request_that_was_sent_behind_the_one_before_is_watched_from_its_beginning() -> None:
    def next_one() -> None:
        line.watch(leave)

    def leave() -> None:
        pass

    line, one = Line(on_end=next_one), stream()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say, line, one)
        await anyio.wait_all_tasks_blocked()
        one.answer(ANSWER)
    assert line.watcher is leave


async def test_what_goes_wrong_in_saying_an_answer_is_not_for_whoever_has_it() -> None:
    def fail() -> None:
        raise RuntimeError("the connection has failed")

    line, one = Line(on_end=fail), stream()
    reader = one.attach()
    failed: list[str] = []

    async def say_it() -> None:
        try:
            await say_all(request(line), one, reader, primes=False, slow_s=PATIENCE_S)
        except RuntimeError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(say_it)
        await anyio.wait_all_tasks_blocked()
        one.answer(ANSWER)
        assert failed == []
    assert failed == ["the connection has failed"]

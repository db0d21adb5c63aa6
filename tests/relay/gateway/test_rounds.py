"""What can wait is done in its time, and one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from threading import Thread
from typing import cast

import anyio
import pytest

from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.gateway.rounds import Rounds

pytestmark = pytest.mark.anyio

PATIENCE_S = 60.0
LONG_S = 3600.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Undecided:
    """Has nothing to decide."""

    deadline_s: float | None = None

    def __init__(self) -> None:
        self.faults: list[str] = []

    def give_up(self, error: Exception) -> None:
        self.faults.append(str(error))


@asynccontextmanager
async def going(deciding: Undecided | None = None) -> AsyncGenerator[Rounds]:
    rounds = Rounds(cast("Deciding", deciding or Undecided()), now_s)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rounds.run)
            yield rounds
            tasks.cancel_scope.cancel()
    rounds.close()


async def test_what_is_due_earlier_is_done_earlier_though_it_was_asked_for_later() -> None:
    done: list[str] = []
    async with going() as rounds:
        await anyio.wait_all_tasks_blocked()
        last = anyio.Event()
        rounds.later(LONG_S, lambda: done.append("never"))
        rounds.later(0.02, last.set)
        rounds.later(0.001, lambda: done.append("first"))
        await last.wait()
    assert done == ["first"]


async def test_what_was_called_off_is_not_done() -> None:
    done: list[str] = []
    async with going() as rounds:
        last = anyio.Event()
        rounds.later(0.0, lambda: done.append("called off"))()
        rounds.later(0.01, last.set)
        await last.wait()
    assert done == []


async def test_a_task_may_ask_for_another_and_a_fault_of_one_is_not_the_end() -> None:
    deciding, last = Undecided(), anyio.Event()

    def fail() -> None:
        rounds.call_soon(last.set)
        raise ValueError("a fault")

    async with going(deciding) as rounds:
        rounds.call_soon(fail)
        await last.wait()
    assert deciding.faults == ["a fault"]


async def test_an_engine_that_fails_to_say_when_it_is_due_stops_nothing_else() -> None:
    class Failing(Undecided):
        @property
        def deadline_s(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
            if not self.faults:
                raise ValueError("the engine has failed")
            return None

    deciding, last = Failing(), anyio.Event()
    async with going(deciding) as rounds:
        rounds.later(0.01, last.set)
        await last.wait()
    assert deciding.faults == ["the engine has failed"]


async def test_what_was_asked_for_before_the_first_round_is_done_in_it() -> None:
    done = anyio.Event()
    rounds = Rounds(cast("Deciding", Undecided()), now_s)
    rounds.call_soon(done.set)
    rounds.later(0.0, lambda: None)
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rounds.run)
            await done.wait()
            tasks.cancel_scope.cancel()
    rounds.close()


async def test_another_thread_wakes_the_loop() -> None:
    async with going() as rounds:
        await anyio.wait_all_tasks_blocked()
        done = anyio.Event()
        Thread(target=rounds.call_at_once, args=(done.set,)).start()
        await done.wait()


async def test_learning_begins_once_nobody_has_said_anything_for_a_moment() -> None:
    class Learner:
        def __init__(self) -> None:
            self.left = 3

        @property
        def has_work(self) -> bool:
            return self.left > 0

        def work(self) -> None:
            self.left -= 1
            if not self.left:
                learned.set()

    learned = anyio.Event()
    async with going() as rounds:
        rounds.line_came()
        rounds.has_work(cast("object", Learner()))  # pyright: ignore[reportArgumentType]
        await learned.wait()

"""A replica whose threads and time go on by hand, on a model of the board: each race is a sequence of steps."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from spec_mcp.relay.board.worker import Worker
from spec_mcp.store.board import Board
from spec_mcp.store.store import StoreError
from tests.store.board_model import Fault, ModelBoard

T = TypeVar("T")


class Loop:
    """The loop's time and timers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._off: set[int] = set()

    def clock(self) -> float:
        return self.now

    def later(self, delay_s: float, task: Callable[[], None], /) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self._timers, (self.now + delay_s, number, task))
        return lambda: self._off.add(number)

    def pass_time(self, seconds: float) -> None:
        """Do what is due meanwhile."""
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            at, number, task = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if number not in self._off:
                task()
        self.now = until


class Thread(Worker):
    """A worker that carries out its steps when told, or at once; `faults` tells what becomes of them."""

    def __init__(self, board: ModelBoard) -> None:
        self.board = board
        self.is_stuck = False
        """Steps wait until `go_on`."""
        self._waiting: deque[tuple[Callable[[Board], Any], Callable[[Any], None]]] = deque()
        self._is_running = False

    def do(self, step: Callable[[Board], T], done: Callable[[T | StoreError], None]) -> None:
        self._waiting.append((step, done))
        self._run()

    def go_on(self) -> None:
        """What was stuck is done now."""
        self.is_stuck = False
        self._run()

    def do_one(self) -> None:
        """The first of what is stuck is done now."""
        self._do(*self._waiting.popleft())

    def close(self) -> None:
        """Nothing to end."""

    def join(self, timeout_s: float) -> None:
        """Nothing to wait for."""

    def _run(self) -> None:
        if self._is_running:
            return
        self._is_running = True
        while self._waiting and not self.is_stuck:
            self._do(*self._waiting.popleft())
        self._is_running = False

    def _do(self, step: Callable[[Board], Any], done: Callable[[Any], None]) -> None:
        try:
            result = step(self.board)
        except StoreError as error:
            result = error
        done(result)


class Faults:
    """What becomes of the steps of one replica."""

    def __init__(self) -> None:
        self.cut = False
        self.by_step: dict[str, Fault] = {}

    def __call__(self, step: str) -> Fault:
        return Fault.UNREACHED if self.cut else self.by_step.get(step, Fault.NONE)

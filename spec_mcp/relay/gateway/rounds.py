"""What nobody waits for in the gateway: time that passes, what other threads bring, learning and predicting.

All of it happens on the loop's thread between lines. Learning waits until nothing has been said for `QUIET_S`, so that
calls in quick succession never wait for it; but where clients never fall silent together it gets a share all the same,
and each principal's gets its turn.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.learning import Learner

QUIET_S = 0.005
"""How long no line must have come before what can wait is done."""

PATIENCE_S = 0.05
"""How long learning waits for such a silence."""

SHARE_S = 0.002
"""How long it then goes on all the same: no call is held up for longer by it, and it keeps up with a busy gateway."""

TICK_S = 0.05
"""How often `ticking` is looked at: looking at hundreds with each line would cost more than their being late."""

CALLED_OFF_MAX = 1024
"""Timers that were called off and are kept all the same, until their time or until there are so many."""

NEVER_S = float("inf")
WITHIN_ROUND_S = float("-inf")
"""No round is earlier than the one that is under way: it looks itself for the next."""

Task = Callable[[], None]


class Ticking(Protocol):
    """What wants to be told that time has passed."""

    @property
    def deadline_s(self) -> float | None:
        """When `tick` is due."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...


@dataclass(slots=True, eq=False)
class _Timer:
    task: Task | None
    """None: it was called off, and nothing that it knew is kept."""


class Rounds:
    """Of one gateway."""

    def __init__(self, deciding: Deciding, clock: Callable[[], float]) -> None:
        self.ticking: set[Ticking] = set()
        """What has deadlines beside the engine."""
        self._deciding = deciding
        self._clock = clock
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = itertools.count()
        self._called_off = 0
        self._soon: deque[Task] = deque()
        self._from_threads: deque[Task] = deque()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._loop: asyncio.AbstractEventLoop | None = None
        """None: nothing is done yet, or any more."""
        self._round: asyncio.TimerHandle | None = None
        self._round_at_s = NEVER_S
        """When the next round is; there is none within another."""
        self._last_line_s = 0.0
        self._tick_at_s = 0.0
        self._busy: dict[Learner, None] = {}
        """Those that have something to learn, in turn."""
        self._learning_since_s = 0.0
        """Since when something waits to be learned."""

    # --- what may be asked for --------------------------------------------------------------------------------------

    def call_soon(self, task: Task) -> None:
        """Have a task done when there is time."""
        self._soon.append(task)
        self._wake_by(0.0)

    def call_at_once(self, task: Task) -> None:
        """Have a task done on the loop's thread. Any thread may call this."""
        self._from_threads.append(task)
        try:
            os.write(self._wake_out, b"!")
        except OSError:  # it is awake already, or over
            pass

    def later(self, delay_s: float, task: Task, /) -> Callable[[], None]:
        """Have a task done after so many seconds; what is returned calls it off."""
        timer, at_s = _Timer(task), self._clock() + delay_s
        heapq.heappush(self._timers, (at_s, next(self._numbers), timer))
        self._wake_by(at_s)

        def call_off() -> None:
            if timer.task is not None:
                timer.task = None
                self._called_off += 1
                self._clear()

        return call_off

    def every(self, period_s: float, task: Task) -> None:
        """Have a task done again and again, whatever becomes of it once."""

        def do_it() -> None:
            self.later(period_s, do_it)
            task()

        self.later(period_s, do_it)

    def has_work(self, learner: Learner) -> None:
        """This one has something to learn from now on."""
        now_s = self._clock()
        if not self._busy:
            self._learning_since_s = now_s
        self._busy[learner] = None
        self._wake_by(now_s + QUIET_S)

    def line_came(self) -> None:
        """Somebody said something, and what follows from it has been decided."""
        self._last_line_s = self._clock()
        if (deadline_s := self._deciding.deadline_s) is not None:
            self._wake_by(deadline_s)

    def _wake_by(self, at_s: float) -> None:
        if at_s < self._round_at_s and self._loop is not None:
            if self._round is not None:
                self._round.cancel()
            self._round_at_s = at_s
            # by way of a timer even where it is due: lines that are there come first
            self._round = self._loop.call_later(max(0.0, at_s - self._clock()), self._go_round)

    def _clear(self) -> None:
        if self._called_off > CALLED_OFF_MAX and self._called_off > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if entry[2].task is not None]
            heapq.heapify(self._timers)
            self._called_off = 0

    # --- the rounds -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on for ever. A round costs little: no task is woken for it."""
        loop = self._loop = asyncio.get_running_loop()
        loop.add_reader(self._wake_in, self._hear_threads)
        try:
            self._go_round()
            await anyio.sleep_forever()
        finally:
            loop.remove_reader(self._wake_in)
            self._loop = None
            if self._round is not None:
                self._round.cancel()

    def close(self) -> None:
        """Let go of what the loop needed. Nothing may be called afterwards."""
        wake_out, self._wake_out = self._wake_out, -1
        os.close(self._wake_in)
        os.close(wake_out)

    def _hear_threads(self) -> None:
        try:
            while os.read(self._wake_in, 4096):
                pass
        except BlockingIOError:
            pass
        while self._from_threads:
            self._safely(self._from_threads.popleft())
        self._wake_by(0.0)

    def _go_round(self) -> None:
        self._round, self._round_at_s = None, WITHIN_ROUND_S
        self._safely(self._do_what_is_due)
        self._round_at_s = NEVER_S
        if (next_s := self._next_s()) is not None:
            self._wake_by(next_s)

    def _next_s(self) -> float | None:
        if self._soon:
            return self._clock()
        times = [self._deciding.deadline_s]
        if self._timers:
            times.append(self._timers[0][0])
        if self.ticking:
            times.append(self._tick_at_s)
        if self._busy:
            times.append(self._learns_at_s)
        return min((time for time in times if time is not None), default=None)

    def _do_what_is_due(self) -> None:
        now_s = self._clock()
        while self._timers and self._timers[0][0] <= now_s:
            timer = heapq.heappop(self._timers)[2]
            if timer.task is None:
                self._called_off -= 1
            else:
                task, timer.task = timer.task, None
                self._safely(task)
        deadline_s = self._deciding.deadline_s
        if deadline_s is not None and deadline_s <= now_s:
            self._safely(self._deciding.tick)
        if self.ticking and self._tick_at_s <= now_s:
            self._tick(now_s)
        if self._soon:
            self._safely(self._soon.popleft())
        self._learn(now_s)

    def _tick(self, now_s: float) -> None:
        self._tick_at_s = now_s + TICK_S
        for one in list(self.ticking):
            if one.deadline_s is not None and one.deadline_s <= now_s:
                self._safely(one.tick)

    # --- learning ---------------------------------------------------------------------------------------------------

    @property
    def _learns_at_s(self) -> float:
        return min(self._last_line_s + QUIET_S, self._learning_since_s + PATIENCE_S)

    def _learn(self, now_s: float) -> None:
        """One task where it is quiet, and for a moment where it has not been for long."""
        if not self._busy or now_s < self._learns_at_s:
            return
        until_s = now_s if now_s >= self._last_line_s + QUIET_S else now_s + SHARE_S
        self._work()
        while self._busy and self._clock() < until_s:
            self._work()
        self._learning_since_s = self._clock()

    def _work(self) -> None:
        learner = next(iter(self._busy))
        del self._busy[learner]
        self._safely(learner.work)
        if learner.has_work:
            self._busy[learner] = None

    def _safely(self, task: Task) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001  rule 17: a fault of ours costs speculation, never a call
            self._deciding.give_up(error)

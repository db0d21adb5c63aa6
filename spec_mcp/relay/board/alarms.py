"""Timers for a loop that has none: a thread that has a task done on the loop's thread when it is due."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

from spec_mcp.relay.board.worker import Soon


class Alarms:
    """Of one loop. All of it may be called by any thread."""

    def __init__(self, soon: Soon) -> None:
        self._soon = soon
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, list[Callable[[], None]]]] = []
        """With one task each, or none where it was called off."""
        self._numbers = itertools.count()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="spec-mcp alarms", daemon=True)
        self._thread.start()

    def later(self, delay_s: float, task: Callable[[], None], /) -> Callable[[], None]:
        """Have a task done after so many seconds; what is returned calls it off."""
        tasks = [task]
        with self._changed:
            entry = (time.monotonic() + delay_s, next(self._numbers), tasks)
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()
        return tasks.clear

    def close(self) -> None:
        """Nothing more is done."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._is_closed:
                now_s = time.monotonic()
                while self._due and self._due[0][0] <= now_s:
                    for task in heapq.heappop(self._due)[2]:
                        self._soon(task)
                self._changed.wait(self._due[0][0] - now_s if self._due else None)

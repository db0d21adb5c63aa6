"""When something is due, soonest first, without a look at all that waits."""

from __future__ import annotations

import heapq
from collections.abc import Callable

SPARE = 64
"""Void entries kept beside the valid ones, so that they are seldom cleared away."""

DueAt = Callable[[int], float | None]
"""When the thing of this number is due as things stand; None: never, or it is gone."""


class Deadlines:
    """The times of numbered things.

    Whoever makes a thing due at another time must tell, where that may be sooner than was told. A time that has become
    later, or void, need not be told: each is asked for anew when its turn has come.
    """

    def __init__(self, due_at: DueAt) -> None:
        self._due_at = due_at
        self._told: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        """With entries that `told` knows no more, or otherwise: they are void."""

    def tell(self, number: int) -> None:
        """The thing may be due sooner than it was."""
        at_s = self._due_at(number)
        if at_s is None or at_s >= self._told.get(number, float("inf")):
            return
        self._told[number] = at_s
        heapq.heappush(self._heap, (at_s, number))
        if len(self._heap) > 2 * len(self._told) + SPARE:
            self._heap = [(at_s, number) for number, at_s in self._told.items()]
            heapq.heapify(self._heap)

    def forget(self, number: int) -> None:
        """The thing is gone."""
        self._told.pop(number, None)

    @property
    def next_s(self) -> float | None:
        """When the next one is due."""
        while self._heap:
            told_s, number = self._heap[0]
            at_s = self._due_at(number) if self._told.get(number) == told_s else None
            if at_s == told_s:
                return told_s
            heapq.heappop(self._heap)
            if self._told.get(number) == told_s:
                del self._told[number]
                self.tell(number)
        return None

    def due(self, now_s: float) -> list[int]:
        """Those that are due now, in the order of their numbers. They are to be told again if they go on."""
        found: list[int] = []
        while self._heap and self._heap[0][0] <= now_s:
            told_s, number = heapq.heappop(self._heap)
            if self._told.get(number) != told_s:
                continue
            del self._told[number]
            at_s = self._due_at(number)
            if at_s is not None and at_s <= now_s:
                found.append(number)
            elif at_s is not None:
                self.tell(number)
        return sorted(found)

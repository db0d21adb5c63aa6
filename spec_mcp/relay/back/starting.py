"""How many servers may start at once: an interpreter that starts takes a processor for itself."""

from __future__ import annotations

import os

import anyio

STARTING_MAX = max(2, os.cpu_count() or 1)
"""More would start no sooner, and what is running already would wait for them."""

STARTING_S = 5.0
"""A server that has said nothing for so long waits for something else: it must not keep others from starting."""


class Place:
    """One server's among those that start."""

    def __init__(self, places: anyio.Semaphore) -> None:
        self._places: anyio.Semaphore | None = places

    def give_back(self) -> None:
        """It has started, or not; may be said more than once."""
        places, self._places = self._places, None
        if places is not None:
            places.release()


class Starts:
    """Shared by the servers of a process."""

    def __init__(self, at_once: int = STARTING_MAX) -> None:
        self._places = anyio.Semaphore(at_once)

    async def take(self) -> Place:
        """Wait for a place, which must be given back."""
        await self._places.acquire()
        return Place(self._places)

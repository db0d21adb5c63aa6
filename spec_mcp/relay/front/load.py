"""What all clients together have us hold in memory: requests under way, and what waits for those who do not read."""

from __future__ import annotations

import sys
from dataclasses import dataclass

SHARE_BYTES = 64 * 1024
"""Where it is tight, a client that has not taken more than this of its stream is cut off: less is always on its
way to somebody."""


@dataclass(slots=True)
class Load:
    """Of one front. Each client has bounds of its own; this one is for all of them at once."""

    max_bytes: int = sys.maxsize
    held_bytes: int = 0

    @property
    def is_full(self) -> bool:
        """Is there no room for more?"""
        return self.held_bytes > self.max_bytes

    @property
    def is_tight(self) -> bool:
        """Is so little left that what is kept for those who are away must make room for those who ask?"""
        return self.held_bytes > self.max_bytes // 2


@dataclass(slots=True)
class Part:
    """What is held for one request or one session; it counts until it is let go."""

    load: Load
    held_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """So much more is held; less, where it is negative."""
        self.held_bytes += size_bytes
        self.load.held_bytes += size_bytes

    def let_go(self) -> None:
        """Nobody asks for it any more: what is still there goes with whoever has it."""
        self.load.held_bytes -= self.held_bytes
        self.load = Load()

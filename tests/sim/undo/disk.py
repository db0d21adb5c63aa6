"""The journal as it is on disk: what a process has asked for is there after a while, and outlives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.states import State
from tests.sim.server import Clock
from tests.sim.undo import world

SLOW_S = (0.0, 0.0, 0.01, 0.3)


@dataclass(slots=True)
class Entry:
    """One reversible speculation, as far as it is on disk."""

    owner: int
    number: int
    session: str
    tool: str
    arguments: Arguments
    before: world.State
    result: Json = None
    left: str | None = None
    state: str = "intended"
    undo_sent: bool = False
    stuck: str = ""


class Disk:
    """Entries by the process that made them and its number for them."""

    def __init__(self, clock: Clock, random: Random, refuses: float) -> None:
        self.entries: dict[tuple[int, int], Entry] = {}
        self.clock, self.random, self._refuses = clock, random, refuses
        self._free_at = 0.0
        self.owner = 0

    def new_owner(self) -> None:
        """Another process: what the last one had asked for and is not there yet never will be."""
        self.owner += 1
        self._free_at = self.clock.now_s

    def do(self, change: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Make a change after what was asked before it, and say whether it is there."""
        owner = self.owner
        self._free_at = max(self._free_at, self.clock.now_s) + self.random.choice(SLOW_S)
        refused = self.random.random() < self._refuses

        def act() -> None:
            if owner == self.owner:
                done(False if refused else change())

        self.clock.after(self._free_at - self.clock.now_s, act)

    def claim(self, key: tuple[int, int], into: State) -> bool:
        """One decision, once."""
        entry = self.entries.get(key)
        if entry is None or entry.state != "intended":
            return False
        if into is State.ADOPTED:
            del self.entries[key]
        else:
            entry.state = "compensating"
        return True

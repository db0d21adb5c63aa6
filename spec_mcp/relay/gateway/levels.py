"""How much of everything there is just now, for whoever exports that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from spec_mcp.engine.world import World
from spec_mcp.store.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Levels:
    """How much of what there is at a moment."""

    speculations: Mapping[str, int] = field(default_factory=dict[str, int])
    """That have not come to their end, by state."""
    waiting: int = 0
    """Requests of clients that wait for something to be taken back before they go out."""
    rows_waiting: int = 0
    """Of the record, that the store has not taken yet."""
    rows_written: int = 0
    rows_dropped: int = 0
    store_failures: int = 0


def levels_of(world: World, recorder: Recorder) -> Levels:
    """As they are."""
    counts = recorder.counts
    return Levels(
        Counter(str(speculation.state) for speculation in world.ledger.live),
        len(world.waiting),
        recorder.waiting,
        counts.written,
        recorder.dropped,
        counts.failures,
    )

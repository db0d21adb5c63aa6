"""Adaptive rates under bounded memory: how often what was offered in a context was used, and was the very next call.

A cell follows the mean of what it saw while it has seen little, and then forgets: an observation's weight never falls
below `1 / MEMORY`, so a habit that changed is unlearned in about that many observations. Cells are told apart by
tuples whose first member numbers the kind of context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log

from spec_mcp.engine.calls import Json

Key = tuple[int, ...]

MEMORY = 160
"""Observations that a settled rate remembers: long enough to know 1 in 20 well, short enough to follow a new habit."""

MAX_CELLS = 24_000
"""About 10 MB: what the whole process may take leaves no more."""

BUCKETS = (0, 1, 2, 3, *(4,) * 2, *(5,) * 4, *(6,) * 8, *(7,) * 42, *(8,) * (MEMORY + 2 - 60))
"""Evidence classes by number of observations, up to the most that a cell can have: one more than it remembers."""

CLASSES = 9
"""How many evidence classes there are."""

FIRST_DOUBT = 1.0
"""Observations that the rate of an empty cell counts for."""

START = 0.15
"""The rate of a cell that has seen nothing: most candidates are not used."""

LOGIT_BOUND = 5.0
LEAST_RATE, MOST_RATE = 0.0067, 0.9933
"""A rate is never told as surer than 0.993: rare contexts would drown the others."""


class Cell:
    """One context's rates, ready to be summed: the evidence class and the logits are kept beside the rates."""

    __slots__ = ("bucket", "logit_next", "logit_used", "new_next", "new_seen", "new_used", "next_", "seen", "used")

    def __init__(self) -> None:
        self.seen = 0.0
        self.used = START
        self.next_ = START / 2
        self.bucket = 0
        self.logit_used = 0.0
        self.logit_next = 0.0
        self.new_seen = self.new_used = self.new_next = 0.0

    def trust(self, rate: float, weight: float) -> None:
        """Begin with this rate, as if it had been observed so many times."""
        self.seen, self.used, self.next_ = weight, rate, rate / 2
        self.bucket = bucket_of(weight)
        self.logit_used, self.logit_next = logit(rate), logit(rate / 2)

    def take_new(self) -> tuple[float, float, float]:
        """What was observed since this was asked last: seen, used, next."""
        new = (round(self.new_seen, 3), round(self.new_used, 3), round(self.new_next, 3))
        self.new_seen = self.new_used = self.new_next = 0.0
        return new

    def add(self, seen: float, used: float, next_: float) -> None:
        """Add observations of another process or an earlier run."""
        weight = min(seen, MEMORY)
        total = self.seen + weight + FIRST_DOUBT
        self.used += (used / seen - self.used) * weight / total
        self.next_ += (next_ / seen - self.next_) * weight / total
        self.seen = min(MEMORY, self.seen + weight)
        self.bucket = bucket_of(self.seen)
        self.logit_used = logit(self.used)
        self.logit_next = logit(self.next_)


def learn_all(cells: Iterable[Cell], used: int, next_: int, weight: float) -> None:
    """One candidate was offered in these contexts: was it used, and was it the very next call?

    `weight` is below one where the observation repeats what others of the same moment say.
    """
    used_weight, next_weight = used * weight, next_ * weight
    for cell in cells:
        cell.new_seen += weight
        if used:  # few are
            cell.new_used += used_weight
            cell.new_next += next_weight
        seen = cell.seen
        if seen < MEMORY:
            cell.seen = seen = seen + weight
            cell.bucket = BUCKETS[int(seen + 0.5)]
        rate = weight / (seen + FIRST_DOUBT)
        p = cell.used
        cell.used = p = p + (used - p) * rate
        # `logit`, without calling it but for what is nearly certain
        cell.logit_used = -LOGIT_BOUND if p <= LEAST_RATE else log(p / (1.0 - p)) if p < MOST_RATE else logit(p)
        p = cell.next_
        cell.next_ = p = p + (next_ - p) * rate
        cell.logit_next = -LOGIT_BOUND if p <= LEAST_RATE else log(p / (1.0 - p)) if p < MOST_RATE else logit(p)


def bucket_of(seen: float) -> int:
    """The evidence class of a number of observations."""
    return BUCKETS[min(len(BUCKETS) - 1, int(seen + 0.5))]


def logit(p: float) -> float:
    """The log odds of a probability, bounded."""
    if p <= LEAST_RATE:
        return -LOGIT_BOUND
    if p >= MOST_RATE:
        return LOGIT_BOUND
    return log(p / (1.0 - p))


class Cells:
    """All cells of one predictor."""

    def __init__(self) -> None:
        self.table: dict[Key, Cell] = {}

    def at(self, key: Key) -> Cell:
        """The cell of a context, made where there is none."""
        cell = self.table.get(key)
        if cell is None:
            if len(self.table) >= MAX_CELLS:
                self._make_room()
            cell = self.table[key] = Cell()
        return cell

    def dump(self) -> dict[str, Json]:
        """What was observed since the last dump."""
        told: dict[str, Json] = {}
        for key, cell in self.table.items():
            if cell.new_seen:
                told[" ".join(map(str, key))] = list(cell.take_new())
        return told

    def load(self, told: Mapping[str, Json]) -> None:
        """Add observations.

        Raises:
            ValueError: a key or its counts have another shape.
        """
        for text, counts in told.items():
            seen, used, next_ = counts_of(counts, 3)
            if seen > 0:
                self.at(_key_of(text)).add(seen, min(used, seen), min(next_, seen))

    def _make_room(self) -> None:
        """Forget the contexts seen least; among equals those that came first."""
        table = self.table
        order = sorted(table, key=lambda key: table[key].seen)
        for key in order[: MAX_CELLS // 4]:
            del table[key]


def counts_of(value: Json, count: int) -> list[float]:
    """A list of that many numbers, none negative.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"expected {count} counts, found {str(value)[:60]}")
    counts: list[float] = []
    for item in value:
        if not isinstance(item, int | float) or isinstance(item, bool) or item < 0:
            raise ValueError(f"expected {count} counts, found {str(value)[:60]}")
        counts.append(float(item))
    return counts


def _key_of(text: str) -> Key:
    return tuple(int(part) for part in text.split(" "))

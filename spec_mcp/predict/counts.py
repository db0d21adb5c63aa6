"""Sums by context that follow a habit and add up over processes: what is learned of speculators is kept in these.

A row's first sum counts observations. Beyond `MEMORY` of them all sums of the row are scaled down, so that what was
observed lately keeps its say. What is dumped are the plain sums since the last dump, less what was forgotten: those of
several processes add up.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from spec_mcp.engine.calls import Json

Key = tuple[str, ...]
_Row = TypeVar("_Row", Key, str)

MEMORY = 160.0
"""Observations that a row remembers, as the cells of the history's model do."""

MAX_ROWS = 4_000
"""About 1 MB: a few speculators, some hundred tools, a dozen statements of each."""


class Counts:
    """Rows of so many sums each."""

    def __init__(self, width: int, memory: float = MEMORY) -> None:
        self._width = width
        self._memory = memory
        self._rows: dict[Key, list[float]] = {}
        self._new: dict[Key, list[float]] = {}

    def row(self, key: Key) -> Sequence[float] | None:
        """The sums of a context; None where nothing was observed."""
        return self._rows.get(key)

    def contexts(self) -> Collection[Key]:
        """The contexts in which something was observed."""
        return self._rows.keys()

    def add(self, key: Key, *sums: float) -> None:
        """Observe; sums that are not given stay as they are."""
        self._take(self._rows, key, sums)
        self._bound(key)
        self._take(self._new, key, sums)

    def fade(self, key: Key, share: float) -> None:
        """Only so much of what was observed counts from now on. What does not is dumped as sums below nothing, so that
        it goes from what other processes add up too."""
        row = self._rows.get(key)
        if row is not None and share < 1.0:
            gone = [(share - 1.0) * value for value in row]
            self._take(self._rows, key, gone)
            self._take(self._new, key, gone)

    def dump(self) -> dict[str, Json]:
        """What was observed since the last dump."""
        new, self._new = self._new, {}
        return {json.dumps(key): [round(value, 6) for value in sums] for key, sums in new.items()}

    def load(self, dumped: Mapping[str, Json]) -> None:
        """Add observations.

        Raises:
            ValueError: the data has another shape.
        """
        for key, sums in [(_key_of(text), sums_of(sums, self._width)) for text, sums in dumped.items()]:
            self._take(self._rows, key, sums)
            self._bound(key)

    def _take(self, rows: dict[Key, list[float]], key: Key, sums: Sequence[float]) -> None:
        row = rows.get(key)
        if row is None:
            if len(rows) >= MAX_ROWS:
                _forget_least(rows, MAX_ROWS * 3 // 4)
            row = rows[key] = [0.0] * self._width
        for index, value in enumerate(sums):
            row[index] += value

    def _bound(self, key: Key) -> None:
        _bound(self._rows[key], self._memory)


def _bound(row: list[float], memory: float) -> None:
    """No more than so many observations; no fewer than none, where several processes forgot the same ones."""
    if row[0] > memory:
        scale = memory / row[0]
        row[:] = [value * scale for value in row]
    elif row[0] < 0.0:
        row[:] = [0.0] * len(row)


def _forget_least(rows: dict[_Row, list[float]], most: int) -> None:
    """Keep the rows that were observed most, so many of them."""
    for key in sorted(rows, key=lambda key: -rows[key][0])[most:]:
        del rows[key]


def add_tables(tables: Iterable[Mapping[str, Json]], memory: float = 2.0 * MEMORY) -> dict[str, Json]:
    """One table in the place of several dumps.

    Raises:
        ValueError: one has another shape.
    """
    total: dict[str, list[float]] = {}
    for table in tables:
        for key, value in table.items():
            sums = sums_of(value, len(value) if isinstance(value, list) else 0)
            row = total.setdefault(key, [0.0] * len(sums))
            if len(row) != len(sums):
                raise ValueError(f"learned of speculators: {key[:60]} has another shape")
            row[:] = [one + other for one, other in zip(row, sums, strict=True)]
            _bound(row, memory)
    if len(total) > MAX_ROWS:
        _forget_least(total, MAX_ROWS)
    return {key: [round(value, 6) for value in row] for key, row in total.items()}


def sums_of(value: Json, width: int) -> list[float]:
    """A list of so many numbers.

    Raises:
        ValueError: it is something else.
    """
    sums: list[float] = []
    for item in value if isinstance(value, list) and width else ():
        if isinstance(item, int | float) and not isinstance(item, bool) and abs(item) < MOST:
            sums.append(float(item))
    if not sums or not isinstance(value, list) or len(sums) != width or len(value) != width:
        raise ValueError(f"learned of speculators: expected {width} sums, found {str(value)[:60]}")
    return sums


MOST = 1e15
"""No sum is larger: what was loaded cannot overflow."""


def _key_of(text: str) -> Key:
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):  # pyright: ignore[reportUnknownVariableType]
        raise ValueError(f"learned of speculators: {text[:60]} is no context")
    return tuple(parts)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]

"""Adds up what predictors dumped, without a predictor: for a store that keeps one row in the place of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.predict.cells import MAX_CELLS, MEMORY
from spec_mcp.predict.memory import MAX_CONTEXTS, MAX_FOLLOWERS
from spec_mcp.predict.model import MAX_RECIPES, VERSION

KIND = "history/1"
"""What rows of this data are called in a store."""

KEPT_OBSERVATIONS = 2.0 * MEMORY
"""More observations of one context are scaled down to so many, so that later ones keep their say."""


def add_up(dumps: Sequence[Json]) -> Json:
    """One dump that teaches what these teach, the oldest first; what is seen least is left out beyond the bounds.

    Raises:
        ValueError: one of them has another shape or version.
    """
    total: dict[str, Json] = {"version": VERSION}
    for dump in dumps:
        if not isinstance(dump, dict) or dump.get("version") != VERSION:
            raise ValueError(f"learned data has another version than {VERSION}")
        for name, value in dump.items():
            if name != "version":
                total[name] = _sum(name, total.get(name), value)
    for name, most in (("cells", MAX_CELLS), ("recipes", MAX_RECIPES), ("memory", MAX_CONTEXTS * MAX_FOLLOWERS)):
        if isinstance(table := total.get(name), dict) and len(table) > most:
            total[name] = dict(sorted(table.items(), key=lambda item: -_weight(item[1]))[:most])
    return total


def _sum(name: str, one: Json, other: Json) -> Json:
    if isinstance(other, dict):
        table = dict(one) if isinstance(one, dict) else {}
        for key, value in other.items():
            table[key] = value if name == "writes" else _sum_counts(table.get(key), value)
        return table
    if isinstance(other, list):
        return _add(one, _numbers(other))
    raise ValueError(f"learned data: {name} is no table")


def _sum_counts(one: Json, other: Json) -> Json:
    if not isinstance(other, list):
        return _number(one or 0) + _number(other)
    total = cast("list[float]", _add(one, _numbers(other)))
    for start in range(0, len(total), 3):  # seen, used and next, of each cell
        if total[start] > KEPT_OBSERVATIONS:
            scale = KEPT_OBSERVATIONS / total[start]
            total[start : start + 3] = [round(count * scale, 3) for count in total[start : start + 3]]
    return cast("Json", total)


def _add(one: Json, other: list[float]) -> Json:
    if not isinstance(one, list) or len(one) != len(other):
        return cast("Json", other)
    return cast("Json", [round(a + b, 6) for a, b in zip(_numbers(one), other, strict=True)])


def _numbers(values: list[Json]) -> list[float]:
    return [_number(value) for value in values]


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"learned data: {str(value)[:40]} is no number")
    return value


def _weight(value: Json) -> float:
    if isinstance(value, list):
        return sum(_numbers(value[::3]))
    return _number(value)

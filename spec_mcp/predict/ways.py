"""The ways that values have taken from one server to another by a client's own calls, and what each server was told.

This is learned from calls alone, never from speculations, and is kept across runs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from hashlib import blake2b
from typing import NamedTuple, cast

from spec_mcp.engine.calls import Json
from spec_mcp.predict.places import Place

VERSION = 1
"""Of what is dumped; another version is not loaded."""

WAYS_MAX = 2_000
"""A few dozen tools have no more ways that anybody takes; the one not taken for longest is forgotten."""

TOLD_MAX = 8_000
"""Values remembered as told, some 1 MB; the one not told for longest is forgotten."""

DIGEST_BYTES = 8
"""So few that a value cannot be read from it, so many that no two values meet."""


class Goal(NamedTuple):
    """Where a value goes: an argument of a tool."""

    server: str
    tool: str
    argument: str


class Ways:
    """One principal's."""

    def __init__(self) -> None:
        self._ways: dict[Goal, dict[Place, None]] = {}
        self._taken: dict[tuple[Place, Goal], None] = {}
        """The same, the way not taken for longest first."""
        self._told: dict[str, None] = {}
        self._new_ways: Counter[str] = Counter()
        self._new_told: Counter[str] = Counter()

    def take(self, origin: Place, goal: Goal) -> None:
        """A call has carried a value from there to here."""
        self._add_way(origin, goal)
        self._new_ways[_written(origin, goal)] += 1

    def origins(self, goal: Goal) -> Collection[Place]:
        """From where values have come here."""
        return self._ways.get(goal, ())

    def tell(self, server: str, text: str) -> None:
        """A call has told a server this value, in folded form."""
        digest = _digest(server, text)
        self._add_told(digest)
        self._new_told[digest] += 1

    def was_told(self, server: str, text: str) -> bool:
        """Has a call told the server this value, in this run or an earlier one?"""
        return _digest(server, text) in self._told

    def leave(self, server: str) -> None:
        """What is behind this name from now on is another server: nothing has come from there, or gone there."""
        for origin, goal in [way for way in self._taken if server in (way[0].server, way[1].server)]:
            self._drop_way(origin, goal)
        self._told.clear()  # a digest does not say of which server it is
        self._new_ways.clear()
        self._new_told.clear()

    def dump(self) -> Json:
        """What was learned since the last dump, as counts that add up; None where there is nothing."""
        if not self._new_ways and not self._new_told:
            return None
        ways, told = dict(self._new_ways), dict(self._new_told)
        self._new_ways.clear()
        self._new_told.clear()
        return cast("Json", {"version": VERSION, "ways": ways, "told": told})

    def load(self, learned: Json) -> None:
        """Add what was dumped.

        Raises:
            ValueError: the data has another shape or version.
        """
        table = _checked(learned)
        ways = [_read(text) for text in table["ways"]]
        for origin, goal in ways:
            self._add_way(origin, goal)
        for digest in table["told"]:
            self._add_told(digest)

    def _add_way(self, origin: Place, goal: Goal) -> None:
        if self._taken.pop((origin, goal), self) is self:
            if len(self._taken) >= WAYS_MAX:
                self._drop_way(*next(iter(self._taken)))
            self._ways.setdefault(goal, {})[origin] = None
        self._taken[origin, goal] = None

    def _drop_way(self, origin: Place, goal: Goal) -> None:
        del self._taken[origin, goal]
        of_goal = self._ways[goal]
        del of_goal[origin]
        if not of_goal:
            del self._ways[goal]

    def _add_told(self, digest: str) -> None:
        self._told.pop(digest, None)
        if len(self._told) >= TOLD_MAX:
            del self._told[next(iter(self._told))]
        self._told[digest] = None


def add_up(dumps: Sequence[Json]) -> Json:
    """One dump that teaches what these teach, the oldest first; beyond the bounds the least used are left out.

    Raises:
        ValueError: one of them has another shape or version.
    """
    ways, told = Counter[str](), Counter[str]()
    for dump in dumps:
        table = _checked(dump)
        ways.update(table["ways"])
        told.update(table["told"])
    kept = {"ways": dict(ways.most_common(WAYS_MAX)), "told": dict(told.most_common(TOLD_MAX))}
    return cast("Json", {"version": VERSION, **kept})


def _checked(learned: Json) -> dict[str, dict[str, int]]:
    if not isinstance(learned, dict) or learned.get("version") != VERSION:
        raise ValueError(f"ways of another version than {VERSION}")
    tables: dict[str, dict[str, int]] = {}
    for name in ("ways", "told"):
        table = learned.get(name)
        if not isinstance(table, dict) or not all(type(count) is int for count in table.values()):
            raise ValueError(f"ways: {name} is no table of counts")
        tables[name] = cast("dict[str, int]", table)
    return tables


def _written(origin: Place, goal: Goal) -> str:
    return json.dumps([origin.server, origin.tool, origin.said, *goal], separators=(",", ":"))


def _read(text: str) -> tuple[Place, Goal]:
    found: object = json.loads(text)
    if not isinstance(found, list) or list(map(type, cast("list[object]", found))) != [str, str, bool, str, str, str]:
        raise ValueError(f"expected a way, found {text[:60]}")
    server, tool, said, *goal = cast("list[str]", found)
    return Place(server, tool, bool(said)), Goal(*goal)


def _digest(server: str, text: str) -> str:
    return blake2b(f"{server}\0{text}".encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).hexdigest()

"""Whole calls remembered by the call before them: agents that repeat a task repeat its calls, values and all."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter

from spec_mcp.engine.calls import Arguments, Json
from spec_mcp.engine.values import value
from spec_mcp.predict.recipes import SECRET

MAX_CONTEXTS = 3_000
"""Calls whose followers are kept, the latest used; with `MAX_FOLLOWERS` of at most `MAX_CALL_CHARS`, a few MB."""

MAX_FOLLOWERS = 6
MAX_CALL_CHARS = 400
LOOK_BACK = 3
"""A call is remembered as a follower of this many calls before it."""


@value
class Remembered:
    """A call that followed here before, and how often."""

    token: str
    arguments: Arguments
    count: int
    rank: int


_count = itemgetter(1)


@lru_cache(maxsize=512)
def _call(text: str) -> tuple[str, Arguments]:
    """The call of a text. Those that follow what is done often are asked for again and again."""
    token, arguments = json.loads(text)
    return token, arguments


class Memory:
    """Followers of whole calls, told by the hash of the call before."""

    def __init__(self) -> None:
        self._followers: OrderedDict[int, dict[str, int]] = OrderedDict()
        self._new: dict[tuple[int, str], int] = {}

    def learn(self, before: Sequence[int], text: str, arguments: Arguments) -> None:
        """A call was made after these calls, the nearest last; text is its token and arguments."""
        if len(text) > MAX_CALL_CHARS or any(SECRET.search(name) for name in arguments):
            return
        for context in before[-LOOK_BACK:]:
            self._add(context, text, 1)
            if len(self._new) < MAX_CONTEXTS * MAX_FOLLOWERS:
                self._new[context, text] = self._new.get((context, text), 0) + 1

    def after(self, context: int) -> list[Remembered]:
        """The calls that followed this one, the most frequent first."""
        followers = self._followers.get(context)
        if not followers:
            return []
        self._followers.move_to_end(context)
        remembered: list[Remembered] = []
        for rank, (text, count) in enumerate(sorted(followers.items(), key=_count, reverse=True)):
            token, arguments = _call(text)
            remembered.append(Remembered(token, arguments, count, rank))
        return remembered

    def dump(self) -> dict[str, Json]:
        """What was learned since the last dump."""
        told: dict[str, Json] = {f"{context} {text}": count for (context, text), count in self._new.items()}
        self._new.clear()
        return told

    def load(self, told: Mapping[str, Json]) -> None:
        """Add what was learned elsewhere.

        Raises:
            ValueError: an entry has another shape.
        """
        for entry, count in told.items():
            context, _, text = entry.partition(" ")
            if not text.startswith("[") or not text.endswith("}]") or not isinstance(count, int | float):
                raise ValueError(f"expected a remembered call, found {entry[:60]}")
            self._add(int(context), text, int(count))

    def _add(self, context: int, text: str, count: int) -> None:
        followers = self._followers.get(context)
        if followers is None:
            if len(self._followers) >= MAX_CONTEXTS:
                self._followers.popitem(last=False)
            followers = self._followers[context] = {}
        if text not in followers and len(followers) >= MAX_FOLLOWERS:
            # the weakest gives way, and every one loses a little, so that a new habit can take over
            weakest = min(followers, key=followers.__getitem__)
            if followers[weakest] > count:
                followers[weakest] -= count
                return
            del followers[weakest]
        followers[text] = followers.get(text, 0) + count

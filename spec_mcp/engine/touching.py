"""Which of many things touch what a given call touches, found without looking at each of them.

Theory: two footprints overlap where they have a name in common, or where one of them is everything of a server to which
the other belongs (`Footprint.overlaps`). So what is kept is found by its server and by the texts of its patterns: a
name has the same text, or lies under a kept prefix, of which there are few lengths; what lies under a prefix stands
side by side in a sorted list of texts.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from spec_mcp.engine.grouped import Grouped
from spec_mcp.engine.resources import Footprint, Pattern

Thing = TypeVar("Thing")
"""Whatever touches something: told apart by its hash."""


class _Texts(Generic[Thing]):
    """Patterns of one kind, names or prefixes, and whose they are."""

    def __init__(self) -> None:
        self.things: Grouped[Thing, None] = Grouped()
        """By text."""
        self.in_order: list[str] = []

    def add(self, text: str, thing: Thing) -> bool:
        """Is the text a new one?"""
        is_new = text not in self.things
        self.things.add(text, thing, None)
        if is_new:
            insort(self.in_order, text)
        return is_new

    def remove(self, text: str, thing: Thing) -> bool:
        """Was it the last one with this text?"""
        self.things.drop(text, thing)
        if text in self.things:
            return False
        del self.in_order[bisect_left(self.in_order, text)]
        return True

    def under(self, prefix: str) -> Iterator[Thing]:
        """Those whose text begins so."""
        for index in range(bisect_left(self.in_order, prefix), len(self.in_order)):
            text = self.in_order[index]
            if not text.startswith(prefix):
                return
            yield from self.things.of(text)


class Touching(Generic[Thing]):
    """Things by what they touch. Each has one footprint."""

    def __init__(self) -> None:
        self._footprints: dict[Thing, Footprint] = {}
        self._of_server: Grouped[Thing, None] = Grouped()
        self._everything_of: Grouped[Thing, None] = Grouped()
        """Those that touch everything of a server."""
        self._names: _Texts[Thing] = _Texts()
        self._prefixes: _Texts[Thing] = _Texts()
        self._lengths: Counter[int] = Counter()
        """Of the different prefixes."""

    def add(self, thing: Thing, footprint: Footprint) -> None:
        """From now on it touches this, and nothing else."""
        if thing in self._footprints:
            self.remove(thing)
        self._footprints[thing] = footprint
        self._of_server.add(footprint.server, thing, None)
        if footprint.patterns is None:
            self._everything_of.add(footprint.server, thing, None)
        for pattern in footprint.names:
            if not pattern.prefix:
                self._names.add(pattern.text, thing)
            elif self._prefixes.add(pattern.text, thing):
                self._lengths[len(pattern.text)] += 1

    def remove(self, thing: Thing) -> None:
        """It touches nothing any more."""
        footprint = self._footprints.pop(thing, None)
        if footprint is None:
            return
        self._of_server.drop(footprint.server, thing)
        if footprint.patterns is None:
            self._everything_of.drop(footprint.server, thing)
        for pattern in footprint.names:
            if not pattern.prefix:
                self._names.remove(pattern.text, thing)
            elif self._prefixes.remove(pattern.text, thing):
                self._lengths -= {len(pattern.text): 1}

    def overlapping(self, footprint: Footprint) -> dict[Thing, None]:
        """Those whose footprints overlap this one."""
        return dict.fromkeys(self.each_overlapping(footprint)) if self._footprints else {}

    def any_overlapping(self, footprint: Footprint) -> bool:
        """Is there one?"""
        return bool(self._footprints) and any(True for _ in self.each_overlapping(footprint))

    def each_overlapping(self, footprint: Footprint) -> Iterator[Thing]:
        """The same one by one, some of them more than once."""
        whole = self._everything_of if footprint.patterns is not None else self._of_server
        yield from whole.of(footprint.server)
        for pattern in footprint.names:
            yield from self._named_by(pattern)

    def _named_by(self, pattern: Pattern) -> Iterator[Thing]:
        """Those with a pattern that overlaps this one (`Pattern.overlaps`)."""
        text = pattern.text
        if pattern.prefix:
            yield from self._names.under(text)
            if text.endswith("/"):
                yield from self._names.things.of(text[:-1])
            yield from self._prefixes.under(text)
            longest = len(text) - 1
        else:
            yield from self._names.things.of(text)
            text += "/"
            longest = len(text)
        for length in self._lengths:
            if length <= longest:
                yield from self._prefixes.things.of(text[:length])

    def __len__(self) -> int:
        return len(self._footprints)

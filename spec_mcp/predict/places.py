"""Where the values of one conversation have been: which servers gave them, and to which the client has said them.

A value is kept whole, and in parts: its words, and pieces of `PART_CHARS` characters, one after the other. So a value
is known again inside another one, and a part of it by itself, whoever took it apart or put it together. Of a long text
that are its words. Case never matters. What was turned into something else (encoded, translated) is not known again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, cast

from spec_mcp.engine.calls import Json
from spec_mcp.predict.leaves import MAX_VALUE_CHARS, Scalar, leaves

MIN_CHARS = 4
"""Shorter values are everywhere, and tell nothing: `id`, `on`, numbers below 1000."""

PART_CHARS = 8
"""Of a piece. Any part of twice as many characters less one holds a whole piece; a shorter one may."""

WHOLE_MAX = 20_000
PARTS_MAX = 60_000
"""Values and parts kept of one conversation, some 10 MB: a thousand calls. Then the oldest are forgotten."""

LOOKED_AT_MAX_CHARS = 64 * 1024
"""Of one result: some 5 ms. A conversation with a larger one is taken for one of which something was forgotten."""

PLACES_MAX = 32
"""Of one value: what has been in so many places is nobody's secret."""

ASKED_MAX_CHARS = 2_048
"""Of a value that is asked about: nobody looks for parts in a longer one."""

_PIECE = re.compile(f".{{{PART_CHARS}}}", re.DOTALL)
_WORD = re.compile(r"\w[\w.+@-]{2,}\w")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")


class Place(NamedTuple):
    """Where a value has been."""

    server: str
    tool: str
    said: bool
    """The client said it there; else it was in an answer."""
    foreseen: bool = False
    """The answer was to a speculation, and no client has seen it."""

    @property
    def real(self) -> Place:
        """The same place, as a client would see it."""
        return self._replace(foreseen=False)


Been = tuple[Place, ...]
"""The places of one value, the first one first."""

Part = tuple[int, int, Been]
"""Where in a text a known part begins and ends, and where it has been."""


class Places:
    """Of one conversation."""

    def __init__(self) -> None:
        self.forgot = False
        """Something that was said is not known here any more, or was never looked at."""
        self._whole: dict[str, Been] = {}
        self._parts: dict[str, Been] = {}
        self._alike: dict[Been, Been] = {}
        """Each combination of places once, however many values share it."""

    def note(self, value: Json, place: Place) -> None:
        """These arguments, or this answer, have been there."""
        whole = {folded(scalar) for _, _, scalar in leaves(value)}
        words: set[str] = set()
        parts: set[str] = set()
        left = LOOKED_AT_MAX_CHARS
        for text, is_key in _texts(value):
            left -= len(text)
            if left < 0:
                self.forgot = True
                break
            text = text.casefold()
            if len(text) > MAX_VALUE_CHARS:
                words.update(_WORD.findall(text))
            else:
                (parts if is_key else whole).add(text)
        for text in whole:
            parts.update(_WORD.findall(text))
        for text in (*whole, *words):
            if len(text) > PART_CHARS:
                parts.update(_PIECE.findall(text))
                parts.add(text[-PART_CHARS:])
        self._add(self._whole, whole, place, WHOLE_MAX)
        self._add(self._parts, words | parts, place, PARTS_MAX)

    def forget(self) -> None:
        """Make room for others."""
        self.forgot = True
        self._whole.clear()
        self._parts.clear()
        self._alike.clear()

    def leave(self, server: str) -> None:
        """What is behind this name from now on is another server."""
        for table in (self._whole, self._parts):
            for piece, been in table.items():
                if any(place.server == server for place in been):
                    table[piece] = tuple(_left(place) if place.server == server else place for place in been)

    def of_value(self, text: str) -> Been:
        """Where a folded text has been as a value."""
        return self._whole.get(text, ())

    def of_whole(self, text: str) -> Been:
        """Where it has been as a value, or as a word in a text."""
        return self._whole.get(text, ()) + self._parts.get(text, ())

    def of_parts(self, text: str) -> list[Part]:
        """The parts of a folded text that are known."""
        get = self._parts.get
        is_prose = " " in text  # in which each word may be somebody's
        found: list[Part] = []
        for match in _WORD.finditer(text):
            word = match.group()
            if (is_prose or _tells(word)) and (been := get(word)):
                found.append((*match.span(), been))
        if "://" in text:
            text = _SCHEME.sub(_blank, text)
        pieces = enumerate([text[start : start + PART_CHARS] for start in range(len(text) - PART_CHARS + 1)])
        found += [(start, start + PART_CHARS, been) for start, piece in pieces if (been := get(piece))]
        return found

    def _add(self, table: dict[str, Been], pieces: Iterable[str], place: Place, most: int) -> None:
        alone = self._once((place,))
        added = {piece: alone for piece in pieces if len(piece) >= MIN_CHARS}
        for piece in added.keys() & table.keys():
            been = table[piece]
            is_news = been is not alone and place not in been and len(been) < PLACES_MAX
            added[piece] = self._once((*been, *alone)) if is_news else been
        table.update(added)
        if len(table) > most:
            self.forgot = True
            for piece in list(table)[: most // 4]:
                del table[piece]

    def _once(self, been: Been) -> Been:
        return self._alike.setdefault(been, been)


def scalars(value: Json) -> list[str]:
    """All values in this one, in folded form, but for those that are too short to be anybody's."""
    if isinstance(value, str):
        texts = [value.casefold()]
    elif isinstance(value, list | dict):
        texts = [text.casefold() for text, _ in _texts(value)]
    else:
        texts = [] if value is None or isinstance(value, bool) else [folded(value)]
    return [text for text in texts if len(text) >= MIN_CHARS]


def folded(value: Scalar) -> str:
    """The form in which a value is compared: as a text, whichever way it is written. Small numbers are nobody's."""
    if isinstance(value, str):
        return value.casefold()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value)


def _texts(value: Json) -> Iterator[tuple[str, bool]]:
    """All texts and numbers in a value, and whether they are names of members."""
    waiting: list[Json] = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is str:
            yield cast("str", item), False
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            for name in item:
                yield name, True
            waiting.extend(reversed(item.values()))
        elif item is not None and kind is not bool:
            yield folded(cast("Scalar", item)), False


def _tells(word: str) -> bool:
    """Does a part of a path, or of another value without spaces, say something by itself?"""
    return len(word) >= PART_CHARS or not word.isalpha()


def _blank(scheme: re.Match[str]) -> str:
    return " " * len(scheme.group())


def _left(place: Place) -> Place:
    return place._replace(server=place.server + " (before)")

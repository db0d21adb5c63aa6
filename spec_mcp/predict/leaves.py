"""The values inside results and arguments, each with the path by which it is reached.

A path is general: `orders[]` is any element of that list, `variants{}` any value of an object whose keys are data and
`variants{key}` any such key. Long text gives its lines, labels and tokens (`text~url`). So a value's path says where
in the next result of the same tool a value of the same kind will stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spec_mcp.engine.calls import Json

Scalar = str | int | float
SCALARS = (str, int, float)
"""The types that decoded scalars have; truth values are none."""

MAX_LEAVES = 512
"""Values looked at in one result: agents walk the head of long results, and indexing must stay cheap."""

MAX_VALUE_CHARS = 256
"""Longer strings are prose or documents: no call repeats them as an argument, but their tokens may be."""

MAX_TEXT_CHARS = 8_192
"""How much of a text is searched for tokens."""

MAX_TOKENS = 64
"""Tokens taken from one text."""

MAX_NESTING = 24
"""Deeper values are left alone: the walk is recursive."""

MAX_KEPT = 8
"""Results of which the values are kept: whoever looks at one does so within a few calls."""

DATA_KEYS = 12
"""An object with more members than this, all of one kind, is a table whose keys are data, not a record."""

MANY_KEYS = 64
"""An object with more members than this is a table in any case."""

_URL = re.compile(r"https?://[^\s<>\"')\]}|]+")
_FILE_PATH = re.compile(r"(?:~|\.{1,2})?/[\w.@+-]+(?:/[\w.@+-]+)*")
_LABELLED = re.compile(r"^\W*([A-Za-z][\w .-]{0,30}?)\W*:\s+(.{1,200}?)\s*$")
_MARKED = re.compile(r"^\s*(\[[A-Za-z]+\]|[-*•])\s+(.{1,200}?)\s*$")
_IDENTIFIER = re.compile(r"#?\b(?=[\w.@/-]{0,63}\d)(?=[\w.@/-]{0,63}[A-Za-z_/-])[\w][\w.@/-]{2,63}\b|#\d+|\b\d{4,}\b")
"""Looks ahead no further than a bound: a word of thousands of letters would else be read again from each of them."""
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
"""What stands before the `@` has 64 characters at the most, and is looked for from its beginning alone."""
_DIGIT = re.compile(r"\d")
_NAME = re.compile(r"([A-Z](?<!\w[A-Z])[a-z]+(?:-[A-Z][a-z]+)?) ([A-Z][a-z]+(?:-[A-Z][a-z]+)?)\b")
"""The look behind is `\b`, said after the capital: what begins with one of a set of characters is found sooner."""
_DATA_KEY = re.compile(r"\d{3,}|^[0-9a-f-]{12,}$|[@/:\s]")


Leaf = tuple[str, tuple[int, ...], Scalar]
"""The path of one value, the positions along the lists of that path, and the value.

A plain tuple, as hundreds are made of each result: it takes a tenth of the time that an object takes to make.
"""


def leaves(value: Json) -> list[Leaf]:
    """The scalar values of a result or of arguments, in their order, at most `MAX_LEAVES`."""
    found: list[Leaf] = []
    _walk(found, value, "", (), 0)
    return found[:MAX_LEAVES]


class _Kept:
    """The last results that were looked at, with what was found. Never changed, only replaced: several threads may look
    at results."""

    results: tuple[tuple[Json, list[Leaf]], ...] = ()


def leaves_again(value: Json) -> list[Leaf]:
    """The same of a result that others look at too, for as long as it is one of the last `MAX_KEPT`."""
    for result, found in _Kept.results:
        if result is value:
            return found
    found = leaves(value)
    if isinstance(value, dict | list):
        _Kept.results = ((value, found), *_Kept.results[: MAX_KEPT - 1])
    return found


def _walk(found: list[Leaf], value: Json, path: str, at: tuple[int, ...], depth: int) -> None:
    if type(value) is bool or value is None or depth > MAX_NESTING or len(found) >= MAX_LEAVES:
        return
    if type(value) is str:
        _text(found, value, path, at)
    elif isinstance(value, list):
        inner = path + "[]"
        for position, item in enumerate(value):
            _walk(found, item, inner, (*at, position), depth + 1)
            if len(found) >= MAX_LEAVES:
                return
    elif not isinstance(value, dict):
        found.append((path, at, value))
    elif _is_table(value):
        for position, (key, item) in enumerate(value.items()):
            here = (*at, position)
            if key and len(key) <= MAX_VALUE_CHARS:
                found.append((path + "{key}", here, key))
            _walk(found, item, path + "{}", here, depth + 1)
            if len(found) >= MAX_LEAVES:
                return
    else:
        stem = f"{path}." if path else ""
        depth += 1
        for key, item in value.items():
            if type(item) is str and depth <= MAX_NESTING:  # what most members are
                _text(found, item, stem + key, at)
            else:
                _walk(found, item, stem + key, at, depth)


def _is_table(value: dict[str, Json]) -> bool:
    if len(value) > DATA_KEYS:
        kinds = {type(item) for item in value.values()}
        return len(kinds) == 1 or len(value) > MANY_KEYS
    for key in value:
        if _DATA_KEY.search(key) is None:
            return False
    return bool(value)


def _text(found: list[Leaf], value: str, path: str, at: tuple[int, ...]) -> None:
    if value and len(value) <= MAX_VALUE_CHARS and "\n" not in value:
        found.append((path, at, value))
        if " " not in value:
            if "/" in value and len(tail := value.rstrip("/").rsplit("/", 1)[-1]) > 1:
                found.append((path + "~base", at, tail))
            return
    if len(value) > 16:
        _tokens(found, value[:MAX_TEXT_CHARS], path, at)


def _tokens(found: list[Leaf], text: str, path: str, at: tuple[int, ...]) -> None:
    """What a text names: labelled and marked lines, links, file paths and identifiers."""
    seen: set[str] = set()
    for kind, token in _named(text):
        if token in seen:  # the first and most telling name of a token is the one to know it by
            continue
        found.append((f"{path}~{kind}", (*at, len(seen)), token))
        seen.add(token)
        if len(seen) >= MAX_TOKENS:
            return


def _named(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        # each expression is tried only on lines that hold what it cannot do without: most hold little of it
        if ":" in line and (labelled := _LABELLED.match(line)) is not None:
            yield labelled.group(1).lower(), labelled.group(2).strip("\"'`")
        elif (marked := _MARKED.match(line)) is not None:
            yield marked.group(1), marked.group(2)
        if "://" in line:
            for match in _URL.finditer(line):
                yield "url", match.group().rstrip(".,;")
        elif "/" in line:
            for match in _FILE_PATH.finditer(line):
                yield "path", match.group()
        if "@" in line:
            for match in _EMAIL.finditer(line):
                yield "email", match.group()
        if " " in line:
            for match in _NAME.finditer(line):
                yield "first", match.group(1)
                yield "last", match.group(2)
        end = 0
        while (digit := _DIGIT.search(line, end)) is not None:  # all of them have one, and no space
            begin = line.rfind(" ", end, digit.start()) + 1
            end = line.find(" ", digit.start())
            end = end if end >= 0 else len(line)
            for match in _IDENTIFIER.finditer(line, begin, end):
                yield "id", match.group().rstrip(".,/-")

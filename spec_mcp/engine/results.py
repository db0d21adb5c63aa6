"""When two results of the same call are the same, and where they differ.

A result is looked at as manifests do: `result` is its `structuredContent`, else the JSON that its single text item
holds, else `{"text": …}`; what is left of the answer (`_meta`, `isError`, items that are no text) is `answer`. A place
has a path such as `result.items[*].age`; a manifest's `equal` may name one, and then the values there need not be
equal as JSON. That says when a comparison finds no difference, and nothing else: a client always gets a server's bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from spec_mcp.engine.calls import Equivalence, Json, Unmatchable, canonical, decode_strict, fold
from spec_mcp.engine.passing import Apart, passes

ROOTS = ("result", "answer")
"""What a path begins with."""

EACH = "[*]"
"""The step of a path to the elements of a list."""

DIFFERENCES_MAX = 32
"""Places where two results differ that are told; whoever reads more of them has long seen enough."""

PATH_MAX_CHARS = 256
"""Names may come from data; of a longer path what stands above it is told."""

WHOLE = "answer"
"""The path of all there is: what cannot be looked into differs as a whole."""

STEP = re.compile(r'\.([^.\[\]"\s]+)|\.("(?:[^"\\]|\\.)*")|(\[\*\])')
PLAIN = re.compile(r'[^.\[\]"\s]+')

Path = tuple[str, ...]
"""The root, then members' names and `EACH`."""

ResultEquivalences = Mapping[Path, tuple[Equivalence, ...]]
"""By place, what a manifest says of values there."""


class BadPath(ValueError):  # noqa: N818  named for what it is
    """The text is no path into a result."""


class Verdict(StrEnum):
    """What a comparison of two results of the same call has found."""

    SAME = "same"
    PASSING = "passing"
    """Only values differ that go with the time or with the request: a clock, an age, a request's id."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two results differ."""

    path: str
    passes: bool
    """Its values go with the time or with the request."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, and where."""

    verdict: Verdict
    differences: tuple[Difference, ...] = ()


SAME = Comparison(Verdict.SAME)


class Codec(Protocol):
    """How JSON is read and told apart. Both may raise `Unmatchable`."""

    def decode(self, text: bytes | str) -> Json:
        """The value of a text."""
        ...

    def encode(self, value: Json) -> object:
        """Equal only for values that are equal as JSON; where it is not, one looks closer."""
        ...


class Strict:
    """By the rules that calls are matched by."""

    def decode(self, text: bytes | str) -> Json:
        return decode_strict(text)

    def encode(self, value: Json) -> object:
        return canonical(value)


STRICT = Strict()


def parse_path(text: str) -> Path:
    """A path as a manifest's author writes it: `result.items[*].age`, `answer."x-id"`.

    Raises:
        BadPath: it is none.
    """
    root = next((root for root in ROOTS if text == root or text.startswith((f"{root}.", f"{root}["))), None)
    if root is None:
        raise BadPath(f"{text!r} begins with neither {' nor '.join(ROOTS)}")
    steps, at = [root], len(root)
    while at < len(text):
        if (found := STEP.match(text, at)) is None:
            raise BadPath(f"{text!r} cannot be read from {text[at:]!r} on")
        name, quoted, each = found.groups()
        steps.append(EACH if each else name or json.loads(quoted))
        at = found.end()
    return tuple(steps)


def path_text(path: Sequence[str]) -> str:
    """The same, written."""
    root, *steps = path
    return root + "".join(step if step == EACH else f".{_named(step)}" for step in steps)


def _named(step: str) -> str:
    return step if PLAIN.fullmatch(step) else json.dumps(step)


def compare_results(
    early: bytes, real: bytes, equal: ResultEquivalences, apart: Apart, codec: Codec = STRICT
) -> Comparison:
    """Hold the raw result of a call against that of the same call, made a little later."""
    if early == real:
        return SAME
    try:
        one, other = (_folded(_view(codec.decode(text), codec), equal) for text in (early, real))
        differences = tuple(_differences(one, other, apart, codec))
    except (Unmatchable, RecursionError):
        return Comparison(Verdict.DIFFERENT, (Difference(WHOLE, passes=False),))
    if not differences:
        return SAME
    passing = all(difference.passes for difference in differences)
    return Comparison(Verdict.PASSING if passing else Verdict.DIFFERENT, differences)


def same_result(guessed: Json, real: Json, equal: ResultEquivalences) -> bool:
    """Does a guess of a call's `result` count as what it really was?"""
    try:
        one, other = (_folded({"result": value}, equal) for value in (guessed, real))
        return canonical(one) == canonical(other)
    except (Unmatchable, RecursionError):
        return False


# --- how a result is looked at ----------------------------------------------------------------------------------------


def _view(answer: Json, codec: Codec) -> dict[str, Json]:
    """An answer as `result` and the rest."""
    if not isinstance(answer, dict):
        return {"answer": answer}
    rest = {name: member for name, member in answer.items() if name != "structuredContent"}
    structured = answer.get("structuredContent")
    items = answer.get("content")
    texts = [text for item in _items(items) if (text := _text_of(item)) is not None]
    if structured is not None:
        # what a server says again as text, for clients that know no other form, is no second thing to differ
        result = structured
        told = {index for index, item in enumerate(_items(items)) if _says(_text_of(item), structured, codec)}
    else:
        result = _of_texts(texts, codec)
        told = {index for index, item in enumerate(_items(items)) if _text_of(item) is not None}
    if isinstance(items, list):
        rest["content"] = [_without_text(item) if index in told else item for index, item in enumerate(items)]
    return {"result": result, "answer": rest}


def _of_texts(texts: Sequence[str], codec: Codec) -> Json:
    if len(texts) == 1 and (found := _json_in(texts[0], codec)) is not None:
        return found
    return {"text": "\n".join(texts)}


def _items(items: Json) -> list[Json]:
    return items if isinstance(items, list) else []


def _text_of(item: Json) -> str | None:
    text = item.get("text") if isinstance(item, dict) else None
    return text if isinstance(text, str) else None


def _without_text(item: Json) -> Json:
    return {name: member for name, member in item.items() if name != "text"} if isinstance(item, dict) else item


def _json_in(text: str, codec: Codec) -> Json:
    """The JSON that a text holds; None where it holds none that can be compared."""
    try:
        return codec.decode(text)
    except Unmatchable:
        return None


def _says(text: str | None, structured: Json, codec: Codec) -> bool:
    if text is None or (found := _json_in(text, codec)) is None:
        return False
    return codec.encode(found) == codec.encode(structured)


# --- what a manifest lets be equal ------------------------------------------------------------------------------------


def _folded(view: dict[str, Json], equal: ResultEquivalences) -> dict[str, Json]:
    if not equal:
        return view
    rules = list(equal.items())
    return {root: value for root, part in view.items() for value in _fold_at(part, _below(rules, root))}


Rules = list[tuple[Path, tuple[Equivalence, ...]]]


def _below(rules: Rules, step: str) -> Rules:
    return [(path[1:], equivalences) for path, equivalences in rules if path and path[0] == step]


def _fold_at(value: Json, rules: Rules) -> Iterator[Json]:
    """The value as it is compared; nothing where it is ignored."""
    if not rules:
        yield value
        return
    here = tuple(word for path, equivalences in rules if not path for word in equivalences)
    if Equivalence.IGNORE in here:
        return
    if isinstance(value, dict):
        value = {name: kept for name, member in value.items() for kept in _fold_at(member, _below(rules, name))}
    elif isinstance(value, list):
        below = _below(rules, EACH)
        value = [kept for item in value for kept in _fold_at(item, below)]
    yield fold(value, here)


# --- where they differ ------------------------------------------------------------------------------------------------


def _differences(one: dict[str, Json], other: dict[str, Json], apart: Apart, codec: Codec) -> Iterator[Difference]:
    """By place, all elements of a list being one place; it passes only where it does so wherever it is found."""
    found: dict[Path, bool] = {}
    for path, early, real in _unequal(one, other, (), codec):
        found[path] = found.get(path, True) and passes(path[-1] if path[-1] != EACH else path[-2], early, real, apart)
        if len(found) > DIFFERENCES_MAX:
            found[(WHOLE,)] = False
            break
    for path, passing in found.items():
        told = path
        while len(path_text(told)) > PATH_MAX_CHARS:
            told = told[:-1]
        yield Difference(path_text(told), passing and told == path)


def _unequal(one: Json, other: Json, path: Path, codec: Codec) -> Iterator[tuple[Path, Json, Json]]:
    if isinstance(one, dict | list) and codec.encode(one) == codec.encode(other):
        return  # most of what is large is equal, and need not be walked through
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys([*one, *other]):
            if name not in one or name not in other:
                yield (*path, name), None, None
            else:
                yield from _unequal(one[name], other[name], (*path, name), codec)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for early, real in zip(one, other, strict=True):
            yield from _unequal(early, real, (*path, EACH), codec)
    elif type(one) is not type(other) or one != other:
        yield path, one, other

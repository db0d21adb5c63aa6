"""Resource names, the patterns that calls touch, and when two calls conflict.

A manifest's `touches` are templates such as `file:{path}` or `order:{order_id}/*`. With a call's arguments a template
becomes patterns: a name, or a prefix of names. Where the arguments leave a doubt (a value that is missing, relative,
holds `..` or a wildcard, or is no scalar) the pattern widens to the prefix before it. Patterns are compared without
regard to case and Unicode form, since some file systems do not tell those apart: wider is safer.

A footprint without patterns is everything of its server. Conflict is decided here and nowhere else: two footprints
overlap, and one of the two calls writes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spec_mcp.engine.calls import Arguments, Equivalence, Json, Unmatchable, canonical, fold_text

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

MAX_PATTERNS = 256
"""A call whose lists fan out to more patterns touches everything of its server: comparing them must stay cheap."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A resource name, or all the names that begin with `text`."""

    text: str
    prefix: bool

    def overlaps(self, other: Pattern) -> bool:
        """Is there a name that both speak of?"""
        if self.prefix and other.prefix:
            return self.text.startswith(other.text) or other.text.startswith(self.text)
        if self.prefix:
            return other.text.startswith(self.text)
        if other.prefix:
            return self.text.startswith(other.text)
        return self.text == other.text


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a call touches: patterns, or everything of its server."""

    server: str
    patterns: tuple[Pattern, ...] | None

    def overlaps(self, other: Footprint) -> bool:
        """May both touch the same resource?"""
        if self.patterns is None or other.patterns is None:
            return self.server == other.server
        return any(mine.overlaps(theirs) for mine in self.patterns for theirs in other.patterns)


def everything(server: str) -> Footprint:
    """The footprint of a request of which nothing is known."""
    return Footprint(server, None)


def footprint(
    server: str,
    touches: Sequence[str] | None,
    arguments: Arguments | None,
    equal: Mapping[str, Sequence[Equivalence]],
) -> Footprint:
    """What a call with these arguments touches; `arguments` is None where they could not be read."""
    if touches is None:
        return everything(server)
    patterns: list[Pattern] = []
    for template in touches:
        patterns.extend(_instantiate(template, arguments or {}, equal))
        if len(patterns) > MAX_PATTERNS:
            return everything(server)
    return Footprint(server, tuple(dict.fromkeys(patterns)))


def placeholders(template: str) -> list[str]:
    """The names of the arguments that a template speaks of, in order."""
    return PLACEHOLDER.findall(template)


def fill(template: str, arguments: Arguments) -> str | None:
    """A template with scalar arguments put in; None where one is missing or no scalar."""
    parts: list[str] = []
    for literal, name in _pieces(template):
        parts.append(literal)
        if name is None:
            continue
        text = _scalar(arguments.get(name))
        if text is None:
            return None
        parts.append(text)
    return "".join(parts)


def _pieces(template: str) -> list[tuple[str, str | None]]:
    """The literal before each placeholder with the placeholder's name, then the literal after the last."""
    pieces: list[tuple[str, str | None]] = []
    position = 0
    for match in PLACEHOLDER.finditer(template):
        pieces.append((template[position : match.start()], match.group(1)))
        position = match.end()
    pieces.append((template[position:], None))
    return pieces


def _instantiate(template: str, arguments: Arguments, equal: Mapping[str, Sequence[Equivalence]]) -> list[Pattern]:
    open_texts: list[str] = [""]
    closed: list[Pattern] = []
    for literal, name in _pieces(template):
        if name is None:
            prefix = literal.endswith("*")
            tail = literal[:-1] if prefix else literal
            closed.extend(Pattern(_comparable(_join(text, tail)), prefix) for text in open_texts)
            break
        heads = [_join(text, literal) for text in open_texts]
        values = _values(arguments.get(name), equal.get(name, ()))
        open_texts = []
        for head in heads:
            for value in values:
                if value is None:
                    closed.append(Pattern(_comparable(head), True))
                else:
                    open_texts.append(head + value)
        if len(open_texts) > MAX_PATTERNS:
            return [*closed, *(Pattern(_comparable(head), True) for head in heads)]
        if not open_texts:
            break
    return closed


def _values(value: Json, equivalences: Sequence[Equivalence]) -> list[str | None]:
    """The texts that a value stands for; None for each that must widen its pattern."""
    if isinstance(value, list):
        return [text for item in value for text in _values(item, equivalences)] or [None]
    text = _scalar(value)
    if text is None:
        return [None]
    if isinstance(value, str):
        text = fold_text(text, equivalences)
    segments = text.replace("\\", "/").split("/")
    relative = Equivalence.POSIX_PATH in equivalences and not text.startswith("/")
    doubtful = not text or relative or ".." in segments or "*" in text or "?" in text
    return [None if doubtful else text]


def _scalar(value: Json) -> str | None:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, list | dict):
        return None
    try:
        return canonical(value)
    except Unmatchable:
        return None


def _join(text: str, literal: str) -> str:
    """The root folder `/` before `/*` must not make `//`."""
    return text + literal[1:] if text.endswith("/") and literal.startswith("/") else text + literal


def _comparable(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())

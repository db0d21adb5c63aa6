"""Resource names, the patterns that calls touch, and when two calls conflict.

A manifest's `touches` are templates such as `file:{path}` or `order:{order_id}/*`. With a call's arguments a template
becomes patterns: a name, or a prefix of names. Where the arguments leave a doubt (a value that is missing, relative,
holds `..` or a wildcard, or is no scalar) the pattern widens to the prefix before it. Patterns are compared without
regard to case, Unicode form, white space, the spelling of whole numbers, doubled and final slashes and the kind of
slash, since some servers do not tell those apart: wider is safer.

A footprint without patterns is everything of its server, the names that other servers share with it included.
Conflict is decided here and nowhere else: two footprints overlap, and one of the two calls writes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spec_mcp.engine.calls import Arguments, Equivalence, Json, Unmatchable, canonical, fold_text

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")

SLASHES = re.compile(r"/(\.?/)+")

WILDCARDS = frozenset("*?[{")
"""A value with one of these may stand for many names."""

MAX_PATTERNS = 32
"""A call whose lists fan out to more patterns touches everything of its server: each write compares all of its own
with all of those of each result that is held or remembered."""

MAX_VALUE_CHARS = 4096
"""A longer value is no name, but a text to be kept for as long as its call: it widens its pattern."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A resource name, or all the names that begin with `text`; with `a/` begins `a` too, since names have no final
    slash."""

    text: str
    prefix: bool

    def overlaps(self, other: Pattern) -> bool:
        """Is there a name that both speak of?"""
        if self.prefix and other.prefix:
            return self.text.startswith(other.text) or other.text.startswith(self.text)
        if self.prefix:
            return (other.text + "/").startswith(self.text)
        if other.prefix:
            return (self.text + "/").startswith(other.text)
        return self.text == other.text


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a call touches: patterns, or everything of its server."""

    server: str
    patterns: tuple[Pattern, ...] | None
    shared: tuple[Pattern, ...] = ()
    """Where it is everything of its server: the names that the server's tools declare, by which other servers may know
    the same things."""

    def overlaps(self, other: Footprint) -> bool:
        """May both touch the same resource?"""
        if (self.patterns is None or other.patterns is None) and self.server == other.server:
            return True
        return any(mine.overlaps(theirs) for mine in self.names for theirs in other.names)

    @property
    def names(self) -> tuple[Pattern, ...]:
        """What is compared with the patterns of other servers, and of its own where it is not everything."""
        return self.shared if self.patterns is None else self.patterns


def everything(server: str, declared: Iterable[str] = ()) -> Footprint:
    """The footprint of a request of which nothing is known, where the server's tools declare these templates."""
    names = (pattern for template in declared for pattern in _instantiate(template, {}, {}))
    return Footprint(server, None, tuple(dict.fromkeys(names)))


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
            closed.extend(_pattern(_join(text, tail), prefix) for text in open_texts)
            break
        heads = [_join(text, literal) for text in open_texts]
        values = _values(arguments.get(name), equal.get(name, ()))
        if len(heads) * len(values) > MAX_PATTERNS:
            return [*closed, *(_pattern(head, True) for head in heads)]
        open_texts = []
        for head in heads:
            for value in values:
                if value is None:
                    closed.append(_pattern(head, True))
                else:
                    open_texts.append(head + value)
        if not open_texts:
            break
    return closed


def _values(value: Json, equivalences: Sequence[Equivalence]) -> list[str | None]:
    """The texts that a value stands for; None for each that must widen its pattern."""
    if isinstance(value, list):
        return [text for item in value for text in _values(item, equivalences)] or [None]
    text = _name_of(value)
    if text is None or len(text) > MAX_VALUE_CHARS:
        return [None]
    return [None if _is_doubtful(text, equivalences) else fold_text(text, equivalences)]


def _is_doubtful(text: str, equivalences: Sequence[Equivalence]) -> bool:
    """May the value stand for another name than it spells, or for many?"""
    parts = text.replace("\\", "/").strip().split("/")
    relative = Equivalence.POSIX_PATH in equivalences and not text.startswith("/")
    return parts == [""] or parts[0] == "." or ".." in parts or relative or not WILDCARDS.isdisjoint(text)


def _name_of(value: Json) -> str | None:
    """The text of a value in a resource's name: `1` and `1.0` name the same thing, and a truth value names nothing."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _scalar(value)


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


def _pattern(text: str, prefix: bool) -> Pattern:
    """What is compared of a name. Decomposed, so that the beginning of a name stays the beginning."""
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    folded = SLASHES.sub("/", "".join(folded.split()).replace("\\", "/"))
    folded = folded[:-1] if folded.endswith("/.") else folded
    return Pattern(folded if prefix else folded.rstrip("/"), prefix)

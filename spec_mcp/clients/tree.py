"""A configuration as a tree whose every part knows where it stands in the text.

Nothing is ever written anew from the values: what changes is a few stretches of the text, and all the rest, with its
comments, blanks and line ends, stays as it is, byte for byte. The libraries that read JSON with comments either drop
the comments or cannot edit, and tomlkit cannot put a key back where it stood, so both forms are scanned here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Number:
    """A number or a date, as it is written: nothing here calculates."""

    text: str


Plain = str | bool | None | Number


@dataclass(slots=True)
class Scalar:
    """A text, a number, true, false or null."""

    span: Span
    value: Plain


@dataclass(slots=True)
class Array:
    """A list in brackets."""

    span: Span
    of_tables: bool = False
    """Tables of TOML, each with a header of its own: they are strays, and not its items."""
    items: list[Node] = field(default_factory=list["Node"])
    commas: list[int | None] = field(default_factory=list["int | None"])
    """Where the comma behind each item stands."""


@dataclass(slots=True)
class Braces:
    """A table in braces."""

    span: Span
    rows: list[Member] = field(default_factory=list["Member"])
    """In the order of the text, with keys that stand there twice."""
    commas: list[int | None] = field(default_factory=list["int | None"])
    """Where the comma behind each row stands."""
    members: dict[str, Member] = field(default_factory=dict[str, "Member"])


@dataclass(slots=True)
class Lines:
    """A table of TOML that is written line by line, under a header or with dots in its keys."""

    members: dict[str, Member] = field(default_factory=dict[str, "Member"])
    header: Span | None = None
    within: Braces | None = None
    """The braces that it stands in: `{ a.b = 1, a.c = 2 }`."""


Table = Braces | Lines
Node = Scalar | Array | Table


@dataclass(slots=True)
class Member:
    """A key of a table with its value."""

    name: str
    key: Span
    """The key alone, without what stands before its dots; of a table that is named several times, where it is first."""
    node: Node
    start: int
    """Where it begins, with what stands before its dots."""
    spellings: list[Span] = field(default_factory=list[Span])
    """Everywhere that the key is written."""


class Syntax(Protocol):
    """How values and keys are written."""

    assign: str
    """Between a key and its value, where no neighbour shows it."""

    def scan(self, text: str, file: str) -> Document:
        """Read a whole file.

        Raises:
            ClientFileError: it is broken.
        """
        ...

    def key(self, name: str) -> str:
        """A key as text."""
        ...

    def value(self, value: object) -> str:
        """A value, which may be of texts, lists and tables, on one line."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file."""

    text: str
    root: Node
    syntax: Syntax
    comments: tuple[Span, ...]
    strays: tuple[Node, ...] = ()
    """Tables that no path leads to: those of lists of tables."""

    @property
    def line_end(self) -> str:
        """How its first line ends."""
        at = self.text.find("\n")
        return "\r\n" if at > 0 and self.text[at - 1] == "\r" else "\n"

    def raw(self, node: Scalar | Array | Braces) -> str:
        """A value as it is written."""
        return self.text[node.span.start : node.span.end]


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of the text gets another text."""

    start: int
    end: int
    text: str


def applied(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """The text, or a stretch that holds all the edits, after them. Edits at one place come in their order."""
    parts: list[str] = []
    at = start
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        assert edit.start >= at, "edits do not overlap"
        parts += (text[at : edit.start], edit.text)
        at = edit.end
    return "".join((*parts, text[at:end]))


def span_of(node: Node) -> Span:
    """Where a value stands that stands in one piece."""
    assert not isinstance(node, Lines), "it may stand in many"
    return node.span


def start_of(node: Node) -> int:
    """Where such a value begins."""
    return span_of(node).start


def end_of(node: Node) -> int:
    """Where such a value ends."""
    return span_of(node).end


def data(node: Node) -> object:
    """What a value means, in Python's own terms; numbers stay as they are written."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Array):
        return [data(item) for item in node.items]
    return {name: data(one.node) for name, one in node.members.items()}


def leaves(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Scalar]]:
    """All scalars, each with the keys and numbers that lead to it."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Array):
        for number, item in enumerate(node.items):
            yield from leaves(item, (*path, number))
    else:
        for name, one in node.members.items():
            yield from leaves(one.node, (*path, name))

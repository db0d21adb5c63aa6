"""TOML, as Codex takes it. Whether a file is right is for tomllib to say; here is found where everything stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import tomlkit

from spec_mcp.clients.faults import ClientFileError, at_line
from spec_mcp.clients.tree import Array, Braces, Document, Lines, Member, Node, Number, Plain, Scalar, Span, Table

_BLANK = re.compile(r"[ \t]*+")
_GAP = re.compile(r"[ \t\r\n]++|(#[^\n]*+)")
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_TEXT = re.compile(
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
_OTHER = re.compile(r"[^,\]}#\r\n]++")
_PLAIN: Mapping[str, Plain] = {"true": True, "false": False}


class Toml:
    """The syntax."""

    assign = " = "

    def scan(self, text: str, file: str) -> Document:
        """Read a whole file.

        Raises:
            ClientFileError: it is broken; where tomllib knows the line and the column, they are named.
        """
        try:
            tomllib.loads(text.removeprefix("\ufeff"))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ClientFileError(file, "", f"no valid TOML: {error}", "mend the syntax there") from None
        scanner = _Scanner(text, file)
        root = scanner.whole()
        return Document(text, root, self, tuple(scanner.comments), tuple(scanner.strays))

    def key(self, name: str) -> str:
        """A key as text."""
        return name if _BARE.fullmatch(name) else self.value(name)

    def value(self, value: object) -> str:
        """A value on one line."""
        if isinstance(value, dict):
            inner = cast("dict[str, object]", value)
            pairs = [f"{self.key(name)} = {self.value(one)}" for name, one in inner.items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        if isinstance(value, list):
            return f"[{', '.join(map(self.value, cast('list[object]', value)))}]"
        return tomlkit.item(value).as_string()  # pyright: ignore[reportUnknownMemberType]


@dataclass(slots=True)
class _Scanner:
    text: str
    file: str
    at: int = 0
    comments: list[Span] = field(default_factory=list[Span])
    strays: list[Node] = field(default_factory=list[Node])

    def whole(self) -> Node:
        self.at = int(self.text.startswith("\ufeff"))
        root = here = Lines()
        lists: dict[tuple[str, ...], Lines] = {}
        while True:
            self.gap()
            if self.at >= len(self.text):
                return root
            if self.text.startswith("[[", self.at):
                here = self.list_header(root, lists)
            elif self.text.startswith("[", self.at):
                here = self.header(root, lists)
            else:
                self.statement(here)

    def gap(self) -> None:
        """Over blanks, line ends and comments."""
        while found := _GAP.match(self.text, self.at):
            if found[1] is not None:
                self.comments.append(Span(found.start(), found.end()))
            self.at = found.end()

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def header(self, root: Lines, lists: Mapping[tuple[str, ...], Lines]) -> Lines:
        """`[a.b]`: the table of that name, below the last of a list of tables where the name leads there."""
        start = self.at
        self.at += 1
        keys = self.keys()
        names = tuple(name for name, _ in keys)
        below = next((cut for cut in range(len(names), 0, -1) if names[:cut] in lists), 0)
        here = self.lead(lists[names[:below]] if below else root, keys[below:], start)
        assert isinstance(here, Lines), "lead goes over such tables alone"
        self.at = self.text.index("]", self.at) + 1
        here.header = Span(start, self.at)
        return here

    def list_header(self, root: Lines, lists: dict[tuple[str, ...], Lines]) -> Lines:
        """`[[a.b]]`: one more table of a list, which no path leads to."""
        start = self.at
        self.at += 2
        keys = self.keys()
        names = tuple(name for name, _ in keys)
        self.at = self.text.index("]]", self.at) + 2
        made = Lines(header=Span(start, self.at))
        self.strays.append(made)
        if not any(names[:cut] in lists for cut in range(1, len(names))):
            *leading, last = keys
            table = self.lead(root, leading, start)
            table.members[names[-1]] = Member(*last, Array(Span(start, self.at), of_tables=True), start)
        lists[names] = made
        for inner in [path for path in lists if path[: len(names)] == names and path != names]:
            del lists[inner]
        return made

    def lead(self, here: Table, keys: list[tuple[str, Span]], start: int, within: Braces | None = None) -> Table:
        """The table at the end of these keys, made where it is missing."""
        for name, key in keys:
            known = here.members.setdefault(name, Member(name, key, Lines(within=within), start))
            known.spellings.append(key)
            if not isinstance(known.node, Lines):
                raise self.lost()
            here = known.node
        return here

    def keys(self) -> list[tuple[str, Span]]:
        """The parts of a key with dots, up to what stands behind it."""
        found: list[tuple[str, Span]] = []
        while True:
            self.blank()
            start = self.at
            if quoted := _TEXT.match(self.text, start):
                name, self.at = _meant(quoted[0]), quoted.end()
            elif bare := _BARE.match(self.text, start):
                name, self.at = bare[0], bare.end()
            else:
                raise self.lost()
            found.append((name, Span(start, self.at)))
            self.blank()
            if not self.text.startswith(".", self.at):
                return found
            self.at += 1

    def statement(self, here: Table) -> None:
        start = self.at
        *leading, (name, key) = self.keys()
        here = self.lead(here, leading, start)
        here.members[name] = Member(name, key, self.assigned(), start, [key])

    def assigned(self) -> Node:
        if not self.text.startswith("=", self.at):
            raise self.lost()
        self.at += 1
        self.blank()
        return self.value()

    def value(self) -> Node:
        start = self.at
        if self.text.startswith("[", start):
            return self.array()
        if self.text.startswith("{", start):
            return self.braces()
        if found := _TEXT.match(self.text, start):
            self.at = found.end()
            return Scalar(Span(start, self.at), _meant(found[0]))
        if found := _OTHER.match(self.text, start):
            text = found[0].rstrip()
            self.at = start + len(text)
            return Scalar(Span(start, self.at), _PLAIN.get(text, Number(text)))
        raise self.lost()

    def array(self) -> Array:
        made = Array(Span(self.at, self.at))
        self.at += 1
        self.gap()
        while not self.text.startswith("]", self.at):
            made.items.append(self.value())
            made.commas.append(self.comma())
        self.at += 1
        made.span = Span(made.span.start, self.at)
        return made

    def braces(self) -> Braces:
        made = Braces(Span(self.at, self.at))
        self.at += 1
        self.gap()
        while not self.text.startswith("}", self.at):
            start = self.at
            *leading, (name, key) = self.keys()
            inner = self.lead(made, leading, start, within=made)
            made.rows.append(Member(name, key, self.assigned(), start, [key]))
            inner.members[name] = made.rows[-1]
            made.commas.append(self.comma())
        self.at += 1
        made.span = Span(made.span.start, self.at)
        return made

    def comma(self) -> int | None:
        self.gap()
        if not self.text.startswith(",", self.at):
            return None
        at = self.at
        self.at += 1
        self.gap()
        return at

    def lost(self) -> ClientFileError:
        """What tomllib takes is not understood here."""
        return ClientFileError(self.file, at_line(self.text, self.at), "written in a way that is not understood", "")


def _meant(quoted: str) -> str:
    return cast("str", tomllib.loads(f"x = {quoted}")["x"])

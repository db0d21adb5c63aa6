"""JSON as clients take it: with comments, commas behind the last value, and a byte order mark."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from spec_mcp.clients.faults import ClientFileError, at_line
from spec_mcp.clients.tree import Array, Braces, Document, Member, Node, Number, Scalar, Span

DEEPEST = 100
"""Tables within tables: no client's file comes near, and each level costs frames."""

_GAP = re.compile(r"[ \t\r\n]++|(//[^\n]*+|/\*.*?\*/)", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_NAMES = {"true": True, "false": False, "null": None}
_NAME = re.compile(r"true|false|null")


class Json:
    """The syntax."""

    assign = ": "

    def scan(self, text: str, file: str) -> Document:
        """Read a whole file; an empty one is an empty table.

        Raises:
            ClientFileError: it is broken; line and column are named.
        """
        scanner = _Scanner(text, file)
        root = scanner.whole()
        return Document(text, root, self, tuple(scanner.comments))

    def key(self, name: str) -> str:
        """A key as text."""
        return self.value(name)

    def value(self, value: object) -> str:
        """A value on one line."""
        text = json.dumps(value, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can write
            return json.dumps(value)
        return text


@dataclass(slots=True)
class _Scanner:
    text: str
    file: str
    at: int = 0
    comments: list[Span] = field(default_factory=list[Span])

    def whole(self) -> Node:
        self.at = int(self.text.startswith("\ufeff"))
        self.gap()
        if self.at == len(self.text):
            return Braces(Span(self.at, self.at))
        root = self.node(0)
        self.gap()
        if self.at < len(self.text):
            raise self.broken("there is something behind the end of the value", "remove it")
        return root

    def gap(self) -> None:
        """Over blanks and comments."""
        while found := _GAP.match(self.text, self.at):
            if found[1] is not None:
                self.comments.append(Span(found.start(), found.end()))
            self.at = found.end()
        if self.text.startswith("/*", self.at):
            raise self.broken("a comment that does not end", "close it with */")

    def node(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.broken("too many tables within tables", "this is no client's configuration")
        start = self.at
        first = self.text[start : start + 1]
        if first == "{":
            return self.braces(depth)
        if first == "[":
            return self.array(depth)
        if first == '"':
            text = self.string()
            return Scalar(Span(start, self.at), text)
        if found := _NAME.match(self.text, start):
            self.at = found.end()
            return Scalar(Span(start, self.at), _NAMES[found[0]])
        if found := _NUMBER.match(self.text, start):
            self.at = found.end()
            return Scalar(Span(start, self.at), Number(found[0]))
        raise self.broken(
            "a value is missing" if first in ("", ",", "}", "]") else "this is no value", "mend the syntax there"
        )

    def string(self) -> str:
        found = _STRING.match(self.text, self.at)
        if found is None:
            raise self.broken("a text that does not end, or that holds what must be escaped", "mend the quotes there")
        self.at = found.end()
        return json.loads(found[0])

    def braces(self, depth: int) -> Braces:
        made = Braces(Span(self.at, self.at))
        self.at += 1
        self.gap()
        while not self.text.startswith("}", self.at):
            start = self.at
            if not self.text.startswith('"', start):
                raise self.broken("a key in double quotes, or }, is missing", "mend the syntax there")
            name = self.string()
            key = Span(start, self.at)
            self.gap()
            if not self.text.startswith(":", self.at):
                raise self.broken("a colon is missing behind the key", "write it")
            self.at += 1
            self.gap()
            made.rows.append(Member(name, key, self.node(depth + 1), start, [key]))
            made.members[name] = made.rows[-1]  # of keys that stand there twice, clients take the last
            made.commas.append(self.comma("}"))
        self.at += 1
        made.span = Span(made.span.start, self.at)
        return made

    def array(self, depth: int) -> Array:
        made = Array(Span(self.at, self.at))
        self.at += 1
        self.gap()
        while not self.text.startswith("]", self.at):
            made.items.append(self.node(depth + 1))
            made.commas.append(self.comma("]"))
        self.at += 1
        made.span = Span(made.span.start, self.at)
        return made

    def comma(self, closing: str) -> int | None:
        """Over the comma behind a value; None where the table or list ends without one."""
        self.gap()
        if self.text.startswith(",", self.at):
            at = self.at
            self.at += 1
            self.gap()
            return at
        if not self.text.startswith(closing, self.at):
            raise self.broken(f"a comma or {closing} is missing", "mend the syntax there")
        return None

    def broken(self, what: str, mend: str) -> ClientFileError:
        return ClientFileError(self.file, at_line(self.text, self.at), what, mend)

"""Small changes to a configuration, written as their neighbours are written."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from spec_mcp.clients.tree import (
    Array,
    Braces,
    Document,
    Edit,
    Lines,
    Member,
    Span,
    Table,
    data,
    end_of,
    span_of,
    start_of,
)

_BLANK = re.compile(r"[ \t]*+")

Pair = tuple[str, str]
"""A key, and its value as text."""


@dataclass(slots=True)
class Editor:
    """Collects the edits of one document. What it does not name stays as it is."""

    document: Document
    edits: list[Edit] = field(default_factory=list[Edit])

    def put(self, span: Span, text: str) -> None:
        """Another text in the place of this one."""
        self.edits.append(Edit(span.start, span.end, text))

    def rename(self, one: Member, name: str) -> None:
        """Another key for a value."""
        for spelling in one.spellings:
            self.put(spelling, self.document.syntax.key(name))

    def replace(self, parent: Table, one: Member, pairs: Sequence[Pair]) -> None:
        """Other keys and values in the place of one that is no table of lines."""
        first, *rest = pairs
        self.put(Span(one.key.start, end_of(one.node)), self._pair(one, first))
        if rest:
            self.after(parent, one, rest)

    def after(self, parent: Table, one: Member, pairs: Sequence[Pair]) -> None:
        """More keys and values behind one of the same table."""
        text = self.document.text
        at = end_of(one.node)
        if isinstance(parent, Lines) and parent.within is None:
            at = self._line_end(at)
            gap = self.document.line_end + text[self._line_start(one.start) : one.key.start].lstrip("\ufeff")
        else:
            gap = f",{self._gap_before(one.start) or self._least_gap(one)}{text[one.start : one.key.start]}"
        self.edits.append(Edit(at, at, "".join(gap + self._pair(one, pair) for pair in pairs)))

    def add(self, parent: Table, pairs: Sequence[Pair]) -> None:
        """More keys, behind all others that are not tables of lines; once for a table that is empty."""
        if isinstance(parent, Braces):
            last = parent.rows[-1] if parent.rows else None
        else:
            last = max(_statements(parent), key=lambda one: one.start, default=None)
        if last is not None:
            self.after(parent, last, pairs)
        elif pairs:
            self.lead(parent, pairs)

    def lead(self, parent: Table, pairs: Sequence[Pair]) -> None:
        """The first keys of a table that is empty, or of one of lines under a header."""
        syntax = self.document.syntax
        written = [f"{syntax.key(name)}{syntax.assign}{value}" for name, value in pairs]
        if isinstance(parent, Lines):
            assert parent.header is not None, "a table without a header has a key"
            at = self._line_end(parent.header.end)
            indent = self.document.text[self._line_start(parent.header.start) : parent.header.start]
            gap = self.document.line_end + indent.lstrip("\ufeff")
            self.edits.append(Edit(at, at, "".join(gap + one for one in written)))
            return
        at = parent.span.start + 1
        blank = "" if self.document.text[at : at + 1].isspace() else " "
        self.edits.append(Edit(at, at, f" {', '.join(written)}{blank}"))

    def remove(self, parent: Table, names: Collection[str]) -> None:
        """Keys with their values; comments stay. Of one table everything must be removed at once."""
        gone = [one for name, one in parent.members.items() if name in names]
        rows = [row for one in gone for row in rows_of(one)]
        braces = parent if isinstance(parent, Braces) else parent.within
        if braces is not None:
            self._cut(self._rows_with_commas(braces, rows))
            return
        spans = [Span(row.start, end_of(row.node)) for row in rows]
        spans += [header for one in gone for header in _headers(one)]
        self._cut(self._with_line(span.start, span.end) for span in spans)

    def before_lines(self, one: Member, lines: Sequence[str]) -> None:
        """Whole lines of TOML before the first of a member."""
        at = self._line_start(first_of(one).start)
        at += self.document.text.startswith("\ufeff", at)
        self.edits.append(Edit(at, at, "".join(line + self.document.line_end for line in lines)))

    def put_at_end(self, text: str) -> None:
        """More text behind everything."""
        at = len(self.document.text)
        self.edits.append(Edit(at, at, text))

    def raw(self, one: Member) -> str:
        """A value as it is written; a table of lines on one line."""
        if isinstance(one.node, Lines):
            return self.document.syntax.value(data(one.node))
        span = span_of(one.node)
        return self.document.text[span.start : span.end]

    def table(self, pairs: Sequence[Pair]) -> str:
        """A table on one line."""
        syntax = self.document.syntax
        written = [f"{syntax.key(name)}{syntax.assign}{text}" for name, text in pairs]
        return f"{{ {', '.join(written)} }}" if written else "{}"

    def lead_in(self, array: Array, words: Sequence[str]) -> None:
        """Texts before the first of a list."""
        written = [self.document.syntax.value(word) for word in words]
        if not array.items:
            at = array.span.start + 1
            self.edits.append(Edit(at, at, ", ".join(written)))
            return
        at = start_of(array.items[0])
        gap = self._gap_before(at)
        comma = "," if gap == "" and "," in self.document.raw(array) and ", " not in self.document.raw(array) else ", "
        behind = f",{gap}" if "\n" in gap else comma
        self.edits.append(Edit(at, at, comma.join(written) + behind))

    def leave_out(self, array: Array, count: int) -> None:
        """The first items of a list are not there."""
        items = array.items
        if count < len(items):
            self.put(Span(start_of(items[0]), start_of(items[count])), "")
        elif items:
            last = array.commas[-1]
            self.put(Span(start_of(items[0]), end_of(items[-1]) if last is None else last + 1), "")

    def _pair(self, like: Member, pair: Pair) -> str:
        """A key and a value with the same between them as that neighbour has."""
        text, syntax = self.document.text, self.document.syntax
        between = syntax.assign if isinstance(like.node, Lines) else text[like.key.end : start_of(like.node)]
        if between.strip() not in (":", "="):  # a comment stands there
            between = syntax.assign
        return f"{syntax.key(pair[0])}{between}{pair[1]}"

    def _gap_before(self, at: int) -> str:
        """The blanks before this place, from the line end on where they have one."""
        text = self.document.text
        start = at
        while start > 0 and text[start - 1] in " \t\r\n":
            start -= 1
        blanks = text[start:at]
        if "\n" in blanks:
            return self.document.line_end + blanks[blanks.rindex("\n") + 1 :]
        return blanks

    def _least_gap(self, like: Member) -> str:
        return " " if self.document.text[: start_of(like.node)].endswith(" ") else ""

    def _line_start(self, at: int) -> int:
        return self.document.text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """Before the line end, so that what stands behind on the line stays there."""
        end = self.document.text.find("\n", at)
        if end < 0:
            return len(self.document.text)
        return end - 1 if self.document.text[end - 1] == "\r" else end

    def _cut(self, spans: Iterable[Span]) -> None:
        """Remove these, which may touch and overlap."""
        found: list[Span] = []
        for span in sorted(spans, key=lambda span: span.start):
            if found and span.start <= found[-1].end:
                found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
            else:
                found.append(span)
        for span in found:
            self.put(span, "")

    def _with_line(self, start: int, end: int) -> Span:
        """What is there, with its line where nothing else stands in it, and with no more blanks than before."""
        text = self.document.text
        line_start, line_end = self._line_start(start), self._line_end(end)
        line_start += text.startswith("\ufeff", line_start)
        behind = text[end:line_end].strip()
        if text[line_start:start].strip() == "" and behind == "":
            return Span(line_start, text.find("\n", end) + 1 or len(text))
        if behind.startswith(("}", "]")):
            return Span(line_start + len(text[line_start:start].rstrip()), end)
        found = _BLANK.match(text, end)
        return Span(start, found.end() if found else end)

    def _rows_with_commas(self, braces: Braces, gone: Sequence[Member]) -> Iterator[Span]:
        starts = {one.start for one in gone}
        kept = [number for number, row in enumerate(braces.rows) if row.start not in starts]
        if braces.rows and kept and braces.rows[-1].start in starts and braces.commas[-1] is None:
            comma = braces.commas[kept[-1]]  # what is the last now must not end with a comma
            assert comma is not None, "others followed"
            yield Span(comma, comma + 1)
        for row, comma in zip(braces.rows, braces.commas, strict=True):
            if row.start in starts:
                end = end_of(row.node)
                if comma is not None and self.document.text[end:comma].strip() == "":
                    end = comma + 1
                elif comma is not None:
                    yield Span(comma, comma + 1)
                yield self._with_line(row.start, end)


def _statements(parent: Lines) -> Iterator[Member]:
    return (one for one in parent.members.values() if not isinstance(one.node, Lines))


def first_of(one: Member) -> Span:
    """The first stretch of a member: of a table of lines its first header or key, of any other all of it."""
    spans = [*_headers(one), *(Span(row.start, end_of(row.node)) for row in rows_of(one))]
    return min(spans, key=lambda span: span.start)


def lines_of(document: Document, one: Member) -> str:
    """A table of TOML as it is written, without comments: its headers and keys, each in a line of its own."""
    spans = [*_headers(one), *(Span(row.start, end_of(row.node)) for row in rows_of(one))]
    return document.line_end.join(
        document.text[span.start : span.end] for span in sorted(spans, key=lambda span: span.start)
    )


def has_header(one: Member) -> bool:
    """Does a member of a table of lines begin with a header?"""
    first = first_of(one)
    return any(header == first for header in _headers(one))


def rows_of(one: Member) -> Iterator[Member]:
    if not isinstance(one.node, Lines):
        yield one
        return
    for inner in one.node.members.values():
        yield from rows_of(inner)


def _headers(one: Member) -> Iterator[Span]:
    if isinstance(one.node, Lines):
        if one.node.header is not None:
            yield one.node.header
        for inner in one.node.members.values():
            yield from _headers(inner)

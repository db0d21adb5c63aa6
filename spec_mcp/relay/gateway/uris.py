"""Which server a URI belongs to, by what the servers list.

Templates are matched in time proportional to URI times template: both come from others, and a regular expression
could be made to take for ever.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field

MATCHED_MAX_CHARS = 2048
"""A longer URI is looked for by where it begins alone: at worst a template takes some milliseconds."""

PARTS_MAX = 32
"""Of a template. One with more matches nothing."""

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_SEGMENT_ENDS = "/?#"
_LEADING = "#./;?&"
"""Operators that write themselves before what they stand for, or nothing at all."""
_SPANNING = "+#;?&"
"""Operators that may stand for slashes too."""


@dataclass(frozen=True, slots=True)
class _Wild:
    """What an expression may stand for."""

    lead: str
    """Before it; empty: it need not be led by anything."""
    spans_segments: bool

    @classmethod
    def of(cls, inner: str) -> _Wild:
        operator = inner[:1]
        return cls(operator if operator in _LEADING else "", operator in _SPANNING or inner.endswith("*"))


@dataclass(frozen=True, slots=True)
class Template:
    """A URI template, RFC 6570, read backwards: level 1 exactly, the operators of the others widely."""

    parts: tuple[str | _Wild, ...]
    start: str
    """What every URI of it begins with."""

    @classmethod
    def of(cls, text: str) -> Template:
        """Read a template. What is no expression is taken literally."""
        parts: list[str | _Wild] = []
        at = 0
        for expression in _EXPRESSION.finditer(text):
            parts += [text[at : expression.start()], _Wild.of(expression[1])]
            at = expression.end()
        parts.append(text[at:])
        first = parts[0]
        return cls(tuple(part for part in parts if part != ""), first if isinstance(first, str) else "")

    @property
    def literal_chars(self) -> int:
        """How much of it stands fast."""
        return sum(len(part) for part in self.parts if isinstance(part, str))

    def matches(self, uri: str) -> bool:
        """Can this URI be one of the template's?"""
        if not uri.startswith(self.start) or len(uri) > MATCHED_MAX_CHARS or len(self.parts) > PARTS_MAX:
            return False
        ends = {0}
        for part in self.parts:
            ends = _after(part, uri, ends)
            if not ends:
                return False
        return len(uri) in ends


def _after(part: str | _Wild, uri: str, begins: set[int]) -> set[int]:
    """Where the part can end that begins at one of these."""
    if isinstance(part, str):
        return {at + len(part) for at in begins if uri.startswith(part, at)}
    if not part.lead:
        return _wild_after(part, uri, begins)
    led = {at + 1 for at in begins if uri.startswith(part.lead, at)}
    return begins | (_wild_after(part, uri, led) if led else set())


def _wild_after(part: _Wild, uri: str, begins: set[int]) -> set[int]:
    first = min(begins)
    if part.spans_segments:
        return set(range(first, len(uri) + 1))
    ends: set[int] = set()
    is_open = False
    for at in range(first, len(uri) + 1):
        is_open = is_open or at in begins
        if is_open:
            ends.add(at)
        if at < len(uri) and uri[at] in _SEGMENT_ENDS:
            is_open = False
    return ends


def beginnings(uri: str) -> Iterator[str]:
    """Where a URI begins, the longest first: its folders, its authority, its scheme."""
    path = re.split(r"[?#]", uri, maxsplit=1)[0]
    scheme_end = path.find(":") + 1
    if not path.endswith("/"):  # it may be a folder itself
        yield path + "/"
    at = len(path)
    while (at := path.rfind("/", scheme_end, at)) >= 0:
        yield path[: at + 1]
    if scheme_end:
        yield path[:scheme_end]


@dataclass(slots=True)
class Owners:
    """Whose a URI is. Servers are added in the order of the configuration; who comes first keeps what it has."""

    uris: dict[str, str] = field(default_factory=dict[str, str])
    templates: dict[str, str] = field(default_factory=dict[str, str])
    starts: dict[str, str] = field(default_factory=dict[str, str])
    _matchers: list[tuple[Template, str]] = field(default_factory=list[tuple[Template, str]])

    def add_uri(self, uri: str, server: str) -> bool:
        """A server lists this resource; False where another has it already."""
        self._add_starts(uri, server)
        return self.uris.setdefault(uri, server) == server

    def add_template(self, text: str, server: str) -> bool:
        """A server lists this template; False where another has it already."""
        owner = self.templates.setdefault(text, server)
        template = Template.of(text)
        if owner == server:
            # the one that says the most of a URI counts; of equal ones the first
            insort(self._matchers, (template, server), key=lambda one: -one[0].literal_chars)
        if whole := template.start[: max(template.start.rfind("/"), template.start.find(":")) + 1]:
            self._add_starts(whole, server)
        return owner == server

    def _add_starts(self, uri: str, server: str) -> None:
        for start in beginnings(uri):
            if start in self.starts:  # then so are all shorter ones
                return
            self.starts[start] = server

    def owner(self, uri: str) -> str | None:
        """Who lists it, has a template for it, or has what begins as it does; None where nobody does."""
        if uri in self.uris:
            return self.uris[uri]
        for template, server in self._matchers:
            if template.matches(uri):
                return server
        return next((self.starts[start] for start in beginnings(uri) if start in self.starts), None)

"""What an article is, and where articles come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9À-Þ])")
_INITIAL = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|No|c)\.$")
"""What ends so is not yet a sentence."""


@dataclass(frozen=True, slots=True)
class Article:
    """One article: plain text, paragraphs on lines of their own, and the titles that it links to, in their order."""

    title: str
    text: str
    links: tuple[str, ...] = ()


class Source(Protocol):
    """Where articles come from.

    Raises:
        SourceError: by all methods, where articles cannot be read now.
    """

    async def article(self, title: str) -> Article | None:
        """The article of this title, whatever its case and the space around it; redirects are followed."""
        ...

    async def similar(self, words: str, limit: int) -> Sequence[str]:
        """Titles of articles that these words may mean, best first."""
        ...


class SourceError(Exception):
    """Articles cannot be read. The message is one line for the caller."""


def sentences(text: str) -> list[str]:
    """A text's sentences, in order. A heuristic for prose; what it splits wrongly is still all there."""
    found: list[str] = []
    for line in text.splitlines():
        rest = ""
        for piece in _SENTENCE_END.split(line.strip()):
            rest = f"{rest} {piece}" if rest else piece
            if not _INITIAL.search(rest):
                found.append(rest)
                rest = ""
        if rest:
            found.append(rest)
    return [sentence for sentence in found if sentence]


def links_in(text: str, links: Sequence[str]) -> list[str]:
    """Those of the links whose title, without what stands in brackets behind it, occurs in the text: in the order in
    which they do."""
    places = [(text.find(title.partition(" (")[0]), title) for title in dict.fromkeys(links)]
    return [title for place, title in sorted(places) if place >= 0]


def folded(title: str) -> str:
    """A title as it is compared: without case, underscores and surplus space."""
    return " ".join(title.replace("_", " ").split()).casefold()

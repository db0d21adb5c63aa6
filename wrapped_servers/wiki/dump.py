"""A Wikipedia dump (`…-pages-articles.xml.bz2`), read as a stream: memory does not grow with it."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast
from xml.etree import ElementTree

from wrapped_servers.wiki.article import Article
from wrapped_servers.wiki.markup import plain

_ARTICLES = "0"
"""The namespace of articles."""


class DumpError(Exception):
    """A dump cannot be read: `FILE: what is wrong`."""


class Dump:
    """The articles of a dump, once; its redirects are known when all have been read."""

    def __init__(self, path: Path, limit: int | None = None) -> None:
        self.path = path
        self.redirects: dict[str, str] = {}
        self._limit = limit

    def articles(self) -> Iterator[Article]:
        """One after the other, as the file is read.

        Raises:
            DumpError: the file is missing, damaged or no dump.
            MissingParser: see `markup`.
        """
        count = 0
        try:
            with self._open() as file:
                for title, redirect, text in _pages(file):
                    if redirect is not None:
                        self.redirects[title] = redirect
                        continue
                    yield Article(title, *plain(text))
                    count += 1
                    if count == self._limit:
                        return
        except (OSError, EOFError, ElementTree.ParseError) as error:
            raise DumpError(f"{self.path}: {error}") from error
        if not count:
            raise DumpError(f"{self.path}: there is no article in it")

    def _open(self) -> IO[bytes]:
        return cast("IO[bytes]", bz2.open(self.path)) if self.path.suffix == ".bz2" else self.path.open("rb")


def _pages(file: IO[bytes]) -> Iterator[tuple[str, str | None, str]]:
    """Title, where it redirects to, and wikitext of each page that is an article."""
    events = iter(ElementTree.iterparse(file, events=("start", "end")))
    _, root = next(events)
    for event, element in events:
        if event == "start" or _name(element) != "page":
            continue
        parts = {_name(part): part for part in element}
        found = {name: parts[name].text or "" for name in ("title", "ns") if name in parts}
        if found.get("ns") == _ARTICLES and "title" in found:
            redirect = parts["redirect"].get("title") if "redirect" in parts else None
            texts = [part.text or "" for part in parts.get("revision", element) if _name(part) == "text"]
            yield found["title"], redirect, "".join(texts)
        root.clear()  # what was read is let go, else the whole dump stays in memory


def _name(element: ElementTree.Element) -> str:
    """A tag's name without the namespace, which goes with the version of the dump's format."""
    return element.tag.rpartition("}")[2]

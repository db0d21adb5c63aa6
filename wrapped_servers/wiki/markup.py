"""Wikitext as plain text and links, by mwparserfromhell, which is needed for dumps alone."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

_BLANKS = re.compile(r"[ \t]+")
_LINES = re.compile(r"\s*\n\s*")
_EMPTY_BRACKETS = re.compile(r"\s*\(\s*[;,]?\s*\)")
_LEFT_OUT = ("ref", "gallery", "math", "table", "timeline", "score")
_NAMESPACE = re.compile(r"^:?[a-zA-Z][\w -]*:")
"""`File:`, `Category:`, another wiki's prefix: no article of this one. Titles with a colon of their own are rare enough
to be left out with them."""


class MissingParser(Exception):  # noqa: N818  what happened
    """The library is not installed. The message says how to install it."""


def plain(wikitext: str) -> tuple[str, tuple[str, ...]]:
    """The text without markup, tables, boxes and notes, and the titles that it links to, in order.

    Raises:
        MissingParser: the library is not there.
    """
    try:
        parser: Any = import_module("mwparserfromhell")
    except ImportError:
        raise MissingParser("reading a dump needs mwparserfromhell: pip install 'spec-mcp[wiki]'") from None
    code: Any = parser.parse(wikitext)
    for tag in code.filter_tags(recursive=True):
        if str(tag.tag).strip().lower() in _LEFT_OUT:
            _remove(code, tag)
    for template in code.filter_templates(recursive=False):
        _remove(code, template)
    for link in code.filter_wikilinks(recursive=True):
        if _NAMESPACE.match(str(link.title)):
            _remove(code, link)  # with the links in a picture's caption
    titles = [str(link.title).partition("#")[0].strip() for link in code.filter_wikilinks(recursive=True)]
    links = [title[0].upper() + title[1:].replace("_", " ") for title in titles if title]
    text = str(code.strip_code(normalize=True, collapse=True))
    text = _LINES.sub("\n", _BLANKS.sub(" ", _EMPTY_BRACKETS.sub("", text))).strip()
    return text, tuple(dict.fromkeys(links))


def _remove(code: Any, node: Any) -> None:
    try:
        code.remove(node)
    except ValueError:
        pass  # it has gone with what it was in

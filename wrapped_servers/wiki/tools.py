"""What each tool is called, takes and answers.

No answer repeats an argument as it was written: two spellings of one title get one and the same answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wrapped_servers.wiki.article import Source, links_in, sentences

SUMMARY_SENTENCES = 5
SIMILAR = 5
"""As many as ReAct's environment shows."""


class Refused(Exception):  # noqa: N818  what happened
    """A call that cannot be answered; the message says why."""


async def search(source: Source, entity: str) -> dict[str, Any]:
    """The beginning of the article of this title, or titles that come near."""
    article = await source.article(entity)
    if article is None:
        return {
            "title": None,
            "text": "No article has this title.",
            "links": [],
            "similar": await _near(source, entity),
        }
    text = " ".join(sentences(article.text)[:SUMMARY_SENTENCES])
    return {"title": article.title, "text": text, "links": links_in(text, article.links), "similar": []}


async def lookup(source: Source, title: str, keyword: str, index: int = 1) -> dict[str, Any]:
    """The so-manieth sentence of an article that holds a word."""
    article = await source.article(title)
    if article is None:
        raise Refused("no article has this title: search for it first")
    wanted = keyword.strip().casefold()
    if not wanted or index < 1:
        raise Refused("keyword must not be empty, and index counts from 1")
    found = [sentence for sentence in sentences(article.text) if wanted in sentence.casefold()]
    if index > len(found):
        return {"text": "No more results.", "found": len(found), "next": None, "links": []}
    text = found[index - 1]
    return {
        "text": text,
        "found": len(found),
        "next": index + 1 if index < len(found) else None,
        "links": links_in(text, article.links),
    }


async def _near(source: Source, words: str) -> list[str]:
    return list(await source.similar(words, SIMILAR))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument."""

    name: str
    type: type[str] | type[int]
    description: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class WikiTool:
    """One tool; without `run` it is `finish`, which the server itself writes down."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    run: Callable[..., Awaitable[dict[str, Any]]] | None = None

    @property
    def reads(self) -> bool:
        return self.run is not None

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        kinds = {str: "string", int: "integer"}
        return {
            "type": "object",
            "properties": {
                each.name: {"type": kinds[each.type], "description": each.description} for each in self.parameters
            },
            "required": [each.name for each in self.parameters if each.required],
        }

    def checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, fit for `run`.

        Raises:
            Refused: one is missing, unknown or of another type.
        """
        known = {each.name: each for each in self.parameters}
        if unknown := sorted(arguments.keys() - known.keys()):
            raise Refused(f"{self.name} takes no argument {unknown[0]!r}")
        for each in self.parameters:
            if each.required and each.name not in arguments:
                raise Refused(f"{self.name} needs the argument {each.name!r}")
            if each.name in arguments and type(arguments[each.name]) is not each.type:
                raise Refused(f"{self.name}: the argument {each.name!r} must be of type {each.type.__name__}")
        return dict(arguments)


TOOLS: Mapping[str, WikiTool] = {
    tool.name: tool
    for tool in (
        WikiTool(
            "search",
            "Find an article by its title: its first sentences and the articles that they link to; where there is none "
            "of that title, titles that come near.",
            (Parameter("entity", str, "The title to look for, such as 'Ada Holt'."),),
            search,
        ),
        WikiTool(
            "lookup",
            "Find a word in an article: the sentence in which it occurs for the index-th time, and how many there are.",
            (
                Parameter("title", str, "The article's title, as search answered it."),
                Parameter("keyword", str, "The word or words to look for, in any case."),
                Parameter("index", int, "Which occurrence, from 1 (the default).", required=False),
            ),
            lookup,
        ),
        WikiTool(
            "finish",
            "Answer the question. It is written down, and cannot be taken back.",
            (Parameter("answer", str, "The answer, as short as it can be."),),
        ),
    )
}

"""A live wiki, asked by MediaWiki's own API: `action=query` with the TextExtracts extension, which Wikipedia has."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx2

from wrapped_servers.wiki.article import Article, SourceError

USER_AGENT = "spec-mcp-wiki/1 (https://pypi.org/project/spec-mcp/)"
"""Wikimedia asks that a program say who it is."""
TIMEOUT_S = 20.0
MAX_PAGES = 20
"""Of links: 500 each, more than any article shows in its summary."""


class MediaWiki:
    """A wiki at the URL of its `api.php`; open while the `async with` block lasts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx2.AsyncClient(headers={"User-Agent": USER_AGENT}, timeout=TIMEOUT_S, follow_redirects=True)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def article(self, title: str) -> Article | None:
        if not title.strip():
            return None
        asked = {
            "prop": "extracts|links",
            "titles": title.strip().replace("|", " "),  # a bar would ask for several
            "redirects": "1",
            "explaintext": "1",
            "plnamespace": "0",
            "pllimit": "max",
        }
        name, text, links, more = "", "", list[str](), dict[str, str]()
        for _ in range(MAX_PAGES):
            said = await self._ask({**asked, **more})
            pages = _list(said.get("query", {}).get("pages"))
            page = pages[0] if pages else dict[str, Any]()
            if "title" not in page or page.get("missing") or page.get("invalid"):
                return None
            name = page["title"]
            text = page.get("extract") or text
            links += [link["title"] for link in _list(page.get("links"))]
            more = said.get("continue")
            if not more:
                break
        return Article(name, text, tuple(links))

    async def similar(self, words: str, limit: int) -> Sequence[str]:
        if not words.strip():
            return []
        said = await self._ask(
            {"list": "search", "srsearch": words.strip(), "srlimit": str(limit), "srprop": "", "srnamespace": "0"}
        )
        return [found["title"] for found in _list(said.get("query", {}).get("search"))]

    async def _ask(self, asked: dict[str, str]) -> dict[str, Any]:
        parameters = {"action": "query", "format": "json", "formatversion": "2", **asked}
        try:
            answer = await self._client.get(self._url, params=parameters)
            answer.raise_for_status()
            said: Any = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise SourceError(f"{self._url}: {type(error).__name__}: {error}".strip()) from error
        if not isinstance(said, dict):
            raise SourceError(f"{self._url}: this is no MediaWiki API")
        if "error" in said:
            raise SourceError(f"{self._url}: {said['error'].get('info', said['error'])}")  # pyright: ignore[reportUnknownMemberType]
        return said  # pyright: ignore[reportUnknownVariableType]


def _list(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]

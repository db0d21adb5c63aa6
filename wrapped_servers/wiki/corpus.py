"""Articles in an SQLite file: found by title, and by words through FTS5."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wrapped_servers.wiki.article import Article, SourceError, folded

MEMORY = ":memory:"
_APPLICATION_ID = 0x77696B69
_SCHEMA = """
CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT NOT NULL, text TEXT NOT NULL, links TEXT NOT NULL);
CREATE TABLE names (name TEXT PRIMARY KEY, title TEXT NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(title, text, content='articles', content_rowid='id', tokenize='unicode61');
"""
_TITLE_WEIGHT = 20.0
"""A word in a title says so much more than one in the text."""
_BATCH = 500
_WORD = re.compile(r"\w+")


class CorpusError(Exception):
    """A corpus cannot be opened or made: `FILE: what is wrong`."""


class Corpus:
    """A corpus, opened for reading. It is of one process and never changes while it is open."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Corpus:
        """Raises `CorpusError` where there is none."""
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
            (found,) = connection.execute("PRAGMA application_id").fetchone()
        except sqlite3.Error as error:
            raise CorpusError(f"{path}: {error}: make one with --dump") from None
        if found != _APPLICATION_ID:
            connection.close()
            raise CorpusError(f"{path}: this is no corpus: make one with --dump")
        return cls(connection)

    @classmethod
    def in_memory(cls, articles: Iterable[Article]) -> Corpus:
        """A corpus that is gone with the process."""
        connection = sqlite3.connect(MEMORY)
        _fill(connection, articles, {})
        return cls(connection)

    def close(self) -> None:
        self._connection.close()

    async def article(self, title: str) -> Article | None:
        name = folded(title)
        row = self._one("SELECT title FROM names WHERE name = ?", name)
        row = self._one(
            "SELECT articles.title, text, links FROM articles JOIN names USING (title) WHERE name = ?",
            folded(row[0]) if row else name,  # a redirect leads to a title, whose own name leads to itself
        )
        return Article(row[0], row[1], tuple(json.loads(row[2]))) if row else None

    async def similar(self, words: str, limit: int) -> Sequence[str]:
        asked = " OR ".join(f'"{word}"' for word in _WORD.findall(words))
        if not asked:
            return []
        rows = self._all(
            "SELECT articles.title FROM words JOIN articles ON articles.id = words.rowid WHERE words MATCH ? "
            "ORDER BY bm25(words, ?, 1.0), articles.id LIMIT ?",
            *(asked, _TITLE_WEIGHT, limit),
        )
        return [row[0] for row in rows]

    def titles(self) -> list[str]:
        """All titles, in the order in which they came."""
        return [row[0] for row in self._all("SELECT title FROM articles ORDER BY id")]

    def _one(self, sql: str, *values: object) -> tuple[str, ...] | None:
        return next(iter(self._all(sql, *values)), None)

    def _all(self, sql: str, *values: object) -> list[tuple[str, ...]]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise SourceError(f"the corpus cannot be read: {error}") from error


def build(path: Path, articles: Iterable[Article], redirects: Mapping[str, str]) -> int:
    """Make a corpus file of articles as they come; how many there are. `redirects` is read after the articles, so that
    a reader of both may fill it meanwhile. Nothing is left where it fails, and a file that is there is kept then.

    Raises:
        CorpusError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        connection = sqlite3.connect(part)
        try:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            count = _fill(connection, articles, redirects)
        finally:
            connection.close()
        part.replace(path)
    except (sqlite3.Error, OSError) as error:
        raise CorpusError(f"{path}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _fill(connection: sqlite3.Connection, articles: Iterable[Article], redirects: Mapping[str, str]) -> int:
    connection.executescript(f"PRAGMA application_id = {_APPLICATION_ID};{_SCHEMA}")
    count, batch = 0, list[Article]()
    for article in articles:
        batch.append(article)
        if len(batch) == _BATCH:
            count += _add(connection, batch)
            batch.clear()
    count += _add(connection, batch)
    connection.executemany(
        "INSERT OR IGNORE INTO names VALUES (?, ?)", ((folded(name), title) for name, title in redirects.items())
    )
    connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
    connection.commit()
    return count


def _add(connection: sqlite3.Connection, batch: Sequence[Article]) -> int:
    connection.executemany(
        "INSERT INTO articles (title, text, links) VALUES (?, ?, ?)",
        ((article.title, article.text, json.dumps(article.links)) for article in batch),
    )
    connection.executemany(
        "INSERT OR REPLACE INTO names VALUES (?, ?)", ((folded(article.title), article.title) for article in batch)
    )
    return len(batch)

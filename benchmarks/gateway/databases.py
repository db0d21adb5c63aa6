"""Databases of a benchmark's own, on the server that the tests take."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests import postgres


@contextmanager
def databases(*suffixes: int) -> Generator[str]:
    """An address to which `_N` is put for each; they are gone afterwards."""
    with postgres.database() as url:
        parts = urlsplit(url)
        names = [f"{parts.path[1:]}_{suffix}" for suffix in suffixes]
        with psycopg.connect(urlunsplit(parts), autocommit=True) as connection:
            for name in names:
                connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            try:
                yield url
            finally:
                for name in names:
                    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

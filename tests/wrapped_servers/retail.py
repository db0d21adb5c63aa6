"""What the tests of the shop share: a small way to call its tools, and its start as a process."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp.client.stdio import StdioServerParameters

from wrapped_servers.retail.catalogue import TOOLS
from wrapped_servers.retail.database import MEMORY, Database
from wrapped_servers.retail.model import Tables
from wrapped_servers.retail.server import Answer, Shop

ROOT = Path(__file__).resolve().parents[2]


class Till:
    """Calls tools of a shop in memory and shows what they answer."""

    def __init__(self, tables: Tables) -> None:
        self.database = Database(MEMORY, lambda: tables)
        self.log: list[dict[str, Any]] = []
        ticks = iter(range(10**9))
        self.shop = Shop(self.database, lambda line: self.log.append(json.loads(line)), lambda: float(next(ticks)))

    def answer(self, tool: str, arguments: dict[str, Any]) -> Answer:
        return self.shop.call(TOOLS[tool], arguments, self.shop.now_s())

    def result(self, tool: str, **arguments: object):
        """The answer, decoded; it must not be an error."""
        answer = self.answer(tool, arguments)
        assert not answer.is_error, answer.text
        return json.loads(answer.text)

    def refusal(self, tool: str, **arguments: object) -> str:
        """The text of the answer, which must be an error that changed nothing."""
        before = everything(self.database)
        answer = self.answer(tool, arguments)
        assert answer.is_error, answer.text
        assert answer.changed == ()
        assert everything(self.database) == before
        return answer.text


def everything(database: Database) -> list[str]:
    """The whole database as SQL."""
    return list(database._connection.iterdump())


@contextmanager
def till(tables: Tables) -> Generator[Till]:
    """A till that is closed afterwards."""
    made = Till(tables)
    try:
        yield made
    finally:
        made.database.close()


def command(*arguments: str) -> StdioServerParameters:
    """The server as a process."""
    return StdioServerParameters(command=sys.executable, args=["-m", "wrapped_servers.retail", *arguments], cwd=ROOT)

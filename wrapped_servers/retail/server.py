"""The shop over MCP: each call waits out its tool's latency, is executed as a whole, logged, and answered.

A call that is cancelled while it waits is neither executed nor logged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server

from wrapped_servers.latency import Latency
from wrapped_servers.retail.catalogue import TOOLS, Effect, ShopTool
from wrapped_servers.retail.database import Database
from wrapped_servers.retail.shop import Refused
from wrapped_servers.serving import said, server_of

NAME = "retail"
VERSION = "1"


class Log(Protocol):
    """Where executed calls are written down: one line of text at a time, whole."""

    def __call__(self, line: str, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to."""

    text: str
    is_error: bool
    changed: tuple[str, ...]
    """The names of the resources that it changed."""


class Shop:
    """Executes calls, one after the other, each as a whole."""

    def __init__(self, database: Database, log: Log | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._log = log
        self._clock = clock

    def now_s(self) -> float:
        """The clock that the log uses."""
        return self._clock()

    def call(self, tool: ShopTool, arguments: Mapping[str, object], start_s: float) -> Answer:
        """Execute a call that arrived at `start_s`. What the shop refuses is an answer too."""
        try:
            with self._database.transaction() as changed:
                text = tool.run(self._database, **tool.checked(arguments))
        except Refused as refusal:
            answer = Answer(f"Error: {refusal}", is_error=True, changed=())
        else:
            answer = Answer(text, is_error=False, changed=tuple(dict.fromkeys(changed)))
        self._write_down(tool, arguments, start_s, answer)
        return answer

    def _write_down(self, tool: ShopTool, arguments: Mapping[str, object], start_s: float, answer: Answer) -> None:
        if self._log is None:
            return
        entry = {
            "tool": tool.name,
            "arguments": dict(arguments),
            "start_s": start_s,
            "end_s": self._clock(),
            "effect": tool.effect.value,
            "is_error": answer.is_error,
            "changed": list(answer.changed),
        }
        self._log(json.dumps(entry) + "\n")


def make_server(shop: Shop, latency: Latency) -> Server[Any]:
    """The MCP server, for any transport and both protocol eras."""

    async def execute(tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        start_s = shop.now_s()
        await anyio.sleep(latency.of(tool))
        answer = shop.call(TOOLS[tool], arguments, start_s)
        return said(answer.text, answer.is_error)

    return server_of(NAME, VERSION, [_definition(tool) for tool in TOOLS.values()], execute)


def _definition(tool: ShopTool) -> types.Tool:
    reads = tool.effect is Effect.READ
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=reads,
            destructive_hint=None if reads else True,
            idempotent_hint=True if reads else None,
            open_world_hint=False,
        ),
    )

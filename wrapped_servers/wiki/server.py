"""The encyclopaedia over MCP: each call waits out its tool's latency, and is then executed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server

from wrapped_servers.latency import Latency
from wrapped_servers.serving import said, server_of
from wrapped_servers.wiki.article import Source, SourceError
from wrapped_servers.wiki.tools import TOOLS, Refused, WikiTool

NAME, LIVE_NAME = "wiki", "wiki-live"
"""A live wiki changes, and asking it reaches outside: that is another server, with a manifest of its own."""
VERSION = "1"

WriteDown = Callable[[str], object]
"""Keeps a line of text: an answer that was given."""


class Wiki:
    """Executes calls."""

    def __init__(self, source: Source, write_down: WriteDown | None = None) -> None:
        self._source = source
        self._write_down = write_down

    async def call(self, tool: WikiTool, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """What cannot be answered is an error in the result."""
        try:
            checked = tool.checked(arguments)
            if tool.run is not None:
                return said(json.dumps(await tool.run(self._source, **checked), ensure_ascii=False))
        except (Refused, SourceError) as error:
            return said(f"Error: {error}", is_error=True)
        if self._write_down is not None:
            self._write_down(json.dumps(checked, ensure_ascii=False) + "\n")
        return said("The answer is written down.")


def make_server(wiki: Wiki, latency: Latency, name: str = NAME) -> Server[Any]:
    """The MCP server, for any transport and both protocol eras."""

    async def execute(tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        await anyio.sleep(latency.of(tool))
        return await wiki.call(TOOLS[tool], arguments)

    return server_of(name, VERSION, [_definition(tool, name) for tool in TOOLS.values()], execute)


def _definition(tool: WikiTool, server: str) -> types.Tool:
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads,
            destructive_hint=None if tool.reads else False,
            idempotent_hint=True if tool.reads else None,
            open_world_hint=tool.reads and server == LIVE_NAME,
        ),
    )

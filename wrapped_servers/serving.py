"""Tools as an MCP server, for any transport and both protocol eras, and one served over stdio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError

Execute = Callable[[str, Mapping[str, Any]], Awaitable[types.CallToolResult]]
"""Executes a call, by its tool and arguments. What it refuses is an error in the result."""


def server_of(name: str, version: str, tools: Sequence[types.Tool], execute: Execute) -> Server[Any]:
    """The server of these tools; a call of any other is an error of the protocol."""
    listed = types.ListToolsResult(tools=list(tools))
    known = {tool.name for tool in tools}

    async def list_tools(
        _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return listed

    async def call_tool(_: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
        if params.name not in known:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await execute(params.name, params.arguments or {})

    return Server(name, version=version, on_list_tools=list_tools, on_call_tool=call_tool)


async def serve(server: Server[Any]) -> None:
    """Serve one client over stdio until it leaves."""
    async with stdio_server() as (read_stream, write_stream):
        await server.run(read_stream, write_stream, server.create_initialization_options())


def said(text: str, is_error: bool = False) -> types.CallToolResult:
    """A result of one text."""
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=is_error)

"""A server on the SDK's low level that tells with which headers it was called: what a client showed of its secrets."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import Server
from serving import serve

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}}


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name="headers", input_schema=SCHEMA)])


async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    found = json.dumps(dict(context.request.headers))
    return types.CallToolResult(content=[types.TextContent(type="text", text=found)])


if __name__ == "__main__":
    serve(Server("telling", on_list_tools=list_tools, on_call_tool=call_tool))

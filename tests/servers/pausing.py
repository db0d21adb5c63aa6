"""The echo server, on the SDK, with a pause that the call sets: a call may be under way when the server is killed."""

from __future__ import annotations

from typing import Any

import anyio
import mcp_types as types
from echo import SCHEMA
from mcp.server.lowlevel.server import Server
from serving import serve


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "pause_s": {"type": "number"}}}
    return types.ListToolsResult(
        tools=[types.Tool(name="echo", description="Give the text back.", input_schema=schema)]
    )


async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    await anyio.sleep(float(arguments.get("pause_s", 0)))
    return types.CallToolResult(content=[types.TextContent(type="text", text=str(arguments.get("text", "")))])


if __name__ == "__main__":
    serve(Server("echo", on_list_tools=list_tools, on_call_tool=call_tool))

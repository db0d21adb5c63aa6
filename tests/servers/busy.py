"""A server of the SDK's low level, in both protocol eras, whose tools take their time, ask back, and die.

What happens to them is written into the folder that BUSY_FOLDER names: `begun-NAME` when a call has begun,
`cancelled-NAME` when it was cancelled. A call of `wait` ends when `go-NAME` is there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from serving import serve

Context = ServerRequestContext[Any, Any]
Params = types.CallToolRequestParams

POLL_S = 0.01
FOLDER = Path(os.environ.get("BUSY_FOLDER", "."))

STRING = {"type": "string"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "pid": {},
    "echo": {"text": STRING},
    "located": {"place": {**STRING, "x-mcp-header": "Place"}, "count": {"type": "integer", "x-mcp-header": "Count"}},
    "wait": {"name": STRING},
    "large": {"bytes": {"type": "integer"}},
    "steps": {"count": {"type": "integer"}},
    "elicit": {"message": STRING},
    "exit": {},
}


def said(words: object) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=str(words))])


async def wait(name: str) -> types.CallToolResult:
    (FOLDER / f"begun-{name}").touch()
    try:
        while not await anyio.Path(FOLDER / f"go-{name}").exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(POLL_S)
    except anyio.get_cancelled_exc_class():
        (FOLDER / f"cancelled-{name}").touch()
        raise
    return said(name)


async def list_tools(context: Context, params: Any) -> types.ListToolsResult:
    tools = [
        types.Tool(name=name, input_schema={"type": "object", "properties": schema}) for name, schema in SCHEMAS.items()
    ]
    return types.ListToolsResult(tools=tools)


async def call_tool(context: Context, params: Params) -> types.CallToolResult:
    arguments = params.arguments or {}
    match params.name:
        case "pid":
            return said(os.getpid())
        case "echo" | "located":
            return said(arguments.get("text", arguments.get("place")))
        case "wait":
            return await wait(str(arguments["name"]))
        case "large":
            return said("x" * int(arguments["bytes"]))
        case "steps":
            for step in range(int(arguments["count"])):
                await context.session.report_progress(step + 1)
            return said("done")
        case "elicit":
            schema = {"type": "object", "properties": {"name": STRING}}
            found = await context.session.elicit_form(str(arguments["message"]), schema, context.request_id)
            return said(found.action)
        case _:
            os._exit(3)


async def set_level(context: Context, params: Any) -> types.EmptyResult:
    return types.EmptyResult()


async def on_roots_changed(context: Context, params: Any) -> None:
    await context.session.send_tool_list_changed()


if __name__ == "__main__":
    server = Server("busy", on_list_tools=list_tools, on_call_tool=call_tool)
    server.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)
    server.add_notification_handler("notifications/roots/list_changed", types.NotificationParams, on_roots_changed)
    serve(server, NotificationOptions(tools_changed=True))

"""Pages that name the next one, kept in memory, over HTTP: `python tests/servers/pages.py LOG --http 0`.

`read_page` gives a page's text and the name of the one after it, `write_page` changes the text. Every call is noted in
the log with what it was given and answered and when, one line of JSON each, in the order in which it took effect.
Pages whose names begin with `slow` take their time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import Server
from serving import serve

NAMED: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
PAUSE_S = 0.05
SLOW_S = 0.6

LOG = Path(sys.argv.pop(1))
TEXTS: dict[str, str] = {}


async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
    return types.ListToolsResult(
        tools=[types.Tool(name=name, input_schema=NAMED) for name in ("read_page", "write_page")]
    )


async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
    arguments = params.arguments or {}
    name = str(arguments.get("name", ""))
    if params.name == "write_page":
        await anyio.sleep(PAUSE_S)
        TEXTS[name] = str(arguments.get("text", ""))
        answer = {"name": name, "written": True}
    else:
        answer = {"name": name, "text": TEXTS.get(name, ""), "next": after(name)}
    note({"tool": params.name, "arguments": arguments, "answer": answer, "at": time.monotonic()})
    if params.name == "read_page":
        await anyio.sleep(SLOW_S if name.startswith("slow") else PAUSE_S)
    return types.CallToolResult(content=[], structured_content=answer)


def note(call: dict[str, Any]) -> None:
    """Write it down before anybody hears of it."""
    with LOG.open("a") as log:
        log.write(json.dumps(call) + "\n")


def after(name: str) -> str:
    """The page that is read next."""
    book, _, number = name.rpartition("-")
    return f"{book}-{int(number) + 1}" if number.isdigit() else ""


if __name__ == "__main__":
    serve(Server("pages", on_list_tools=list_tools, on_call_tool=call_tool))

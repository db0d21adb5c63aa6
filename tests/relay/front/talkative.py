"""A server on the SDK's high level, over stdio, that uses what a session has: progress, logs, sampling, elicitation,
cancellation and subscriptions. `TALKATIVE_MARKS` names a folder in which it notes what was cancelled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import anyio
import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from pydantic import BaseModel

MARKS = Path(os.environ.get("TALKATIVE_MARKS", "."))
server = MCPServer("talkative", version="1")


class Colour(BaseModel):
    colour: str


@server.tool()
def echo(text: str) -> str:
    return text


@server.tool()
def large(size_bytes: int) -> str:
    return "x" * size_bytes


@server.tool()
async def count(to: int, ctx: Context) -> str:
    for step in range(1, to + 1):
        await ctx.report_progress(step, to, f"step {step}")
    return f"counted to {to}"


@server.tool()
async def tell(text: str, ctx: Context) -> str:
    await ctx.info(text)  # pyright: ignore[reportDeprecated]
    return "told"


def a_rhyme() -> Sample:
    message = types.SamplingMessage(role="user", content=types.TextContent(type="text", text="a rhyme"))
    return Sample([message], max_tokens=10)


@server.tool()
async def ask_model(rhyme: Annotated[types.CreateMessageResult, Resolve(a_rhyme)]) -> str:
    return rhyme.content.text if isinstance(rhyme.content, types.TextContent) else "?"


def which_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


@server.tool()
async def ask_person(colour: Annotated[Colour, Resolve(which_colour)]) -> str:
    return colour.colour


@server.tool()
async def wait(name: str, ctx: Context) -> str:
    """Wait until a file `NAME.go` is there, and note a cancellation as `NAME.cancelled`."""
    (MARKS / f"{name}.begun").touch()
    try:
        while not (MARKS / f"{name}.go").exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(0.01)
    except anyio.get_cancelled_exc_class():
        (MARKS / f"{name}.cancelled").touch()
        raise
    return f"{name} done"


@server.tool()
async def talk_and_wait(name: str, ctx: Context) -> str:
    """Say something, then wait as `wait` does."""
    await ctx.report_progress(1, 2, "begun")
    return await wait(name, ctx)


@server.tool()
async def change(ctx: Context) -> str:
    """Say that the resource and the tool list have changed."""
    await ctx.notify_resource_updated("note://one")
    await ctx.notify_tools_changed()
    if ctx.protocol_version != "2026-07-28":
        await ctx.session.send_tool_list_changed()
    return "changed"


@server.resource("note://one")
def note() -> str:
    return "one"


if __name__ == "__main__":
    server.run("stdio")

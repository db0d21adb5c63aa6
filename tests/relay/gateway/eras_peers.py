"""A server of the SDK's that can do everything in either era, and a user who answers what it asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.server.mcpserver import Context, Elicit, ListRoots, MCPServer, Resolve, Sample
from mcp.shared.exceptions import UrlElicitationRequiredError
from pydantic import BaseModel

from spec_mcp.relay.gateway.eras import Era
from tests.relay.gateway.eras_pairing import Pairing

DEADLINE_S = 60


class Name(BaseModel):
    name: str


async def ask_name() -> Elicit[Name]:
    return Elicit("Who are you?", Name)


async def ask_model() -> Sample:
    text = types.TextContent(type="text", text="say something")
    return Sample([types.SamplingMessage(role="user", content=text)], max_tokens=5)


async def ask_roots() -> ListRoots:
    return ListRoots()


class Fixture:
    """A server, and what happened in it."""

    def __init__(self) -> None:
        self.server = MCPServer("fixture", instructions="be kind")
        self.started = anyio.Event()
        self.cancelled = anyio.Event()
        self.subscribed: list[tuple[str, str]] = []
        self.sessions: list[Any] = []
        self._add_tools()
        self._add_asking()
        self._add_resources()

    def _add_tools(self) -> None:
        server = self.server

        @server.tool()
        async def add(a: int, b: int) -> int:
            return a + b

        @server.tool()
        async def fail() -> str:
            raise ValueError("no")

        @server.tool()
        async def work(ctx: Context) -> str:
            for step in range(1, 4):
                await ctx.report_progress(step, 3, f"step {step}")
            await ctx.debug("fine")  # pyright: ignore[reportDeprecated]
            await ctx.warning("careful")  # pyright: ignore[reportDeprecated]
            return "worked"

        @server.tool()
        async def hang() -> str:
            self.started.set()
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
            raise AssertionError

    def _add_asking(self) -> None:
        server = self.server

        @server.tool()
        async def greet(who: Annotated[Name, Resolve(ask_name)]) -> str:
            return f"hello {who.name}"

        @server.tool()
        async def dream(
            said: Annotated[types.CreateMessageResult, Resolve(ask_model)],
            roots: Annotated[types.ListRootsResult, Resolve(ask_roots)],
            who: Annotated[Name, Resolve(ask_name)],
        ) -> str:
            content = said.content
            assert isinstance(content, types.TextContent)
            return f"{who.name}: {content.text} in {roots.roots[0].uri}"

        @server.tool()
        async def interview(ctx: Context, rounds: int) -> str:
            """Of the handshake era: asks in the middle of its work."""
            names: list[str] = []
            for number in range(rounds):
                await ctx.report_progress(number + 1, rounds)
                found = await ctx.elicit(f"question {number}", Name)
                names.append(found.data.name if found.action == "accept" else found.action)
            return " ".join(names)

        @server.tool()
        async def later(ctx: Context) -> str | types.InputRequiredResult:
            """Of the stateless era: wants to be asked again, twice."""
            if ctx.request_state is None:
                return types.InputRequiredResult(request_state="once")
            if ctx.request_state == "once":
                return types.InputRequiredResult(request_state="twice")
            return ctx.request_state

        @server.tool()
        async def visit(ctx: Context, times: int) -> str:
            """Of the handshake era: refuses until an address has been visited."""
            if self.visits < times:
                self.visits += 1
                url = types.ElicitRequestURLParams(message="log in", url="https://example.com", elicitation_id="e1")
                raise UrlElicitationRequiredError([url])
            return "visited"

        self.visits = 0

        @server.prompt()
        async def letter(to: str, who: Annotated[str, "its writer"] = "me") -> str:
            return f"dear {to}, {who}"

    def _add_resources(self) -> None:
        server = self.server

        @server.resource("note://one")
        async def one() -> str:
            return "the first note"

        @server.resource("note://of/{name}")
        async def of(name: str) -> str:
            return f"the note of {name}"

        @server.tool()
        async def change(ctx: Context, uri: str) -> str:
            """Says in both eras' ways that something has changed."""
            await ctx.notify_resource_updated(uri)
            await ctx.notify_tools_changed()
            for session in self.sessions:
                await session.send_resource_updated(uri)
                await session.send_tool_list_changed()
            return "changed"

        async def subscribe(ctx: Any, params: Any) -> types.EmptyResult:
            self.subscribed.append(("subscribe", params.uri))
            if ctx.session not in self.sessions:
                self.sessions.append(ctx.session)
            return types.EmptyResult()

        async def unsubscribe(ctx: Any, params: Any) -> types.EmptyResult:
            self.subscribed.append(("unsubscribe", params.uri))
            return types.EmptyResult()

        async def set_level(ctx: Any, params: Any) -> types.EmptyResult:
            self.subscribed.append(("level", params.level))
            return types.EmptyResult()

        lowlevel = server._lowlevel_server
        lowlevel.add_request_handler("resources/subscribe", types.SubscribeRequestParams, subscribe)
        lowlevel.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, unsubscribe)
        lowlevel.add_request_handler("logging/setLevel", types.SetLevelRequestParams, set_level)


class User:
    """Who answers what the server asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.folder = "file:///home"
        self.logged: list[tuple[str, Any]] = []
        self.heard: list[Any] = []
        self.news = anyio.Event()
        self.answer: Callable[[Any], types.ElicitResult | types.ErrorData] = lambda params: types.ElicitResult(
            action="accept", content={"name": f"ann{len(self.asked)}"} if params.mode == "form" else None
        )

    async def elicits(self, context: Any, params: Any) -> types.ElicitResult | types.ErrorData:
        self.asked.append(params.message)
        return self.answer(params)

    async def samples(self, context: Any, params: Any) -> types.CreateMessageResult:
        self.asked.append(params.messages[0].content.text)
        text = types.TextContent(type="text", text="a dream")
        return types.CreateMessageResult(role="assistant", content=text, model="m")

    async def roots(self, context: Any) -> types.ListRootsResult:
        self.asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri=self.folder)])  # pyright: ignore[reportArgumentType]

    async def logs(self, params: Any) -> None:
        self.logged.append((params.level, params.data))

    async def hears(self, message: Any) -> None:
        self.heard.append(message)
        self.news.set()

    async def waits_for(self, wanted: Callable[[Any], bool]) -> None:
        while not any(wanted(message) for message in self.heard):
            self.news = anyio.Event()
            await self.news.wait()


@asynccontextmanager
async def connected(
    fixture: Fixture, client: Era, server: Era, user: User | None = None, **options: Any
) -> AsyncGenerator[tuple[Client, Pairing]]:
    user = user or User()
    pairing = Pairing(fixture.server, server)
    callbacks: dict[str, Any] = {
        "elicitation_callback": user.elicits,
        "sampling_callback": user.samples,
        "list_roots_callback": user.roots,
        "logging_callback": user.logs,
        "message_handler": user.hears,
    }
    mode = "legacy" if client is Era.HANDSHAKE else "auto"
    with anyio.fail_after(DEADLINE_S):
        async with Client(pairing, mode=mode, **{**callbacks, **options}) as one:
            assert one.protocol_version == ("2025-11-25" if client is Era.HANDSHAKE else "2026-07-28")
            yield one, pairing


def said(result: types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    return content.text

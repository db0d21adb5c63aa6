"""Servers that others have written, behind a client of the other era."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from spec_mcp.relay.gateway.eras import Era
from tests.needs import ROOT
from tests.relay.gateway.eras_pairing import Pairing
from tests.relay.gateway.eras_peers import User, said

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

DEADLINE_S = 60
NPM = ROOT / ".servers" / "npm" / "node_modules" / "@modelcontextprotocol"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def connected(server: StdioServerParameters, era: Era, user: User) -> AsyncGenerator[Client]:
    """A client of the other era than the server's."""
    pairing, mode = Pairing(server, era), "auto" if era is Era.HANDSHAKE else "legacy"
    with anyio.fail_after(DEADLINE_S):
        async with Client(
            pairing,
            mode=mode,
            elicitation_callback=user.elicits,
            sampling_callback=user.samples,
            list_roots_callback=user.roots,
            logging_callback=user.logs,
            message_handler=user.hears,
            log_level="debug",
        ) as client:
            yield client


def node(name: str, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(command="node", args=[str(NPM / name / "dist" / "index.js"), *arguments])


async def test_a_stateless_client_and_the_server_that_does_everything() -> None:
    user, steps = User(), list[float]()

    async def step(progress: float, total: float | None = None, message: str | None = None) -> None:
        steps.append(progress)

    async with connected(node("server-everything"), Era.HANDSHAKE, user) as client:
        assert client.protocol_version == "2026-07-28"
        assert said(await client.call_tool("get-sum", {"a": 1, "b": 2})) == "The sum of 1 and 2 is 3."
        asked = await client.call_tool("trigger-elicitation-request")
        assert any("ann" in part.text for part in asked.content if isinstance(part, types.TextContent))
        sampled = await client.call_tool("trigger-sampling-request", {"prompt": "x", "maxTokens": 5})
        assert "a dream" in said(sampled)
        assert "file:///home" in said(await client.call_tool("get-roots-list"))
        await client.call_tool("trigger-long-running-operation", {"duration": 0.1, "steps": 3}, progress_callback=step)
        assert steps == [1.0, 2.0, 3.0]
        uri = (await client.list_resources()).resources[0].uri
        async with client.listen(resource_subscriptions=[uri]) as stream:
            assert stream.honored.resource_subscriptions == [uri]
            await client.call_tool("toggle-subscriber-updates")
            assert (await anext(stream)).uri == uri  # pyright: ignore[reportAttributeAccessIssue]
    assert "roots" in user.asked


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file."""
    file = tmp_path.resolve() / "note.txt"
    file.write_text("a note")
    return file


async def test_a_stateless_client_and_a_server_that_cannot_work_before_it_knows_the_roots(note: Path) -> None:
    user, texts = User(), list[str]()
    user.folder = note.parent.as_uri()

    async def read(client: Client) -> None:
        texts.append(said(await client.call_tool("read_text_file", {"path": str(note)})))

    async with connected(node("server-filesystem"), Era.HANDSHAKE, user) as client, anyio.create_task_group() as calls:
        for _ in range(3):
            calls.start_soon(read, client)
    assert texts == ["a note"] * 3


async def test_a_handshake_client_and_a_stateless_server() -> None:
    command = str(ROOT / ".servers" / "mcp-server-time" / "bin" / "mcp-server-time")
    async with connected(StdioServerParameters(command=command), Era.STATELESS, User()) as client:
        assert client.protocol_version == "2025-11-25"
        assert {"get_current_time", "convert_time"} <= {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool(
            "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        )
        assert "21:00" in said(result)

"""The reference server of the protocol's own authors, behind every kind of link."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.http import HttpBack
from spec_mcp.relay.back.sse import SseBack
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.back.stdio import StdioBack
from spec_mcp.relay.clock import now_s
from tests.pipes import Missing
from tests.relay.back.keeping import WAIT_S, Client, kept

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[3]
EVERYTHING = ROOT / ".servers/npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"


class Node:
    """The server on a port of its own."""

    def __init__(self, way: str) -> None:
        self._way = way
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        command = ["node", str(EVERYTHING), self._way]
        environment = {**os.environ, "PORT": str(self.port)}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self.process.stderr is not None
        until = time.monotonic() + WAIT_S
        heard = b""
        while b"port" not in heard:
            if not select.select([self.process.stderr], [], [], max(0.0, until - time.monotonic()))[0]:
                raise Missing(f"the server does not listen: {heard!r}")
            heard += os.read(self.process.stderr.fileno(), 4096)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module", params=["stdio", "streamableHttp", "sse"])
def node(request: pytest.FixtureRequest) -> Iterator[Node | None]:
    if request.param == "stdio":
        yield None
        return
    node = Node(request.param)
    yield node
    node.kill()


@pytest.fixture
def link(request: pytest.FixtureRequest, node: Node | None) -> Any:
    if node is None:
        return StdioBack(["node", str(EVERYTHING), "stdio"], None, None, now_s, Starts())
    if "sse" in request.node.name:
        return SseBack(Address(f"http://127.0.0.1:{node.port}/sse", {}), now_s)
    return HttpBack(Address(f"http://127.0.0.1:{node.port}/mcp", {}), now_s)


async def asked_for(client: Client, method: str, result: Any) -> None:
    """The server asks the client, who answers."""
    asked = await client.message(lambda message: message.get("method") == method, method)
    client.link.tell(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode() + b"\n")


async def test_it_is_called_and_lists_and_shows_its_progress(link: Any) -> None:
    async with kept(link) as client:
        await client.hello()
        assert "hello" in await client.said(client.call("echo", message="hello"))
        names = [tool["name"] for tool in (await client.answer(client.send("tools/list")))["result"]["tools"]]
        assert "get-tiny-image" in names
        long = client.call("trigger-long-running-operation", token="t", duration=1, steps=3)
        assert "Long running" in await client.said(long)
        progress = [m["params"]["progress"] for m in client.messages if m.get("method") == "notifications/progress"]
        assert progress == [1, 2, 3]
        assert "result" in await client.answer(client.send("resources/templates/list"))
        assert "result" in await client.answer(client.send("prompts/list"))


async def test_it_asks_back(link: Any) -> None:
    async with kept(link) as client:
        await client.hello()
        call = client.call("trigger-elicitation-request")
        await asked_for(client, "elicitation/create", {"action": "decline"})
        assert "decline" in (await client.said(call)).lower()


async def test_it_is_found_again_after_a_restart(link: Any, node: Node | None) -> None:
    async with kept(link) as client:
        await client.hello()
        await client.said(client.call("echo", message="a"))
        restarts = client.restarts
        if node is None:
            os.kill(link.group, signal.SIGKILL)
        else:
            node.kill()
            await anyio.to_thread.run_sync(node.start)
        if not isinstance(link, HttpBack):
            await client.lost()
        assert "b" in await client.said(client.call("echo", message="b"))
        assert client.restarts == restarts + 1

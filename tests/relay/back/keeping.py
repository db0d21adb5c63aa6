"""A link that is kept, and a client at its other end: without a bridge, so that every line and every loss is seen."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio

from spec_mcp.relay import wire
from spec_mcp.relay.link import ServerLink
from tests.pipes import Missing

WAIT_S = 60.0
HANDSHAKE = "2025-11-25"
STATELESS = "2026-07-28"
CLIENT = {"name": "tests", "version": "1"}


T = TypeVar("T")


class Client:
    """Says lines to a link, and waits for what comes of them; no wait is without an end."""

    def __init__(self, link: Any, era: str) -> None:
        self.link: ServerLink = link
        self.era = era
        self.lines: list[bytes] = []
        self.losses: list[str] = []
        self.restarts = 0
        self.under_way: set[int] = set()
        """Requests of which a test waits for the end."""
        self.abandoned: set[int] = set()
        """Those that were lost with their server."""
        self._asked = 0
        self._news = anyio.Event()
        link.on_line = self._heard
        link.on_lost = self._lost
        link.on_restarted = self._restarted

    def _heard(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert b"\n" not in line[:-1]
        message = json.loads(line) if b"\\ud" not in line else {}
        if isinstance(message, dict) and str(message.get("id", "")).startswith(self.link.own_prefix):
            envelope = wire.read(line)
            assert isinstance(envelope, wire.Envelope)
            assert self.link.take_own_answer(message["id"], envelope)
            self._ring()
            return
        self.lines.append(line)
        self._ring()

    def _lost(self, why: str) -> None:
        self.losses.append(why)
        self.abandoned |= self.under_way
        self.under_way = set()
        self._ring()

    def _restarted(self) -> None:
        self.restarts += 1
        self._ring()

    def _ring(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    # --- saying -----------------------------------------------------------------------------------------------------

    def send(self, method: str, params: dict[str, Any] | None = None, *, why: str | None = None) -> int:
        """A request; its id."""
        self._asked += 1
        params = dict(params or {})
        if self.era == STATELESS and method != "initialize":
            params["_meta"] = {**params.get("_meta", {}), **self.meta}
        line = json.dumps({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}).encode() + b"\n"
        refused = self.link.send(method, line)
        if why is None:
            assert refused is None, refused
        else:
            assert refused is not None
            assert why in refused
        return self._asked

    @property
    def meta(self) -> dict[str, Any]:
        """What a stateless request says of its client."""
        prefix = "io.modelcontextprotocol/"
        return {
            f"{prefix}protocolVersion": STATELESS,
            f"{prefix}clientInfo": CLIENT,
            f"{prefix}clientCapabilities": {"elicitation": {"form": {}}},
        }

    def tell(self, method: str, params: dict[str, Any] | None = None) -> None:
        """A notification."""
        body = {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}
        self.link.tell(json.dumps(body).encode() + b"\n")

    def call(self, tool: str, /, *, token: object = None, why: str | None = None, **arguments: Any) -> int:
        """A call; its id."""
        meta = {} if token is None else {"_meta": {"progressToken": token}}
        return self.send("tools/call", {"name": tool, "arguments": arguments, **meta}, why=why)

    def cancel(self, request: int) -> None:
        """The client does not want it any more."""
        self.tell("notifications/cancelled", {"requestId": request, "reason": "no use"})

    async def hello(self) -> None:
        """The beginning, where there is one."""
        if self.era == STATELESS:
            await self.answer(self.send("server/discover"))
            return
        params = {"protocolVersion": self.era, "capabilities": {"elicitation": {}, "roots": {}}, "clientInfo": CLIENT}
        request = self.send("initialize", params)
        await self.answer(request)
        self.link.memory.note_done("initialize", json.dumps(params).encode())
        line = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
        self.link.tell_initialized(line)

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], T | None], what: str) -> T:
        """Wait until something is there."""
        try:
            with anyio.fail_after(WAIT_S):
                while (it := found()) is None:
                    await self._news.wait()
        except TimeoutError:
            raise Missing(f"{what}; heard {self.lines[-5:]}, lost {self.losses}") from None
        return it

    async def message(self, wanted: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first message that is wanted, now or soon."""
        return await self.until(lambda: next(filter(wanted, self.messages), None), what)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What was heard, decoded."""
        return [json.loads(line) for line in self.lines]

    async def answer(self, request: int) -> dict[str, Any]:
        """The answer to a request."""
        return await self.message(lambda message: message.get("id") == request and "method" not in message, "an answer")

    def error(self, request: int) -> str | None:
        """What is wrong, where that is the answer to a request by now."""
        found = next((message for message in self.messages if message.get("id") == request), {})
        return found["error"]["message"] if "error" in found else None

    async def said(self, request: int) -> str:
        """What a tool said."""
        found = await self.answer(request)
        return found["result"]["content"][0]["text"]

    async def lost(self, times: int = 1) -> str:
        """Why the server was lost."""
        return await self.until(lambda: self.losses[times - 1] if len(self.losses) >= times else None, "a loss")


@asynccontextmanager
async def kept(link: Any, era: str = HANDSHAKE) -> AsyncGenerator[Client]:
    """Keep a link for as long as the block lasts."""
    client = Client(link, era)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        try:
            yield client
        finally:
            tasks.cancel_scope.cancel()


async def appears(path: Path) -> None:
    """Wait for a file that a server makes."""
    with anyio.fail_after(WAIT_S):
        while not await anyio.Path(path).exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(0.01)

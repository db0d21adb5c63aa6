"""A real SDK client and a real SDK server of the eras that a test wants, with a translator between them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client._transport import TransportStreams
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import (
    Era,
    Outgoing,
    ServerAbout,
    Side,
    Translator,
    initialize_params,
    stateless_meta,
    translator,
)
from spec_mcp.relay.gateway.eras.text import notification, request

Sent = MemoryObjectSendStream[SessionMessage | Exception]
Received = MemoryObjectReceiveStream[SessionMessage | Exception]

ROOM = 1000
"""Messages that a stream takes without being read: nothing here waits for a reader."""


def to_line(message: SessionMessage | Exception) -> bytes:
    assert isinstance(message, SessionMessage)
    return message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"


def to_message(line: bytes) -> SessionMessage:
    return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))


class Pairing:
    """A transport for the SDK's client: behind it a translator, and behind that the server in its era.

    Every line that either peer got is kept, for a look at what was really said.
    """

    def __init__(self, server: MCPServer | StdioServerParameters, era: Era) -> None:
        self.server = server
        self.era = era
        self.to_client: list[bytes] = []
        self.to_server: list[bytes] = []
        self.translator: Translator | None = None
        self._running: Any = None

    async def __aenter__(self) -> TransportStreams:
        self._running = self._run()
        return await self._running.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._running.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _run(self) -> AsyncGenerator[TransportStreams]:
        client_out, client_in = anyio.create_memory_object_stream[SessionMessage | Exception](ROOM)
        our_out, our_in = anyio.create_memory_object_stream[SessionMessage | Exception](ROOM)
        self._server_out, server_in = anyio.create_memory_object_stream[SessionMessage | Exception](ROOM)
        server_out, self._server_in = anyio.create_memory_object_stream[SessionMessage | Exception](ROOM)
        self._client_out = our_out
        ends = (client_out, client_in, our_out, our_in, server_in, server_out)
        async with AsyncExitStack() as streams:
            for stream in (*ends, self._server_out, self._server_in):
                await streams.enter_async_context(stream)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve, server_in, server_out)
                tasks.start_soon(self._pump, client_in)
                try:
                    yield our_in, client_out
                finally:
                    tasks.cancel_scope.cancel()

    async def _serve(self, heard: Received, said: Sent) -> None:
        if isinstance(self.server, MCPServer):
            lowlevel = self.server._lowlevel_server
            await lowlevel.run(heard, said, lowlevel.create_initialization_options())
            return
        with Path(os.devnull).open("w") as nowhere:  # noqa: ASYNC230
            async with stdio_client(self.server, errlog=nowhere) as (back, to), anyio.create_task_group() as tasks:
                tasks.start_soon(_forward, back, said)
                await _forward(heard, to)
                tasks.cancel_scope.cancel()

    # --- lines ------------------------------------------------------------------------------------------------------

    def _say(self, line: bytes) -> None:
        self.to_server.append(line)
        self._server_out.send_nowait(to_message(line))

    def _give(self, lines: Sequence[Outgoing]) -> None:
        for out in lines:
            if out.side is Side.SERVER:
                self._say(out.line)
            else:
                self.to_client.append(out.line)
                self._client_out.send_nowait(to_message(out.line))

    async def _pump(self, client_in: Received) -> None:
        first = to_line(await client_in.receive())
        self.translator = between = await self._meet(first)
        self._give(between.from_client(first))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._from, client_in, between.from_client)
            tasks.start_soon(self._from, self._server_in, between.from_server)
            tasks.start_soon(self._wake, between)

    async def _from(self, stream: Received, heard: Any) -> None:
        async for message in stream:
            self._give(heard(to_line(message)))

    async def _wake(self, between: Translator) -> None:
        """Often enough: a request that is to be made again waits for a twentieth of a second."""
        while True:
            await anyio.sleep(0.02)
            self._give(between.woken())

    # --- the handshake ----------------------------------------------------------------------------------------------

    async def _meet(self, first: bytes) -> Translator:
        """Meet the server in the client's name, as the gateway does it."""
        message = wire.read(first)
        assert isinstance(message, wire.Envelope)
        client = Era.HANDSHAKE if message.method == "initialize" else Era.STATELESS
        said = message.params if client is Era.HANDSHAKE else wire.members(message.params)["_meta"]
        if self.era is Era.HANDSHAKE:
            params = said if client is Era.HANDSHAKE else initialize_params(said)
            result = await self._asked("initialize", params)
            self._say(notification("notifications/initialized"))
        else:
            meta = said if client is Era.STATELESS else stateless_meta(said)
            result = await self._asked("server/discover", b'{"_meta":%s}' % meta)
        if client is self.era:
            return _Greeted(client, result)
        version = "2025-11-25" if self.era is Era.HANDSHAKE else "2026-07-28"
        return translator(client, self.era, ServerAbout(version, result, said, just_met=True))

    async def _asked(self, method: str, params: bytes) -> bytes:
        self._say(request(b'"greeting"', method, params))
        with anyio.fail_after(60):
            answer = wire.read(to_line(await self._server_in.receive()))
        assert isinstance(answer, wire.Envelope)
        assert answer.result, answer.error
        return answer.result


async def _forward(stream: Any, to: Any) -> None:
    async for message in stream:
        await to.send(message)


class _Greeted:
    """Straight, but for the handshake, which has been made."""

    wakes_at_s: float | None = None

    def __init__(self, era: Era, result: bytes) -> None:
        self._straight = translator(era, era, ServerAbout("", result))
        self._result = result

    def from_client(self, line: bytes) -> Sequence[Outgoing]:
        message = wire.read(line)
        assert isinstance(message, wire.Envelope)
        if message.method in ("initialize", "server/discover"):
            return (Outgoing(Side.CLIENT, b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (message.id, self._result)),)
        if message.method == "notifications/initialized":
            return ()
        return self._straight.from_client(line)

    def from_server(self, line: bytes) -> Sequence[Outgoing]:
        return self._straight.from_server(line)

    def connected(self) -> Sequence[Outgoing]:
        return self._straight.connected()

    def lost(self) -> Sequence[Outgoing]:
        return self._straight.lost()

    def woken(self) -> Sequence[Outgoing]:
        return self._straight.woken()

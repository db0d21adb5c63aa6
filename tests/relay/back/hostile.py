"""An HTTP server that does what a test says, byte by byte, in the test's own loop."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream, TaskGroup

VERSION = "2025-11-25"


class Gone(Exception):  # noqa: N818  what happened
    """The server closes the connection now."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that arrived."""

    method: str
    headers: dict[str, str]
    body: bytes
    connection: int
    target: str = "/mcp"

    @property
    def message(self) -> Any:
        """What was posted."""
        return json.loads(self.body)

    @property
    def name(self) -> str:
        """The method of what was posted, or that of HTTP."""
        return str(self.message.get("method", "")) if self.body.startswith(b"{") else self.method


class Out:
    """The way back: anything may be said on it."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream

    async def raw(self, data: bytes) -> None:
        """These bytes."""
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise Gone from None

    async def reply(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        """A whole reply."""
        found = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
        await self.raw(head(status, {name.replace("_", "-"): value for name, value in found.items()}) + body)

    async def answer(self, asked: Asked, result: Any = None, **headers: str) -> None:
        """An answer as JSON."""
        body = {"jsonrpc": "2.0", "id": asked.message["id"], "result": {} if result is None else result}
        await self.reply(200, json.dumps(body).encode(), **headers)

    async def stream(self, **headers: str) -> None:
        """The beginning of a stream."""
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        await self.raw(head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **found}))

    async def part(self, data: bytes) -> None:
        """A part of it."""
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, message: Any, event_id: str | None = None) -> None:
        """An event with a message."""
        name = "" if event_id is None else f"id: {event_id}\n"
        data = "" if message is None else json.dumps(message)
        await self.part(f"{name}data: {data}\n\n".encode())

    async def end(self) -> None:
        """The stream's end."""
        await self.raw(b"0\r\n\r\n")

    async def until_left(self) -> None:
        """Wait until the other side closes the connection."""
        try:
            while await self._stream.receive():
                pass
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


Handle = Callable[[Asked, Out], Awaitable[None]]


def head(status: int, headers: dict[str, str]) -> bytes:
    """A reply's head."""
    lines = [f"HTTP/1.1 {status} So", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


class Hostile:
    """The server. `handle` is called for each request; after it the connection is used again."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.asked: list[Asked] = []
        self.connections = 0
        self.open_connections = 0
        self.port = 0
        self._news = anyio.Event()
        self._listening: anyio.CancelScope | None = None
        self._tasks: TaskGroup | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def named(self, name: str) -> list[Asked]:
        """The requests of this method."""
        return [asked for asked in self.asked if asked.name == name]

    async def came(self, name: str, times: int = 1) -> Asked:
        """Wait for a request."""
        with anyio.fail_after(60):
            while len(self.named(name)) < times:
                await self._news.wait()
        return self.named(name)[times - 1]

    def _ring(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()

    async def _serve(self, stream: SocketStream) -> None:
        self.connections += 1
        self.open_connections += 1
        number = self.connections
        out = Out(stream)
        try:
            await self._serve_all(stream, out, number)
        finally:
            self.open_connections -= 1

    async def _serve_all(self, stream: SocketStream, out: Out, number: int) -> None:
        async with stream:
            connection = h11.Connection(h11.SERVER)
            try:
                while (asked := await _next(connection, stream, number)) is not None:
                    self.asked.append(asked)
                    self._ring()
                    await self.handle(asked, out)
                    connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                    connection.send(h11.EndOfMessage())
                    connection.start_next_cycle()
            except (Gone, anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return

    async def open(self) -> None:
        """Listen, on the same port as before where there was one."""
        assert self._tasks is not None
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        self.port = listener.extra(SocketAttribute.local_port)
        self._listening = anyio.CancelScope()

        async def listen() -> None:
            assert self._tasks is not None
            with self._listening or anyio.CancelScope():
                async with listener:
                    await listener.serve(self._serve, self._tasks)

        self._tasks.start_soon(listen)

    async def shut(self) -> None:
        """Listen no more; what is connected stays."""
        assert self._listening is not None
        self._listening.cancel()
        with anyio.fail_after(60):
            while True:
                try:
                    stream = await anyio.connect_tcp("127.0.0.1", self.port)
                except OSError:
                    return
                await stream.aclose()


async def _next(connection: h11.Connection, stream: SocketStream, number: int) -> Asked | None:
    body = bytearray()
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            try:
                connection.receive_data(await stream.receive())
            except anyio.EndOfStream:
                return None
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert request is not None
            headers = {name.decode(): value.decode("utf-8") for name, value in request.headers}
            return Asked(request.method.decode(), headers, bytes(body), number, request.target.decode())
        else:
            return None


@asynccontextmanager
async def hostile(handle: Handle) -> AsyncGenerator[Hostile]:
    """A server for as long as the block lasts."""
    server = Hostile(handle)
    async with anyio.create_task_group() as tasks:
        server._tasks = tasks
        await server.open()
        try:
            yield server
        finally:
            tasks.cancel_scope.cancel()


class Plain:
    """A server of the handshake era that answers everything; tests change what it does with some methods."""

    def __init__(self, **special: Handle) -> None:
        self.special = {name.replace("__", "/"): handle for name, handle in special.items()}
        self.sessions = 0
        self.session = ""

    async def __call__(self, asked: Asked, out: Out) -> None:
        handle = self.special.get(asked.name)
        if handle is not None:
            await handle(asked, out)
        elif asked.method == "GET":
            await out.reply(405)
        elif asked.method == "DELETE":
            await out.reply(200)
        elif asked.name == "initialize":
            self.sessions += 1
            self.session = f"session-{self.sessions}"
            await out.answer(asked, {"protocolVersion": VERSION, "capabilities": {}}, Mcp_Session_Id=self.session)
        elif asked.headers.get("mcp-session-id", self.session) != self.session:
            await out.reply(404)
        elif "id" not in asked.message:
            await out.reply(202)
        else:
            await out.answer(asked, {"name": asked.name})

"""The two clients that measure: the SDK's, by which a proxy is judged, and raw lines, which add next to nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

PID_KEEPER = 'echo $$ > "$0" && exec "$@"'
"""A shell that notes its process id and becomes the command, so that the memory of one process can be read."""


class EchoFault(Exception):  # noqa: N818
    """A call did not give back what it was given: the measurement is void."""


class EchoClient(Protocol):
    """Calls `echo` and nothing else."""

    first_list_s: float
    """From spawn to the first answer to `tools/list`."""

    async def echo(self, text: str) -> None:
        """Call once and check the answer."""
        ...

    async def many(self, texts: Sequence[str], in_flight: int) -> None:
        """Call them all, so many at once."""
        ...

    def rss_bytes(self) -> int:
        """The memory of the process that was started, without its children."""
        ...


class SdkClient:
    """The SDK's client over its own stdio transport."""

    def __init__(self, client: Client, pid_file: Path) -> None:
        self._client = client
        self._pid_file = pid_file
        self.first_list_s = 0.0

    async def echo(self, text: str) -> None:
        result = await self._client.call_tool("echo", {"text": text})
        if result.is_error or getattr(result.content[0], "text", None) != text:
            raise EchoFault(f"{text!r} came back as {result}")

    async def many(self, texts: Sequence[str], in_flight: int) -> None:
        await at_once(self.echo, texts, in_flight)

    def rss_bytes(self) -> int:
        return rss_bytes_of(int(self._pid_file.read_text()))


async def at_once(call: Callable[[str], Awaitable[None]], texts: Sequence[str], in_flight: int) -> None:
    """Call with each text, so many at once."""
    left = iter(texts)

    async def work() -> None:
        for text in left:
            await call(text)

    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(work)


@asynccontextmanager
async def sdk_client(command: Sequence[str], era: str, log: TextIO, pid_file: Path) -> AsyncGenerator[SdkClient]:
    """Start a command and list its tools."""
    began_s = time.perf_counter()
    parameters = StdioServerParameters(
        command="/bin/sh", args=["-c", PID_KEEPER, str(pid_file), *command], env=dict(os.environ)
    )
    async with Client(stdio_client(parameters, errlog=log), mode=era, cache=None) as client:
        measured = SdkClient(client, pid_file)
        await client.list_tools()
        measured.first_list_s = time.perf_counter() - began_s
        yield measured


class LineClient:
    """Lines over pipes, blocking: what is measured is the other side."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._next_id = 0
        self.first_list_s = 0.0

    async def echo(self, text: str) -> None:
        self._send("tools/call", {"name": "echo", "arguments": {"text": text}})
        self._check(self._receive(), text)

    async def many(self, texts: Sequence[str], in_flight: int) -> None:
        waiting: dict[int, str] = {}
        for text in texts:
            if len(waiting) >= in_flight:
                self._take_one(waiting)
            waiting[self._send("tools/call", {"name": "echo", "arguments": {"text": text}})] = text
        while waiting:
            self._take_one(waiting)

    def rss_bytes(self) -> int:
        return rss_bytes_of(self._process.pid)

    def begin(self) -> None:
        """The handshake and the first list."""
        info = {"name": "bench", "version": "0"}
        self._send("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info})
        self._receive()
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._send("tools/list", {})
        self._receive()

    def _take_one(self, waiting: dict[int, str]) -> None:
        message = self._receive()
        self._check(message, waiting.pop(message["id"]))

    def _check(self, message: dict[str, Any], text: str) -> None:
        if "error" in message or message["result"]["content"][0]["text"] != text:
            raise EchoFault(f"{text!r} came back as {message}")

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._next_id += 1
        self._write({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        return self._next_id

    def _write(self, message: dict[str, Any]) -> None:
        self._input.write(json.dumps(message).encode() + b"\n")
        self._input.flush()

    def _receive(self) -> dict[str, Any]:
        while line := self._output.readline():
            message = json.loads(line)
            if "id" in message and "method" not in message:
                return message
        raise EchoFault("the server closed its output")


@asynccontextmanager
async def line_client(command: Sequence[str], era: str, log: TextIO, pid_file: Path) -> AsyncGenerator[LineClient]:
    """Start a command and list its tools. There is one era for it, the handshake's."""
    began_s = time.perf_counter()
    process = subprocess.Popen(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)  # noqa: ASYNC220  it blocks on purpose
    client = LineClient(process)
    client.begin()
    client.first_list_s = time.perf_counter() - began_s
    try:
        yield client
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(30)
        assert process.stdout
        process.stdout.close()


CLIENTS: dict[str, Callable[..., Any]] = {"sdk": sdk_client, "lines": line_client}


def rss_bytes_of(pid: int) -> int:
    """The resident memory of one process."""
    if sys.platform == "linux":
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(said.stdout) * 1024

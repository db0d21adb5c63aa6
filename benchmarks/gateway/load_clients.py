"""Many clients in one process: `python -m benchmarks.gateway.load_clients URL --sessions N --seed S`.

Prints `ready` once all have come, calls until a line arrives on standard input, then sees that every server answers
again, leaves, and prints what happened as one JSON object. Most clients are a few lines on httpx2, since the SDK's
takes too much of the machine for two hundred; every tenth is the SDK's.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import REQUEST_TIMEOUT

LEGACY, MODERN = "2025-11-25", "2026-07-28"
SERVERS = ("pipe", "web", "events")
"""Over stdio, Streamable HTTP and SSE; each has the tool `echo`."""

CALL_S = 80.0
"""A call without an answer for so long hangs. The gateway gives a server that starts a little less."""
CONNECT_S = 80.0
"""For any other request: two hundred sessions that come at once start two hundred servers."""
RECOVER_S = 60.0
"""How long a server may stay away from a session after the last accident."""
AGAIN_S = 0.25
THINK_S = 2.0
"""On average, between two calls of a session."""
PAUSES_S = (0.0, 0.0, 0.0, 0.2)
"""How long a server thinks: some calls are under way when it is killed."""
KEPT = 20
"""Examples of each kind of trouble."""
TROUBLES = ("wrong", "unclear", "hanging")


@dataclass(slots=True)
class Tally:
    """What happened to all calls."""

    sessions: int = 0
    calls: int = 0
    right: int = 0
    errors: Counter[str] = field(default_factory=Counter[str])
    """Clear errors, by server and message."""
    wrong: list[str] = field(default_factory=list[str])
    """Answers to somebody else's call, or with another content."""
    unclear: list[str] = field(default_factory=list[str])
    """Neither answer nor error: a broken connection, a lost session, an error without words."""
    hanging: list[str] = field(default_factory=list[str])
    not_recovered: list[str] = field(default_factory=list[str])
    latencies_s: list[float] = field(default_factory=list[float])

    def said(self) -> dict[str, Any]:
        """For the program that started this one."""
        latencies = sorted(self.latencies_s) or [0.0]
        kept: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        counts = {f"{name}_count": len(kept[name]) for name in TROUBLES}
        kept.update({name: kept[name][:KEPT] for name in TROUBLES})
        del kept["latencies_s"]
        p99_s = latencies[int(len(latencies) * 0.99)]
        return {**kept, **counts, "p50_ms": statistics.median(latencies) * 1e3, "p99_ms": p99_s * 1e3}


class ClearError(Exception):
    """The gateway said what is wrong."""


class Trouble(Exception):  # noqa: N818  what happened
    """Neither an answer nor a clear error."""


class WrongAnswer(Exception):  # noqa: N818  what happened
    """An answer to another request."""


class Session(ABC):
    """One client's session."""

    @abstractmethod
    async def connect(self, stack: AsyncExitStack) -> None:
        """Come; what must be closed at the end goes on the stack."""

    @abstractmethod
    async def call(self, server: str, text: str, pause_s: float) -> str:
        """The text that came back.

        Raises:
            ClearError, Trouble, WrongAnswer: it did not.
        """


class SdkSession(Session):
    """The SDK's client."""

    def __init__(self, url: str, mode: str) -> None:
        self._client = Client(url, mode=mode, cache=None, read_timeout_seconds=CONNECT_S)

    async def connect(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self._client)
        await self._client.list_tools()  # else it lists them before the first call of each

    async def call(self, server: str, text: str, pause_s: float) -> str:
        try:
            result = await self._client.call_tool(f"{server}__echo", {"text": text, "pause_s": pause_s})
        except MCPError as error:
            if error.error.code == REQUEST_TIMEOUT:
                raise Trouble(f"the SDK's client gave up: {error}") from error
            raise ClearError(error.error.message) from error
        said = str(getattr(result.content[0], "text", ""))
        if result.is_error:
            raise ClearError(said)
        return said


class LightSession(Session):
    """JSON-RPC over HTTP by hand, in the handshake era or without state."""

    def __init__(self, http: httpx2.AsyncClient, url: str, number: int, version: str, listens: bool) -> None:
        self._http = http
        self._url = url
        self._number = number
        self._modern = version == MODERN
        self._listens = listens
        self._requests = 0
        self._headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": version,
        }
        trace = f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-00"
        info = {"name": "load", "version": "0"}
        self._meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": info,
            "traceparent": trace,
        }
        self._hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": info}

    async def connect(self, stack: AsyncExitStack) -> None:
        if self._modern:
            await self._ask("tools/list", {})
            return
        del self._headers["MCP-Protocol-Version"]
        response = await self._post("initialize", self._hello)
        self._headers["MCP-Protocol-Version"] = LEGACY
        if session_id := response.headers.get("mcp-session-id"):
            self._headers["Mcp-Session-Id"] = session_id
            stack.push_async_callback(self._leave)
        notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await self._http.post(self._url, json=notification, headers=self._headers)
        if self._listens:
            headers = {**self._headers, "Accept": "text/event-stream"}
            await stack.enter_async_context(self._http.stream("GET", self._url, headers=headers, timeout=None))

    async def call(self, server: str, text: str, pause_s: float) -> str:
        arguments = {"text": text, "pause_s": pause_s}
        result = await self._ask("tools/call", {"name": f"{server}__echo", "arguments": arguments})
        said = str(result["content"][0]["text"])
        if result.get("isError"):
            raise ClearError(said)
        return said

    async def _ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._post(method, params)
        except httpx2.HTTPError as error:
            raise Trouble(f"{type(error).__name__}: {error}") from error
        message = self._message_of(response)
        if message.get("id") != self._id():
            raise WrongAnswer(f"asked {self._id()}, got {message}")
        if "error" in message:
            words = message["error"].get("message")
            raise ClearError(words) if words else Trouble(f"an error without words: {message}")
        return message["result"]

    async def _post(self, method: str, params: dict[str, Any]) -> httpx2.Response:
        self._requests += 1
        headers = self._headers
        if self._modern:
            name = {"Mcp-Name": params["name"]} if "name" in params else {}
            headers = {**headers, "Mcp-Method": method, **name}
            params = {**params, "_meta": self._meta}
        body = {"jsonrpc": "2.0", "id": self._id(), "method": method, "params": params}
        return await self._http.post(self._url, json=body, headers=headers)

    def _message_of(self, response: httpx2.Response) -> dict[str, Any]:
        """The answer in a body, which is one message or a stream of events that ends with it."""
        text = response.text
        try:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                events = [line[5:] for line in text.splitlines() if line.startswith("data:")]
                messages = [json.loads(event) for event in events if event.strip()]
                return next(message for message in messages if "id" in message and "method" not in message)
            return json.loads(text)
        except (ValueError, StopIteration):
            raise Trouble(f"HTTP {response.status_code}: {text[:200]!r}") from None

    def _id(self) -> str:
        return f"{self._number}-{self._requests}"

    async def _leave(self) -> None:
        await self._http.delete(self._url, headers=self._headers)


class Crowd:
    """All sessions, and what happens to their calls."""

    def __init__(self, sessions: Sequence[Session], seed: int) -> None:
        self._sessions = sessions
        self._seed = seed
        self._calm = anyio.Event()
        self._coming = len(sessions)
        self._here = anyio.Event()
        self.tally = Tally(sessions=len(sessions))

    async def run(self) -> None:
        """Until the line on standard input has come and all servers answer again."""
        async with anyio.create_task_group() as group:
            for number, session in enumerate(self._sessions):
                group.start_soon(self._live, number, session)
            await self._here.wait()
            print("ready", flush=True)
            await anyio.to_thread.run_sync(sys.stdin.readline)
            self._calm.set()

    async def _live(self, number: int, session: Session) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        try:
            async with AsyncExitStack() as stack:
                came = await self._connect(number, session, stack)
                self._arrived()
                if came:
                    await self._call_until_calm(number, session, chance)
                    await self._recover(number, session)
        except (httpx2.HTTPError, MCPError, ExceptionGroup) as error:
            self.tally.unclear.append(f"{number}, leaving: {error!r}")

    async def _connect(self, number: int, session: Session, stack: AsyncExitStack) -> bool:
        try:
            await session.connect(stack)
        except (httpx2.HTTPError, MCPError, ExceptionGroup, ClearError, Trouble, WrongAnswer) as error:
            self.tally.unclear.append(f"{number}, coming: {error!r}")
            return False
        return True

    def _arrived(self) -> None:
        self._coming -= 1
        if not self._coming:
            self._here.set()

    async def _call_until_calm(self, number: int, session: Session, chance: random.Random) -> None:
        while not self._calm.is_set():
            with anyio.move_on_after(chance.expovariate(1 / THINK_S)):
                await self._calm.wait()
            await self._call(number, session, chance.choice(SERVERS), chance.choice(PAUSES_S))

    async def _recover(self, number: int, session: Session) -> None:
        for server in SERVERS:
            deadline_s = time.monotonic() + RECOVER_S
            while not await self._call(number, session, server, 0.0):
                if time.monotonic() > deadline_s:
                    self.tally.not_recovered.append(f"{number}: {server}")
                    break
                await anyio.sleep(AGAIN_S)

    async def _call(self, number: int, session: Session, server: str, pause_s: float) -> bool:
        """Call once; whether the right answer came."""
        self.tally.calls += 1
        text = f"{number} to {server}, call {self.tally.calls}"
        began_s = time.monotonic()
        try:
            with anyio.fail_after(CALL_S):
                said = await session.call(server, text, pause_s)
        except ClearError as error:
            if str(error):
                self.tally.errors[f"{server}: {error}"] += 1
            else:
                self.tally.unclear.append(f"{text}: an error without words")
            return False
        except WrongAnswer as error:
            self.tally.wrong.append(f"{text}: {error}")
            return False
        except TimeoutError:
            self.tally.hanging.append(text)
            return False
        except (Trouble, httpx2.HTTPError, ExceptionGroup) as error:
            self.tally.unclear.append(f"{text}: {error!r}")
            return False
        if said != text:
            self.tally.wrong.append(f"{text}: {said[:200]!r}")
            return False
        self.tally.right += 1
        self.tally.latencies_s.append(time.monotonic() - began_s - pause_s)
        return True


def crowd_of(http: httpx2.AsyncClient, url: str, count: int) -> list[Session]:
    """Of ten: one is the SDK's, in turn of either era; six are of the handshake era, two of which hold a stream open
    for what the server says unasked; three are without state."""
    found: list[Session] = []
    for number in range(count):
        match number % 10:
            case 0:
                found.append(SdkSession(url, "auto" if number % 20 else "legacy"))
            case kind if kind <= 6:
                found.append(LightSession(http, url, number, LEGACY, listens=kind <= 2))
            case _:
                found.append(LightSession(http, url, number, MODERN, listens=False))
    return found


async def run(url: str, count: int, seed: int) -> Tally:
    """Let so many clients work."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=count)
    async with httpx2.AsyncClient(limits=limits, timeout=CONNECT_S) as http:
        crowd = Crowd(crowd_of(http, url, count), seed)
        await crowd.run()
    return crowd.tally


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    tally = anyio.run(run, options.url, options.sessions, options.seed)
    print(json.dumps(tally.said()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""An HTTP front on a real socket, a gateway that says what the test wants, and raw HTTP requests to it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2

from spec_mcp.config import Listen
from spec_mcp.relay.front.app import HttpFront
from spec_mcp.relay.front.serve import Ending, listening, port_of, serve
from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.gateway.ports import ClientOut, Gateway, TooManySessions, Visitor

WAIT_S = 60
"""The longest that any test waits for anything."""

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "0"},
}
BOTH = "application/json, text/event-stream"
INITIALIZE = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}


class ScriptedSession:
    """A client as the gateway sees it; the test says what comes back. `initialize` is answered."""

    def __init__(self, visitor: Visitor, client: ClientOut, version: str) -> None:
        self.visitor = visitor
        self.client = client
        self.lines: list[bytes] = []
        self.is_closed = False
        self.drops = 0
        self._version = version
        self._changed = anyio.Event()

    def on_client_line(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert not self.is_closed
        self.lines.append(line)
        message = decoded(line)
        if message.get("method") == "initialize" and self._version:
            self.answer(message["id"], {"protocolVersion": self._version, "capabilities": {}})
        elif message.get("method") == "initialize":
            self.say({"id": message["id"], "error": {"code": -32602, "message": "no"}})
        self._changed.set()

    def drop_held(self) -> None:
        assert not self.is_closed
        self.drops += 1

    def closed(self) -> None:
        assert not self.is_closed
        self.is_closed = True
        self._changed.set()

    @property
    def messages(self) -> list[Any]:
        return [decoded(line) for line in self.lines]

    async def heard(self, method: str, count: int = 1) -> Any:
        """The newest message of this method, once there are so many."""
        with anyio.fail_after(WAIT_S):
            while len(found := [one for one in self.messages if one.get("method") == method]) < count:
                self._changed = anyio.Event()
                await self._changed.wait()
        return found[-1]

    async def left(self) -> None:
        """Wait until the session is over."""
        with anyio.fail_after(WAIT_S):
            while not self.is_closed:
                self._changed = anyio.Event()
                await self._changed.wait()

    def say(self, message: Mapping[str, Any]) -> None:
        self.client.put(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def answer(self, request: Any, result: Any = None) -> None:
        self.say({"id": request, "result": {} if result is None else result})

    def notify(self, method: str, **params: Any) -> None:
        self.say({"method": method, "params": params})


@dataclass
class Scripted:
    """A gateway of such sessions. Without a version it refuses handshakes."""

    version: str = LEGACY
    sessions: list[ScriptedSession] = field(default_factory=list)
    most: int = 1000

    def open(self, visitor: Visitor, client: ClientOut) -> ScriptedSession:
        if len(self.sessions) >= self.most:
            raise TooManySessions("no room")
        session = ScriptedSession(visitor, client, self.version)
        self.sessions.append(session)
        return session

    @property
    def session(self) -> ScriptedSession:
        return self.sessions[-1]


class Events:
    """The events of one response, one after the other."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._events = aiter(httpx2.EventSource(response))

    async def next(self) -> httpx2.ServerSentEvent:
        with anyio.fail_after(WAIT_S):
            return await anext(self._events)

    async def message(self) -> Any:
        """The next message; events that say nothing are passed over."""
        while not (event := await self.next()).data:
            pass
        return json.loads(event.data)

    async def rest(self) -> list[Any]:
        """All messages until the end of the stream."""
        with anyio.fail_after(WAIT_S):
            return [json.loads(event.data) async for event in self._events if event.data]


class Pending:
    """A request that was sent, and its answer once that is there."""

    def __init__(self) -> None:
        self._response: httpx2.Response | None = None
        self._answered = anyio.Event()

    async def run(self, sending: Any) -> None:
        self._response = await sending
        self._answered.set()

    @property
    def is_answered(self) -> bool:
        return self._answered.is_set()

    async def response(self) -> httpx2.Response:
        with anyio.fail_after(WAIT_S):
            await self._answered.wait()
        assert self._response is not None
        return self._response


@dataclass
class Rig:
    """The front, and a client of it."""

    url: str
    front: HttpFront
    gateway: Any
    http: httpx2.AsyncClient
    ending: Ending
    serving: anyio.CancelScope
    """Cancel it, and the front ends at once."""
    tasks: anyio.abc.TaskGroup

    def headers(self, session: str = "", **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        given = {"accept": BOTH, "content-type": "application/json", **named}
        return {**given, "mcp-session-id": session} if session else given

    async def post(self, body: Any, session: str = "", **headers: str) -> httpx2.Response:
        """Send it and read the whole answer."""
        content = body if isinstance(body, bytes) else json.dumps(body)
        return await self.http.post(self.url, content=content, headers=self.headers(session, **headers))

    def ask(self, body: Any, session: str = "", **headers: str) -> Pending:
        """Send it, and wait for the answer later."""
        pending = Pending()
        self.tasks.start_soon(pending.run, self.post(body, session, **headers))
        return pending

    @asynccontextmanager
    async def stream(
        self, body: Any, session: str = "", method: str = "POST", **headers: str
    ) -> AsyncGenerator[httpx2.Response]:
        """Send it and read the answer bit by bit."""
        content = None if body is None else json.dumps(body)
        given = self.headers(session, **headers)
        async with self.http.stream(method, self.url, content=content, headers=given) as response:
            yield response

    def listen(self, session: str, **headers: str) -> Any:
        """Open the session's own stream."""
        return self.stream(None, session, "GET", **headers)

    async def connect(self) -> anyio.abc.SocketStream:
        """A bare connection."""
        return await anyio.connect_tcp("127.0.0.1", int(self.url.split(":")[2].partition("/")[0]))

    async def initialize(self, **headers: str) -> str:
        """The handshake; the session's id."""
        response = await self.post(request("initialize", INITIALIZE, 0), **headers)
        assert response.status_code == 200, response.text
        session = response.headers["mcp-session-id"]
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, session, **headers)
        return session

    async def modern(self, method: str, params: Mapping[str, Any] | None = None, **more: Any) -> httpx2.Response:
        """A stateless request with all its headers."""
        body, headers = modern_request(method, params, **more)
        return await self.post(body, **headers)


def request(method: str, params: Any = None, request_id: Any = 1) -> dict[str, Any]:
    message = {"jsonrpc": "2.0", "id": request_id, "method": method}
    return message if params is None else {**message, "params": params}


def modern_request(
    method: str,
    params: Mapping[str, Any] | None = None,
    request_id: Any = 1,
    meta: Mapping[str, Any] | None = None,
    **headers: str,
) -> tuple[dict[str, Any], dict[str, str]]:
    """A stateless request's body and headers."""
    named = {"mcp_protocol_version": MODERN, "mcp_method": method}
    params = params or {}
    if method in ("tools/call", "prompts/get", "resources/read"):
        named["mcp_name"] = params.get("name", params.get("uri", ""))
    body = request(method, {**params, "_meta": {**META, **(meta or {})}}, request_id)
    return body, {**named, **headers}


def call(tool: str, arguments: Mapping[str, Any] | None = None, request_id: Any = 1, **meta: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
    return request("tools/call", {**params, "_meta": meta} if meta else params, request_id)


@asynccontextmanager
async def serving(
    gateway: Gateway,
    listen: Listen | None = None,
    settings: HttpSettings | None = None,
    ending: Ending | None = None,
    **more: Any,
) -> AsyncGenerator[Rig]:
    """A front on a free port of loopback."""
    bound = listening("127.0.0.1", 0)
    settings = settings or HttpSettings(listen or Listen())
    front = HttpFront(settings, gateway, port=port_of(bound), **more)
    ending = ending or Ending()
    async with (
        httpx2.AsyncClient(timeout=WAIT_S, trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):
        scope = anyio.CancelScope()
        port = await tasks.start(serve_within, scope, front, bound, ending)
        yield Rig(f"http://127.0.0.1:{port}/mcp", front, gateway, http, ending, scope, tasks)
        tasks.cancel_scope.cancel()


async def serve_within(
    scope: anyio.CancelScope,
    front: HttpFront,
    bound: socket.socket,
    ending: Ending,
    *,
    task_status: anyio.abc.TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with scope:
        await serve(front, bound, ending, task_status=task_status)


async def until(condition: Any, what: str) -> None:
    """Wait until something is true that tells nobody; bounded."""
    with anyio.move_on_after(WAIT_S):
        while not condition():  # noqa: ASYNC110  nobody sets an event
            await anyio.sleep(0.005)
        return
    raise AssertionError(f"never came true: {what}")


def decoded(line: bytes) -> Any:
    """A message; empty where no strict reader takes it."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return {}


def names(messages: Sequence[Any]) -> list[Any]:
    """What each message is: its method, or the id it answers."""
    return [message.get("method", message.get("id")) for message in messages]

"""The real gateway in this process, with engine, store and predictors, in front of servers that a test plays.

Each connection has a number of its own, and says it with all that it answers: who gets another's number got another's
answer.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from spec_mcp.config import Server, load_config
from spec_mcp.relay.back.due import Due
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.gateway import connection
from spec_mcp.relay.gateway.gateway import GatewayOptions, ServersGateway
from spec_mcp.relay.gateway.ports import Principal, Visitor
from spec_mcp.relay.gateway.serving import serving
from spec_mcp.relay.link import ServerLink

WAIT_S = 60
OUR_IDS = "spec-mcp:"
SPECULATION = "[speculation]\nwasted_call_s = 0.0\nbreadth = 16\nin_flight = 16\ndepth = 3\ncheck_every = 0\n"
"""A test does not wait for a predictor to become sure of itself."""

READS = 'effect = "read"\nexclusive = true\nopen_world = false\n'
MANIFEST = f"""
[manifest]
version = 1
server = "played"
reviewed = "2026-11-22"
concurrent = true
cancel = true
[tools.get_issue]
{READS}touches = ["issue:{{number}}"]
[tools.read]
{READS}touches = ["file:{{path}}"]
[tools.wait]
{READS}touches = ["nothing"]
"""

SCHEMA = {"type": "object", "properties": {name: {} for name in ("number", "path", "word")}}
Result = dict[str, Any]
Tool = Callable[["PlayedLink", Result], Result | None]
"""The result of a call; None: the test answers it later."""


@dataclass(frozen=True, slots=True)
class Call:
    """A `tools/call` at a connection."""

    id: Any
    tool: str
    arguments: Any
    token: Any

    @property
    def is_early(self) -> bool:
        """Is it one of ours?"""
        return str(self.id).startswith(OUR_IDS)


def said(link: PlayedLink, **more: Any) -> Result:
    """A result that names its connection."""
    return {"content": [], "structuredContent": {"by": link.number, **more}}


def _get_issue(link: PlayedLink, arguments: Result) -> Result:
    return said(link, number=arguments["number"], file=f"file-{arguments['number']}")


def _read(link: PlayedLink, arguments: Result) -> Result:
    return said(link, path=arguments["path"])


def _fail(link: PlayedLink, arguments: Result) -> Result:
    return {**said(link), "isError": True}


def _wait(link: PlayedLink, arguments: Result) -> None:
    return None


@dataclass
class Played:
    """A server of the handshake era; `links` are all its connections that ever were."""

    tools: dict[str, Tool] = field(
        default_factory=lambda: {"get_issue": _get_issue, "read": _read, "fail": _fail, "wait": _wait}
    )
    lists: Callable[[PlayedLink], list[str]] | None = None
    """The tools that it lists; None: those that it has."""
    links: list[PlayedLink] = field(default_factory=list["PlayedLink"])

    @property
    def open(self) -> list[PlayedLink]:
        """Those that are kept."""
        return [link for link in self.links if link.is_kept]

    def link(self, number: int) -> PlayedLink:
        """The connection of this number."""
        return next(link for link in self.links if link.number == number)

    def early(self) -> list[Call]:
        """What any connection was asked early."""
        return [call for link in self.links for call in link.calls if call.is_early]

    def answer(self, link: PlayedLink, method: str, params: Any) -> Result | None:
        """The result of a request; None: the test answers it."""
        match method:
            case "initialize":
                able = {"tools": {"listChanged": True}, "logging": {}, "resources": {"subscribe": True}}
                about = {"name": "played", "version": "0"}
                return {"protocolVersion": params["protocolVersion"], "capabilities": able, "serverInfo": about}
            case "tools/list":
                names = list(self.tools) if self.lists is None else self.lists(link)
                return {"tools": [{"name": name, "inputSchema": SCHEMA} for name in names]}
            case "tools/call":
                return self.tools[params["name"]](link, params.get("arguments", {}))
            case "resources/list":
                return {"resources": []}
            case "resources/templates/list":
                return {"resourceTemplates": []}
            case _:
                return {}


class _Lines:
    """Where the lines for a played server go."""

    waiting_bytes = 0
    kept_back_bytes = 0

    def __init__(self, link: PlayedLink) -> None:
        self._link = link

    def put(self, line: bytes) -> None:
        self._link.take(line)

    send = put

    def stop(self) -> None:
        return


class PlayedLink(ServerLink):
    """One connection to a played server, in the place of a process."""

    def __init__(self, server: Played, number: int, headers: Mapping[str, str]) -> None:
        self.server = server
        self.number = number
        self.headers = headers
        self.got: list[Any] = []
        self.calls: list[Call] = []
        self.is_kept = False
        self.on_line: Callable[[bytes], None] = lambda line: None
        self.on_lost: Callable[[str], None] = lambda why: None
        self.on_fault: Callable[[Exception], None] = lambda error: None
        self.status = "up"
        self._inbox: deque[bytes] = deque()
        self._stir = anyio.Event()
        super().__init__(_Lines(self), now_s)
        self._due = Due(self, now_s)

    @property
    def ends_with_server(self) -> bool:
        """It stands for a process."""
        return True

    def take(self, line: bytes) -> None:
        """The gateway says this."""
        self._inbox.append(line)
        self._stir.set()

    def pause(self) -> None:
        return

    def resume(self) -> None:
        return

    async def run(self) -> None:
        self.is_kept = True
        try:
            await self._due.wait()
            self._connected(self._out)
            while True:
                await self._stir.wait()
                self._stir = anyio.Event()
                while self._inbox:
                    self._hear(json.loads(self._inbox.popleft()))
        finally:
            self.is_kept = False

    def _hear(self, message: Any) -> None:
        self.got.append(message)
        if "method" not in message or "id" not in message:
            return
        params = message.get("params", {})
        if message["method"] == "tools/call":
            token = params.get("_meta", {}).get("progressToken")
            self.calls.append(Call(message["id"], params["name"], params.get("arguments", {}), token))
        result = self.server.answer(self, message["method"], params)
        if result is not None:
            self.says(id=message["id"], result=result)

    def says(self, **message: Any) -> None:
        """It says this."""
        self.on_line(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def tells(self, method: str, **params: Any) -> None:
        """It notifies."""
        self.says(method=method, params=params)

    def has_early(self, tool: str, **arguments: Any) -> bool:
        """Was it asked this early?"""
        return any(call.is_early and (call.tool, call.arguments) == (tool, arguments) for call in self.calls)

    @property
    def is_looked_at(self) -> bool:
        """Have we seen its tools ourselves, so that it may be speculated on?"""
        return any(str(one["id"]).startswith(OUR_IDS) for one in self.asked("tools/list"))

    def asked(self, method: str) -> list[Any]:
        """The messages of this method that it got."""
        return [message for message in self.got if message.get("method") == method]


class Client:
    """A client without a transport."""

    def __init__(self, gateway: ServersGateway, visitor: Visitor | None = None) -> None:
        self.got: list[Any] = []
        self._ids = 0
        self._changed = anyio.Event()
        self.session = gateway.open(visitor or Visitor(), self)

    def put(self, line: bytes) -> None:
        self.got.append(json.loads(line))
        self._changed.set()

    send = put

    def says(self, **message: Any) -> None:
        self.session.on_client_line(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def begin(self, method: str, id: Any = None, **params: Any) -> Any:  # noqa: A002
        """Ask; the id."""
        self._ids += 1
        name = f"id-{self._ids}" if id is None else id
        self.says(id=name, method=method, params=params)
        return name

    async def wait(self, is_it: Callable[[Any], bool]) -> Any:
        """The first message that is this, which is taken away."""
        with anyio.fail_after(WAIT_S):
            while (found := next((one for one in self.got if is_it(one)), None)) is None:
                self._changed = anyio.Event()
                await self._changed.wait()
        self.got.remove(found)
        return found

    async def answer(self, id: Any) -> Any:  # noqa: A002
        return await self.wait(lambda one: "method" not in one and one["id"] == id)

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.answer(self.begin(method, **params))

    async def call(self, tool: str, **arguments: Any) -> Any:
        """What the tool says."""
        answer = await self.ask("tools/call", name=tool, arguments=arguments)
        return answer["result"]["structuredContent"]

    async def begins(self, played: Played) -> Client:
        """The handshake and a first call, after which its server may be speculated on."""
        await self.initialize()
        link = played.link((await self.call("get_issue", number=-1))["by"])
        await until(lambda: link.is_looked_at, "our own look at the tools")
        return self

    async def initialize(self) -> Client:
        able = {"elicitation": {}, "roots": {}}
        about = {"name": "inner", "version": "0"}
        await self.ask("initialize", protocolVersion="2025-11-25", capabilities=able, clientInfo=about)
        self.says(method="notifications/initialized")
        await self.ask("tools/list")
        return self

    def leaves(self) -> None:
        self.session.closed()

    def notified(self) -> list[str]:
        """What it was told and has not looked at."""
        return [one["method"] for one in self.got if "method" in one]


def visitor(subject: str, **headers: str) -> Visitor:
    """Somebody."""
    return Visitor(Principal(subject, "https://issuer.example"), headers=headers)


def configured(folder: Path, servers: Mapping[str, str]) -> Path:
    """A configuration of these servers, with lines of their entries."""
    config = folder / "spec-mcp.toml"
    entries = [f'[servers.{name}]\ncommand = "played"\n{more}\n' for name, more in servers.items()]
    config.write_text(SPECULATION + "\n".join(entries))
    return config


@asynccontextmanager
async def gateway(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    servers: Mapping[str, Played],
    more: str = "",
    only: Collection[str] = (),
) -> AsyncGenerator[ServersGateway]:
    """The gateway in front of these, or at first of some of them; `more` are lines of each server's entry."""
    home = folder / "home"
    (home / "manifests").mkdir(parents=True, exist_ok=True)
    (home / "manifests" / "played.toml").write_text(MANIFEST)
    config = configured(folder, dict.fromkeys(only or servers, more))
    made = sum(len(server.links) for server in servers.values())

    def back_to(server: Server, starts: Any, clock: Any, headers: Any, home: Path, name: str) -> PlayedLink:
        nonlocal made
        made += 1
        played = servers[name]
        link = PlayedLink(played, made, headers)
        played.links.append(link)
        return link

    monkeypatch.setattr(connection, "back_to", back_to)
    environ = {"SPEC_MCP_HOME": str(home), "SPEC_MCP_MODE": "on"}
    async with serving(load_config(config), GatewayOptions(), environ) as found:
        yield found


async def until(condition: Callable[[], Any], what: str, seen: Callable[[], object] = lambda: "") -> None:
    """Wait until something is true that tells nobody; bounded. `seen` says how it is instead."""
    with anyio.move_on_after(WAIT_S):
        while not condition():  # noqa: ASYNC110  nobody sets an event
            await anyio.sleep(0.002)
        return
    raise AssertionError(f"never came true: {what} {seen()}")

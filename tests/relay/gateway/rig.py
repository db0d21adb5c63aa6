"""Sessions of the gateway in memory: real sessions, legs, contacts, directories and translators, and servers that a
test plays. Nothing arrives before `settle`, and time passes when a test says so."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from spec_mcp.relay.answering import CONNECTION_CLOSED, error_line
from spec_mcp.relay.gateway.catalogue import Catalogue, Kind
from spec_mcp.relay.gateway.contact import Contact
from spec_mcp.relay.gateway.directory import Directory
from spec_mcp.relay.gateway.greeting import ClientAbout, Eras
from spec_mcp.relay.gateway.leg import Leg
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.session import GatewaySession
from spec_mcp.relay.gateway.view import View, merged
from spec_mcp.relay.gateway.whose import OneLeg, Switchboard

Message = dict[str, Any]
Reply = Mapping[str, Any] | Callable[[Message], Mapping[str, Any]] | None

CAPABILITIES: Message = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "logging": {},
    "completions": {},
}
CLIENT = {"name": "a client", "version": "1"}
CLIENT_CAPABILITIES: Message = {"elicitation": {}, "sampling": {}, "roots": {}}
META: Message = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": CLIENT_CAPABILITIES,
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
NOT_FOUND = {"error": {"code": -32601, "message": "no such method"}}
STREAM = "io.modelcontextprotocol/subscriptionId"


def raw(message: object) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


class Time:
    """The clock of a rig, and what waits for it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._timers: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._made = 0

    def clock(self) -> float:
        return self.now_s

    def later(self, delay_s: float, task: Callable[[], None], /) -> Callable[[], None]:
        self._made += 1
        held = [task]
        heapq.heappush(self._timers, (self.now_s + delay_s, self._made, held))
        return held.clear

    def next_by(self, until_s: float) -> Callable[[], None] | None:
        """The next thing that is due until then; time goes on to it."""
        while self._timers and self._timers[0][0] <= until_s:
            at_s, _, held = heapq.heappop(self._timers)
            if held:
                self.now_s = max(self.now_s, at_s)
                return held.pop()
        return None

    @property
    def pending(self) -> int:
        """How much waits, and was not called off."""
        return sum(bool(held) for _, _, held in self._timers)


class Script:
    """What a server answers by itself, by method; what is not there it leaves to the test."""

    def __init__(
        self,
        tools: tuple[str, ...] = ("echo",),
        *,
        era: str = "handshake",
        capabilities: Message = CAPABILITIES,
        version: str = "",
        **more: Reply,
    ) -> None:
        self.tools = list(tools)
        self.era = era
        about = {"name": "a server", "version": "1"}
        initialized = {
            "capabilities": capabilities,
            "serverInfo": about,
            "protocolVersion": "2025-11-25",
        }
        discovered = {
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": capabilities,
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"io.modelcontextprotocol/serverInfo": about},
        }

        def initialize(message: Message) -> Mapping[str, Any]:
            asked = message["params"].get("protocolVersion")
            return {"result": {**initialized, "protocolVersion": version or asked}}

        self.replies: dict[str, Reply] = {
            "initialize": initialize if era != "stateless" else NOT_FOUND,
            "server/discover": {"result": discovered} if era != "handshake" else NOT_FOUND,
            "tools/list": lambda _: {"result": {"tools": [{"name": name, "inputSchema": {}} for name in self.tools]}},
            "prompts/list": {"result": {"prompts": []}},
            "resources/list": {"result": {"resources": []}},
            "resources/templates/list": {"result": {"resourceTemplates": []}},
            "ping": {"result": {}},
            **{name.replace("__", "/"): reply for name, reply in more.items()},
        }

    def silent(self, *methods: str) -> Script:
        """It answers these only when the test does."""
        for method in methods:
            self.replies.pop(method, None)
        return self


class Server:
    """One connection's server, in the place of its bridge."""

    def __init__(self, rig: Rig, name: str, script: Script, contact: Contact) -> None:
        self.name = name
        self.script = script
        self.got: list[Message] = []
        """All but what is asked in the gateway's own name."""
        self.own: list[Message] = []
        """What is asked in the gateway's own name."""
        self.raw: list[bytes] = []
        self.open: dict[str, Message] = {}
        """Requests without an answer, by id as JSON."""
        self.starts = 0
        self.refuses = ""
        """Why no request reaches it."""
        self.inheriting = SimpleNamespace(waiting=0)
        self._seats: dict[str, Any] = {}
        self._rig = rig
        self._contact = contact

    @property
    def asked(self) -> list[Any]:
        """As a bridge has them."""
        return [
            SimpleNamespace(seat=self._seats[key], cancelled=False, method=message["method"])
            for key, message in self.open.items()
        ]

    # --- from the gateway -------------------------------------------------------------------------------------------

    def on_client_line(self, line: bytes, seat: Any) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.raw.append(line)
        if line.startswith(b"["):  # only `raw` has it
            return
        message = json.loads(line)
        is_own = str(message.get("id", "")).startswith("spec-mcp-gateway:")
        (self.own if is_own else self.got).append(message)
        if "method" not in message or "id" not in message:
            return
        key = json.dumps(message["id"])
        self.open[key], self._seats[key] = message, seat
        if self.refuses:
            self._rig.deliver(lambda: self.loses(self.refuses))
            return
        reply = self.script.replies.get(message["method"])
        if reply is not None:
            found = reply(message) if callable(reply) else reply
            self._rig.deliver(lambda: self._reply(message["id"], found))

    def _reply(self, id: object, reply: Mapping[str, Any]) -> None:  # noqa: A002
        if self.open.pop(json.dumps(id), None) is not None:
            self.says({"jsonrpc": "2.0", "id": id, **reply})

    def on_server_lost(self, why: str | None) -> None:
        lost, self.open = self.open, {}
        for message in lost.values():
            self._contact.put(error_line(raw(message["id"]), CONNECTION_CLOSED, str(why)))

    # --- what the test has it do ------------------------------------------------------------------------------------

    def says(self, message: object) -> Server:
        """The server says this."""
        line = message if isinstance(message, bytes) else raw(message)
        self._contact.put(line + b"\n")
        self._rig.settle()
        return self

    def answers(self, id: object, result: object = None, **error: object) -> Server:  # noqa: A002
        """It answers; the id is the one that it knows."""
        self.open.pop(json.dumps(id), None)
        body = {"error": error} if error else {"result": {} if result is None else result}
        return self.says({"jsonrpc": "2.0", "id": id, **body})

    def tells(self, method: str, **params: Any) -> Server:
        """It notifies."""
        return self.says({"jsonrpc": "2.0", "method": method, "params": params})

    def asks(self, id: object, method: str, **params: Any) -> Server:  # noqa: A002
        """It asks its client something."""
        return self.says({"jsonrpc": "2.0", "id": id, "method": method, "params": params})

    def answers_own(self, method: str, **reply: Any) -> Server:
        """It answers what the gateway has asked in its own name, the first of this method without an answer."""
        key = next(key for key, one in self.open.items() if one["method"] == method and one in self.own)
        id_ = self.open.pop(key)["id"]
        return self.says({"jsonrpc": "2.0", "id": id_, **reply})

    def loses(self, why: str = "the server ended") -> Server:
        """Its process ends."""
        self._contact.lose(why)
        self._rig.settle()
        return self

    def restarts(self) -> Server:
        """Another takes its place, and knows what the old one knew."""
        self._contact.restarted()
        self._rig.settle()
        return self

    def take(self, method: str | None = None) -> list[Message]:
        """What it got since the last look."""
        got, self.got = self.got, []
        return [message for message in got if method in (None, message.get("method"))]

    @property
    def last(self) -> Message:
        """The last that it got."""
        return self.got[-1]


class Client:
    """One client and its session."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.name = name
        self.lines: list[bytes] = []
        self.is_closed = False
        self.session: GatewaySession
        self._rig = rig

    def put(self, line: bytes) -> None:
        assert not self.is_closed
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.lines.append(line)

    send = put

    # --- what it says -----------------------------------------------------------------------------------------------

    def says(self, *messages: object) -> Client:
        """These, one after another, before anybody answers."""
        for message in messages:
            line = message if isinstance(message, bytes) else raw(message)
            self.session.on_client_line(line + b"\n")
        self._rig.settle()
        return self

    def asks(self, id: object, method: str, **params: Any) -> Client:  # noqa: A002
        return self.says(request(id, method, **params))

    def calls(self, id: object, tool: str, **arguments: Any) -> Client:  # noqa: A002
        return self.asks(id, "tools/call", name=tool, arguments=arguments)

    def tells(self, method: str, **params: Any) -> Client:
        return self.says({"jsonrpc": "2.0", "method": method, "params": params})

    def cancels(self, id: object) -> Client:  # noqa: A002
        return self.tells("notifications/cancelled", requestId=id)

    def answers(self, id: object, result: object) -> Client:  # noqa: A002
        return self.says({"jsonrpc": "2.0", "id": id, "result": result})

    def initializes(self, version: str = "2025-11-25") -> Client:
        """The whole handshake; what came of it is looked at."""
        self.says(initialize("init", version), INITIALIZED).take()
        return self

    def discovers(self) -> Client:
        """As a client of the other era begins."""
        self.asks("discover", "server/discover", _meta=META).take()
        return self

    def leaves(self) -> Client:
        self.session.closed()
        self.is_closed = True
        self._rig.settle()
        return self

    # --- what it gets -----------------------------------------------------------------------------------------------

    def take(self) -> list[Any]:
        """What it got since the last look; the answers to a batch are a list."""
        lines, self.lines = self.lines, []
        return [json.loads(line) for line in lines]

    def answer(self, id: object) -> Message:  # noqa: A002
        """The only answer to this request, which is taken away."""
        found = [one for one in map(json.loads, self.lines) if "method" not in one and one.get("id") == id]
        assert len(found) == 1, (id, found, self.lines)
        self.lines = [line for line in self.lines if json.loads(line) != found[0]]
        return found[0]

    def has_answer(self, id: object) -> bool:  # noqa: A002
        return any("method" not in one and one.get("id") == id for one in map(json.loads, self.lines))

    def result(self, id: object) -> Any:  # noqa: A002
        answer = self.answer(id)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, id: object) -> Any:  # noqa: A002
        answer = self.answer(id)
        assert "error" in answer, answer
        return answer["error"]

    def listed(self, id: object = "list") -> list[str]:  # noqa: A002
        """The names of the tools that it is shown now."""
        return [tool["name"] for tool in self.asks(id, "tools/list").result(id)["tools"]]


class Rig:
    """All servers, all clients, one principal."""

    def __init__(
        self,
        scripts: Mapping[str, Script],
        *,
        shared: tuple[str, ...] = (),
        remembered: Mapping[str, Catalogue] | None = None,
        filters: Mapping[str, ToolFilter] | None = None,
    ) -> None:
        self.time = Time()
        self.scripts = dict(scripts)
        self.shared = shared
        self.filters = dict(filters or {})
        self.view = self._view(remembered or {})
        self.clients: list[Client] = []
        self.servers: dict[str, list[Server]] = {name: [] for name in scripts}
        self.faults: list[Exception] = []
        self._contacts: dict[str, Contact] = {}
        self._eras: dict[str, Eras] = {}
        self._deliveries: deque[Callable[[], object]] = deque()

    def _view(self, catalogues: Mapping[str, Catalogue]) -> View:
        return merged({name: self.filters.get(name, ToolFilter()) for name in self.scripts}, catalogues)

    def client(self) -> Client:
        """A client comes."""
        client = Client(self, f"client-{len(self.clients)}")

        def open_leg(server: str, about: ClientAbout, to_client: Callable[[Leg, bytes], None]) -> Leg:
            contact, seat = self._contact(server), SimpleNamespace(session=client.name)
            leg = Leg(server, seat, contact, about, to_client, self.time.later)  # pyright: ignore[reportArgumentType]
            leg.begin()
            return leg

        client.session = GatewaySession(client, Directory(self.view), open_leg, self.time.later)
        client.session.on_fault = self.faults.append
        self.clients.append(client)
        return client

    def _contact(self, name: str) -> Contact:
        if name in self._contacts:
            return self._contacts[name]
        lines = Switchboard() if name in self.shared else OneLeg()
        eras = self._eras.setdefault(name, Eras())
        contact = Contact(name, lines, self.view.catalogues.get(name), self.time.later, self.time.clock, eras)
        server = Server(self, name, self.scripts[name], contact)
        contact.connect(server)  # pyright: ignore[reportArgumentType]
        contact.on_listed = lambda catalogue: self._listed(name, catalogue)
        self.servers.setdefault(name, []).append(server)
        if isinstance(lines, Switchboard):
            lines.say = contact.say
            self._contacts[name] = contact
        return contact

    def _listed(self, name: str, catalogue: Catalogue) -> None:
        """As the gateway does it."""
        if name in self.view.servers:
            self.shows(self.view.updated(name, catalogue))

    def shows(self, view: View) -> None:
        """All clients of the principal are shown this."""
        if view is self.view:
            return
        self.view = view
        for client in self.clients:
            client.session.show(view)

    def reconfigures(self, scripts: Mapping[str, Script], *changed: str, why: str = "it has changed") -> None:
        """The configuration is another; these servers are not what they were."""
        for name in (*changed, *(self.scripts.keys() - scripts.keys())):
            for server in self.servers.pop(name, []):
                server._contact.lose(why)
            self._contacts.pop(name, None)
            for client in self.clients:
                client.session.leave(name, why)
        self.scripts = dict(scripts)
        self.shows(self._view(self.view.catalogues))
        self.settle()

    def server(self, name: str, number: int = -1) -> Server:
        """The newest connection's, or another's."""
        return self.servers[name][number]

    def deliver(self, task: Callable[[], object]) -> None:
        """When all that is said now has been heard."""
        self._deliveries.append(task)

    def settle(self) -> Rig:
        """Until nobody has anything to say."""
        while self._deliveries:
            self._deliveries.popleft()()
        assert self.faults == [], self.faults
        return self

    def waits(self, seconds: float) -> Rig:
        """Time passes."""
        until_s = self.time.now_s + seconds
        while (task := self.time.next_by(until_s)) is not None:
            task()
            self.settle()
        self.time.now_s = until_s
        return self


# --- messages -------------------------------------------------------------------------------------------------------


def request(id: object, method: str, **params: Any) -> Message:  # noqa: A002
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def initialize(id: object, version: str = "2025-11-25") -> Message:  # noqa: A002
    capabilities = CLIENT_CAPABILITIES
    return request(id, "initialize", protocolVersion=version, capabilities=capabilities, clientInfo=CLIENT)


INITIALIZED: Message = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def text(words: str) -> Message:
    return {"content": [{"type": "text", "text": words}]}


def catalogue(script: Script, tools: tuple[str, ...], version: str = "2025-11-25") -> Catalogue:
    """What such a server said in an earlier run."""
    hello = {"capabilities": CAPABILITIES, "serverInfo": {"name": "a server", "version": "1"}}
    if script.era == "stateless":
        hello |= {"supportedVersions": ["2026-07-28"], "resultType": "complete"}
        found = Catalogue("stateless", "2026-07-28", raw(hello))
    else:
        found = Catalogue("handshake", version, raw({**hello, "protocolVersion": version}))
    for kind in Kind:
        found = found.with_items(kind, ())
    return found.with_items(Kind.TOOLS, tuple(raw({"name": name, "inputSchema": {}}) for name in tools))

"""Messages and requests that no decent client sends, and a client that sends them and looks at what comes back."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from benchmarks.gateway.running import SERVERS, server

LEGACY, MODERN = "2025-11-25", "2026-07-28"
EXAMPLES = int(os.environ.get("SPEC_MCP_FUZZ", "150"))

fuzzed = settings(
    max_examples=EXAMPLES,
    database=None,
    phases=[Phase.generate],  # to shrink an example that hangs would take for ever
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

ANSWER_S = 60.0
"""Longer than this is a hang: nothing that is asked here takes time."""

TOKEN = re.compile(rb"tok-(\w+)-")
"""In every text that a fuzzing client sends: an answer that holds another's has gone to the wrong client."""

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "0"},
}
HELLO = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "0"}}

BASES: list[tuple[str, dict[str, Any]]] = [
    ("initialize", HELLO),
    ("server/discover", {}),
    ("ping", {}),
    ("tools/list", {}),
    ("tools/list", {"cursor": "@"}),
    ("tools/call", {"name": "odd__echo", "arguments": {"text": "@"}}),
    ("tools/call", {"name": "decent__test_simple_text", "arguments": {"text": "@"}}),
    ("tools/call", {"name": "decent__test_tool_with_progress", "arguments": {}, "_meta": {"progressToken": "@"}}),
    ("tools/call", {"name": "@", "arguments": {}}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "say", "arguments": {"text": "@"}}),
    ("prompts/get", {"name": "test_simple_prompt"}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "anything://one"}),
    ("resources/read", {"uri": "test://template/@/data"}),
    ("resources/subscribe", {"uri": "anything://one"}),
    ("resources/unsubscribe", {"uri": "anything://one"}),
    ("completion/complete", {"ref": {"type": "ref/prompt", "name": "say"}, "argument": {"name": "text", "value": "@"}}),
    ("logging/setLevel", {"level": "info"}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    ("tasks/get", {"taskId": "@"}),
    ("@/unknown", {"text": "@"}),
]
"""`@` becomes the client's token."""

NOTIFICATIONS: list[tuple[str, dict[str, Any]]] = [
    ("notifications/initialized", {}),
    ("notifications/cancelled", {"requestId": 1, "reason": "@"}),
    ("notifications/progress", {"progressToken": "@", "progress": 1}),
    ("notifications/roots/list_changed", {}),
    ("notifications/@", {}),
]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "\u2028", "\ud800", "🙂", "__", "odd__", "../..", "a" * 5_000])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
IDS = st.integers(-3, 3) | st.text(max_size=5) | VALUES
INSERTED = st.sampled_from(
    [b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"{", b"}", b'"', b",", b"\n", b"\\u0000", b"[" * 2_000, b" " * 2_000]
)


CONFIGURATION = """\
[servers.odd]
command = {python}
args = {permissive}

[servers.decent]
url = "{url}"
manifest = "{manifest}"

[speculation]
mode = "on"
wasted_call_s = 0.0
"""


def configuration(folder: Path, url: str) -> Path:
    """A gateway in front of a server that answers everything, and of one on the SDK."""
    command = [json.dumps(part) for part in server("permissive.py")]
    manifest = SERVERS / "conformance.toml"
    config = folder / "spec-mcp.toml"
    arguments = f"[{', '.join(command[1:])}]"
    config.write_text(CONFIGURATION.format(python=command[0], permissive=arguments, url=url, manifest=manifest))
    return config


@dataclass(frozen=True, slots=True)
class Shot:
    """One HTTP request: its body, its headers, and the id of the request in it where that is a decent one."""

    verb: str
    body: bytes
    headers: dict[str, str]
    id: Any = None
    listens: bool = False
    """The answer is a stream without an end."""


def _put(value: Any, token: str) -> Any:
    """The value with the token in the place of each `@`."""
    if isinstance(value, str):
        return value.replace("@", token)
    if isinstance(value, dict):
        return {name: _put(inner, token) for name, inner in value.items()}
    return value


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The way to every member, at any depth."""
    if not isinstance(value, dict):
        return []
    return [way for name, inner in value.items() for way in ((*path, name), *_paths(inner, (*path, name)))]


def _at(message: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path[:-1]:
        message = message[name]
    return message


@st.composite
def messages(draw: st.DrawFn, token: str, modern: bool) -> dict[str, Any]:
    """A message that is right but for a few of its members."""
    method, params = draw(st.sampled_from(BASES + NOTIFICATIONS))
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": _put(method, token), "params": _put(params, token)}
    if (method, params) in BASES:
        message["id"] = draw(IDS)
    if modern:
        message["params"] = {**message["params"], "_meta": {**message["params"].get("_meta", {}), **_put(META, token)}}
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from(_paths(message)))
        holder = _at(message, path)
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                holder[path[-1]] = draw(VALUES)
            case "remove":
                del holder[path[-1]]
            case _:
                holder[draw(st.text(max_size=8))] = draw(VALUES)
        if not _paths(message):
            break
    return message


@st.composite
def bodies(draw: st.DrawFn, token: str, modern: bool) -> tuple[bytes, Any]:
    """A body, and the id of the decent request in it; None where it is none."""
    message = draw(messages(token, modern))
    text = json.dumps(message, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    match draw(st.sampled_from(["whole", "whole", "whole", "batch", "twice", "broken", "cut", "anything"])):
        case "whole":
            return text, decent_id(message)
        case "batch":
            return b"[" + b",".join([text] * draw(st.integers(0, 3))) + b"]", None
        case "twice":
            return text[:-1] + b"," + text[1:], None
        case "broken":
            place = draw(st.integers(0, len(text)))
            return text[:place] + draw(INSERTED) + text[place + draw(st.integers(0, 2)) :], None
        case "cut":
            return text[: draw(st.integers(0, len(text)))], None
        case _:
            return draw(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())), None


def decent_id(message: dict[str, Any]) -> Any:
    """The id under which an answer must come; None where no rule says so."""
    identity = message.get("id")
    is_request = message.get("jsonrpc") == "2.0" and isinstance(message.get("method"), str)
    if not is_request or isinstance(identity, bool) or not isinstance(identity, int | str):
        return None
    if isinstance(identity, int) and abs(identity) >= 1 << 53:
        return None
    return None if isinstance(identity, str) and not identity.isprintable() else identity


@st.composite
def shots(draw: st.DrawFn, token: str) -> Shot:
    """A request over HTTP that is right but for a few things."""
    modern = draw(st.booleans())
    body, identity = draw(bodies(token, modern))
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    if modern:
        headers["MCP-Protocol-Version"] = MODERN
        headers["Mcp-Method"] = draw(st.sampled_from(sorted({method for method, _ in BASES})))
        try:
            asked = json.loads(body)
            headers["Mcp-Method"] = str(asked["method"])
            headers["Mcp-Name"] = str(asked["params"].get("name") or asked["params"]["uri"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass  # what there is of it
    for _ in range(draw(st.integers(0, 1))):
        name = draw(st.sampled_from(["Accept", "Content-Type", "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"]))
        headers[name] = draw(st.sampled_from(["", "*/*", "text/plain", "2024-11-05", "2025-03-26", "v9", "a" * 5_000]))
    headers = {name: value for name, value in headers.items() if value.isascii() and value.isprintable()}
    verb = draw(st.sampled_from(["POST"] * 12 + ["PUT", "PATCH", "OPTIONS", "HEAD", "GET", "DELETE"]))
    listens = verb == "GET" or b"subscriptions/listen" in body
    return Shot(verb, body, headers, identity, listens)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    content_type: str
    body: bytes

    def messages(self) -> list[Any]:
        """The JSON-RPC messages in it.

        Raises:
            ValueError: what should be one is none.
        """
        if not self.body:
            return []
        if self.content_type.startswith("text/event-stream"):
            lines = [line[5:].strip() for line in self.body.splitlines() if line.startswith(b"data:")]
            return [json.loads(line) for line in lines if line]
        return [json.loads(self.body)] if self.content_type.startswith("application/json") else []


class Hung(AssertionError):  # noqa: N818  what happened
    """No answer, or no end of it, in time."""


@dataclass(slots=True)
class Client:
    """One client of the handshake era, whose every text holds a token of its own."""

    http: httpx2.Client
    url: str
    name: str
    session: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def token(self) -> str:
        return f"tok-{self.name}-"

    def connect(self) -> None:
        """A session of its own."""
        self.session = {}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        response = self.http.post(self.url, json=message, headers=headers)
        assert response.status_code == 200, response.text
        self.session = {"Mcp-Session-Id": response.headers["mcp-session-id"]}
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def post(self, message: Any) -> Reply:
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        return self.shoot(Shot("POST", json.dumps(message).encode(), {**headers, "MCP-Protocol-Version": LEGACY}))

    def call(self, tool: str, text: str, identity: int | str = 1) -> Any:
        """The answer to one decent call."""
        params = {"name": tool, "arguments": {"text": text}}
        reply = self.post({"jsonrpc": "2.0", "id": identity, "method": "tools/call", "params": params})
        return next(message for message in reply.messages() if message.get("id") == identity)

    def shoot(self, shot: Shot, in_session: bool = True) -> Reply:
        """Send it, and read what comes back; of a stream without an end only its beginning.

        Raises:
            Hung: it does not come.
        """
        headers = {**shot.headers, **(self.session if in_session else {})}
        end_s = time.monotonic() + ANSWER_S
        body = bytearray()
        try:
            with self.http.stream(shot.verb, self.url, content=shot.body, headers=headers) as response:
                if not (shot.listens and response.status_code == 200):
                    for part in response.iter_bytes():
                        body += part
                        if time.monotonic() > end_s:
                            raise Hung(f"{shot} is answered for ever: {bytes(body[:500])!r}")
        except httpx2.TimeoutException as error:
            raise Hung(f"{shot}: {error!r} after {bytes(body[:500])!r}") from None
        return Reply(response.status_code, response.headers.get("content-type", ""), bytes(body))


@contextmanager
def client(url: str, name: str) -> Generator[Client]:
    """A client with a session of its own."""
    with httpx2.Client(timeout=ANSWER_S) as http:
        one = Client(http, url, name)
        one.connect()
        yield one


def foreign_tokens(client: Client, data: bytes) -> set[str]:
    """Whose texts came to this client, beside its own."""
    return {found.decode() for found in TOKEN.findall(data)} - {client.name}


# Bytes that are no HTTP

LINES = st.sampled_from(
    [b"POST /mcp HTTP/1.1", b"GET /mcp HTTP/1.1", b"POST /mcp", b"PRI * HTTP/2.0", b"POST /\xff\xfe HTTP/1.1", b""]
)
HEADERS = st.sampled_from(
    [
        b"Host: 127.0.0.1",
        b"Host: evil.example",
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked, identity",
        b"Content-Type: application/json",
        b"Content-Encoding: gzip",
        b"Accept: application/json, text/event-stream",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Connection: close",
        b"no colon",
        b": no name",
        b" folded",
        b"X: " + b"y" * 70_000,
        b"\x00\x01: \xff",
    ]
)
REST = st.sampled_from([b"", b"{}", b'5\r\n{"a":\r\n0\r\n\r\n', b"zz\r\n", b"\x00" * 100]) | st.binary(max_size=100)


@st.composite
def raw_requests(draw: st.DrawFn) -> list[bytes]:
    """What goes over one connection, in pieces."""
    pieces: list[bytes] = []
    for _ in range(draw(st.integers(1, 2))):
        head = [draw(LINES), *draw(st.lists(HEADERS, max_size=5))]
        pieces += [b"\r\n".join(head) + draw(st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""])), draw(REST)]
    return pieces


def send_raw(url: str, pieces: list[bytes], then: Callable[[socket.socket], None] | None = None) -> bytes:
    """Send these pieces over one connection, close our side, and read until the other side closes too.

    Raises:
        Hung: it does not close.
    """
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    received = bytearray()
    end_s = time.monotonic() + ANSWER_S
    with socket.create_connection((place.hostname, place.port), ANSWER_S) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            if then:
                then(connection)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                received += part
                if time.monotonic() > end_s:
                    raise Hung(f"{pieces}: {bytes(received[:500])!r}")
        except TimeoutError:
            raise Hung(f"{pieces}: {bytes(received[:500])!r}") from None
        except OSError:  # reset, or not connected any more
            pass  # it has had enough: as good an end as any
    return bytes(received)

"""Whatever is sent: no crash, an answer or a refusal, and never an answer on another's stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.relay import wire
from spec_mcp.relay.front.app import HttpFront
from spec_mcp.relay.front.http import CONNECTION, Refusal
from spec_mcp.relay.front.messages import Message, read_messages
from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.front.splice import with_member, with_meta_member
from spec_mcp.relay.front.stateless import conversation_of
from spec_mcp.relay.gateway.ports import ClientOut, Visitor
from tests.relay.front.rig import BOTH, META, MODERN

FUZZ = settings(max_examples=100)

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
METHODS = ["initialize", "tools/call", "tools/list", "subscriptions/listen", "notifications/cancelled", "x", ""]
metas = st.dictionaries(
    st.sampled_from([*META, "progressToken", "traceparent", "spec-mcp/session", "x"]),
    st.sampled_from([MODERN, "v1", 1, None, {}, "00-" + "1" * 32 + "-" + "2" * 16 + "-01"]) | values,
)
nearly_params = st.fixed_dictionaries({}, optional={"_meta": metas | values, "name": values, "requestId": scalars})
nearly_messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.sampled_from(["2.0", "1.0", 2.0]),
        "id": scalars | values,
        "method": st.sampled_from(METHODS) | scalars,
        "params": nearly_params | values,
        "result": values,
        "error": values,
    },
)
bodies = (
    st.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | nearly_messages.map(lambda message: json.dumps(message).encode())
    | st.lists(nearly_messages, max_size=3).map(lambda messages: json.dumps(messages).encode())
    | nearly_messages.map(lambda message: json.dumps(message, ensure_ascii=False, indent=1).encode(errors="replace"))
)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30).map(
    lambda text: text.encode("latin-1")
)
NAMES = [
    b"accept",
    b"content-type",
    b"host",
    b"origin",
    b"authorization",
    b"mcp-session-id",
    b"mcp-protocol-version",
    b"mcp-method",
    b"mcp-name",
    b"last-event-id",
    b"content-length",
    b"traceparent",
    b"x",
]
USUAL = [
    (b"host", b"localhost"),
    (b"accept", BOTH.encode()),
    (b"content-type", b"application/json"),
]
odd_headers = st.lists(st.tuples(st.sampled_from(NAMES), header_values), max_size=4)
headers = st.one_of(
    odd_headers,
    odd_headers.map(lambda odd: [*USUAL, *odd]),
    st.sampled_from(METHODS).map(
        lambda method: [*USUAL, (b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", method.encode())]
    ),
)


class Echoing:
    """A gateway that answers every request with its own params, and says each twice."""

    def open(self, visitor: Visitor, client: ClientOut) -> Echoing.Session:
        return Echoing.Session(client)

    class Session:
        def __init__(self, client: ClientOut) -> None:
            self.client = client

        def on_client_line(self, line: bytes) -> None:
            assert line.endswith(b"\n")
            assert line.count(b"\n") == 1
            assert b"\r" not in line
            message = wire.read(line)
            assert isinstance(message, wire.Envelope)
            if message.is_request:
                result = message.params if message.params[:1] == b"{" else b"{}"
                if message.method == "initialize":
                    result = b'{"protocolVersion":"2025-03-26"}'
                for _ in range(2):
                    self.client.send(b'{"jsonrpc":"2.0","id":%s,"result":%s}\n' % (message.id, result))

        def drop_held(self) -> None:
            pass

        def closed(self) -> None:
            pass


class Leaving:
    """A connection whose client leaves as soon as an answer has begun."""

    takes_more = True
    has_body = True

    def __init__(self) -> None:
        self.when_lost: Callable[[], None] | None = None

    def abort(self) -> None:
        pass

    def watch(self, when_lost: Callable[[], None] | None) -> None:
        self.when_lost = when_lost


async def answered(front: HttpFront, method: str, given: Sequence[tuple[bytes, bytes]], body: bytes) -> Any:
    """The status, the headers and the body of the answer."""
    said: list[Any] = []
    connection = Leaving()

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)
        if connection.when_lost is not None:
            connection.when_lost()

    extensions = {CONNECTION: connection}
    scope = {"type": "http", "method": method, "path": "/mcp", "headers": list(given), "extensions": extensions}
    with anyio.fail_after(60):
        await front(scope, receive, send)
    assert said
    assert said[0]["type"] == "http.response.start"
    return said[0]["status"], dict(said[0]["headers"]), b"".join(one.get("body", b"") for one in said[1:])


@FUZZ
@given(st.sampled_from(["POST", "POST", "GET", "DELETE", "PUT"]), headers, bodies)
def test_any_request_gets_an_answer_or_a_refusal(method: str, given: list[tuple[bytes, bytes]], body: bytes) -> None:
    async def run() -> None:
        front = HttpFront(HttpSettings(), Echoing())
        status, said, text = await answered(front, method, given, body)
        assert status < 500
        if text and said.get(b"content-type") == b"application/json":
            told = json.loads(text)
            assert all("result" in one or "error" in one for one in (told if isinstance(told, list) else [told]))
        front.close()

    anyio.run(run)


@FUZZ
@given(bodies)
def test_any_body_in_a_session_gets_answers_to_its_own_requests_alone(body: bytes) -> None:
    async def run() -> None:
        front = HttpFront(HttpSettings(), Echoing())
        initialize = b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}'
        _, said, _ = await answered(front, "POST", USUAL, initialize)
        given = [*USUAL, (b"mcp-session-id", said[b"mcp-session-id"])]
        status, said, text = await answered(front, "POST", given, body)
        assert status < 500
        if status == 200:
            told = json.loads(text)
            asked = json.loads(body)
            requests = [one for one in (asked if isinstance(asked, list) else [asked]) if "method" in one]
            ids = [one["id"] for one in requests if "id" in one]
            assert [one["id"] for one in (told if isinstance(told, list) else [told])] == ids
        front.close()

    anyio.run(run)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=5)), min_size=1, max_size=20))
def test_stateless_clients_get_their_own_answers_whatever_ids_they_choose(asked: list[tuple[int, str]]) -> None:
    async def run() -> None:
        front = HttpFront(HttpSettings(), Echoing())

        async def ask(request_id: int, text: str) -> None:
            params = {"x": text, "_meta": {**META, "progressToken": request_id}}
            body = json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "x/y", "params": params}).encode()
            named = [*USUAL, (b"mcp-protocol-version", MODERN.encode()), (b"mcp-method", b"x/y")]
            status, _, told = await answered(front, "POST", named, body)
            assert status == 200
            assert (json.loads(told)["id"], json.loads(told)["result"]["x"]) == (request_id, text)

        async with anyio.create_task_group() as tasks:
            for request_id, text in asked:
                tasks.start_soon(ask, request_id, text)
        front.close()

    anyio.run(run)


@settings(max_examples=500)
@given(bodies)
def test_any_body_is_read_or_refused(body: bytes) -> None:
    read = read_or_refused(body)
    if isinstance(read, Refusal):
        assert read.status == 400
        assert isinstance(json.loads(b'{"id":' + read.id_raw + b"}")["id"], str | int | float | None)
        return
    for message in read if isinstance(read, list) else [read]:
        assert message.line.count(b"\n") == 1
    if isinstance(read, Message):
        assert json.loads(read.line) == json.loads(body)


def read_or_refused(body: bytes) -> Message | list[Message] | Refusal:
    try:
        return read_messages(body)
    except Refusal as refusal:
        return refusal


@settings(max_examples=300)
@given(st.dictionaries(st.text(max_size=5), values, max_size=4), st.text(max_size=5), st.sampled_from([None, 0, 1]))
def test_another_value_leaves_every_other_byte(table: dict[str, Any], name: str, indent: int | None) -> None:
    text = json.dumps(table, indent=indent).encode()
    changed = with_member(text, name, b'"own"')
    assert json.loads(changed) == ({**table, name: "own"} if name in table else table)
    assert (
        len(changed) - len(text) == (5 - len(json.dumps(table[name], indent=indent)) if name in table else 0) or indent
    )


@settings(max_examples=300)
@given(values, metas, st.booleans())
def test_a_value_in_meta_is_changed_there_alone(value: Any, meta: dict[str, Any], is_twin: bool) -> None:
    params = {"arguments": {"_meta": meta} if is_twin else value, "_meta": meta, "more": meta}
    changed = json.loads(with_meta_member(json.dumps(params).encode(), "progressToken", b'"own"'))
    expected = {**meta, "progressToken": "own"} if "progressToken" in meta else meta
    assert changed == {**params, "_meta": expected}


@settings(max_examples=300)
@given(metas, st.text(max_size=80))
def test_any_conversation_has_a_short_name(meta: dict[str, Any], traceparent: str) -> None:
    raw = {name: json.dumps(value).encode() for name, value in meta.items()}
    named = conversation_of(raw, traceparent)
    assert len(named) <= 80
    assert named.isascii()


@pytest.mark.anyio
async def test_what_is_no_http_is_refused() -> None:
    async def nothing(*_: object) -> Any:
        raise AssertionError("nobody asked")

    with pytest.raises(RuntimeError, match="websocket is not served"):
        await HttpFront(HttpSettings(), Echoing())({"type": "websocket"}, nothing, nothing)

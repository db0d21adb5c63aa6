"""Whatever client and server say: nothing raises, and each request of the client's gets at most one answer, its own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from spec_mcp.relay.gateway.eras import Era, Outgoing, ServerAbout, Side, translator, words
from tests.relay.gateway.eras_rig import ASK, DISCOVERED, INITIALIZE, INITIALIZED_AS, META, raw

IDS = st.integers(0, 5) | st.sampled_from(["a", "ours", "", None, True, 1.5, [], {}])
ODD = st.sampled_from([None, 5, [], {}, "x", True, {"_meta": 5}, {"_meta": {}}, {"x": "\ud800"}])
METHODS = st.sampled_from(
    [
        *words.HANDSHAKE_ONLY,
        *words.STATELESS_ONLY,
        *words.INPUT_METHODS,
        *words.PROMPTS,
        *words.CHANGED.values(),
        words.CANCELLED,
        words.INITIALIZED,
        words.PROGRESS,
        words.MESSAGE,
        words.ACKNOWLEDGED,
        words.UPDATED,
        "tools/list",
        "custom/method",
        "tasks/get",
        "",
        5,
        None,
    ]
)
METAS = st.sampled_from(
    [{}, META, {**META, "progressToken": 1}, {**META, words.LEVEL_META: "info"}, {**META, words.LEVEL_META: 3}]
)
RESULTS = st.sampled_from(
    [
        {},
        {"content": []},
        {"resultType": "complete"},
        {"resultType": "input_required"},
        {"resultType": "input_required", "requestState": "s"},
        {
            "resultType": "input_required",
            "requestState": "s",
            "inputRequests": {"k": ASK, "r": {"method": "roots/list"}},
        },
        {"resultType": "input_required", "inputRequests": {"k": 5}},
        {"resultType": "task", "taskId": "t"},
        {"action": "accept"},
        {"roots": []},
        [],
        None,
        5,
    ]
)
ERRORS = st.sampled_from(
    [
        {"code": -32602, "message": "m", "data": {"uri": "a:1"}},
        {"code": -32002, "message": "m"},
        {"code": -32042, "message": "m", "data": {"elicitations": [{"mode": "url", "url": "https://x"}, 5]}},
        {"code": "x"},
        None,
        5,
    ]
)


@st.composite
def params(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 5)) == 0:
        return draw(ODD)
    said: dict[str, Any] = {
        "name": "tool",
        "uri": draw(st.sampled_from(["a:1", "a:2", 5])),
        "requestId": draw(IDS),
        "level": draw(st.sampled_from(["info", "error", "loud", 5])),
        "progressToken": draw(st.sampled_from([1, "t"])),
        "notifications": draw(ODD | st.just({"toolsListChanged": True, "resourceSubscriptions": ["a:1", "a:2", 5]})),
    }
    if draw(st.booleans()):
        said["_meta"] = draw(METAS)
    return said


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Any message, well-formed or not."""
    message: dict[str, Any] = {"jsonrpc": "2.0"}
    for name, values in (
        ("id", IDS),
        ("method", METHODS),
        ("params", params()),
        ("result", RESULTS),
        ("error", ERRORS),
    ):
        if draw(st.integers(0, 2)):
            message[name] = draw(values)
    return message


LINES = (
    messages().map(raw)
    | st.lists(messages(), max_size=3).map(raw)
    | st.binary(max_size=40)
    | messages().map(lambda message: raw(message)[:-3])
)


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def made(client: Era, clock: list[float]) -> Any:
    server = Era.STATELESS if client is Era.HANDSHAKE else Era.HANDSHAKE
    result = INITIALIZED_AS if server is Era.HANDSHAKE else DISCOVERED
    about = ServerAbout("2026-07-28", raw(result), raw(META if client is Era.STATELESS else INITIALIZE))
    return translator(client, server, about, now_s=lambda: clock[0])


@pytest.mark.parametrize("client", list(Era))
@given(data=st.data())
@settings(max_examples=100)
def test_any_line_is_borne(client: Era, data: st.DataObject) -> None:
    between = made(client, [0.0])
    makes_sense = True
    for line in data.draw(st.lists(LINES, max_size=12)):
        makes_sense = makes_sense and is_json(line)
        who = between.from_client if data.draw(st.booleans()) else between.from_server
        for out in who(line):
            assert out.line.endswith(b"\n")
            assert not makes_sense or is_json(out.line)


class Peers(RuleBasedStateMachine):
    """A client and a server that answer what they are asked, late, in any order, or never; and forge answers."""

    client_era: Era

    def __init__(self) -> None:
        super().__init__()
        self.clock = [0.0]
        self.between = made(self.client_era, self.clock)
        self.asked_by_client: list[int] = []
        self.answers: Counter[int] = Counter()
        self.at_server: list[dict[str, Any]] = []
        self.at_client: list[dict[str, Any]] = []
        self.held: list[tuple[dict[str, Any], dict[str, Any]]] = []
        """Requests that were answered with a question, and the answers."""
        self.requests: dict[int, dict[str, Any]] = {}
        self.by_server = 0
        self.server_answered: Counter[str] = Counter()

    def took(self, lines: list[Outgoing]) -> None:
        for out in lines:
            message = json.loads(out.line)
            if out.side is Side.SERVER:
                self._server_got(message)
            else:
                self._client_got(message)

    def _server_got(self, message: dict[str, Any]) -> None:
        if "method" in message and "id" in message:
            assert message["id"] not in {one["id"] for one in self.at_server}
            self.at_server.append(message)
        elif "method" not in message:
            self.server_answered[message["id"]] += 1
            assert self.server_answered[message["id"]] == 1

    def _client_got(self, message: dict[str, Any]) -> None:
        if "method" in message:
            if "id" in message:
                self.at_client.append(message)
            return
        number = message["id"]
        assert number in self.requests
        self.answers[number] += 1
        assert self.answers[number] == 1
        if "result" in message:
            told = message["result"].get("number")
            assert told is None or told == self.requests[number]["params"]["arguments"]["number"]
            if message["result"].get("resultType") == "input_required":
                self.held.append((self.requests[number], message["result"]))

    def _ask(self, method: str, params: dict[str, Any]) -> None:
        number = len(self.requests)
        meta = META if self.client_era is Era.STATELESS else {}
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": meta}}
        self.requests[number] = request
        self.took(self.between.from_client(raw(request)))

    @rule(method=st.sampled_from([*words.INPUT_METHODS, "tools/list"]))
    def client_asks(self, method: str) -> None:
        self._ask(method, {"name": "t", "arguments": {"number": len(self.requests)}})

    @rule(data=st.data(), given=st.sampled_from([{"action": "accept"}, {"action": "decline"}, None]))
    def client_comes_back(self, data: st.DataObject, given: Any) -> None:
        if self.held:
            request, result = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            responses = dict.fromkeys(result["inputRequests"], given)
            params = {**request["params"], "requestState": result["requestState"], "inputResponses": responses}
            self._ask(request["method"], params)

    @rule(data=st.data())
    def client_cancels(self, data: st.DataObject) -> None:
        if self.requests:
            number = data.draw(st.sampled_from(sorted(self.requests)))
            line = {"jsonrpc": "2.0", "method": words.CANCELLED, "params": {"requestId": number}}
            self.took(self.between.from_client(raw(line)))
            assert self.answers[number] <= 1

    @rule(data=st.data(), is_error=st.booleans())
    def client_answers(self, data: st.DataObject, is_error: bool) -> None:
        if self.at_client:
            question = self.at_client.pop(data.draw(st.integers(0, len(self.at_client) - 1)))
            body = {"error": {"code": 1, "message": "no"}} if is_error else {"result": {"action": "accept"}}
            self.took(self.between.from_client(raw({"jsonrpc": "2.0", "id": question["id"], **body})))

    @rule(data=st.data(), how=st.sampled_from(["result", "error", "input", "visit", "again"]), twice=st.booleans())
    def server_answers(self, data: st.DataObject, how: str, twice: bool) -> None:
        if not self.at_server:
            return
        request = self.at_server.pop(data.draw(st.integers(0, len(self.at_server) - 1)))
        number = request.get("params", {}).get("arguments", {}).get("number")
        bodies: dict[str, dict[str, Any]] = {
            "result": {"result": {"number": number}},
            "error": {"error": {"code": -32603, "message": "m"}},
            "visit": {"error": {"code": -32042, "message": "m", "data": {"elicitations": [{"mode": "url"}]}}},
            "input": {"result": {"resultType": "input_required", "inputRequests": {"a": ASK, "b": ASK}}},
            "again": {"result": {"resultType": "input_required", "requestState": "s"}},
        }
        is_handshake = self.client_era is Era.STATELESS
        body = bodies["result" if is_handshake and how in ("input", "again") else how]
        for _ in range(2 if twice else 1):
            self.took(self.between.from_server(raw({"jsonrpc": "2.0", "id": request["id"], **body})))

    @rule(what=st.sampled_from([ASK, {"method": "roots/list"}]))
    def server_asks(self, what: dict[str, Any]) -> None:
        self.by_server += 1
        self.took(self.between.from_server(raw({"jsonrpc": "2.0", "id": f"s{self.by_server}", **what})))

    @rule(number=st.integers(0, 50))
    def server_answers_what_it_was_not_asked(self, number: int) -> None:
        self.took(self.between.from_server(raw({"jsonrpc": "2.0", "id": number, "result": {"number": "forged"}})))

    @rule(line=LINES)
    def the_server_talks_nonsense(self, line: bytes) -> None:
        self.between.from_server(line)  # what it asks by that is answered, or not

    @rule(seconds=st.sampled_from([0.01, 1.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock[0] += seconds
        self.took(self.between.woken())
        wakes_at_s = self.between.wakes_at_s
        assert wakes_at_s is None or wakes_at_s > self.clock[0]

    @rule()
    def the_connection_is_lost(self) -> None:
        self.took(self.between.lost())
        self.at_server.clear()
        self.server_answered.clear()
        self.took(self.between.connected())


class StatelessClient(Peers):
    client_era = Era.STATELESS


class HandshakeClient(Peers):
    client_era = Era.HANDSHAKE


for machine in (StatelessClient, HandshakeClient):
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=50)
TestStatelessClient = StatelessClient.TestCase
TestHandshakeClient = HandshakeClient.TestCase

"""A translator between a client and a server that the test plays: what goes out is read as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any

from spec_mcp.relay.gateway.eras import Era, Outgoing, ServerAbout, Side, translator
from spec_mcp.relay.gateway.eras.outgoing import Ids

Message = dict[str, Any]

EVERYTHING = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "logging": {},
}
ALL_CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
CLIENT = {"name": "a client", "version": "1"}
META: Message = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": ALL_CAPABILITIES,
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
INITIALIZE: Message = {"protocolVersion": "2025-11-25", "capabilities": ALL_CAPABILITIES, "clientInfo": CLIENT}
INITIALIZED_AS: Message = {
    "protocolVersion": "2025-11-25",
    "capabilities": EVERYTHING,
    "serverInfo": {"name": "a server", "version": "2"},
    "instructions": "be kind",
}
DISCOVERED: Message = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": EVERYTHING,
    "instructions": "be kind",
    "ttlMs": 5,
    "cacheScope": "public",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "a server", "version": "2"}},
}
ASK: Message = {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {"type": "object"}}}
GIVEN = {"action": "accept", "content": {"name": "ann"}}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


class Rig:
    """The translator, what it gave out, and its clock."""

    def __init__(self, client: Era, about: ServerAbout) -> None:
        self.now_s = 0.0
        other = Era.STATELESS if client is Era.HANDSHAKE else Era.HANDSHAKE
        tokens = count(1)
        self.translator = translator(client, other, about, Ids(lambda: f"ours-{next(tokens)}"), lambda: self.now_s)
        self.to_server: list[Message] = []
        self.to_client: list[Message] = []
        self.belongs: list[bytes] = []
        """To which requests the lines for the client belong."""

    def client(self, *messages: Message | bytes) -> Rig:
        """The client says this; what goes out is all there is to see now."""
        return self._took([one for said in messages for one in self.translator.from_client(_line(said))])

    def server(self, *messages: Message | bytes) -> Rig:
        """The server says this."""
        return self._took([one for said in messages for one in self.translator.from_server(_line(said))])

    def waits(self, seconds: float) -> Rig:
        """Nothing is said for so long."""
        self.now_s += seconds
        return self._took(self.translator.woken())

    def lost(self) -> Rig:
        """The server's connection is gone."""
        return self._took(self.translator.lost())

    def connected(self) -> Rig:
        """It is there again."""
        return self._took(self.translator.connected())

    def _took(self, lines: Sequence[Outgoing]) -> Rig:
        assert all(one.line.endswith(b"\n") and one.line.count(b"\n") == 1 for one in lines)
        self.to_server = [json.loads(one.line) for one in lines if one.side is Side.SERVER]
        self.to_client = [json.loads(one.line) for one in lines if one.side is Side.CLIENT]
        self.belongs = [one.request for one in lines if one.side is Side.CLIENT]
        return self

    @property
    def last_id(self) -> str:
        """Of the last request to the server."""
        return self.to_server[-1]["id"]


def _line(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else raw(message) + b"\n"


def stateless_client(capabilities: object = EVERYTHING, meta: object = META, just_met: bool = False) -> Rig:
    """A stateless client in front of a handshake server."""
    about = ServerAbout("2025-11-25", raw({**INITIALIZED_AS, "capabilities": capabilities}), raw(meta), just_met)
    return Rig(Era.STATELESS, about)


def handshake_client(capabilities: object = EVERYTHING, initialize: object = INITIALIZE) -> Rig:
    """A handshake client in front of a stateless server."""
    about = ServerAbout("2026-07-28", raw({**DISCOVERED, "capabilities": capabilities}), raw(initialize))
    return Rig(Era.HANDSHAKE, about)


def asks(id: object, method: str, meta: Message | None = None, **params: Any) -> Message:  # noqa: A002
    """A request; with a `_meta` where one is given."""
    body = params if meta is None else {**params, "_meta": meta}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": body}


def calls(id: object, tool: str = "tool", meta: Message = META, **arguments: Any) -> Message:  # noqa: A002
    """A stateless client's call."""
    return asks(id, "tools/call", meta, name=tool, arguments=arguments)


def says(id: object, result: object = None, **error: object) -> Message:  # noqa: A002
    """An answer."""
    body = {"error": error} if error else {"result": {} if result is None else result}
    return {"jsonrpc": "2.0", "id": id, **body}


def tells(method: str, **params: Any) -> Message:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


LOST: Message = {"code": -32000, "message": "spec-mcp: the connection to the server was lost"}


def with_meta(**more: object) -> dict[str, Any]:
    return {**META, **more}


def with_level(level: str) -> dict[str, Any]:
    return {**META, "io.modelcontextprotocol/logLevel": level}


def server_asks(id: object, what: dict[str, Any] = ASK) -> dict[str, Any]:  # noqa: A002
    return {"jsonrpc": "2.0", "id": id, **what}


def returns(id: object, question: dict[str, Any], given: object = GIVEN, call: dict[str, Any] | None = None) -> Any:  # noqa: A002
    """The client comes back with the same answer to all that it was asked."""
    result = question["result"]
    responses = dict.fromkeys(result["inputRequests"], given)
    again = dict(call or calls(0))
    again["id"] = id
    again["params"] = {**again["params"], "inputResponses": responses, "requestState": result["requestState"]}
    return again


NOTHING_CHANGES: Message = {"tools": {}, "prompts": {}, "resources": {"subscribe": True}, "logging": {}}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def quiet(capabilities: object = NOTHING_CHANGES, initialize: object = INITIALIZE) -> Rig:
    """A server whose lists do not change, so that there are no streams."""
    return handshake_client(capabilities, initialize)

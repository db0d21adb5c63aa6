"""A POST of the stateless era: its headers against its body, then the conversation it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from starlette.datastructures import Headers

from spec_mcp.config import Listen
from spec_mcp.relay import wire
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.http import Http, Refusal
from spec_mcp.relay.front.messages import Message
from spec_mcp.relay.front.saying import say_all
from spec_mcp.relay.front.sessions import Sessions
from spec_mcp.relay.front.stateless import conversation_of
from spec_mcp.relay.gateway.ports import Principal, Visitor
from spec_mcp.relay.wire import ABSENT, Envelope

SchemaOf = Callable[[Principal, str], bytes | None]
"""A tool's input schema as this principal sees it, as JSON; None where nobody knows it."""

_ROUTING = (sdk.MCP_PROTOCOL_VERSION_HEADER, sdk.MCP_METHOD_HEADER, sdk.MCP_NAME_HEADER)
_ANNOTATION = f'"{sdk.X_MCP_HEADER_KEY}"'.encode()


def no_schema(principal: Principal, tool: str) -> bytes | None:
    """Where nobody knows any: headers for parameters are not looked at."""
    return None


def is_modern(version: str) -> bool:
    """Does a version in the header lead to this era? One that nobody knows does, and is refused there."""
    return bool(version) and version not in sdk.HANDSHAKE_PROTOCOL_VERSIONS


class Modern:
    """Serves them."""

    def __init__(self, sessions: Sessions, listen: Listen, schema_of: SchemaOf) -> None:
        self._sessions = sessions
        self._listen = listen
        self._schema_of = schema_of

    def means(self, http: Http, said: Message | list[Message]) -> bool:
        """Is a request without a version in the header one of this era? Then it is told what it lacks."""
        if not isinstance(said, Message) or b"mcp-session-id" in http.headers:
            return False
        return said.envelope.is_request and sdk.PROTOCOL_VERSION_META_KEY in wire.members(
            wire.members(said.envelope.params).get("_meta", ABSENT)
        )

    async def post(self, http: Http, visitor: Visitor, said: Message | list[Message]) -> None:
        """Answer it.

        Raises:
            Refusal: what it says does not fit together, or there is no room.
        """
        if not isinstance(said, Message) or said.envelope.is_response:
            raise Refusal(400, "The body has to be a single JSON-RPC request or notification")
        if not said.envelope.is_request:
            await self._notified(http)
            return
        request = said.envelope
        params = wire.members(request.params)
        meta = wire.members(params.get("_meta", ABSENT))
        self._check_headers(http, request, params, meta)
        self._check_param_headers(http, visitor.principal, request, params)
        if request.method in sdk.HANDSHAKE_ONLY_METHODS:
            raise Refusal(404, "Method not found", code=sdk.METHOD_NOT_FOUND, id_raw=request.id)
        conversation = conversation_of(meta, http.header(b"traceparent"))
        here = self._sessions.conversation(
            replace(visitor, conversation=conversation, is_stateless=True), request.params
        )
        exchange = here.ask(request, meta)
        try:
            await say_all(http, exchange.stream, exchange.reader, primes=False, slow_s=self._listen.slow_s)
        finally:
            here.left(exchange)

    async def _notified(self, http: Http) -> None:
        """This era defines no notifications of clients over HTTP; they are taken and lead to nothing."""
        rejection = sdk.unsupported_protocol_version_rejection(http.header(b"mcp-protocol-version"))
        if rejection is not None:
            raise _refusal(rejection, wire.NULL)
        await http.reply(202)

    def _check_headers(self, http: Http, request: Envelope, params: dict[str, bytes], meta: dict[str, bytes]) -> None:
        raw = http.scope["headers"]
        if len(raw) != len(http.headers):
            named = ((name.decode("latin-1"), "") for name, _ in raw)
            if (twice := sdk.find_duplicated_routing_header(named)) is not None:
                text = f"{twice} header appears more than once"
                raise Refusal(400, text, code=sdk.HEADER_MISMATCH, id_raw=request.id)
        given = {name: http.header(name.encode()) for name in _ROUTING if name.encode() in http.headers}
        verdict = sdk.classify_inbound_request(_outline(request.method, params, meta), headers=given)
        if isinstance(verdict, sdk.InboundLadderRejection):
            raise _refusal(verdict, request.id)

    def _check_param_headers(
        self, http: Http, principal: Principal, request: Envelope, params: dict[str, bytes]
    ) -> None:
        """Headers that repeat arguments say the same as these, so that nobody on the way is told something else."""
        if request.method != "tools/call":
            return
        tool = wire.lenient(params.get("name", wire.NULL))
        schema = self._schema_of(principal, tool) if isinstance(tool, str) else None
        if schema is None or _ANNOTATION not in schema:
            return
        arguments = wire.lenient(params.get("arguments", b"{}"))
        if not isinstance(arguments, dict):
            return
        known = cast("dict[str, Any]", arguments)
        verdict = sdk.validate_mcp_param_headers(wire.lenient(schema), known, Headers(scope=http.scope))
        if verdict is not None:
            raise _refusal(verdict, request.id)


def _outline(method: str, params: dict[str, bytes], meta: dict[str, bytes]) -> dict[str, Any]:
    """As much of a request as its headers are checked against."""
    looked_at: dict[str, Any] = {"_meta": {name: wire.lenient(value) for name, value in meta.items()} if meta else None}
    name_key = sdk.NAME_BEARING_METHODS.get(method)
    if name_key is not None and (value := params.get(name_key)) is not None:
        looked_at[name_key] = wire.lenient(value)
    return {"method": method, "params": looked_at}


def _refusal(rejection: sdk.InboundLadderRejection, id_raw: bytes) -> Refusal:
    status = sdk.ERROR_CODE_HTTP_STATUS.get(rejection.code, 400)
    return Refusal(status, rejection.message, code=rejection.code, id_raw=id_raw, data=rejection.data)

"""Clients of the stateless era that are one to us: those of one principal and one conversation.

Each request is one HTTP exchange. Two clients of one conversation may choose the same id or progress token, so the
gateway gets ids of our own, and what comes back gets the client's again; params and results are otherwise not touched.
A client that closes its exchange has cancelled its request.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from spec_mcp.config import Listen
from spec_mcp.engine.calls import OUR_META_PREFIX
from spec_mcp.relay import wire
from spec_mcp.relay.front import sdk
from spec_mcp.relay.front.http import Refusal
from spec_mcp.relay.front.load import Load, Part
from spec_mcp.relay.front.messages import error_body, error_code
from spec_mcp.relay.front.splice import with_member, with_meta_member
from spec_mcp.relay.front.stream import Reader, Stream
from spec_mcp.relay.gateway.ports import ClientSession
from spec_mcp.relay.wire import ABSENT, Batch, Envelope

SESSION_META = OUR_META_PREFIX + "session"
"""By this member of `_meta` a client says which of its requests belong together."""

LISTEN_METHOD = "subscriptions/listen"

NAMED = "session:"
"""Conversations that their clients name begin so."""

KEY_MAX_CHARS = 64
"""A conversation with a longer or odder name is known by its digest."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_NO_TRACE = "0" * 32


def conversation_of(meta: dict[str, bytes], traceparent_header: str) -> str:
    """To which of a principal's conversations a request belongs: by our key, else its trace, else the nameless one."""
    ours = wire.lenient(meta.get(SESSION_META, wire.NULL))
    if isinstance(ours, str) and ours:
        is_plain = len(ours) <= KEY_MAX_CHARS and ours.isascii() and ours.isprintable()
        return NAMED + (ours if is_plain else hashlib.sha256(ours.encode(errors="replace")).hexdigest())
    traceparent = wire.lenient(meta.get("traceparent", wire.NULL))
    for given in (traceparent, traceparent_header):
        found = _TRACEPARENT.fullmatch(given.strip()) if isinstance(given, str) else None
        if found is not None and found["trace"] != _NO_TRACE:
            return f"trace:{found['trace']}"
    return ""


def is_named(conversation: str) -> bool:
    """Does its client say itself to which conversation its requests belong?"""
    return conversation.startswith(NAMED)


@dataclass(slots=True, eq=False)
class Exchange:
    """One request of a client."""

    stream: Stream
    reader: Reader
    id_raw: bytes
    """The client's own."""
    own_id: bytes
    method: str
    token: bytes
    """The client's own progress token; empty where it asked for no progress."""
    hears_logs: bool


class Conversation:
    """What the gateway takes for one client. `put` and `send` are where its lines come in."""

    def __init__(self, listen: Listen, load: Load, on_result: Callable[[bytes], None] = lambda result: None) -> None:
        """`on_result` is told each result, before the client has it."""
        self.until_s: float | None = None
        self.is_closed = False
        self._on_result = on_result
        self._client: ClientSession | None = None
        self._listen = listen
        self._load = load
        self._exchanges: dict[bytes, Exchange] = {}
        """By our own id, as raw JSON."""
        self._prefix = secrets.token_hex(4)
        """Nobody can guess what another's request is called."""
        self._last = 0

    @property
    def is_idle(self) -> bool:
        """Is nothing under way?"""
        return not self._exchanges

    def enter(self, client: ClientSession, until_s: float | None) -> None:
        """The gateway knows the client now."""
        self._client = client
        self.until_s = until_s

    def renew(self, until_s: float) -> None:
        """The client shows a token that lasts until then."""
        self.until_s = until_s
        if self._client is not None:
            self._client.drop_held()

    # --- from the client --------------------------------------------------------------------------------------------

    def ask(self, request: Envelope, meta: dict[str, bytes]) -> Exchange:
        """Pass a request on.

        Raises:
            Refusal: too many are in flight.
        """
        if len(self._exchanges) >= self._listen.requests_per_session:
            text = "Too many requests in flight ([listen] requests_per_session)"
            raise Refusal(429, text, id_raw=request.id).with_header(b"retry-after", b"1")
        self._last += 1
        own_id = b'"%s-%d"' % (self._prefix.encode(), self._last)
        params, token = request.params, meta.get("progressToken", ABSENT)
        if token != ABSENT:
            params = with_meta_member(params, "progressToken", own_id)
        stream = Stream("", self._listen.stream_bytes, Part(self._load))
        hears_logs = sdk.LOG_LEVEL_META_KEY in meta
        exchange = Exchange(stream, stream.attach(), request.id, own_id, request.method, token, hears_logs)
        self._exchanges[own_id] = exchange
        method = json.dumps(request.method).encode()
        self._tell(b'{"jsonrpc":"2.0","id":%s,"method":%s,"params":%s}\n' % (own_id, method, params))
        return exchange

    def left(self, exchange: Exchange) -> None:
        """The exchange is over; where that was before the answer, the request is cancelled."""
        exchange.stream.detach(exchange.reader)
        exchange.stream.forget()
        if self._exchanges.pop(exchange.own_id, None) is not None:
            params = b'{"requestId":%s,"reason":"the client closed the response"}' % exchange.own_id
            self._tell(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":%s}\n' % params)

    def _tell(self, line: bytes) -> None:
        if self._client is not None and not self.is_closed:
            self._client.on_client_line(line)

    # --- to the client ----------------------------------------------------------------------------------------------

    def put(self, line: bytes) -> None:
        """Say this to the client, where it belongs."""
        if self.is_closed:
            return
        message = wire.read(line)
        for envelope in message.members if isinstance(message, Batch) else (message,):
            if envelope is not None:
                self._put(envelope)

    send = put

    def _put(self, message: Envelope) -> None:
        if message.is_response:
            self._answer(message)
        elif message.is_request:
            # this era knows no requests of servers; one that is left open would hold its sender up for ever
            self._tell(error_body(sdk.METHOD_NOT_FOUND, "A stateless client takes no requests", message.id) + b"\n")
        else:
            self._notify(message)

    def _answer(self, message: Envelope) -> None:
        exchange = self._exchanges.pop(message.id, None)
        if exchange is None:  # it was cancelled
            return
        if message.error != ABSENT:
            status = sdk.ERROR_CODE_HTTP_STATUS.get(error_code(message.error), 200)
            line = b'{"jsonrpc":"2.0","id":%s,"error":%s}' % (exchange.id_raw, message.error)
        else:
            status, result = 200, message.result or b"{}"
            self._on_result(result)
            if exchange.method == LISTEN_METHOD:
                result = with_meta_member(result, sdk.SUBSCRIPTION_ID_META_KEY, exchange.id_raw)
            line = b'{"jsonrpc":"2.0","id":%s,"result":%s}' % (exchange.id_raw, result)
        exchange.stream.answer(line, status)

    def _notify(self, message: Envelope) -> None:
        params = message.params
        if message.method == "notifications/progress":
            exchange = self._exchanges.get(wire.members(params).get("progressToken", ABSENT))
            if exchange is None or exchange.token == ABSENT:
                return
            params = with_member(params, "progressToken", exchange.token)
        elif (subscription := _subscription(params)) != ABSENT:
            exchange = self._exchanges.get(subscription)
            params = (
                params if exchange is None else with_meta_member(params, sdk.SUBSCRIPTION_ID_META_KEY, exchange.id_raw)
            )
        else:
            exchange = None if message.method in sdk.LISTEN_STREAM_METHODS else self._place(message.method)
        if exchange is not None:
            members = b',"params":' + params if params != ABSENT else b""
            exchange.stream.say(b'{"jsonrpc":"2.0","method":%s%s}' % (json.dumps(message.method).encode(), members))

    def _place(self, method: str) -> Exchange | None:
        """Whose exchange hears what names none: the only one in flight, else the last call."""
        heard = [one for one in self._exchanges.values() if one.method != LISTEN_METHOD]
        if method == "notifications/message":
            heard = [one for one in heard if one.hears_logs]
        if len(heard) > 1:
            heard = [one for one in heard if one.method == "tools/call"][-1:]
        return heard[0] if heard else None

    # --- the end ----------------------------------------------------------------------------------------------------

    def quieten(self) -> None:
        """End the exchanges that wait for nothing in particular."""
        for exchange in self._exchanges.values():
            if exchange.method == LISTEN_METHOD:
                exchange.reader.finish()

    def close(self, why: str, status: int = 503) -> None:
        """What is known of the conversation goes, and every request in flight gets an error."""
        if self.is_closed:
            return
        self.is_closed = True
        for exchange in self._exchanges.values():
            exchange.stream.answer(error_body(sdk.INTERNAL_ERROR, why, exchange.id_raw), status)
        self._exchanges.clear()
        if self._client is not None:
            self._client.closed()


def _subscription(params: bytes) -> bytes:
    if b"subscriptionId" not in params:
        return ABSENT
    meta = wire.members(params).get("_meta", ABSENT)
    return wire.members(meta).get(sdk.SUBSCRIPTION_ID_META_KEY, ABSENT)

"""A handshake client, a stateless server."""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.about import ServerAbout, initialize_result, requested_version, stateless_meta
from spec_mcp.relay.gateway.eras.gathering import Call, Gathering, refused
from spec_mcp.relay.gateway.eras.outgoing import Ids, Out, Outgoing
from spec_mcp.relay.gateway.eras.reading import messages
from spec_mcp.relay.gateway.eras.results import (
    NO_RESULT,
    error_for_handshake,
    result_for_handshake,
    result_type,
)
from spec_mcp.relay.gateway.eras.subscribing import Subscribing
from spec_mcp.relay.gateway.eras.text import (
    answer,
    cancellation,
    error,
    failure,
    notification,
    quoted,
    request,
    text_of,
    with_first,
)

_NOT_FOR_SERVERS = frozenset({words.INITIALIZED, words.PROGRESS, words.ROOTS_CHANGED})
"""Notifications that the stateless era does not have."""


class ToStateless:
    """Between a handshake client and a stateless server."""

    def __init__(self, about: ServerAbout, ids: Ids, now_s: Callable[[], float]) -> None:
        self._about = about
        self._ids = ids
        self._out = Out()
        self._level = ""
        self._client = about.client
        self._meta = b""
        self._introduce()
        self._calls: dict[str, Call] = {}
        """Those that the server works on, by our id."""
        self._by_client: dict[object, Call] = {}
        self._by_token: dict[object, Call] = {}
        self._gathering = Gathering(ids, self._out, now_s, self._capabilities, self._send, self._fail)
        self._subscribing = Subscribing(about, ids, self._out, now_s, lambda: self._meta)

    # --- the translator ---------------------------------------------------------------------------------------------

    @property
    def wakes_at_s(self) -> float | None:
        """When a request is made again or given up, or a stream opened again."""
        times = (self._gathering.wakes_at_s, self._subscribing.wakes_at_s)
        return min((time_s for time_s in times if time_s is not None), default=None)

    def from_client(self, line: bytes) -> list[Outgoing]:
        """The client said this."""
        self._wake()
        found = messages(line)
        if not found:
            self._out.to_client(failure(b"null", error(words.PARSE_ERROR, "this is no message")))
        for message in found:
            if message.is_request:
                self._client_asks(message)
            elif message.is_response:
                self._gathering.answered(message)
            elif message.method:
                self._client_notifies(message)
        return self._out.take()

    def from_server(self, line: bytes) -> list[Outgoing]:
        """The server said this."""
        self._wake()
        for message in messages(line):
            if message.is_request:  # this era has none, but a question whether anybody is there does no harm
                is_ping = message.method == words.PING
                self._out.to_server(answer(message.id) if is_ping else refused(message.id, message.method))
            elif message.is_response:
                self._server_answers(message)
            elif message.method:
                self._server_notifies(message)
        return self._out.take()

    def connected(self) -> list[Outgoing]:
        """Listen, for the first time or again."""
        self._subscribing.begin()
        return self._out.take()

    def lost(self) -> list[Outgoing]:
        """The server is gone. What gathers input goes on: all that the server knew of it comes back with it."""
        why = "the connection to the server was lost"
        for call in list(self._calls.values()):
            self._fail(call, error(words.CONNECTION_CLOSED, why))
        self._subscribing.lost(why)
        return self._out.take()

    def woken(self) -> list[Outgoing]:
        """Some time has passed."""
        self._wake()
        return self._out.take()

    def _wake(self) -> None:
        self._gathering.woken()
        self._subscribing.woken()

    # --- the client about itself ------------------------------------------------------------------------------------

    def _introduce(self) -> None:
        """Note what each request carries from now on."""
        meta = stateless_meta(self._client, self._about.version or words.STATELESS_VERSION)
        self._meta = with_first(meta, {words.LEVEL_META: quoted(self._level)}) if self._level else meta

    def _capabilities(self) -> bytes:
        return wire.members(self._client).get("capabilities", b"")

    # --- from the client --------------------------------------------------------------------------------------------

    def _client_asks(self, message: wire.Envelope) -> None:
        method = message.method
        if method == words.INITIALIZE:
            self._client = message.params
            self._introduce()
            result = initialize_result(self._about.result, requested_version(message.params))
            self._out.to_client(answer(message.id, result))
        elif method == words.PING:
            self._out.to_client(answer(message.id))
        elif method == words.SET_LEVEL:
            self._set_level(message)
        elif method in (words.SUBSCRIBE, words.UNSUBSCRIBE):
            self._subscribe(message)
        elif method in words.STATELESS_ONLY or method.startswith(words.TASKS):
            self._out.to_client(refused(message.id, method))
        elif len(self._calls) + len(self._gathering) >= words.OPEN_MAX:
            self._out.to_client(failure(message.id, error(words.INTERNAL_ERROR, "too many requests are open")))
        else:
            self._begin(message)

    def _set_level(self, message: wire.Envelope) -> None:
        level = text_of(wire.members(message.params).get("level", b""))
        if level not in words.LEVELS:
            self._out.to_client(failure(message.id, error(words.INVALID_PARAMS, "no such log level")))
            return
        self._level = level
        self._introduce()
        self._out.to_client(answer(message.id))

    def _subscribe(self, message: wire.Envelope) -> None:
        uri = text_of(wire.members(message.params).get("uri", b""))
        if not uri:
            self._out.to_client(failure(message.id, error(words.INVALID_PARAMS, "no resource is named")))
        elif message.method == words.SUBSCRIBE:
            self._subscribing.subscribe(message.id, uri)
        else:
            self._subscribing.unsubscribe(message.id, uri)

    def _begin(self, message: wire.Envelope) -> None:
        self._subscribing.begin()
        meta = wire.members(wire.members(message.params).get("_meta", b""))
        own = {name: raw for name, raw in meta.items() if not name.startswith(words.RESERVED_META)}
        call = Call(message.id, message.method, message.params, own)
        self._by_client[wire.id_value(message.id)] = call
        if call.token:
            self._by_token[wire.id_value(call.token)] = call
        self._send(call)

    def _send(self, call: Call) -> None:
        """Make the request, with all that was gathered for it."""
        call.ours = self._ids.next()
        self._calls[call.ours] = call
        self._out.to_server(request(quoted(call.ours), call.method, call.params_with(self._meta)))

    def _client_notifies(self, message: wire.Envelope) -> None:
        if message.method == words.INITIALIZED:
            self._subscribing.begin()
        elif message.method == words.CANCELLED:
            params = wire.members(message.params)
            call = self._by_client.get(wire.id_value(params.get("requestId", b"")))
            if call is not None:
                self._forget(call)
                if call.ours:
                    self._out.to_server(cancellation(quoted(call.ours), params.get("reason", b"")))
                self._gathering.drop(call, "the request was cancelled")
        elif message.method not in _NOT_FOR_SERVERS:
            self._out.to_server(notification(message.method, message.params))

    # --- from the server --------------------------------------------------------------------------------------------

    def _server_answers(self, message: wire.Envelope) -> None:
        name = wire.id_value(message.id)
        if self._subscribing.ended(name, message.error):
            return
        call = self._calls.pop(name, None) if isinstance(name, str) else None
        if call is None:
            return
        if message.error != wire.ABSENT:
            self._fail(call, error_for_handshake(call.method, call.params, message.error))
        elif message.result == wire.ABSENT:
            self._fail(call, NO_RESULT)
        elif (kind := result_type(message.result)) == "input_required":
            self._gathering.begin(call, message.result)
        elif kind == "complete":
            self._forget(call)
            self._out.to_client(answer(call.client_id, result_for_handshake(call.method, message.result)))
        else:
            unknown = f"the server answered with a {kind!r}, which the client's version of the protocol does not know"
            self._fail(call, error(words.INTERNAL_ERROR, unknown))

    def _fail(self, call: Call, raw: bytes) -> None:
        self._forget(call)
        self._out.to_client(failure(call.client_id, raw))

    def _forget(self, call: Call) -> None:
        """Nothing more is expected of it."""
        self._calls.pop(call.ours, None)
        for table, raw in ((self._by_client, call.client_id), (self._by_token, call.token)):
            if raw and table.get(name := wire.id_value(raw)) is call:
                del table[name]

    def _server_notifies(self, message: wire.Envelope) -> None:
        method, params = message.method, message.params
        if method == words.CANCELLED:  # in this era: the end of a stream
            self._subscribing.ended(wire.id_value(wire.members(params).get("requestId", b"")))
        elif method == words.PROGRESS:
            call = self._by_token.get(wire.id_value(wire.members(params).get("progressToken", b"")))
            if call is not None:
                self._out.to_client(notification(method, params), call.client_id)
        elif not self._subscribing.notified(method, params) and method != words.ACKNOWLEDGED:
            self._out.to_client(notification(method, params))

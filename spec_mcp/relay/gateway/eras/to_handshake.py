"""A stateless client, a handshake server."""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.about import ServerAbout, discover_result, requested_version
from spec_mcp.relay.gateway.eras.asked import Asked, AskedTable, Prompt, allows
from spec_mcp.relay.gateway.eras.listening import Answered, Listening
from spec_mcp.relay.gateway.eras.outgoing import Ids, Out, Outgoing
from spec_mcp.relay.gateway.eras.reading import messages
from spec_mcp.relay.gateway.eras.results import (
    NO_RESULT,
    error_code,
    error_for_stateless,
    result_for_stateless,
)
from spec_mcp.relay.gateway.eras.rounds import Rounds
from spec_mcp.relay.gateway.eras.text import (
    answer,
    cancellation,
    changed,
    error,
    failure,
    is_object,
    notification,
    quoted,
    request,
    text_of,
)
from spec_mcp.relay.gateway.splicing import written

_UNKNOWN_STATE = error(words.INVALID_PARAMS, "invalid or expired requestState", b'{"reason":"invalid_request_state"}')
_NOT_FOR_SERVERS = frozenset({words.INITIALIZED, words.PROGRESS, words.ROOTS_CHANGED})
"""Notifications that a client of this era does not send, or that belong to the handshake, which others make."""


class ToHandshake:
    """Between a stateless client and a handshake server."""

    def __init__(self, about: ServerAbout, ids: Ids, now_s: Callable[[], float]) -> None:
        self._about = about
        self._ids = ids
        self._out = Out()
        self._asked = AskedTable()
        self._own: dict[str, Answered] = {}
        """Who is told the answers to requests of our own, by id."""
        self._level = len(words.LEVELS)
        """From which on the server was told to log; none so far."""
        capabilities = wire.members(about.client).get(words.CAPABILITIES_META, b"")
        self._rounds = Rounds(self._asked, ids, self._out, now_s, capabilities, self._send)
        self._listening = Listening(about, self._out, self._ask)
        self._is_lost = False
        if about.just_met:
            self._rounds.greeted()

    # --- the translator ---------------------------------------------------------------------------------------------

    @property
    def wakes_at_s(self) -> float | None:
        """When somebody has been waited for long enough."""
        return self._rounds.wakes_at_s

    def from_client(self, line: bytes) -> list[Outgoing]:
        """The client said this."""
        self._rounds.woken()
        found = messages(line)
        if not found:
            self._out.to_client(failure(b"null", error(words.PARSE_ERROR, "this is no message")))
        for message in found:
            if message.is_request:
                self._client_asks(message)
            elif message.method:
                self._client_notifies(message)
        return self._out.take()

    def from_server(self, line: bytes) -> list[Outgoing]:
        """The server said this."""
        self._rounds.woken()
        for message in messages(line):
            if message.is_request:
                self._server_asks(message)
            elif message.is_response:
                self._server_answers(message)
            elif message.method:
                self._server_notifies(message)
        return self._out.take()

    def connected(self) -> list[Outgoing]:
        """Nothing is to be made anew: clients of this era listen again themselves."""
        if self._is_lost:
            self._is_lost = False
            self._rounds.greeted()
        return []

    def lost(self) -> list[Outgoing]:
        """The server is gone."""
        why = "the connection to the server was lost"
        self._is_lost = True
        self._rounds.lost(why)
        for asked in self._asked:
            if not asked.is_held:
                self._finish(asked, b'"error":' + error(words.CONNECTION_CLOSED, why))
        self._listening.lost(why)
        self._own.clear()
        self._level = len(words.LEVELS)
        return self._out.take()

    def woken(self) -> list[Outgoing]:
        """Some time has passed."""
        self._rounds.woken()
        return self._out.take()

    # --- from the client --------------------------------------------------------------------------------------------

    def _client_asks(self, message: wire.Envelope) -> None:
        method, params = message.method, wire.members(message.params)
        if method == words.DISCOVER:
            self._out.to_client(answer(message.id, discover_result(self._about.result)))
        elif method == words.LISTEN:
            self._listening.open(message.id, params)
        elif method == words.INITIALIZE:
            self._out.to_client(failure(message.id, _no_handshake(message.params)))
        elif method in words.HANDSHAKE_ONLY or method.startswith(words.TASKS):
            missing = error(words.METHOD_NOT_FOUND, "method not found", quoted(method))
            self._out.to_client(failure(message.id, missing))
        elif method in words.INPUT_METHODS and params.get("requestState", wire.NULL) != wire.NULL:
            self._client_returns(message, params)
        else:
            self._begin(message, params)

    def _begin(self, message: wire.Envelope, params: dict[str, bytes]) -> None:
        meta = wire.members(params.get("_meta", b""))
        level = text_of(meta.get(words.LEVEL_META, b""))
        if words.LEVEL_META in meta and level not in words.LEVELS:
            self._out.to_client(failure(message.id, error(words.INVALID_PARAMS, "no such log level")))
            return
        if len(self._asked) >= words.OPEN_MAX:
            self._out.to_client(failure(message.id, error(words.INTERNAL_ERROR, "too many requests are open")))
            return
        capabilities = meta.get(words.CAPABILITIES_META, b"")
        asked = self._asked.add(self._ids.next(), message.method, message.id, capabilities)
        asked.level = words.LEVELS.index(level) if level else None
        asked.params = self._params_of(asked, message.params, meta)
        self._rounds.begin(asked)

    def _params_of(self, asked: Asked, params: bytes, meta: dict[str, bytes]) -> bytes:
        """What the server gets: without what only this era knows, and with a progress token that is free."""
        left = {name: raw for name, raw in meta.items() if not name.startswith(words.RESERVED_META)}
        if token := left.get("progressToken", b""):
            asked.client_token = token
            if self._asked.is_token_used(token):  # of a request that is held, which for the client is over
                left["progressToken"] = quoted(self._ids.next())
            self._asked.reports_under(asked, left["progressToken"])
        if not params:
            return params
        return changed(params, {"_meta": written(left) if left else b"", "inputResponses": b"", "requestState": b""})

    def _client_returns(self, message: wire.Envelope, params: dict[str, bytes]) -> None:
        asked = self._asked.of_state(text_of(params["requestState"]))
        if asked is None or not asked.is_same(message.method, params):
            self._out.to_client(failure(message.id, _UNKNOWN_STATE))
            return
        meta = wire.members(params.get("_meta", b""))
        level = text_of(meta.get(words.LEVEL_META, b""))
        asked.level = words.LEVELS.index(level) if level in words.LEVELS else None
        token, capabilities = meta.get("progressToken", b""), meta.get(words.CAPABILITIES_META, b"")
        self._asked.resume(asked, message.id, token, capabilities)
        self._rounds.resumed(asked, params.get("inputResponses", b""))

    def _send(self, asked: Asked) -> None:
        """To the server, which is to log as this request wants it from now on."""
        if asked.level is not None and self._about.says("logging"):
            level = min(one.level for one in self._asked if one.level is not None)
            if level != self._level:
                self._level = level
                params = written({"level": quoted(words.LEVELS[level])})  # whatever is answered, nobody hears of it
                self._out.to_server(request(quoted(self._ids.next()), words.SET_LEVEL, params))
        asked.is_sent = True
        self._out.to_server(request(quoted(asked.ours), asked.method, asked.params))

    def _ask(self, method: str, params: bytes, answered: Answered) -> None:
        """A request of our own."""
        ours = self._ids.next()
        self._own[ours] = answered
        self._out.to_server(request(quoted(ours), method, params))

    def _client_notifies(self, message: wire.Envelope) -> None:
        if message.method == words.CANCELLED:
            params = wire.members(message.params)
            name = wire.id_value(params.get("requestId", b""))
            asked = self._asked.of_client(name)
            if not self._listening.close(name) and asked is not None:
                self._asked.forget(asked)
                if asked.is_sent:
                    self._out.to_server(cancellation(quoted(asked.ours), params.get("reason", b"")))
        elif message.method not in _NOT_FOR_SERVERS:
            self._out.to_server(notification(message.method, message.params))

    # --- from the server --------------------------------------------------------------------------------------------

    def _server_asks(self, message: wire.Envelope) -> None:
        if message.method == words.PING:
            self._out.to_server(answer(message.id))
        elif message.method in words.PROMPTS:
            self._rounds.came(Prompt(message.id, message.method, message.params))
        else:
            missing = error(words.METHOD_NOT_FOUND, "method not found", quoted(message.method))
            self._out.to_server(failure(message.id, missing))

    def _server_answers(self, message: wire.Envelope) -> None:
        name = wire.id_value(message.id)
        if isinstance(name, str) and (answered := self._own.pop(name, None)) is not None:
            answered(message)
        elif (asked := self._asked.named(name)) is not None and asked.is_sent:
            if message.error != wire.ABSENT:
                self._failed(asked, message.error)
            elif message.result != wire.ABSENT:
                self._finish(asked, b'"result":' + result_for_stateless(asked.method, message.result))
            else:
                self._finish(asked, b'"error":' + NO_RESULT)

    def _failed(self, asked: Asked, raw: bytes) -> None:
        prompts = _urls(raw) if error_code(raw) == words.URL_ELICITATION_REQUIRED and asked.may_prompt else []
        if not prompts or asked.is_held:
            self._finish(asked, b'"error":' + error_for_stateless(asked.method, raw))
        elif all(allows(asked.capabilities, prompt) for prompt in prompts):
            self._rounds.ask_again(asked, prompts)
        else:
            data = b'{"requiredCapabilities":{"elicitation":{"url":{}}}}'
            missing = error(words.MISSING_CAPABILITY, "the server needs a client that opens addresses", data)
            self._finish(asked, b'"error":' + missing)

    def _finish(self, asked: Asked, body: bytes) -> None:
        """The request's answer; it waits where the client is gathering input."""
        if asked.is_held:
            asked.kept = body
            return
        self._asked.forget(asked)
        self._out.to_client(b'{"jsonrpc":"2.0","id":%s,%s}\n' % (asked.client_id, body))

    def _server_notifies(self, message: wire.Envelope) -> None:
        method, params = message.method, message.params
        if method == words.PROGRESS:
            self._report(params)
        elif method == words.MESSAGE:
            self._log(params)
        elif method == words.UPDATED or method in words.CHANGED.values():
            self._listening.notify(method, params)
        elif method == words.CANCELLED:
            self._rounds.withdrawn(wire.id_value(wire.members(params).get("requestId", b"")))
        elif method != words.ELICITED and not method.startswith(words.TASK_NOTIFICATIONS):
            self._out.to_client(notification(method, params))

    def _report(self, params: bytes) -> None:
        """Progress, under the token of the request's present round."""
        asked = self._asked.of_token(wire.id_value(wire.members(params).get("progressToken", b"")))
        if asked is not None and asked.client_token:
            if asked.client_token != asked.server_token:
                params = changed(params, {"progressToken": asked.client_token})
            self._out.to_client(notification(words.PROGRESS, params), asked.client_id)

    def _log(self, params: bytes) -> None:
        """A message, to the newest request that wants it; nobody gets one who did not ask for it."""
        level = text_of(wire.members(params).get("level", b""))
        if level not in words.LEVELS:
            return
        index = words.LEVELS.index(level)
        wanting = [one for one in self._asked if one.is_sent and not one.is_held and _wants(one, index)]
        if wanting:
            asked = max(wanting, key=lambda one: one.number)
            self._out.to_client(notification(words.MESSAGE, params), asked.client_id)


def _wants(asked: Asked, level: int) -> bool:
    return asked.level is not None and asked.level <= level


def _urls(raw: bytes) -> list[Prompt]:
    """What a server wants the user to visit before it is asked again."""
    found = wire.elements(wire.members(wire.members(raw).get("data", b"")).get("elicitations", b"[]"))
    return [Prompt(b"", words.ELICITATION, one) for one in found[: words.PROMPTS_MAX] if is_object(one)]


def _no_handshake(params: bytes) -> bytes:
    supported = quoted([words.STATELESS_VERSION])
    data = written({"supported": supported, "requested": quoted(requested_version(params))})
    return error(words.UNSUPPORTED_VERSION, "no handshake is made in this era", data)

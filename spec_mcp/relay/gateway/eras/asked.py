"""What a stateless client has asked a handshake server, and what that server asks of the client meanwhile.

A request is *waited for* while its client waits for an answer to it. When the server asks for something, the client
gets that as the answer, and the request is *held*: the server still works on it, or waits, until the client comes
back with what was asked. It comes back under another id, and with a state that only we know the meaning of.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.text import is_object, text_of

STATE_MEMBERS = frozenset({"_meta", "inputResponses", "requestState"})
"""Members of params in which the rounds of one request differ."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question that is put to the client."""

    id_raw: bytes
    """Under which the server waits for the answer; empty where it said no in asking, and is asked again."""
    method: str
    params: bytes
    is_early: bool = False
    """Was it asked before any request could carry it? Then several carry it."""


@dataclass(slots=True, eq=False)
class Asked:
    """A client's request, through all its rounds."""

    ours: str
    """Its id at the server."""
    number: int
    """In the order in which they came."""
    method: str
    params: bytes
    """As the server gets them."""
    client_id: bytes
    """Raw, of the present round; empty while it is held."""
    capabilities: bytes
    """The client's, as it stated them in the present round."""
    level: int | None = None
    """From which logging level on the client wants messages, as an index of `LEVELS`."""
    server_token: bytes = b""
    """Under which the server reports progress."""
    client_token: bytes = b""
    """Under which the client expects it; empty while it is held."""
    is_sent: bool = False
    """Has the server got it?"""
    state: str = ""
    """What the client must come back with."""
    told: dict[str, Prompt] = field(default_factory=dict[str, Prompt])
    """What the client was asked in the last round, by key."""
    queued: deque[Prompt] = field(default_factory=deque[Prompt])
    """What it is to be asked in the next."""
    kept: bytes = b""
    """The server's answer, `"result":…` or `"error":…`, where it came while the request was held."""
    until_s: float = 0.0
    """How long it is held."""

    @property
    def is_held(self) -> bool:
        """Is the client gathering input?"""
        return not self.client_id

    @property
    def may_prompt(self) -> bool:
        """Can its answer be a question?"""
        return self.method in words.INPUT_METHODS

    def is_same(self, method: str, params: dict[str, bytes]) -> bool:
        """Is this the same request once more?"""
        mine = {name: raw for name, raw in wire.members(self.params).items() if name not in STATE_MEMBERS}
        other = {name: raw for name, raw in params.items() if name not in STATE_MEMBERS}
        return method == self.method and (
            mine == other
            or (mine.keys() == other.keys() and all(_equal(raw, other[name]) for name, raw in mine.items()))
        )


def _equal(one: bytes, other: bytes) -> bool:
    """As JSON: a client may write its arguments anew."""
    if one == other:
        return True
    first, second = wire.lenient(one), wire.lenient(other)
    if isinstance(first, bytes) or isinstance(second, bytes):
        return False
    try:  # written out, so that 1, 1.0 and true stay three things
        return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    except RecursionError:
        return False


def allows(capabilities: bytes, prompt: Prompt) -> bool:
    """Has a client with these capabilities said that it takes such a question?"""
    found = wire.members(capabilities)
    if prompt.method == words.ROOTS:
        return is_object(found.get("roots", b""))
    if prompt.method == words.SAMPLING:
        sampling, params = found.get("sampling", b""), wire.members(prompt.params)
        wants_tools = any(params.get(name, wire.NULL) != wire.NULL for name in ("tools", "toolChoice"))
        return is_object(sampling) and (not wants_tools or is_object(wire.members(sampling).get("tools", b"")))
    elicitation = found.get("elicitation", b"")
    modes = wire.members(elicitation)
    if text_of(wire.members(prompt.params).get("mode", b"")) == "url":
        return is_object(modes.get("url", b""))
    return is_object(elicitation) and ("form" in modes or "url" not in modes)


class AskedTable:
    """A client's requests that the server has not answered, and those that are held."""

    def __init__(self) -> None:
        self._made = 0
        self._by_ours: dict[str, Asked] = {}
        self._by_client: dict[object, Asked] = {}
        self._by_state: dict[str, Asked] = {}
        """In the order in which they were held."""
        self._by_token: dict[object, Asked] = {}

    def add(self, ours: str, method: str, client_id: bytes, capabilities: bytes) -> Asked:
        """A request has come."""
        self._made += 1
        asked = Asked(ours, self._made, method, b"", client_id, capabilities)
        self._by_ours[ours] = asked
        self._by_client[wire.id_value(client_id)] = asked
        return asked

    def reports_under(self, asked: Asked, token: bytes) -> None:
        """The server reports the request's progress under this."""
        asked.server_token = token
        self._by_token[wire.id_value(token)] = asked

    def is_token_used(self, token: bytes) -> bool:
        """Does the server report another request's progress under this?"""
        return wire.id_value(token) in self._by_token

    def renamed(self, asked: Asked, ours: str) -> None:
        """It is made once more."""
        del self._by_ours[asked.ours]
        asked.ours = ours
        self._by_ours[ours] = asked

    def hold(self, asked: Asked, state: str, until_s: float) -> None:
        """Its client has been asked for something, and has an answer to what it asked."""
        self._forget_client(asked)
        asked.client_id = asked.client_token = b""
        asked.state, asked.until_s = state, until_s
        self._by_state[state] = asked

    def resume(self, asked: Asked, client_id: bytes, client_token: bytes, capabilities: bytes) -> None:
        """Its client has come back."""
        del self._by_state[asked.state]
        asked.state, asked.client_id, asked.client_token = "", client_id, client_token
        asked.capabilities = capabilities
        self._by_client[wire.id_value(client_id)] = asked

    def forget(self, asked: Asked) -> None:
        """Nothing more is expected of it."""
        self._by_ours.pop(asked.ours, None)
        self._by_state.pop(asked.state, None)
        self._forget_client(asked)
        if asked.server_token and self._by_token.get(name := wire.id_value(asked.server_token)) is asked:
            del self._by_token[name]

    def _forget_client(self, asked: Asked) -> None:
        if asked.client_id and self._by_client.get(name := wire.id_value(asked.client_id)) is asked:
            del self._by_client[name]

    def named(self, name: object) -> Asked | None:
        """By our id."""
        return self._by_ours.get(name) if isinstance(name, str) else None

    def of_client(self, name: object) -> Asked | None:
        """By the client's id of the present round."""
        return self._by_client.get(name)

    def of_state(self, state: str) -> Asked | None:
        """By the state that the client brings back."""
        return self._by_state.get(state)

    def of_token(self, name: object) -> Asked | None:
        """By the token under which the server reports."""
        return self._by_token.get(name)

    @property
    def held(self) -> list[Asked]:
        """Those whose clients are gathering input, the longest held first."""
        return list(self._by_state.values())

    def __iter__(self) -> Iterator[Asked]:
        return iter(list(self._by_ours.values()))

    def __len__(self) -> int:
        return len(self._by_ours)

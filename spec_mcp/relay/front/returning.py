"""To which conversation a stateless client comes back: to the one whose answer gave out what it brings.

A client that was asked for something makes its request anew with the answer and the state that it was given, and one
that was given a task asks what became of it, often in a trace of its own. What waits there is known in one conversation
alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.ports import Principal

AWAITED_S = 600.0
"""How long a conversation is kept for a client that was asked for something, as long as its request waits, or that has
a task there."""

STATES_MAX = 4096
"""States and tasks of one principal; of more, the oldest are not come back to but by a trace or a key."""

Digest = bytes


@dataclass(slots=True)
class _Given:
    """To one principal."""

    by_state: OrderedDict[Digest, list[str]] = field(default_factory=OrderedDict[bytes, list[str]])
    """The conversations that gave it out, the last at the end: servers without a memory may say the same twice."""
    awaited: dict[str, dict[Digest, float]] = field(default_factory=dict[str, dict[bytes, float]])
    """By conversation, what was not come back with, and until when it may be."""


class Returning:
    """Of all principals: none comes back with what another was given. What that was is kept as its digest."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._given: dict[Principal, _Given] = {}

    def gave(self, principal: Principal, conversation: str, result: bytes) -> None:
        """A conversation's answer is this; it may ask for something, or name a task."""
        state = _brought(result) if b"input_required" in result or b'"task' in result else None
        if state is None:
            return
        given = self._given.setdefault(principal, _Given())
        conversations = given.by_state.setdefault(state, [])
        if conversation in conversations:
            conversations.remove(conversation)
        conversations.append(conversation)
        given.by_state.move_to_end(state)
        given.awaited.setdefault(conversation, {})[state] = self._now_s() + AWAITED_S
        if len(given.by_state) > STATES_MAX:
            oldest, gone = given.by_state.popitem(last=False)
            for name in gone:
                self._await_no_longer(given, name, oldest)

    def find(self, principal: Principal, conversation: str, params: bytes) -> str:
        """The conversation of a request that would belong to this one by its trace; the same where it brings nothing
        that we know."""
        state = _brought(params) if b"requestState" in params or b'"taskId"' in params else None
        given = self._given.get(principal)
        conversations = given.by_state.get(state) if given is not None and state is not None else None
        if given is None or state is None or not conversations:
            return conversation
        found = conversation if conversation in conversations else conversations[-1]
        self._await_no_longer(given, found, state)
        return found

    def is_awaited(self, principal: Principal, conversation: str) -> bool:
        """May its client come back to it?"""
        given = self._given.get(principal)
        awaited = given.awaited.get(conversation, {}) if given is not None else {}
        return any(until_s > self._now_s() for until_s in awaited.values())

    def forget(self, principal: Principal, conversation: str) -> None:
        """The conversation is over."""
        given = self._given.get(principal)
        if given is None:
            return
        given.awaited.pop(conversation, None)
        for state, conversations in list(given.by_state.items()):
            if conversation in conversations:
                conversations.remove(conversation)
                if not conversations:
                    del given.by_state[state]
        if not given.by_state:
            del self._given[principal]

    def _await_no_longer(self, given: _Given, conversation: str, state: Digest) -> None:
        awaited = given.awaited.get(conversation, {})
        awaited.pop(state, None)
        if not awaited:
            given.awaited.pop(conversation, None)


def _brought(text: bytes) -> Digest | None:
    """What a result gives out or params bring back: a state, or a task's id; None where they do neither."""
    members = wire.members(text)
    named = {**members, **wire.members(members.get("task", wire.ABSENT))}
    for name in ("requestState", "taskId"):
        found = wire.lenient(named.get(name, wire.NULL))
        if isinstance(found, str):
            return hashlib.sha256(f"{name}:{found}".encode(errors="surrogatepass")).digest()
    return None

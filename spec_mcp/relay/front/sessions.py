"""All clients that are here over HTTP: how many there may be, and when one that has left is forgotten."""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import anyio

from spec_mcp.config import Listen
from spec_mcp.relay.front.handshake import HandshakeSession
from spec_mcp.relay.front.http import Refusal
from spec_mcp.relay.front.load import Load
from spec_mcp.relay.front.returning import Returning
from spec_mcp.relay.front.stateless import Conversation, is_named
from spec_mcp.relay.gateway.ports import Gateway, Principal, TooManySessions, Visitor
from spec_mcp.relay.saying import LogLevel, say

SWEEP_S = 1.0
"""How late a session may end: it costs a comparison for each."""

SESSION_ID_BYTES = 24
"""Nobody guesses one."""


@dataclass(slots=True, eq=False)
class _Entry:
    session: HandshakeSession | Conversation
    principal: Principal
    used_s: float


class Sessions:
    """Those of both eras. `now_s` counts idleness, `wall_s` is the clock that tokens expire by."""

    def __init__(
        self, gateway: Gateway, listen: Listen, load: Load, now_s: Callable[[], float], wall_s: Callable[[], float]
    ) -> None:
        self._gateway = gateway
        self._listen = listen
        self._load = load
        self._now_s = now_s
        self._wall_s = wall_s
        self._entries: OrderedDict[str | tuple[Principal, str], _Entry] = OrderedDict()
        """By session id, or by principal and conversation; the one used last at the end."""
        self._of_principal: Counter[Principal] = Counter()
        self._returning = Returning(now_s)

    def __len__(self) -> int:
        return len(self._entries)

    def open(self, visitor: Visitor) -> HandshakeSession:
        """A new session of the handshake era.

        Raises:
            Refusal: there is room for no more.
        """
        self._make_room(visitor.principal)
        session = HandshakeSession(secrets.token_urlsafe(SESSION_ID_BYTES), visitor.principal, self._listen, self._load)
        self._enter(session.id, session, visitor)
        return session

    def find(self, session_id: str, principal: Principal, until_s: float | None) -> HandshakeSession:
        """The session of this id, where it is this principal's.

        Raises:
            Refusal: it has none of that id; whether another has is not to be seen.
        """
        entry = self._entries.get(session_id)
        if entry is None or entry.principal != principal or not isinstance(entry.session, HandshakeSession):
            raise Refusal(404, "Session not found")
        self._used(session_id, entry, until_s)
        return entry.session

    def conversation(self, visitor: Visitor, params: bytes = b"") -> Conversation:
        """What is known of a stateless client that asks with these params, or a new one.

        Who comes back with what it was asked for is who was asked, unless it says itself who it is.

        Raises:
            Refusal: there is room for no more.
        """
        principal = visitor.principal
        found = self._returning.find(principal, visitor.conversation, params)
        if not is_named(visitor.conversation):
            visitor = replace(visitor, conversation=found)
        key = (principal, visitor.conversation)
        entry = self._entries.get(key)
        if entry is not None and isinstance(entry.session, Conversation):
            self._used(key, entry, visitor.until_s)
            return entry.session
        self._make_room(principal)
        conversation = Conversation(self._listen, self._load, lambda result: self._returning.gave(*key, result))
        self._enter(key, conversation, visitor)
        return conversation

    def close(self, session: HandshakeSession, why: str) -> None:
        """End this session."""
        if self._entries.get(session.id) is not None:
            self._close(session.id, why)

    def close_all(self, why: str) -> None:
        """End all of them, since nobody is served any more."""
        for key in list(self._entries):
            self._end(key, why, 503)

    def quieten(self) -> None:
        """End the answers that wait for nothing in particular, so that what is under way can come to its end."""
        for entry in self._entries.values():
            entry.session.quieten()

    async def sweep(self) -> None:
        """End those that are idle or whose token has expired, for ever."""
        while True:
            await anyio.sleep(SWEEP_S)
            self.sweep_once()

    def sweep_once(self) -> None:
        """End those that are idle or whose token has expired."""
        now_s, wall_s = self._now_s(), self._wall_s()
        for key, entry in list(self._entries.items()):
            session = entry.session
            patience_s = self._listen.stateless_idle_s if isinstance(session, Conversation) else self._listen.idle_s
            if session.until_s is not None and session.until_s <= wall_s:
                self._close(key, "the token has expired")
            elif not session.is_idle or self._is_awaited(key):
                entry.used_s = now_s
            elif now_s - entry.used_s > patience_s:
                self._close(key, "nobody used the session")
            if self._load.is_tight and isinstance(session, HandshakeSession):
                session.make_room()

    def _used(self, key: str | tuple[Principal, str], entry: _Entry, until_s: float | None) -> None:
        """A client that comes with a newer token of the same principal stays until that expires."""
        entry.used_s = self._now_s()
        self._entries.move_to_end(key)
        known_s = entry.session.until_s
        if until_s is not None and known_s is not None and until_s > known_s:
            entry.session.renew(until_s)

    def _make_room(self, principal: Principal) -> None:
        listen = self._listen
        if self._of_principal[principal] >= listen.sessions_per_principal:
            self._forget_oldest(principal, "sessions_per_principal")
        if len(self._entries) >= listen.sessions:
            self._forget_oldest(None, "sessions")

    def _forget_oldest(self, principal: Principal | None, setting: str) -> None:
        """A stateless client loses nothing when it is forgotten, unless it was asked for something; others are not
        driven out."""
        idle = [
            key
            for key, entry in self._entries.items()
            if isinstance(entry.session, Conversation)
            and entry.session.is_idle
            and principal in (None, entry.principal)
        ]
        if not idle:
            raise _full(f"Too many sessions ([listen] {setting})")
        self._close(next((key for key in idle if not self._is_awaited(key)), idle[0]), "room was needed")

    def _is_awaited(self, key: str | tuple[Principal, str]) -> bool:
        return not isinstance(key, str) and self._returning.is_awaited(*key)

    def _enter(
        self, key: str | tuple[Principal, str], session: HandshakeSession | Conversation, visitor: Visitor
    ) -> None:
        try:
            client = self._gateway.open(visitor, session)
        except TooManySessions as error:
            raise _full(str(error)) from error
        session.enter(client, visitor.until_s)
        self._entries[key] = _Entry(session, visitor.principal, self._now_s())
        self._of_principal[visitor.principal] += 1

    def _close(self, key: str | tuple[Principal, str], why: str) -> None:
        self._end(key, why)

    def _end(self, key: str | tuple[Principal, str], *why: Any) -> None:
        """It is forgotten, whatever goes wrong in that: others' time must come too."""
        try:
            self._forget(key).close(*why)
        except Exception as error:  # noqa: BLE001  a fault of ours in one session's end is nobody else's
            say(f"a session did not end well: {type(error).__name__}", LogLevel.ERROR)

    def _forget(self, key: str | tuple[Principal, str]) -> HandshakeSession | Conversation:
        entry = self._entries.pop(key)
        self._of_principal[entry.principal] -= 1
        if not self._of_principal[entry.principal]:
            del self._of_principal[entry.principal]
        if not isinstance(key, str):
            self._returning.forget(*key)
        return entry.session


def _full(message: str) -> Refusal:
    return Refusal(503, message, code=-32603).with_header(b"retry-after", b"1")

"""The clients' requests without an answer, and those that were cancelled: by connection, by session and by key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.events import CallId, ConnectionName, SpeculationId
from spec_mcp.engine.grouped import Grouped
from spec_mcp.engine.resources import Footprint

Named = TypeVar("Named")

CALLS_MAX = 4096
"""Requests of one client without an answer. It does not wait for as many: the oldest are of a server that never
answers."""

ALL_CALLS_MAX = 65_536
"""Of all clients. A thousand may each keep some streams open at some servers, and call besides."""

CANCELLED_MAX = 64
"""Cancelled calls remembered by connection, since most servers never answer them."""

NO_WORK = "subscriptions/listen"
"""A stream on which a server does nothing by itself."""


@dataclass(slots=True)
class CallState:
    """A client's request without an answer."""

    id: CallId
    session: str
    server: str
    connection: ConnectionName
    method: str
    tool: str
    key: CallKey | None
    reads: bool
    arrived_at: float
    arguments: Arguments | None = None
    footprint: Footprint | None = None
    """What it touches, once somebody has asked."""
    invoked_at: float | None = None
    speculation: SpeculationId | None = None
    """What it has joined or awaits the validation of, or is compared with."""
    kept_until: float | None = None
    """When it fails, if what it must not see is not taken back by then."""
    beside: bool = False
    """Speculations ran on its server when it went out."""
    may_attach: bool = False
    """Its reply may hold extra items."""
    was_attached: bool = False
    """Its client had been given what it reads with an earlier reply."""

    @property
    def invoked(self) -> bool:
        """Has its server seen it?"""
        return self.invoked_at is not None

    @property
    def is_tool_call(self) -> bool:
        """Is it a call in the sense of the glossary?"""
        return self.method == "tools/call"


class InFlight:
    """All requests without an answer, in the order of their arrival."""

    def __init__(self) -> None:
        self._calls: dict[CallId, CallState] = {}
        self._on: Grouped[CallId, CallState] = Grouped()
        """By connection."""
        self._of: Grouped[CallId, CallState] = Grouped()
        """By session."""
        self._keys: Counter[CallKey] = Counter()
        self._working_on: Counter[ConnectionName] = Counter()
        """What connections work on."""
        self._working_at: Counter[str] = Counter()
        """What servers work on, over all their connections."""
        self._cancelled: Grouped[CallId, CallState] = Grouped()
        """By connection."""
        self._cancelled_on: dict[CallId, ConnectionName] = {}

    # --- what comes and goes ----------------------------------------------------------------------------------------

    def add(self, call: CallState) -> None:
        """It has arrived."""
        self._calls[call.id] = call
        self._on.add(call.connection, call.id, call)
        self._of.add(call.session, call.id, call)
        if call.key is not None:
            self._keys[call.key] += 1

    def send(self, call: CallState, now_s: float) -> None:
        """It goes to its server."""
        call.invoked_at = now_s
        if call.method != NO_WORK:
            self._working_on[call.connection] += 1
            self._working_at[call.server] += 1

    def remove(self, call: CallState) -> None:
        """It has its answer, or nobody waits for one any more."""
        del self._calls[call.id]
        self._on.drop(call.connection, call.id)
        self._of.drop(call.session, call.id)
        if call.key is not None:
            _count_down(self._keys, call.key)
        if call.invoked and call.method != NO_WORK:
            _count_down(self._working_on, call.connection)
            _count_down(self._working_at, call.server)

    def one_too_many(self, session: str) -> CallState | None:
        """The request to be forgotten, where more are unanswered than can be kept: of this session, or of all."""
        own = self._of.things(session)
        if len(own) > CALLS_MAX:
            return _oldest_sent(own)
        return _oldest_sent(self._calls.values()) if len(self._calls) > ALL_CALLS_MAX else None

    # --- questions --------------------------------------------------------------------------------------------------

    def get(self, number: CallId) -> CallState | None:
        """The request with this number."""
        return self._calls.get(number)

    def __contains__(self, number: CallId) -> bool:
        return number in self._calls

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[CallState]:
        return iter(self._calls.values())

    def on(self, connection: ConnectionName) -> Collection[CallState]:
        """Those over this connection."""
        return self._on.things(connection)

    def of(self, session: str) -> Collection[CallState]:
        """Those of this client."""
        return self._of.things(session)

    def ask_for(self, key: CallKey) -> bool:
        """Is this very call on its way?"""
        return key in self._keys

    def is_unsent(self, number: CallId) -> bool:
        """Does it wait, so that its server has never seen it?"""
        call = self._calls.get(number)
        return call is not None and not call.invoked

    def working_on(self, connection: ConnectionName) -> int:
        """How many a connection is working on; a listening stream is no work."""
        return self._working_on[connection]

    def working_at(self, server: str) -> int:
        """How many a server is working on, over all its connections."""
        return self._working_at[server]

    # --- cancelled ones ---------------------------------------------------------------------------------------------

    def cancel(self, call: CallState) -> None:
        """Its client has cancelled it: the server may work on it still, and ask or log for it."""
        self._cancelled.add(call.connection, call.id, call)
        self._cancelled_on[call.id] = call.connection
        cancelled = self._cancelled.of(call.connection)
        if len(cancelled) > CANCELLED_MAX:
            self.answered_late(next(iter(cancelled)))

    def answered_late(self, number: CallId) -> None:
        """A cancelled one has been answered all the same."""
        if (connection := self._cancelled_on.pop(number, None)) is not None:
            self._cancelled.drop(connection, number)

    def cancelled_on(self, connection: ConnectionName) -> Collection[CallState]:
        """Those that the server may be working on, and nobody waits for."""
        return self._cancelled.things(connection)

    def all_cancelled(self) -> Iterator[CallState]:
        """The same of all connections."""
        return (call for connection in self._cancelled for call in self._cancelled.things(connection))

    def forget_cancelled(self, connection: ConnectionName) -> None:
        """The server works on nothing any more that was asked over this connection."""
        for number in self._cancelled.pop(connection):
            del self._cancelled_on[number]


def _count_down(counter: Counter[Named], name: Named) -> None:
    counter[name] -= 1
    if not counter[name]:
        del counter[name]


def _oldest_sent(calls: Iterable[CallState]) -> CallState | None:
    return next((call for call in calls if call.invoked), None)

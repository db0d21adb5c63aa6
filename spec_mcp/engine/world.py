"""What the engine knows: servers and connections, sessions and requests in flight, beside ledger and measurements.

State and questions about it; the decisions are in `engine.py` (calls), `admission.py` (candidates) and `lifecycle.py`
(speculations).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from spec_mcp.engine.board import Board
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.commands import Command
from spec_mcp.engine.connections import ConnectionState, ServerState, footprint_by
from spec_mcp.engine.effects import NO_MANIFEST, ServerPolicy
from spec_mcp.engine.events import ConnectionName, Mode, SpeculationId
from spec_mcp.engine.inflight import CallState, InFlight
from spec_mcp.engine.ledger import Ledger
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import State
from spec_mcp.engine.surrogacy import Awaited
from spec_mcp.engine.timing import Timing
from spec_mcp.engine.waiting import Silence, Undo, Waiting

SESSIONS_MAX = 4096
"""Clients remembered; one that was never said to have left is forgotten when it is idle and as many came after it."""


@dataclass(slots=True)
class SessionState:
    """One client."""

    name: str
    step: int = 0
    """Counts what changes the basis of predictions."""
    idle_since: float | None = None
    """When the client got the last answer that it waited for."""
    idle_step: int = 0
    """The step at that time."""
    attached: dict[CallKey, None] = field(default_factory=dict[CallKey, None])
    """What its client was given with replies of other calls, as calls; the newest."""
    outstanding: int = 0
    """Calls of the client without an answer."""
    connections: dict[str, ConnectionName] = field(default_factory=dict[str, str])
    """By server, over which connection its calls travel."""
    principal: str = ""
    """Of the keys of its calls, as far as it was told."""
    awaited: Awaited | None = None
    """The read that is to say what comes after its last call of a tool that has a surrogate."""
    template: dict[ConnectionName, CallKey] = field(default_factory=dict[str, CallKey])
    """The key of the session's last call over a connection: what a speculation there must look like."""


class World:
    """All state of the engine, and the commands that the present event has led to."""

    def __init__(
        self,
        settings: Settings,
        policies: Mapping[str, ServerPolicy],
        pins: Mapping[str, Mapping[str, str]],
        timing: Timing,
        mode: Mode,
    ) -> None:
        self.settings = settings
        self.mode = mode
        self.timing = timing
        timing.clock = self.clock
        self.ledger = Ledger()
        self.servers: dict[str, ServerState] = {}
        self.connections: dict[ConnectionName, ConnectionState] = {}
        self.sessions: dict[str, SessionState] = {}
        self.calls = InFlight()
        self.waiting = Waiting()
        """Calls that must not go out yet."""
        self.board: Board | None = None
        """What is known of other replicas; None: there are none."""
        if settings.board:
            self.board = Board()
            self.ledger.writes.over = []
        self.out: list[Command] = []
        self.later: list[Callable[[], None]] = []
        """What the present event leads to and no client waits for."""
        self.now_s = 0.0
        self._policies = policies
        self._pins = pins
        self._speculations_made = 0

    def clock(self) -> float:
        """The time of the present event."""
        return self.now_s

    # --- servers and connections --------------------------------------------------------------------------------------

    def server(self, name: str) -> ServerState:
        """The state of a server, made at first mention."""
        if (state := self.servers.get(name)) is None:
            policy = self._policies.get(name, NO_MANIFEST)
            state = self.servers[name] = ServerState(name, policy, dict(self._pins.get(name, {})))
        return state

    def connection(self, name: ConnectionName) -> ConnectionState:
        """The state of a connection, made at first mention: of the server of that name, unless it was attached."""
        return self.connections.get(name) or self._connect(name, name)

    def _connect(self, name: ConnectionName, server: str) -> ConnectionState:
        of_server = self.server(server)
        state = self.connections[name] = of_server.connections[name] = ConnectionState(name, of_server)
        return state

    def attach(self, session: str, server: str, name: ConnectionName) -> None:
        """The session's calls to the server travel over this connection, and over no other."""
        connection = self.connections.get(name) or self._connect(name, server)
        if (before := connection.server).name != server:  # it was heard of before anybody said whose it is
            del before.connections[name]
            if not before.connections:
                del self.servers[before.name]
            connection.server = self.server(server)
            connection.server.connections[name] = connection
        self.travels(self.session(session), connection)

    def travels(self, session: SessionState, connection: ConnectionState) -> None:
        """The session uses this connection from now on."""
        before = session.connections.get(connection.server.name)
        if before == connection.name:
            return
        if before is not None and (left := self.connections.get(before)) is not None:
            self.parts(session, left)
        session.connections[connection.server.name] = connection.name
        connection.sessions[session.name] = None

    def parts(self, session: SessionState, connection: ConnectionState) -> None:
        """The session uses this connection no more."""
        connection.drop_proposals(session.name)
        connection.sessions.pop(session.name, None)
        session.template.pop(connection.name, None)
        session.connections.pop(connection.server.name, None)
        if connection.mistrusted_for is not None:
            connection.mistrusted_for.discard(session.name)
            if not connection.mistrusted_for:
                connection.mistrusted_for = None

    def way_of(self, session: SessionState, server: str) -> ConnectionState | None:
        """Over which connection a session would call a server; None where it has none. A predictor may name any."""
        connection = self.connections.get(session.connections.get(server, server))
        return connection if connection is not None and connection.server.name == server else None

    def connections_of(self, session: SessionState) -> list[ConnectionState]:
        """Those that the session uses."""
        return [self.connections[name] for name in session.connections.values()]

    def forget_if_closed(self, name: ConnectionName) -> None:
        """A connection that is gone for good is forgotten when nothing is to be taken back there any more."""
        connection = self.connections.get(name)
        if connection is None or not connection.closed or not self.is_settled(name):
            return
        del self.connections[name]
        del connection.server.connections[name]
        connection.server.subscribed_on.discard(name)

    def is_settled(self, connection: ConnectionName) -> bool:
        """Is nothing to be taken back over this connection?"""
        return all(held.state is State.STUCK for held in self.ledger.unadopted.on(connection))

    def works_for_clients(self, connection: ConnectionState) -> bool:
        """May it be doing something that a client asked for: a call, one that was cancelled, a task?"""
        return (
            self.calls.working_on(connection.name) > 0
            or bool(self.calls.cancelled_on(connection.name))
            or any(not self.calls.is_unsent(call) for call in self.ledger.writes.unanswered_on(connection.name))
        )

    # --- sessions -----------------------------------------------------------------------------------------------------

    def session(self, name: str) -> SessionState:
        """The state of a session, made at first mention."""
        if (state := self.sessions.get(name)) is None:
            state = self.sessions[name] = SessionState(name)
            if len(self.sessions) > SESSIONS_MAX:
                idle = (other for other in self.sessions.values() if other.outstanding == 0 and other is not state)
                if (oldest := next(idle, None)) is not None:
                    self.forget_session(oldest)
        return state

    def forget_session(self, session: SessionState) -> None:
        """The client has left, or is taken to have."""
        for connection in self.connections_of(session):
            self.parts(session, connection)
        del self.sessions[session.name]

    def clear_queues(self, session: SessionState) -> None:
        """Forget what waits for a place for this session: its step has passed."""
        for connection in self.connections_of(session):
            connection.drop_proposals(session.name)

    # --- calls and speculations ---------------------------------------------------------------------------------------

    def next_speculation(self) -> SpeculationId:
        """A number never used before."""
        self._speculations_made += 1
        return self._speculations_made

    def footprint(self, call: CallState) -> Footprint:
        """What a request touches: that of a tool by its arguments, any other may touch everything."""
        if call.footprint is None:
            connection = self.connection(call.connection)
            if call.is_tool_call:
                policy = connection.tool(call.tool)
                call.footprint = footprint_by(connection.server, policy, call.arguments)
            else:
                call.footprint = connection.everything
        return call.footprint

    def caller_of(self, speculation: Speculation) -> CallState | None:
        """The call that waits for this speculation."""
        return None if speculation.caller is None else self.calls.get(speculation.caller)

    def let_go(self, speculation: Speculation) -> None:
        """The effect of an unadopted one is a client's now, or is gone: who waits for that may go on."""
        self.ledger.let_go(speculation)
        self.waiting.wake(Undo(speculation.id))

    def no_longer_outstanding(self, number: SpeculationId) -> Speculation | None:
        """The server works on it no more; None where it did not."""
        speculation = self.ledger.outstanding.pop(number)
        if speculation is not None and speculation.policy.lossy:
            self.waiting.wake(Undo(number))
        if speculation is not None and not self.ledger.outstanding.on(speculation.connection):
            self.waiting.wake(Silence(speculation.connection))
        return speculation

    def watch(self, speculation: Speculation) -> None:
        """Due whenever time may move it on sooner than it would have."""
        self.ledger.deadlines.tell(speculation.id)

"""What the engine knows: servers, sessions and calls in flight, beside the ledger and the measurements.

State and questions about it; the decisions are in `engine.py` (calls), `admission.py` (candidates) and `lifecycle.py`
(speculations).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.commands import Command
from spec_mcp.engine.effects import NO_MANIFEST, UNLISTED, Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import CallId, Candidate, Mode, SpeculationId
from spec_mcp.engine.ledger import Ledger, Speculation
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.engine.states import Reason
from spec_mcp.engine.timing import Timing


@dataclass(slots=True)
class ServerState:
    """One connection to a server and what was learned of the server behind it."""

    name: str
    policy: ServerPolicy
    pins: dict[str, str]
    """Fingerprints seen before, by tool; the manifest's own come first."""
    epoch: int = 0
    connected: bool = False
    fingerprints: Mapping[str, str] | None = None
    """The definitions of this connection; None until they are listed."""
    chatty: bool = False
    """It asks or logs in ways that cannot be told from a call's own: not speculated on in this session (rule 11)."""
    quiet_until: float = 0.0
    """It answered with a rate limit (rule 2)."""
    deadly: set[str] = field(default_factory=set[str])
    """Tools under whose speculation it died (rule 4)."""
    reached_outside: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])
    """By tool, when it was last speculated to the outside world (rule 3)."""
    queue: list[Proposal] = field(default_factory=list["Proposal"])

    def doubt(self, tool: str) -> Reason | None:
        """Why the manifest's word on a tool does not hold, or holds nothing; None where it does."""
        policy = self.policy.tools.get(tool)
        if policy is None:
            return Reason.UNLISTED
        if self.fingerprints is None or tool not in self.fingerprints:
            return Reason.NOT_LISTED_YET
        expected = policy.fingerprint or self.pins.get(tool)
        if expected is not None and expected != self.fingerprints[tool]:
            return Reason.CHANGED
        return None

    def within_budget(self, tool: str, now_s: float) -> bool:
        """May another speculation with this tool reach the outside world in this minute?"""
        recent = self.reached_outside.setdefault(tool, deque())
        while recent and recent[0] <= now_s - 60.0:
            recent.popleft()
        return len(recent) < self.policy.tool(tool).open_world_per_minute

    def tool(self, name: str) -> ToolPolicy:
        """The manifest's word on a tool; `UNLISTED` where it does not hold."""
        return self.policy.tool(name) if self.doubt(name) is None else UNLISTED


@dataclass(slots=True)
class SessionState:
    """One client."""

    name: str
    step: int = 0
    """Counts what changes the basis of predictions."""
    idle_since: float | None = None
    """When the client got the last answer that it waited for."""
    outstanding: int = 0
    """Calls of the client without an answer."""
    template: dict[str, CallKey] = field(default_factory=dict[str, CallKey])
    """By server, the key of the session's last call there: what a speculation must look like."""


@dataclass(slots=True)
class CallState:
    """A client's request without an answer."""

    id: CallId
    session: str
    server: str
    method: str
    tool: str
    key: CallKey | None
    footprint: Footprint
    reads: bool
    arrived_at: float
    invoked_at: float | None = None
    speculation: SpeculationId | None = None
    """What it has joined or awaits the validation of, or is compared with."""
    beside: bool = False
    """Speculations ran on its server when it went out."""

    @property
    def invoked(self) -> bool:
        """Has its server seen it?"""
        return self.invoked_at is not None

    @property
    def is_tool_call(self) -> bool:
        """Is it a call in the sense of the glossary?"""
        return self.method == "tools/call"


@dataclass(frozen=True, slots=True)
class Proposal:
    """An admitted candidate that waits for a place."""

    session: str
    candidate: Candidate
    q: float
    worth_s: float
    lineage: tuple[SpeculationId, ...]


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
        self.ledger = Ledger()
        self.servers: dict[str, ServerState] = {}
        self.sessions: dict[str, SessionState] = {}
        self.calls: dict[CallId, CallState] = {}
        self.out: list[Command] = []
        self.now_s = 0.0
        self._policies = policies
        self._pins = pins
        self._speculations_made = 0

    def server(self, name: str) -> ServerState:
        """The state of a server, made at first mention."""
        if (state := self.servers.get(name)) is None:
            policy = self._policies.get(name, NO_MANIFEST)
            state = self.servers[name] = ServerState(name, policy, dict(self._pins.get(name, {})))
        return state

    def session(self, name: str) -> SessionState:
        """The state of a session, made at first mention."""
        if (state := self.sessions.get(name)) is None:
            state = self.sessions[name] = SessionState(name)
        return state

    def next_speculation(self) -> SpeculationId:
        """A number never used before."""
        self._speculations_made += 1
        return self._speculations_made

    def clear_queues(self, session: str) -> None:
        """Forget what waits for a place for this session: its step has passed."""
        for server in self.servers.values():
            if server.queue:
                server.queue = [proposal for proposal in server.queue if proposal.session != session]

    def invoked_on(self, server: str) -> list[CallState]:
        """The clients' requests that the server is working on; a listening stream is no work."""
        return [
            call
            for call in self.calls.values()
            if call.server == server and call.invoked and call.method != "subscriptions/listen"
        ]

    def caller_of(self, speculation: Speculation) -> CallState | None:
        """The call that waits for this speculation."""
        return None if speculation.caller is None else self.calls.get(speculation.caller)


def reads(policy: ToolPolicy) -> bool:
    """Is a call of this tool known to be a read?"""
    return policy.effect is Effect.READ


def footprint_of(server: ServerState, tool: str, arguments: Arguments | None) -> Footprint:
    """What a call touches; a tool on which the manifest's word does not hold touches everything."""
    policy = server.tool(tool)
    if policy is UNLISTED:
        return everything(server.name)
    return footprint(server.name, policy.touches, arguments, policy.equal)

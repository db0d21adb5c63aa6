"""What the engine knows: servers, sessions and calls in flight, beside the ledger and the measurements.

State and questions about it; the decisions are in `engine.py` (calls), `admission.py` (candidates) and `lifecycle.py`
(speculations).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, CallKey, Equivalence
from spec_mcp.engine.commands import Command
from spec_mcp.engine.effects import NO_MANIFEST, UNLISTED, Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import CallId, Candidate, Mode, SpeculationId
from spec_mcp.engine.ledger import Ledger, Speculation
from spec_mcp.engine.minute import LastMinute
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.engine.states import Reason
from spec_mcp.engine.timing import Timing

CALLS_MAX = 4096
"""Requests of clients without an answer. Nobody waits for as many: the oldest are of a server that never answers."""

SESSIONS_MAX = 1024
"""Clients remembered; one that was never said to have left is forgotten when it is idle and as many came after it."""

CANCELLED_MAX = 64
"""Cancelled calls remembered by server, since most servers never answer them."""


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
    subscribed: bool = False
    """A client may be told of changes there: nothing reversible is speculated (rule 12)."""
    chatty: bool = False
    """It asks or logs in ways that cannot be told from a call's own: not speculated on in this session (rule 11)."""
    suspect_until: float = 0.0
    """How long calls wait for speculations that were seen to prompt or log (rule 11)."""
    quiet_until: float = 0.0
    """It answered with a rate limit (rule 2)."""
    deadly: set[str] = field(default_factory=set[str])
    """Tools under whose speculation it died (rule 4)."""
    reached_outside: dict[str, LastMinute] = field(default_factory=dict[str, LastMinute])
    """By tool, when it was last speculated to the outside world (rule 3)."""
    launches: LastMinute = field(default_factory=LastMinute)
    """When anything was last speculated there."""
    queue: list[Proposal] = field(default_factory=list["Proposal"])
    cancelled: OrderedDict[CallId, None] = field(default_factory=OrderedDict[CallId, None])
    """Calls that the client cancelled: the server may work on them still, and ask or log for them."""
    everything: Footprint = field(init=False)
    """All that its tools may touch."""

    def __post_init__(self) -> None:
        self.review(self.policy, self.pins)

    def review(self, policy: ServerPolicy, pins: Mapping[str, str]) -> None:
        """Go by this manifest."""
        self.policy, self.pins = policy, dict(pins)
        declared = (template for tool in self.policy.tools.values() for template in tool.touches or ())
        self.everything = everything(self.name, declared)

    @property
    def longest_settle_s(self) -> float:
        """How long any of its tools may still take effect after its answer."""
        return max((tool.settle_s for tool in self.policy.tools.values()), default=0.0)

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

    def changed(self, tool: str) -> bool:
        """Is the definition of a tool that undoes, reads or probes another than what was seen first?"""
        if self.fingerprints is None or tool not in self.fingerprints:
            return True
        policy = self.policy.tools.get(tool)
        expected = (policy.fingerprint if policy is not None else None) or self.pins.get(tool)
        return expected is not None and expected != self.fingerprints[tool]

    def died_under(self, tool: str) -> bool:
        """Rule 4: did its process end while it worked on a speculation with this tool?"""
        return tool in self.deadly

    def within_budget(self, tool: str, now_s: float) -> bool:
        """May another speculation with this tool reach the outside world in this minute?"""
        budget = self.policy.tool(tool).open_world_per_minute
        return self.reached_outside.get(tool, LastMinute()).has_room(budget, now_s)

    def reaches_outside(self, tool: str, now_s: float) -> None:
        """A speculation with this tool goes out."""
        self.reached_outside.setdefault(tool, LastMinute()).add(now_s)

    def within_rate(self, now_s: float) -> bool:
        """Does the user's bound leave room for another speculation there in this minute?"""
        rate = self.policy.rate_per_minute
        return rate <= 0.0 or self.launches.has_room(rate, now_s)

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

    @property
    def invoked(self) -> bool:
        """Has its server seen it?"""
        return self.invoked_at is not None

    @property
    def is_tool_call(self) -> bool:
        """Is it a call in the sense of the glossary?"""
        return self.method == "tools/call"


@dataclass(slots=True)
class Proposal:
    """A candidate that is looked at, and then may wait for a place."""

    session: str
    candidate: Candidate
    q: float
    worth_s: float
    lineage: tuple[SpeculationId, ...]
    arguments: str | None = None
    """The canonical text of the candidate's arguments under `equal`, which nobody changes once they are told; None
    where there is none."""
    equal: Mapping[str, Sequence[Equivalence]] | None = None
    """None: nobody has asked for the text yet."""


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
        self.sessions: dict[str, SessionState] = {}
        self.calls: dict[CallId, CallState] = {}
        self.kept_back: list[CallState] = []
        """Calls that wait until a server's speculations are silent, in their order."""
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

    def knows(self, server: str) -> bool:
        """Is there such a server? A predictor may name any."""
        return server in self.servers

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
            if len(self.sessions) > SESSIONS_MAX:
                idle = (other for other in self.sessions.values() if other.outstanding == 0 and other is not state)
                if (oldest := next(idle, None)) is not None:
                    del self.sessions[oldest.name]
        return state

    def oldest_call_too_many(self) -> CallState | None:
        """The call to be forgotten, where more are unanswered than can be kept."""
        if len(self.calls) <= CALLS_MAX:
            return None
        return next((call for call in self.calls.values() if call.invoked), None)

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

    def works_for_clients(self, server: ServerState) -> bool:
        """May it be doing something that a client asked for: a call, one that was cancelled, a task?"""
        unsent = {call.id for call in self.calls.values() if not call.invoked}
        return (
            bool(self.invoked_on(server.name))
            or bool(server.cancelled)
            or any(
                write.until is None and write.footprint.server == server.name and call > 0 and call not in unsent
                for call, write in self.ledger.writes.items()  # those below zero are our own
            )
        )

    def footprint(self, call: CallState) -> Footprint:
        """What a request touches: that of a tool by its arguments, any other may touch everything."""
        if call.footprint is None:
            server = self.server(call.server)
            call.footprint = footprint_of(server, call.tool, call.arguments) if call.is_tool_call else server.everything
        return call.footprint

    def caller_of(self, speculation: Speculation) -> CallState | None:
        """The call that waits for this speculation."""
        return None if speculation.caller is None else self.calls.get(speculation.caller)


def reads(policy: ToolPolicy) -> bool:
    """Is a call of this tool known to be a read?"""
    return policy.effect is Effect.READ


def footprint_of(server: ServerState, tool: str, arguments: Arguments | None) -> Footprint:
    """What a call touches; a tool on which the manifest's word does not hold touches everything."""
    return footprint_by(server, server.tool(tool), arguments)


def footprint_by(server: ServerState, policy: ToolPolicy, arguments: Arguments | None) -> Footprint:
    """What a call of a tool of which this holds touches."""
    if policy is UNLISTED or policy.touches is None:
        return server.everything
    touched = footprint(server.name, policy.touches, arguments, policy.equal)
    return server.everything if touched.patterns is None else touched

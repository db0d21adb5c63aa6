"""What is known of servers and of the connections to them.

To the server belongs what holds over all its connections: what the manifest says, how its tools were defined at first
sight, what they touch, how often it may be asked. To a connection belongs what was agreed on and is going on there:
which tools were listed, what waits for a place, what is said. A connection may be one session's own, or be shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spec_mcp.engine.calls import Arguments, CallKey, Equivalence
from spec_mcp.engine.effects import UNLISTED, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import Candidate, ConnectionName, Lineage, SpeculationId
from spec_mcp.engine.evidence import Evidence
from spec_mcp.engine.minute import LastMinute
from spec_mcp.engine.resources import Footprint, everything, footprint
from spec_mcp.engine.states import Reason
from spec_mcp.engine.surrogacy import Surrogacy


@dataclass(slots=True)
class Proposal:
    """A candidate that is looked at, and then may wait for a place."""

    session: str
    step: int
    """Of the session, when it was proposed."""
    candidate: Candidate
    q: float
    worth_s: float
    lineage: Lineage
    stands_for: CallKey | None = None
    """The call that runs and whose answer it would guess."""
    principal: str = ""
    """Whose call it would be."""
    arguments: str | None = None
    """The canonical text of the candidate's arguments under `equal`, which nobody changes once they are told; None
    where there is none."""
    equal: Mapping[str, Sequence[Equivalence]] | None = None
    """None: nobody has asked for the text yet."""

    @property
    def follows_from_supposed(self) -> bool:
        """Is it no candidate after what has really happened?"""
        return bool(self.lineage) or self.stands_for is not None


@dataclass(slots=True)
class ServerState:
    """What is known of one server, whichever connection told it."""

    name: str
    policy: ServerPolicy
    pins: dict[str, str]
    """Fingerprints seen before, by tool; the manifest's own come first."""
    connections: dict[ConnectionName, ConnectionState] = field(default_factory=dict[str, "ConnectionState"])
    subscribed_on: set[ConnectionName] = field(default_factory=set[str])
    """Where a client may be told of changes: nothing reversible is speculated (rule 12)."""
    quiet_until: float = 0.0
    """It answered with a rate limit (rule 2)."""
    deadly: set[str] = field(default_factory=set[str])
    """Tools under whose speculation it died (rule 4)."""
    reached_outside: dict[str, LastMinute] = field(default_factory=dict[str, LastMinute])
    """By tool, when it was last speculated to the outside world (rule 3)."""
    launches: LastMinute = field(default_factory=LastMinute)
    """When anything was last speculated there."""
    checks: LastMinute = field(default_factory=LastMinute)
    """When anything that was adopted was last checked there."""
    hits: int = 0
    """Adopted results of reads, of which a sample is checked."""
    evidence: Evidence = field(default_factory=Evidence)
    """What comparisons say of its tools."""
    surrogates: Mapping[str, Surrogacy] = field(default_factory=dict[str, Surrogacy])
    """By tool that has a surrogate, what came of its guesses."""
    everything: Footprint = field(init=False)
    """All that its tools may touch."""

    def __post_init__(self) -> None:
        self.review(self.policy, self.pins)

    def review(self, policy: ServerPolicy, pins: Mapping[str, str]) -> None:
        """Go by this manifest."""
        self.policy, self.pins = policy, dict(pins)
        self.evidence.review(policy)
        declared = (template for tool in self.policy.tools.values() for template in tool.touches or ())
        self.everything = everything(self.name, declared)
        guessed = [name for name, tool in policy.tools.items() if tool.surrogate is not None]
        self.surrogates = {name: self.surrogates.get(name) or Surrogacy() for name in guessed}

    @property
    def longest_settle_s(self) -> float:
        """How long any of its tools may still take effect after its answer."""
        return max((tool.settle_s for tool in self.policy.tools.values()), default=0.0)

    def died_under(self, tool: str) -> bool:
        """Rule 4: did a process of it end while it worked on a speculation with this tool?"""
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


@dataclass(slots=True)
class ConnectionState:
    """One connection to a server."""

    name: ConnectionName
    server: ServerState
    epoch: int = 0
    protocol: str = ""
    """The version that a handshake agreed on; empty where there was none."""
    connected: bool = False
    closed: bool = False
    """It is gone for good; something that was speculated over it is not settled yet."""
    sessions: dict[str, None] = field(default_factory=dict[str, None])
    """Those whose calls travel over it."""
    fingerprints: Mapping[str, str] | None = None
    """The definitions of its tools; None until they are listed."""
    mistrusted_for: set[str] | None = None
    """It asks or logs in ways that cannot be told from a call's own: not speculated on while any of the sessions lasts
    that were there (rule 11)."""
    suspect_until: float = 0.0
    """How long calls wait for speculations that were seen to prompt or log (rule 11)."""
    queue: list[Proposal] = field(default_factory=list[Proposal])
    check: SpeculationId | None = None
    """The last check there of something that was adopted."""

    @property
    def policy(self) -> ServerPolicy:
        """What the manifest says of the server."""
        return self.server.policy

    @property
    def everything(self) -> Footprint:
        """All that the server's tools may touch."""
        return self.server.everything

    def doubt(self, tool: str) -> Reason | None:
        """Why the manifest's word on a tool does not hold here, or holds nothing; None where it does."""
        server = self.server
        policy = server.policy.tools.get(tool)
        if policy is None:
            return Reason.UNLISTED
        if self.fingerprints is None or tool not in self.fingerprints:
            return Reason.NOT_LISTED_YET
        expected = policy.fingerprint or server.pins.get(tool)
        if expected is not None and expected != self.fingerprints[tool]:
            return Reason.CHANGED
        return None

    def changed(self, tool: str) -> bool:
        """Is the definition of a tool that undoes, reads or probes another than what was seen first?"""
        if self.fingerprints is None or tool not in self.fingerprints:
            return True
        policy = self.server.policy.tools.get(tool)
        expected = (policy.fingerprint if policy is not None else None) or self.server.pins.get(tool)
        return expected is not None and expected != self.fingerprints[tool]

    def tool(self, name: str) -> ToolPolicy:
        """The manifest's word on a tool; `UNLISTED` where it does not hold."""
        return self.server.policy.tool(name) if self.doubt(name) is None else UNLISTED

    def drop_proposals(self, session: str) -> None:
        """Forget what waits for a place for this session."""
        if self.queue:
            self.queue = [proposal for proposal in self.queue if proposal.session != session]

    def drop_outdated(self, session: str, step: int) -> None:
        """Forget what waits for a place for this session and is proposed anew: all but what follows, at this very
        step, from something supposed."""
        if self.queue:
            self.queue = [
                proposal
                for proposal in self.queue
                if proposal.session != session or (proposal.step == step and proposal.follows_from_supposed)
            ]


def footprint_by(server: ServerState, policy: ToolPolicy, arguments: Arguments | None) -> Footprint:
    """What a call of a tool of which this holds touches."""
    if policy is UNLISTED or policy.touches is None:
        return server.everything
    touched = footprint(server.name, policy.touches, arguments, policy.equal)
    return server.everything if touched.patterns is None else touched

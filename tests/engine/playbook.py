"""Transcripts of the engine: `play << event >> command`, and nothing else may be asked for.

`Playbook` feeds an event and collects what the engine asks for. Each `>>` takes the next command that moves a line
or a value; every such command must be taken before the next event. What is only said for the record (`Predict`,
`CallSettled`, `SpeculationEnded`, `Skipped`, `PinFingerprint`, `Drop`) is compared only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.calls import CallKey, Unmatchable, canonical, canonical_arguments
from spec_mcp.engine.effects import Effect, FileValidator, ServerPolicy, ToolPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Answer, Candidate, Event, Outcome
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import SAMPLES_KEPT

RECORD = (do.Predict, do.CallSettled, do.SpeculationEnded, do.Skipped, do.PinFingerprint, do.Drop)

RESULT = Outcome(Answer.RESULT, 10)
TOOL_ERROR = Outcome(Answer.TOOL_ERROR, 10)
ERROR = Outcome(Answer.ERROR, 10)
LOST = Outcome(Answer.NONE)

SERVER = "s"
CLIENT = "c"


def reading(touches: tuple[str, ...] | None = ("item:{id}",), **more: Any) -> ToolPolicy:
    """A tool that reads, by default something that changes through us alone."""
    more = {"exclusive": "ttl_s" not in more, "open_world": False} | more
    return ToolPolicy(Effect.READ, touches, **more)


def writing(touches: tuple[str, ...] | None = ("item:{id}",), **more: Any) -> ToolPolicy:
    """A tool that writes."""
    return ToolPolicy(Effect.UNSAFE, touches, open_world=False, **more)


TOOLS: dict[str, ToolPolicy] = {
    "get": reading(),
    "put": writing(),
    "look": reading(ttl_s=10.0),
    "cat": reading(ttl_s=30.0, fresh=FileValidator("{id}")),
    "survey": reading(None),
    "put_late": writing(settle_s=5.0),
    "wipe": writing(None),
}


@dataclass(frozen=True)
class Wanted:
    """A command of a kind, with some of its members."""

    kind: type
    members: Mapping[str, Any] = field(default_factory=dict)

    def is_met_by(self, command: do.Command) -> bool:
        """Is this the command?"""
        return type(command) is self.kind and all(
            getattr(command, name) == value for name, value in self.members.items()
        )


def invoke(call: int) -> Wanted:
    """The call goes to its server."""
    return Wanted(do.Invoke, {"call": call})


def reply(call: int, how: do.How, **members: Any) -> Wanted:
    """The call is answered from a speculation."""
    return Wanted(do.Reply, {"call": call, "how": how, **members})


def launch(tool: str, **arguments: Any) -> Wanted:
    """A speculation goes to its server."""
    return Wanted(do.Launch, {"tool": tool, **({"arguments": arguments} if arguments else {})})


def ended(reason: str) -> Wanted:
    """A speculation came to its end for this reason."""
    return Wanted(do.SpeculationEnded, {"reason": reason})


def skipped(reason: str, **members: Any) -> Wanted:
    """A candidate was skipped for this reason."""
    return Wanted(do.Skipped, {"reason": reason, **members})


def validate(call: int | None = None) -> Wanted:
    """A validator is to be read: before launch, or for this call."""
    return Wanted(do.Validate, {"call": call})


def cancel_speculation() -> Wanted:
    """The server is told that a speculation's result is no longer wanted."""
    return Wanted(do.CancelSpeculation)


def forward_cancellation(call: int) -> Wanted:
    """The client's cancellation goes on to the server."""
    return Wanted(do.ForwardCancellation, {"call": call})


HIT, JOIN, MISS = do.How.HIT, do.How.JOIN, do.How.MISS


class Playbook:
    """One engine and its transcript."""

    def __init__(
        self,
        tools: Mapping[str, ToolPolicy] = TOOLS,
        *,
        settings: Settings | None = None,
        connect: bool = True,
        servers: Mapping[str, ServerPolicy] | None = None,
        engine: Engine | None = None,
        mode: events.Mode = events.Mode.ON,
        **policy: Any,
    ) -> None:
        policy = {"concurrent": True} | policy
        self.policies = dict(servers or {SERVER: ServerPolicy(SERVER, dict(tools), **policy)})
        self.engine = engine or Engine(settings or Settings(wasted_call_s=0.01), self.policies, mode=mode)
        self.now_s = 100.0
        self.pending: list[do.Command] = []
        self.record: list[do.Command] = []
        self.launched: list[int] = []
        self.validating: list[do.Validate] = []
        for server, of_server in self.policies.items():
            for tool in of_server.tools:
                self.takes(tool, 0.5, server)
        for _ in range(SAMPLES_KEPT):
            self.engine.world.timing.thought(2.0)
        if connect:
            for server, of_server in self.policies.items():
                _ = self << events.Connected(server, 1) << listing(of_server.tools, server=server)

    # --- the transcript -----------------------------------------------------------------------------------------

    def __lshift__(self, event: Event) -> Playbook:
        self.ends()
        commands = self.engine.handle(event, self.now_s)
        self.pending = [command for command in commands if not isinstance(command, RECORD)]
        self.record = [command for command in commands if isinstance(command, RECORD)]
        self.launched += [command.speculation for command in commands if isinstance(command, do.Launch)]
        self.validating += [command for command in commands if isinstance(command, do.Validate)]
        return self

    def __rshift__(self, wanted: Wanted) -> Playbook:
        if wanted.kind in RECORD:
            assert any(map(wanted.is_met_by, self.record)), f"wanted {wanted}, the record says {self.record}"
            return self
        assert self.pending, f"wanted {wanted}, but nothing more is asked for; the record says {self.record}"
        assert wanted.is_met_by(self.pending[0]), f"wanted {wanted}, not {self.pending[0]}"
        del self.pending[0]
        return self

    def ends(self) -> None:
        """Nothing more was asked for."""
        assert not self.pending, f"nobody wanted {self.pending}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.ends()

    def wait(self, seconds: float) -> Playbook:
        """Time passes, and the engine is told so where it asked to be."""
        due_s = self.now_s + seconds
        while (deadline_s := self.engine.deadline_s) is not None and deadline_s <= due_s and not self.pending:
            self.now_s = max(self.now_s, deadline_s)
            _ = self << events.Ticked()
            assert self.engine.deadline_s is None or self.engine.deadline_s > deadline_s, "the deadline stays"
        self.now_s = due_s
        return self

    def takes(self, tool: str, latency_s: float, server: str = SERVER) -> None:
        """A tool is known to take this long."""
        for _ in range(SAMPLES_KEPT):
            self.engine.world.timing.took(server, tool, latency_s)

    # --- events -------------------------------------------------------------------------------------------------

    def key(self, tool: str, arguments: Mapping[str, Any], **members: Any) -> CallKey | None:
        """What the relay takes such a call for."""
        given: dict[str, Any] = {"server": SERVER, "principal": "me", "meta": {}, "protocol": "p"} | members
        server = given["server"]
        try:
            connection = self.engine.world.connection(server)
            text = canonical_arguments(dict(arguments), connection.policy.tool(tool).equal)
        except Unmatchable:
            return None
        return CallKey(
            server, connection.epoch, given["protocol"], tool, given["principal"], text, canonical(given["meta"])
        )

    def call(self, number: int, tool: str, session: str = CLIENT, server: str = SERVER, /, **arguments: Any) -> Event:
        """A client calls, over the connection that has the server's name or another."""
        key = self.key(tool, arguments, server=server)
        return events.CallArrived(number, session, server, tool, arguments, key)

    def call_as(self, number: int, tool: str, arguments: Mapping[str, Any], **members: Any) -> Event:
        """A client calls as another principal, with other `_meta` or over another protocol."""
        key = self.key(tool, arguments, **members)
        return events.CallArrived(number, CLIENT, SERVER, tool, dict(arguments), key)

    def predicted(self, *candidates: Candidate, session: str = CLIENT, lineage: tuple[int, ...] = ()) -> Event:
        """A predictor's guesses at the present step."""
        return events.Predicted(session, self.engine.world.session(session).step, lineage, candidates)

    def returned(self, outcome: Outcome = RESULT, index: int = -1) -> Event:
        """The speculation launched last is answered."""
        return events.SpeculationReturned(self.launched[index], outcome)

    def validated(self, value: str | None) -> Event:
        """The validator asked for last has this value."""
        asked = self.validating[-1]
        return events.Validated(asked.speculation, asked.call, value)

    def attached(self, session: str, connection: str, server: str = SERVER) -> Playbook:
        """A session goes to the server over this connection, and has made a first call."""
        _ = self << events.Attached(session, server, connection)
        if not self.engine.world.connection(connection).connected:
            tools = self.policies[server].tools
            _ = self << events.Connected(connection, 1) << listing(tools, server=connection)
        return self.begun(session, connection)

    # --- beginnings that many transcripts share -----------------------------------------------------------------

    def begun(self, session: str = CLIENT, server: str = SERVER) -> Playbook:
        """A client that made a first call: from now on it is known what its calls look like."""
        number = 1_000_000 + len(self.engine.world.sessions)
        return (
            self
            << self.call(number, "unheard-of", session, server)
            >> invoke(number)
            << events.CallReturned(number, RESULT)
        )

    def launches(self, tool: str, /, session: str = CLIENT, **arguments: Any) -> Playbook:
        """A guess is made and launched."""
        return self << self.predicted(guess(tool, **arguments), session=session) >> launch(tool)

    def holds(self, tool: str, /, session: str = CLIENT, **arguments: Any) -> Playbook:
        """A guess is made, launched and answered."""
        return self.launches(tool, session, **arguments) << self.returned()

    @property
    def held(self) -> int:
        """How many speculations have not come to their end."""
        return len(self.engine.world.ledger.live)


def guess(tool: str, /, q: float = 0.9, server: str = SERVER, whole: bool = True, **arguments: Any) -> Candidate:
    """A candidate."""
    return Candidate(server, tool, arguments, q, "test", whole)


def listing(tools: Mapping[str, object], changed: str = "", server: str = SERVER) -> events.ToolsListed:
    """The server's list of tools, one of them with another definition than before."""
    return events.ToolsListed(server, {tool: "new" if tool == changed else "old" for tool in tools})

"""From a candidate to a launch: what is allowed, what is worth it, and what there is room for.

`skip_reason` asks in the order of the design: may it be made at all, could its result be adopted, is it worth a call.
It is asked when the candidate comes and again when its turn to be launched has come, since the world goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.engine import lifecycle, lossy, reversing
from spec_mcp.engine.calls import CallKey, Unmatchable, canonical_arguments
from spec_mcp.engine.commands import Predict, Skipped, Validate
from spec_mcp.engine.effects import Effect, ToolPolicy, ToolValidator
from spec_mcp.engine.events import Candidate, Mode, Predicted, SpeculationId
from spec_mcp.engine.ledger import Awaits, Reversal, Speculation
from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.engine.policy import may_reach_outside, worth_s
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import Proposal, ServerState, SessionState, World, footprint_of, reads

SPECULATION_LIMIT_S = 120.0
"""A speculation without an answer for this long is given up; its place stays taken until the server answers."""


UNADOPTED_LIMIT_S = 30.0
"""How long a reversible speculation waits for its call: while it stands, whoever comes too near must wait for its
undo."""

SURE = 0.75
"""The least probability of use of a reversible speculation, whatever it would gain: a wrong one makes somebody wait."""

MEASURED_PLACES = 2
"""Calls and speculations at once on a server of which no more is known than that it was measured to work on two."""

QUEUE_MAX = 32
"""Admitted candidates that wait for a place, by server: more than can be launched within a thinking gap."""


def consider(world: World, predicted: Predicted) -> None:
    """Admit or skip each candidate, then launch what there is room for."""
    session = world.sessions.get(predicted.session)
    if world.mode is Mode.OFF or session is None:
        return
    if predicted.step != session.step:
        for candidate in predicted.candidates:
            _skip(world, predicted.session, candidate, Reason.STEP_PASSED)
        return
    if predicted.lineage:
        parent = world.ledger.live.get(predicted.lineage[-1])
        if parent is None:
            return
        scale = parent.q
    else:
        world.clear_queues(predicted.session)
        scale = 1.0
    admitted = 0
    saved_s: dict[tuple[str, str], float] = {}
    for candidate in predicted.candidates:
        if not world.knows(candidate.server):
            _skip(world, predicted.session, candidate, Reason.UNLISTED)
            continue
        q = probability(candidate.q) * scale
        tool = (candidate.server, candidate.tool)
        if tool not in saved_s:
            saved_s[tool] = world.timing.hidden_s(*tool, _head_start_s(world), len(predicted.lineage) + 1)
        proposal = Proposal(
            predicted.session, candidate, q, _worth_s(world, candidate, q, saved_s[tool]), predicted.lineage
        )
        reason = skip_reason(world, proposal)
        if reason is None and admitted >= world.settings.breadth:
            reason = Reason.BREADTH
        if reason is not None:
            _skip(world, predicted.session, candidate, reason)
            if reason is Reason.KNOWN:
                _look_beyond(world, session, proposal)
            continue
        admitted += 1
        queue = world.server(candidate.server).queue
        if any(same(waiting, proposal) for waiting in queue):
            continue
        queue.append(proposal)
    for server in world.servers.values():
        server.queue.sort(key=lambda proposal: -proposal.worth_s)
        fill_places(world, server)
        for proposal in server.queue[QUEUE_MAX:]:
            _skip(world, proposal.session, proposal.candidate, Reason.FULL)
        del server.queue[QUEUE_MAX:]


def probability(said: float) -> float:
    """What a predictor said, as a probability; what is none is taken for 0."""
    return min(1.0, said) if said > 0.0 else 0.0


def same(one: Proposal, other: Proposal) -> bool:
    """Do both propose the same call?"""
    return one.candidate.tool == other.candidate.tool and one.candidate.arguments == other.candidate.arguments


def skip_reason(world: World, proposal: Proposal) -> Reason | None:
    """Why this candidate is not to be launched; None if it is."""
    candidate = proposal.candidate
    server = world.server(candidate.server)
    if (reason := _forbidden(world, server, candidate)) is not None:
        return reason
    policy = server.tool(candidate.tool)
    if (key := _key(world, proposal.session, candidate, policy)) is None:
        return Reason.UNMATCHABLE
    if (reason := _unusable(world, server, key, candidate, proposal.lineage)) is not None:
        return reason
    if policy.effect is Effect.REVERSIBLE and proposal.q < SURE:
        return Reason.UNSURE
    if proposal.worth_s <= 0.0:
        return Reason.NOT_WORTH_IT
    timing = world.timing
    is_serial = not server.policy.concurrent and not _is_measured_concurrent(world, server)
    if is_serial and timing.latency_s(server.name, candidate.tool, 0.75) > timing.gap_s(0.5):
        return Reason.TOO_SLOW
    return None


def look_beyond(world: World, speculation: Speculation) -> None:
    """A ready speculation is itself a step of the predicted future: predict again on it, once a step."""
    session = world.session(speculation.session)
    if len(speculation.lineage) + 1 < world.settings.depth and speculation.chained_at != session.step:
        speculation.chained_at = session.step
        world.out.append(Predict(session.name, session.step, (*speculation.lineage, speculation.id)))


def _look_beyond(world: World, session: SessionState, proposal: Proposal) -> None:
    """What is predicted again and held already is nearer now than when it was launched."""
    key = _key(
        world, session.name, proposal.candidate, world.server(proposal.candidate.server).tool(proposal.candidate.tool)
    )
    held = None if key is None else world.ledger.by_key.get(key)
    if held is not None and held.state is State.READY and held.session == session.name:
        held.lineage = proposal.lineage
        held.q = max(held.q, proposal.q)
        look_beyond(world, held)


def fill_places(world: World, server: ServerState) -> None:
    """Launch from the queue while the server has room for speculations."""
    while server.queue and _has_place(world, server):
        proposal = server.queue.pop(0)
        if (reason := skip_reason(world, proposal)) is not None:
            _skip(world, proposal.session, proposal.candidate, reason)
            continue
        _propose(world, server, proposal)


def validated_for_launch(world: World, speculation: Speculation, value: str | None) -> None:
    """Its validator has been read: launch, unless it cannot be trusted or the world has gone on in the meantime."""
    server = world.server(speculation.server)
    reason = Reason.UNVALIDATED if value is None else no_longer(world, server, speculation)
    if reason is None:
        speculation.valid = value
        _launch(world, server, speculation)
    else:
        lifecycle.discard(world, speculation, reason)
        fill_places(world, server)


def no_longer(world: World, server: ServerState, speculation: Speculation) -> Reason | None:
    """Why what was admitted before its validator was read is not to be launched after it."""
    if (reason := _barred(world, server, speculation.tool)) is not None:
        return reason
    if any(call.key == speculation.key for call in world.calls.values()):
        return Reason.KNOWN
    return None if _has_place(world, server, speculation) else Reason.BUSY


def _propose(world: World, server: ServerState, proposal: Proposal) -> None:
    candidate = proposal.candidate
    policy = server.tool(candidate.tool)
    key = _key(world, proposal.session, candidate, policy)
    assert key is not None, "a candidate without a key was skipped"
    speculation = Speculation(
        world.next_speculation(),
        proposal.session,
        server.name,
        candidate.tool,
        candidate.arguments,
        key,
        policy,
        footprint_of(server, candidate.tool, candidate.arguments),
        proposal.q,
        candidate.source,
        proposal.lineage,
        world.now_s,
    )
    speculation.depends_on = _depends_on(world, speculation.footprint, proposal.lineage) or frozenset()
    world.ledger.add(speculation)
    if policy.open_world:
        server.reaches_outside(candidate.tool, world.now_s)
    if policy.lossy:
        lossy.begin(world, speculation)
    elif policy.effect is Effect.REVERSIBLE:
        speculation.reversal = Reversal()
        server.launches.add(world.now_s)  # what is read before it is asked of the server too
        reversing.prepare(world, speculation)
    elif policy.fresh is None:
        _launch(world, server, speculation)
    else:
        world.out.append(Validate(speculation.id, None, policy.fresh, candidate.arguments))


def _launch(world: World, server: ServerState, speculation: Speculation) -> None:
    server.launches.add(world.now_s)
    lifecycle.launch(world, speculation)


def _forbidden(world: World, server: ServerState, candidate: Candidate) -> Reason | None:
    """Rules 1 to 4: what may not be speculated, whatever it would gain."""
    if (reason := server.doubt(candidate.tool)) is not None:
        return reason
    policy = server.tool(candidate.tool)
    if not reads(policy):
        if policy.lossy:
            reason = None if world.settings.lossy and world.mode is Mode.ON else Reason.UNSAFE
        else:
            reason = _irreversible(world, server, candidate.tool, policy)
        if reason is not None:
            return reason
    elif policy.ttl_s is None and not policy.exclusive:
        return Reason.EXPIRED  # no manifest says so, but its result would never be too old
    if isinstance(policy.fresh, ToolValidator) and not _may_validate(server, policy.fresh.tool):
        return Reason.UNVALIDATED
    if policy.open_world and not (
        may_reach_outside(candidate, policy) and server.within_budget(candidate.tool, world.now_s)
    ):
        return Reason.OPEN_WORLD
    return _barred(world, server, candidate.tool)


def _may_validate(server: ServerState, tool: str) -> bool:
    """Rule 7: is the version tool known to do nothing but read?"""
    return reads(server.tool(tool)) and not server.tool(tool).open_world


def _irreversible(world: World, server: ServerState, tool: str, policy: ToolPolicy) -> Reason | None:
    """Rules 1, 12 and 14: why this tool's effect may not be made early and taken back."""
    if policy.effect is not Effect.REVERSIBLE or not world.settings.reversible:
        return Reason.UNSAFE
    if policy.undo is None or policy.before is None or not policy.exclusive:
        return Reason.NOT_REVERSIBLE_HERE
    if not policy.proved and f"{server.name}.{tool}" not in world.settings.accept_unproven:
        return Reason.UNPROVEN
    if any(server.changed(used.tool) for used in (policy.undo, policy.before, policy.probe) if used is not None):
        return Reason.CHANGED
    if any(held.state is State.STUCK for held in world.ledger.unadopted_on(server.name)):
        return Reason.STUCK_THERE
    if world.mode is not Mode.ON:
        return Reason.UNSAFE
    return Reason.SUBSCRIBED if server.subscribed else None


def _barred(world: World, server: ServerState, tool: str) -> Reason | None:
    """Rules 1, 2, 4 and 11, and the user's bound: what has become of the server and the tool."""
    if (reason := server.doubt(tool)) is not None:
        return reason
    if not server.connected:
        return Reason.BUSY
    if server.chatty or server.died_under(tool):
        return Reason.DEMOTED
    if world.now_s < server.quiet_until:
        return Reason.RATE_LIMITED
    if not server.within_rate(world.now_s):
        return Reason.RATE
    return None


def _unusable(
    world: World, server: ServerState, key: CallKey, candidate: Candidate, lineage: Sequence[SpeculationId]
) -> Reason | None:
    """Rules 5 to 7: what could not be adopted, or is there already."""
    if key in world.ledger.by_key or any(call.key == key for call in world.calls.values()):
        return Reason.KNOWN
    if server.tool(candidate.tool).fresh is None and key in world.ledger.answered:
        return Reason.POLL
    touched = footprint_of(server, candidate.tool, candidate.arguments)
    if world.ledger.being_written(touched, world.now_s):
        return Reason.CONFLICT
    if _depends_on(world, touched, lineage) is None:
        return Reason.CONFLICT
    if not reads(server.tool(candidate.tool)) and _is_looked_at(world, touched):
        return Reason.CONFLICT
    return None


def _depends_on(world: World, touched: Footprint, lineage: Sequence[SpeculationId]) -> frozenset[SpeculationId] | None:
    """Rule 12: the reversible speculations whose effect it would see; None where it must not.

    Only what follows from an effect may look at it, once it has settled.
    """
    found: set[SpeculationId] = set()
    for held in world.ledger.unadopted.values():
        if not touched.overlaps(held.footprint):
            continue
        settled_at = None if held.returned_at is None else held.returned_at + held.policy.settle_s
        is_there = held.state is State.READY and held.reversal is not None and held.reversal.awaits is Awaits.NOTHING
        if held.id not in lineage or not is_there or settled_at is None or settled_at > world.now_s:
            return None
        found |= {held.id, *held.depends_on}
    return frozenset(found)


def _is_looked_at(world: World, touched: Footprint) -> bool:
    """Rule 12: is anybody's request under way that would see a write there, or one of ours?"""
    return (
        any(server.cancelled for server in world.servers.values())
        or any(touched.overlaps(running.footprint) for running in world.ledger.outstanding.values())
        or any(
            call.method not in TOUCHES_NOTHING and touched.overlaps(world.footprint(call))
            for call in world.calls.values()
        )
    )


def _has_place(world: World, server: ServerState, itself: Speculation | None = None) -> bool:
    """Rule 4: calls come first."""
    running = world.ledger.using(server.name, world.now_s) + sum(
        speculation.launched_at is None and speculation is not itself
        for speculation in world.ledger.live_on(server.name)
    )
    if server.policy.concurrent and not world.timing.slows(server.name):
        return running < world.settings.in_flight
    calls = len(world.invoked_on(server.name))
    if _is_measured_concurrent(world, server):
        return running + calls < min(MEASURED_PLACES, world.settings.in_flight)
    return running == 0 and not calls


def _is_measured_concurrent(world: World, server: ServerState) -> bool:
    """Nobody says whether it works on several calls at once, but the client's own calls have shown it."""
    return server.policy.concurrent is None and world.timing.works_side_by_side(server.name)


def _worth_s(world: World, candidate: Candidate, q: float, saved_s: float) -> float:
    policy = world.server(candidate.server).policy.tool(candidate.tool)
    undo_s = _undo_s(world, candidate.server, policy) if policy.effect is Effect.REVERSIBLE else 0.0
    return worth_s(q, saved_s, world.settings.wasted_call_s + policy.cost_s + undo_s)


def _undo_s(world: World, server: str, policy: ToolPolicy) -> float:
    """How long a call that conflicts waits after a wrong one: two readings and the undo."""
    if policy.undo is None or policy.before is None:
        return 0.0
    reading_s = world.timing.latency_s(server, policy.before.tool, 0.75)
    return 2.0 * reading_s + world.timing.latency_s(server, policy.undo.tool, 0.75)


def _head_start_s(world: World) -> float:
    """How long the calls that run now are still expected to take."""
    left = [
        call.arrived_at + world.timing.latency_s(call.server, call.tool, 0.5) - world.now_s
        for call in world.calls.values()
        if call.is_tool_call
    ]
    return max(0.0, *left) if left else 0.0


def _key(world: World, session: str, candidate: Candidate, policy: ToolPolicy) -> CallKey | None:
    """The key of the call that the candidate foretells; None where no call could have it."""
    template = world.session(session).template.get(candidate.server)
    if template is None:
        return None
    try:
        arguments = canonical_arguments(candidate.arguments, policy.equal)
    except Unmatchable:
        return None
    epoch = world.server(candidate.server).epoch
    return CallKey(
        template.server, epoch, template.protocol, candidate.tool, template.principal, arguments, template.meta
    )


def _skip(world: World, session: str, candidate: Candidate, reason: Reason) -> None:
    world.out.append(Skipped(session, candidate.server, candidate.tool, reason))

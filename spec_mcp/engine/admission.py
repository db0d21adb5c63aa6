"""From a candidate to a launch: what is allowed, what is worth it, and what there is room for.

`skip_reason` asks in the order of the design: may it be made at all, could its result be adopted, is it worth a call.
It is asked when the candidate comes and again when its turn to be launched has come, since the world goes on.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from spec_mcp.engine import checking, lifecycle, lossy, reversing, sharing
from spec_mcp.engine.calls import CallKey, Unmatchable, canonical_arguments
from spec_mcp.engine.commands import Predict, Skipped, Validate
from spec_mcp.engine.connections import ConnectionState, Proposal, footprint_by
from spec_mcp.engine.effects import Effect, ToolPolicy, reads
from spec_mcp.engine.events import Candidate, Guess, Lineage, Mode, Predicted, SpeculationId
from spec_mcp.engine.likeness import likeness
from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.engine.places import has_place
from spec_mcp.engine.policy import may_reach_outside, worth_s
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.running import find, guesses_in, left_s, steps_ahead
from spec_mcp.engine.speculation import Awaits, Reversal, Speculation
from spec_mcp.engine.standing import Standing, barred, standing_of
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import SessionState, World

SURE = 0.75
"""The least probability of use of a reversible speculation, whatever it would gain: while a wrong one is taken back,
somebody waits. Nothing is taken back where the last write wins."""

QUEUE_MAX = 32
"""Admitted candidates that wait for a place, by connection: more than can be launched within a thinking gap."""


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
        if (scale := _probability_of(world, session, predicted.lineage[-1])) is None:
            return
    else:
        for connection in world.connections_of(session):
            connection.drop_outdated(session.name, session.step)
        scale = 1.0
    _queue(world, session, predicted, scale)
    for connection in world.connections_of(session):
        launch_best(world, connection)


def _probability_of(world: World, session: SessionState, link: SpeculationId | Guess) -> float | None:
    """How likely it is that the client makes the call whose answer is supposed; None where it is of the past."""
    parent = find(world, session.name, link.key) if isinstance(link, Guess) else world.ledger.live.get(link)
    return None if parent is None else parent.q


def launch_best(world: World, connection: ConnectionState) -> None:
    """Launch what is worth most of all that waits; what there is no room to wait for is skipped."""
    connection.queue.sort(key=lambda proposal: -proposal.worth_s)
    fill_places(world, connection)
    for proposal in connection.queue[QUEUE_MAX:]:
        _skip(world, proposal.session, proposal.candidate, Reason.FULL)
    del connection.queue[QUEUE_MAX:]


def _queue(world: World, session: SessionState, predicted: Predicted, scale: float) -> None:
    """Queue what is admitted of a predicted set. Nothing is launched meanwhile: what holds for a tool is asked once."""
    head_start_s = _head_start_s(world, session, predicted.lineage)
    gaps = steps_ahead(world, session.name, predicted.lineage) + 1
    tools: dict[tuple[str, str], tuple[Standing, float, float]] = {}
    admitted = 0
    for candidate in predicted.candidates:
        if (connection := world.way_of(session, candidate.server)) is None:
            _skip(world, predicted.session, candidate, Reason.UNLISTED)
            continue
        name = (candidate.server, candidate.tool)
        if (known := tools.get(name)) is None:
            standing = standing_of(world, connection, candidate.tool)
            saved_s = 0.0 if standing.forbidden else world.timing.hidden_s(*name, head_start_s, gaps)
            known = tools[name] = standing, saved_s, cost_of(world, *name)
        standing, saved_s, cost_s = known
        q = probability(candidate.q) * scale
        lineage = _lineage_of(predicted.lineage, candidate)
        proposal = Proposal(session.name, session.step, candidate, q, worth_s(q, saved_s, cost_s), lineage)
        reason = skip_reason(world, standing, proposal)
        if reason is None and admitted >= world.settings.breadth:
            reason = Reason.BREADTH
        if reason is not None:
            _skip(world, predicted.session, candidate, reason)
            if reason is Reason.KNOWN:
                _look_beyond(world, session, standing, proposal)
            continue
        admitted += 1
        if not any(same(waiting, proposal) for waiting in connection.queue):
            connection.queue.append(proposal)


def _lineage_of(lineage: Lineage, candidate: Candidate) -> Lineage:
    """What is supposed where this is a candidate: of a surrogate's guesses, those that led to it."""
    last = lineage[-1] if lineage else None
    return (*lineage[:-1], replace(last, ranks=candidate.guesses)) if isinstance(last, Guess) else lineage


def consider_surrogate(world: World, standing: Standing, proposal: Proposal) -> None:
    """Admit or skip the call of a surrogate, as any candidate."""
    if (reason := skip_reason(world, standing, proposal)) is None:
        if not any(same(waiting, proposal) for waiting in standing.connection.queue):
            standing.connection.queue.append(proposal)
        launch_best(world, standing.connection)
        return
    _skip(world, proposal.session, proposal.candidate, reason)
    if reason is Reason.KNOWN:
        _look_beyond(world, world.session(proposal.session), standing, proposal)


def probability(said: float) -> float:
    """What a predictor said, as a probability; what is none is taken for 0."""
    return min(1.0, said) if said > 0.0 else 0.0


def same(one: Proposal, other: Proposal) -> bool:
    """Do both propose the same call?"""
    return (
        one.candidate.tool == other.candidate.tool
        and one.principal == other.principal
        and one.candidate.arguments == other.candidate.arguments
    )


def skip_reason(world: World, standing: Standing, proposal: Proposal) -> Reason | None:
    """Why this candidate is not to be launched; None if it is."""
    if (reason := standing.forbidden) is not None:
        return reason
    if proposal.stands_for is not None:
        if standing.policy.effect is not Effect.READ:
            return Reason.UNSAFE
        if find(world, proposal.session, proposal.stands_for) is None:
            return Reason.STEP_PASSED
    if proposal.candidate.discloses:
        return Reason.DISCLOSES
    policy = standing.policy
    if policy.open_world and not (may_reach_outside(proposal.candidate, policy) and standing.has_budget):
        return Reason.OPEN_WORLD
    if (reason := standing.barred) is not None:
        return reason
    if (key := _key(world, standing.connection, policy, proposal)) is None:
        return Reason.UNMATCHABLE
    if (reason := _unusable(world, standing, key, proposal)) is not None:
        return reason
    if policy.effect is Effect.REVERSIBLE and not policy.lossy and proposal.q < SURE:
        return Reason.UNSURE
    if proposal.worth_s <= 0.0:
        return Reason.NOT_WORTH_IT
    return Reason.TOO_SLOW if standing.too_slow else None


def look_beyond(world: World, speculation: Speculation) -> None:
    """A ready speculation is itself a step of the predicted future: predict again on it, once a step."""
    session = world.session(speculation.session)
    lineage = lineage_beyond(world, speculation)
    ahead = steps_ahead(world, session.name, lineage)
    if lineage and ahead < world.settings.depth and speculation.chained_at != session.step:
        speculation.chained_at = session.step
        world.out.append(Predict(session.name, session.step, lineage))


def lineage_beyond(world: World, speculation: Speculation) -> Lineage:
    """What is to be supposed once its result is there: that result, or what a surrogate's says of another's answer.

    Empty where that other is answered.
    """
    if speculation.stands_for is None:
        return (*speculation.lineage, speculation.id)
    guessed = find(world, speculation.session, speculation.stands_for)
    surrogate = None if guessed is None else guessed.connection.tool(guessed.tool).surrogate
    if guessed is None or surrogate is None:
        return ()
    server, tool, arguments, key = speculation.server, guessed.tool, guessed.arguments, guessed.key
    return (*guessed.lineage, Guess(speculation.id, server, tool, arguments, key, surrogate.k))


def _look_beyond(world: World, session: SessionState, standing: Standing, proposal: Proposal) -> None:
    """What is predicted again and held already is nearer now than when it was launched."""
    key = _key(world, standing.connection, standing.policy, proposal)
    held = None if key is None else world.ledger.by_key.get(key)
    if held is None or held.session != session.name or held.state not in (State.LAUNCHED, State.READY):
        return
    if proposal.stands_for is not None:
        held.stands_for = proposal.stands_for
    else:
        held.is_expected = True
        held.foreseen = (proposal.step, proposal.q)
        falls_with_a_guess, would_fall = guesses_in(held.lineage), guesses_in(proposal.lineage)
        if not would_fall and (held.state is State.READY or falls_with_a_guess):
            held.lineage = proposal.lineage
        held.q = max(held.q, proposal.q)
    if held.state is State.READY:
        look_beyond(world, held)


def fill_places(world: World, connection: ConnectionState) -> None:
    """Launch from the queue what there is room for."""
    queue, connection.queue = connection.queue, []
    for proposal in queue:
        if not has_place(world, connection, proposal.session):
            connection.queue.append(proposal)
            continue
        standing = standing_of(world, connection, proposal.candidate.tool)
        if (reason := skip_reason(world, standing, proposal)) is not None:
            _skip(world, proposal.session, proposal.candidate, reason)
            continue
        _propose(world, standing, proposal)
    checking.launch_due(world, connection)


def validated_for_launch(world: World, speculation: Speculation, value: str | None) -> None:
    """Its validator has been read: launch, unless it cannot be trusted or the world has gone on in the meantime."""
    connection = world.connection(speculation.connection)
    reason = Reason.UNVALIDATED if value is None else no_longer(world, connection, speculation)
    if reason is None:
        speculation.valid = value
        _launch_or_offer(world, connection, speculation)
    else:
        lifecycle.discard(world, speculation, reason)
        fill_places(world, connection)


def offered(world: World, speculation: Speculation, ok: bool) -> None:
    """It is on the board that replicas share, or cannot be put there: the same once more."""
    connection = world.connection(speculation.connection)
    reason = no_longer(world, connection, speculation) if ok else Reason.CUT_OFF
    if reason is None:
        _launch(world, connection, speculation)
    else:
        lifecycle.discard(world, speculation, reason)
        fill_places(world, connection)


def no_longer(world: World, connection: ConnectionState, speculation: Speculation) -> Reason | None:
    """Why what was admitted before its validator was read is not to be launched after it."""
    if (reason := barred(world, connection, speculation.tool)) is not None:
        return reason
    if world.calls.ask_for(speculation.key):
        return Reason.KNOWN
    if _depends_on(world, speculation.footprint, speculation.lineage) is None:
        return Reason.CONFLICT
    return None if has_place(world, connection, speculation.session, speculation) else Reason.BUSY


def _propose(world: World, standing: Standing, proposal: Proposal) -> None:
    candidate, connection, policy = proposal.candidate, standing.connection, standing.policy
    server = connection.server
    key = _key(world, connection, policy, proposal)
    assert key is not None, "a candidate without a key was skipped"
    speculation = Speculation(
        world.next_speculation(),
        proposal.session,
        server.name,
        connection.name,
        candidate.tool,
        candidate.arguments,
        key,
        policy,
        footprint_by(server, policy, candidate.arguments),
        proposal.q,
        candidate.source,
        proposal.lineage,
        world.now_s,
        stands_for=proposal.stands_for,
        is_expected=proposal.stands_for is None,
    )
    if speculation.is_expected:
        speculation.foreseen = (proposal.step, proposal.q)
    speculation.depends_on = _depends_on(world, speculation.footprint, proposal.lineage) or frozenset()
    world.ledger.add(speculation)
    if policy.open_world:
        server.reaches_outside(candidate.tool, world.now_s)
    if policy.lossy:
        server.launches.add(world.now_s)
        lossy.begin(world, speculation)
    elif policy.effect is Effect.REVERSIBLE:
        speculation.reversal = Reversal()
        server.launches.add(world.now_s)  # what is read before it is asked of the server too
        world.ledger.in_preparation.add(speculation)
        reversing.prepare(world, speculation)
    elif policy.fresh is None:
        _launch_or_offer(world, connection, speculation)
    else:
        world.ledger.in_preparation.add(speculation)
        world.out.append(Validate(speculation.connection, speculation.id, None, policy.fresh, candidate.arguments))
        world.watch(speculation)


def _launch_or_offer(world: World, connection: ConnectionState, speculation: Speculation) -> None:
    if world.board is not None and world.mode is Mode.ON:
        sharing.offer(world, connection, speculation)
    else:
        _launch(world, connection, speculation)


def _launch(world: World, connection: ConnectionState, speculation: Speculation) -> None:
    connection.server.launches.add(world.now_s)
    lifecycle.launch(world, speculation)


def _unusable(world: World, standing: Standing, key: CallKey, proposal: Proposal) -> Reason | None:
    """Rules 5 to 7: what could not be adopted, or is there already."""
    if key in world.ledger.by_key or world.calls.ask_for(key):
        return Reason.KNOWN
    if sharing.is_offered(world, standing.connection, key):
        return Reason.KNOWN
    policy = standing.policy
    if policy.fresh is None and key in world.ledger.answered:
        return Reason.POLL
    touched = footprint_by(standing.connection.server, policy, proposal.candidate.arguments)
    if world.ledger.writes.touch(touched, world.now_s):
        return Reason.CONFLICT
    depends_on = _depends_on(world, touched, proposal.lineage)
    if depends_on is None or (depends_on and policy.lossy):  # nobody takes that back with what it depends on
        return Reason.CONFLICT
    if not reads(policy) and _is_looked_at(world, touched):
        return Reason.CONFLICT
    return None


def _depends_on(world: World, touched: Footprint, lineage: Lineage) -> frozenset[SpeculationId] | None:
    """Rule 12: the reversible speculations whose effect it would see; None where it must not.

    Only what follows from an effect may look at it, once it has settled.
    """
    found: set[SpeculationId] = set()
    for held in world.ledger.unadopted.overlapping(touched):
        settled_at = None if held.returned_at is None else held.returned_at + held.policy.settle_s
        is_there = held.state is State.READY and held.reversal is not None and held.reversal.awaits is Awaits.NOTHING
        if held.id not in lineage or not is_there or settled_at is None or settled_at > world.now_s:
            return None
        found |= {held.id, *held.depends_on}
    return frozenset(found)


def _is_looked_at(world: World, touched: Footprint) -> bool:
    """Rule 12: is anybody's request under way that would see a write there, or one of ours?"""
    return any(touched.overlaps(running.footprint) for running in world.ledger.outstanding) or any(
        call.method not in TOUCHES_NOTHING and touched.overlaps(world.footprint(call))
        for call in chain(world.calls, world.calls.all_cancelled())
    )


def cost_of(world: World, server: str, tool: str) -> float:
    """What a wasted speculation with this tool is worth, in seconds."""
    policy = world.server(server).policy.tool(tool)
    undo_s = _undo_s(world, server, policy) if policy.effect is Effect.REVERSIBLE else 0.0
    return world.settings.wasted_call_s + policy.cost_s + undo_s


def _undo_s(world: World, server: str, policy: ToolPolicy) -> float:
    """How long a call that conflicts waits after a wrong one: two readings and the undo."""
    if policy.undo is None or policy.before is None:
        return 0.0
    reading_s = world.timing.latency_s(server, policy.before.tool, 0.75)
    return 2.0 * reading_s + world.timing.latency_s(server, policy.undo.tool, 0.75)


def _head_start_s(world: World, session: SessionState, lineage: Lineage) -> float:
    """How long the calls of the session that run now are still expected to take, and what must be answered after them
    before the client comes to what follows from it."""
    left = [left_s(world, call) for call in world.calls.of(session.name) if call.is_tool_call]
    guessed = [find(world, session.name, guess.key) for guess in guesses_in(lineage)]
    return max((0.0, *left, *(running.left_s for running in guessed if running is not None)))


def _key(world: World, connection: ConnectionState, policy: ToolPolicy, proposal: Proposal) -> CallKey | None:
    """The key of the call that the candidate foretells; None where no call could have it.

    The text of its arguments is made once, and again only where a manifest came that widens their equality otherwise.
    """
    template = likeness(world, world.session(proposal.session), connection)
    if template is None:
        return None
    proposal.principal = template.principal
    if proposal.equal is not policy.equal:
        proposal.equal = policy.equal
        try:
            proposal.arguments = canonical_arguments(proposal.candidate.arguments, policy.equal)
        except Unmatchable:
            proposal.arguments = None
    if proposal.arguments is None:
        return None
    return CallKey(
        template.connection,
        connection.epoch,
        template.protocol,
        proposal.candidate.tool,
        template.principal,
        proposal.arguments,
        template.meta,
    )


def _skip(world: World, session: str, candidate: Candidate, reason: Reason) -> None:
    world.out.append(Skipped(session, candidate.server, candidate.tool, reason))

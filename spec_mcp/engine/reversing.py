"""A reversible speculation until it is decided what becomes of it: isolation, the record on disk, adoption.

Theory: from the moment at which the state before it is read, nobody else may look at or change what it touches until
it is adopted or taken back (rule 12). So it is launched only while nothing that conflicts is under way, and each
request that comes and conflicts dooms it and waits. What is needed to take it back is on disk before its launch, and
the one decision, adopted or taken back, is made on disk before anybody can see it (rule 13). `undoing` has the rest.
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle, undoing
from spec_mcp.engine.commands import Claim, How, Intend, NoteOutcome, ReadState, Settle
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.events import Answer, Claimed, Moment, Outcome, Recorded, StateRead
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.methods import SUBSCRIBING, TOUCHES_NOTHING
from spec_mcp.engine.speculation import Awaits, Speculation
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.world import World
from spec_mcp.engine.writes import OpenWrite

# --- isolation ------------------------------------------------------------------------------------------------------


def in_the_way(world: World, call: CallState) -> list[Speculation]:
    """The reversible speculations whose effect the request could see or change."""
    if not world.ledger.unadopted or (call.method in TOUCHES_NOTHING and call.method not in SUBSCRIBING):
        return []
    return world.ledger.unadopted.overlapping(world.footprint(call))


def clear_the_way(world: World, call: CallState) -> list[Speculation]:
    """Rule 12: have taken back what is in the request's way; what is there still."""
    for speculation in in_the_way(world, call):
        if speculation.reversal is not None and speculation.reversal.awaits is not Awaits.ADOPTION:
            lifecycle.discard(world, speculation, Reason.MISPREDICTED)
    return in_the_way(world, call)


def stands_on_its_own(world: World, speculation: Speculation) -> bool:
    """Is all adopted that it depends on?"""
    return not any(number in world.ledger.unadopted for number in speculation.depends_on)


# --- up to the launch -------------------------------------------------------------------------------------------------


def prepare(world: World, speculation: Speculation) -> None:
    """Begin with the state before it; isolation holds from now on."""
    world.ledger.unadopted.add(speculation)
    undoing.ask(world, speculation, Awaits.BEFORE, ReadState(speculation.connection, speculation.id, Moment.BEFORE))


def state_before(world: World, speculation: Speculation, event: StateRead) -> None:
    """The state before it has been read: put on disk what its undo needs."""
    assert speculation.reversal is not None, "only reversible ones have a state before"
    if event.digest is None or event.unless:
        lifecycle.discard(world, speculation, Reason.UNLESS if event.unless else Reason.UNREADABLE)
        return
    speculation.reversal.before = event.digest
    speculation.reversal.intended = True
    undoing.ask(world, speculation, Awaits.RECORD, Intend(speculation.connection, speculation.id))


def recorded(world: World, event: Recorded) -> None:
    """Its record is on disk, or cannot be put there."""
    speculation = undoing.awaiting(world, event.speculation, Awaits.RECORD)
    if speculation is None or speculation.reversal is None:
        return
    if not event.ok:
        lifecycle.discard(world, speculation, Reason.UNRECORDED)
        return
    speculation.reversal.awaits = Awaits.ANSWER
    lifecycle.launch(world, speculation)


def give_up_unlaunched(world: World, speculation: Speculation, reason: Reason) -> None:
    """It has changed nothing yet: forget it, and its record."""
    assert speculation.reversal is not None, "only reversible ones are recorded"
    speculation.move(Step.DISCARD)
    speculation.ended_as = reason
    world.ledger.remove(speculation)
    lifecycle.end(world, speculation, reason)
    lifecycle.drop(world, speculation)
    if speculation.reversal.intended:
        undoing.settle(world, speculation)
    else:
        world.let_go(speculation)
        world.forget_if_closed(speculation.connection)


# --- its answer -------------------------------------------------------------------------------------------------------


def returned(world: World, speculation: Speculation, outcome: Outcome, good: bool) -> None:
    """The server has answered it, or can no longer."""
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones come here"
    if outcome.answer in (Answer.NONE, Answer.TASK):
        reversal.is_task = outcome.answer is Answer.TASK
        undoing.lose(world, speculation)
        return
    speculation.returned_at = world.now_s
    reversal.answered = True
    reversal.awaits = Awaits.NOTHING
    reversal.quiet_at = world.now_s + speculation.policy.settle_s
    if reversal.doomed is not None or not good:
        undoing.begin(world, speculation, reversal.doomed or Reason.ERROR)
        return
    world.ledger.hold(speculation, outcome.size_bytes)
    if world.caller_of(speculation) is not None:
        claim_adoption(world, speculation)
        return
    speculation.move(Step.RETURN)
    undoing.look(world, speculation)
    world.watch(speculation)


def state_left(world: World, speculation: Speculation, event: StateRead) -> None:
    """The state that it has left has been read."""
    assert speculation.reversal is not None, "only reversible ones leave a state"
    speculation.reversal.left = event.digest
    speculation.reversal.awaits = Awaits.NOTHING
    world.out.append(NoteOutcome(speculation.connection, speculation.id, event.digest))


def connection_lost(world: World, connection: ConnectionState) -> None:
    """What has not been launched is given up; of what has been, nobody knows whether it was done."""
    for speculation in reversed(list(world.ledger.unadopted.on(connection.name))):
        if speculation.state is State.PROPOSED:
            give_up_unlaunched(world, speculation, Reason.DISCONNECTED)
        elif speculation.reversal is not None and speculation.reversal.awaits is Awaits.ANSWER:
            undoing.lose(world, speculation)


def has_caused(world: World, connection: ConnectionState, method: str) -> Speculation | None:
    """The one that must have made the server tell of a change, since no client has asked it for anything.

    A server may tell all its clients, whichever connection the change came by.
    """
    server = connection.server
    launched = [
        speculation
        for speculation in world.ledger.unadopted.at(server.name)
        if speculation.launched_at is not None and speculation.state is not State.STUCK
    ]
    if method == "notifications/tools/list_changed" or not launched:
        return None
    if any(world.works_for_clients(other) for other in server.connections.values()):
        return None
    found, reversal = launched[-1], launched[-1].reversal
    if reversal is not None and connection.name not in (found.connection, *reversal.told_on):
        reversal.told_on += (connection.name,)
    return found


# --- adoption ---------------------------------------------------------------------------------------------------------


def find(world: World, call: CallState) -> Speculation | None:
    """The reversible speculation that this call can adopt."""
    speculation = None if call.key is None else world.ledger.by_key.get(call.key)
    if speculation is None or speculation.reversal is None or speculation.caller is not None:
        return None
    if speculation.state not in (State.LAUNCHED, State.READY) or speculation.reversal.doomed is not None:
        return None
    if not stands_on_its_own(world, speculation) or _others_see(world, call, speculation):
        return None
    return speculation


def _others_see(world: World, call: CallState, speculation: Speculation) -> bool:
    """Does anything conflict with it beside what it has led to itself, a call that waits, say?"""
    touched = world.footprint(call)
    return any(
        other is not speculation and speculation.id not in other.depends_on for other in in_the_way(world, call)
    ) or any(
        other is not call and other.method not in TOUCHES_NOTHING and world.footprint(other).overlaps(touched)
        for other in world.calls
    )


def meet(world: World, call: CallState, speculation: Speculation) -> None:
    """The call that it foretold has come: a write, for all that is held but what it has led to itself."""
    spoiled = [
        other
        for other in world.ledger.conflicting(world.footprint(call))
        if other is not speculation and speculation.id not in other.depends_on
    ]
    lifecycle.discard_all(world, spoiled, Reason.SPOILED)
    world.ledger.forget_answers(world.footprint(call))
    write = OpenWrite(world.footprint(call), call.connection, speculation.policy.settle_s)
    world.ledger.writes.open(call.id, write, world.now_s)
    speculation.caller = call.id
    call.speculation = speculation.id
    if speculation.state is State.LAUNCHED:
        speculation.move(Step.JOIN)  # without a bound: until it is known not to be done, the call must not be made
    else:
        claim_adoption(world, speculation)


def claim_adoption(world: World, speculation: Speculation) -> None:
    """Decide for it on disk; the reply goes out when that is there."""
    undoing.ask(world, speculation, Awaits.ADOPTION, Claim(speculation.connection, speculation.id, State.ADOPTED))


def adoption_claimed(world: World, event: Claimed) -> tuple[CallState, Speculation, How] | None:
    """It is decided: whom to answer with what. None where nobody waits any more, or the disk refused."""
    speculation = undoing.awaiting(world, event.speculation, Awaits.ADOPTION)
    if speculation is None or speculation.reversal is None:
        return None
    call = world.caller_of(speculation)
    if not event.ok:
        undoing.begin(world, speculation, Reason.UNRECORDED)
        return None
    world.let_go(speculation)
    speculation.reversal.awaits = Awaits.NOTHING
    world.out.append(Settle(speculation.connection, speculation.id, State.ADOPTED, "adopted"))
    _settles(world, speculation)
    how = How.JOIN if speculation.state is State.JOINED else How.HIT
    if call is None:  # cancelled after the decision: the write is the client's all the same
        lifecycle.adopt_unheard(world, speculation)
        world.forget_if_closed(speculation.connection)
        return None
    return call, speculation, how


def _settles(world: World, speculation: Speculation) -> None:
    """Rule 6: what the client has written now may take effect for a while after its answer."""
    assert speculation.returned_at is not None, "what is adopted was answered"
    until = speculation.returned_at + speculation.policy.settle_s
    if until > world.now_s:
        write = OpenWrite(speculation.footprint, speculation.connection, speculation.policy.settle_s, until)
        world.ledger.writes.open(-speculation.id, write, world.now_s)  # calls have numbers above zero

"""Taking back a reversible speculation for certain, or saying loudly that it cannot be (rule 14).

Theory: the state that it changes is read before its launch, after its answer, before its undo and after that. It is
undone only where the third reading equals the second, and is compensated only where the last equals the first; where
the third equals the first already, nothing is there to be undone. Whatever else is seen, it is stuck: a person must
settle it. The same steps settle what a crash left (`Inherited`), so there is one way to take something back.

    claim on disk -> read now -> (probe, where the outcome is unknown) -> undo -> read again -> compensated

Each step awaits one answer; `Awaits` says which. A step that fails is tried again from `read now`, with a pause.
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle
from spec_mcp.engine.ageing import OF_SERVER, steps_at
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.commands import Claim, Command, NoteOutcome, Probe, ReadState, Settle, Undo, Wake
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.events import (
    Claimed,
    Inheritance,
    Inherited,
    Moment,
    Probed,
    Settled,
    SpeculationId,
    StateRead,
    Undone,
    UndoOutcome,
)
from spec_mcp.engine.resources import footprint
from spec_mcp.engine.speculation import Awaits, Reversal, Speculation
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.world import World

RETRY_FIRST_S = 0.25
RETRY_MAX_S = 30.0
ATTEMPTS_MAX = 5
"""Steps that fail before it is stuck: about eight seconds, which is within what a waiting call waits by default."""

READINGS = frozenset({Awaits.BEFORE, Awaits.LEFT})
"""Answers of the server before that."""


def ask(world: World, speculation: Speculation, awaits: Awaits, command: Command) -> None:
    """Take a step, and note which answer is awaited."""
    assert speculation.reversal is not None, "only reversible ones have steps"
    speculation.reversal.awaits = awaits
    speculation.reversal.asked_at = world.now_s
    world.watch(speculation)
    world.out.append(command)


def awaiting(world: World, number: SpeculationId, awaits: Awaits) -> Speculation | None:
    """The speculation that awaits this answer; None where it has gone on without it."""
    speculation = world.ledger.unadopted.get(number)
    if speculation is None or speculation.reversal is None or speculation.reversal.awaits is not awaits:
        return None
    return speculation


# --- beginnings -------------------------------------------------------------------------------------------------------


def doom(world: World, speculation: Speculation, reason: Reason) -> None:
    """It is of no more use: take it back as soon as that can be done."""
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones are doomed"
    if speculation.state is State.READY:
        if reversal.awaits is not Awaits.ADOPTION:
            begin(world, speculation, reason)
    elif speculation.state in (State.LAUNCHED, State.JOINED) and reversal.awaits is Awaits.ANSWER:
        reversal.doomed = reversal.doomed or reason
        lifecycle.let_go_of_caller(world, speculation)


def lose(world: World, speculation: Speculation) -> None:
    """The connection is gone, and with it the answer: nobody knows whether it was done."""
    assert speculation.reversal is not None, "only reversible ones are lost"
    doomed = speculation.reversal.doomed or Reason.DISCONNECTED
    speculation.reversal.awaits = Awaits.NOTHING
    speculation.reversal.quiet_at = world.now_s + speculation.policy.settle_s
    speculation.move(Step.LOSE)
    begin(world, speculation, doomed)


def begin(world: World, speculation: Speculation, reason: Reason) -> None:
    """Take it back, after what depends on it."""
    assert speculation.reversal is not None, "only reversible ones are taken back"
    speculation.reversal.doomed = reason
    speculation.move(Step.COMPENSATE)
    lifecycle.let_go_of_caller(world, speculation)
    for other in reversed(list(world.ledger.dependent)):
        if speculation.id in other.depends_on and other.id in world.ledger.live:
            lifecycle.discard(world, other, Reason.SPOILED)
    go_on(world, speculation)


def inherited(world: World, event: Inherited) -> None:
    """What an earlier process left is unadopted here too, until it is settled."""
    connection = world.connection(event.connection)
    for left_behind in event.inheritances:
        speculation = _taken_over(world, connection, left_behind)
        world.ledger.unadopted.add(speculation)
        if not left_behind.stuck:
            world.ledger.live.add(speculation)
            speculation.move(Step.COMPENSATE)
    for speculation in reversed(list(world.ledger.unadopted.on(connection.name))):
        if speculation.id < 0 and speculation.state is State.COMPENSATING:
            go_on(world, speculation)


def _taken_over(world: World, connection: ConnectionState, left_behind: Inheritance) -> Speculation:
    server = connection.server
    key = CallKey(connection.name, -1, "", left_behind.tool, "", str(left_behind.speculation), "")  # matches no call
    touched = footprint(server.name, left_behind.policy.touches, left_behind.arguments, left_behind.policy.equal)
    older = [held.id for held in world.ledger.unadopted.at(server.name) if held.id < 0]
    speculation = Speculation(
        left_behind.speculation,
        left_behind.session,
        server.name,
        connection.name,
        left_behind.tool,
        left_behind.arguments,
        key,
        left_behind.policy,
        server.everything if touched.patterns is None else touched,
        0.0,
        "",
        (),
        world.now_s,
        State.STUCK if left_behind.stuck else State.UNKNOWN,
        launched_at=world.now_s,
    )
    speculation.reversal = Reversal(
        before=left_behind.before,
        quiet_at=world.now_s + left_behind.policy.settle_s,
        left=left_behind.left,
        intended=True,
        claimed=left_behind.claimed,
        undo_sent=left_behind.undo_sent,
        doomed=Reason.CRASHED,
        newer_than=frozenset(older),
    )
    return speculation


# --- the steps --------------------------------------------------------------------------------------------------------


def go_on(world: World, speculation: Speculation) -> None:
    """Take the next step from the first reading on, or note what has to come before it."""
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones are taken back"
    reversal.retry_at = None
    connection = world.connection(speculation.connection)
    if connection.closed:  # whoever could do it is gone for good
        stick(world, speculation, Reason.DISCONNECTED)
    elif _newer(world, speculation):
        reversal.awaits = Awaits.NEWER
    elif not reversal.claimed:
        ask(world, speculation, Awaits.CLAIM, Claim(speculation.connection, speculation.id, State.COMPENSATING))
    elif not connection.connected or connection.fingerprints is None:
        ask(world, speculation, Awaits.CONNECTION, Wake(speculation.connection))
    else:
        look(world, speculation)


def look(world: World, speculation: Speculation) -> None:
    """Have read what it has left, or what is there now: once all that it did has taken effect."""
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones are looked at"
    if world.now_s < reversal.quiet_at:
        reversal.awaits = Awaits.EFFECT
        world.watch(speculation)
    elif speculation.state is State.READY:
        ask(world, speculation, Awaits.LEFT, ReadState(speculation.connection, speculation.id, Moment.LEFT))
    else:
        ask(world, speculation, Awaits.NOW, ReadState(speculation.connection, speculation.id, Moment.NOW))


def _newer(world: World, speculation: Speculation) -> list[Speculation]:
    """Newest first: those that came after it, touch the same and are still to be taken back."""
    return [
        other
        for other in world.ledger.unadopted.overlapping(speculation.footprint)
        if other.state is not State.STUCK
        and (
            speculation.id in other.depends_on
            or (other.reversal is not None and speculation.id in other.reversal.newer_than)
        )
    ]


def claimed(world: World, event: Claimed) -> None:
    """It is decided on disk that it is taken back."""
    speculation = awaiting(world, event.speculation, Awaits.CLAIM)
    if speculation is None or speculation.reversal is None:
        return
    speculation.reversal.claimed = event.ok
    if event.ok:
        go_on(world, speculation)
    else:  # the disk takes nothing: the effect is there until it does
        _pause(world, speculation)


def state_now(world: World, speculation: Speculation, digest: str | None) -> None:
    """Undo what is there, if it is ours."""
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones are taken back"
    if digest is None:
        try_again(world, speculation, Reason.UNREADABLE)
    elif reversal.is_task:  # whatever is there now
        stick(world, speculation, Reason.OUTCOME_UNKNOWN)
    elif digest == reversal.before:
        _restored(world, speculation)
    elif reversal.left is None and not reversal.answered:
        reversal.seen = digest
        _ask_whether_done(world, speculation)
    elif reversal.left is not None and digest != reversal.left:
        stick(world, speculation, Reason.FOREIGN_STATE)
    elif reversal.undo_sent and not _is_idempotent(speculation):
        stick(world, speculation, Reason.UNDO_UNKNOWN)
    else:
        _undo(world, speculation, digest)


def _undo(world: World, speculation: Speculation, left: str) -> None:
    assert speculation.reversal is not None, "only reversible ones are taken back"
    if speculation.reversal.left is None:
        world.out.append(NoteOutcome(speculation.connection, speculation.id, left))
    speculation.reversal.left = left
    ask(world, speculation, Awaits.UNDO, Undo(speculation.connection, speculation.id))


def _ask_whether_done(world: World, speculation: Speculation) -> None:
    if speculation.policy.probe is None:
        stick(world, speculation, Reason.OUTCOME_UNKNOWN)
    else:
        ask(world, speculation, Awaits.PROBE, Probe(speculation.connection, speculation.id))


def probed(world: World, event: Probed) -> None:
    """Whether it was done is known, or cannot be known."""
    speculation = awaiting(world, event.speculation, Awaits.PROBE)
    if speculation is None or speculation.reversal is None:
        return
    if event.done is None:
        try_again(world, speculation, Reason.OUTCOME_UNKNOWN)
    elif not event.done:  # and yet something has changed
        stick(world, speculation, Reason.FOREIGN_STATE)
    elif speculation.reversal.undo_sent and not _is_idempotent(speculation):
        stick(world, speculation, Reason.UNDO_UNKNOWN)
    else:
        _undo(world, speculation, speculation.reversal.seen)


def undone(world: World, event: Undone) -> None:
    """The undo has been answered, or not."""
    speculation = awaiting(world, event.speculation, Awaits.UNDO)
    if speculation is None or speculation.reversal is None:
        return
    if event.outcome is UndoOutcome.DONE:
        speculation.reversal.undo_sent = True
        ask(world, speculation, Awaits.RESTORED, ReadState(speculation.connection, speculation.id, Moment.RESTORED))
    elif event.outcome is UndoOutcome.UNBOUND:
        stick(world, speculation, Reason.UNBOUND)
    elif event.outcome is UndoOutcome.GOES_ON:
        stick(world, speculation, Reason.UNDO_UNKNOWN)
    elif event.outcome is UndoOutcome.UNRECORDED:
        _pause(world, speculation)
    elif event.outcome is UndoOutcome.LOST:
        speculation.reversal.undo_sent = True
        go_on(world, speculation)
    else:
        try_again(world, speculation, Reason.UNDO_FAILED)


def state_restored(world: World, speculation: Speculation, digest: str | None) -> None:
    """After the undo: is all as it was before?"""
    assert speculation.reversal is not None, "only reversible ones are taken back"
    if digest is None:
        try_again(world, speculation, Reason.UNREADABLE)
    elif digest == speculation.reversal.before:
        _restored(world, speculation)
    else:
        stick(world, speculation, Reason.RESIDUE)


def try_again(world: World, speculation: Speculation, reason: Reason) -> None:
    """After a pause, from the first reading on; too often is stuck."""
    assert speculation.reversal is not None, "only reversible ones are taken back"
    speculation.reversal.attempts += 1
    if speculation.reversal.attempts >= ATTEMPTS_MAX:
        stick(world, speculation, reason)
    else:
        _pause(world, speculation)


def _pause(world: World, speculation: Speculation) -> None:
    reversal = speculation.reversal
    assert reversal is not None, "only reversible ones are taken back"
    reversal.awaits = Awaits.RETRY
    reversal.retry_at = world.now_s + min(RETRY_MAX_S, RETRY_FIRST_S * 2.0**reversal.pauses)
    reversal.pauses += 1
    world.watch(speculation)


def _is_idempotent(speculation: Speculation) -> bool:
    return speculation.policy.undo is not None and speculation.policy.undo.idempotent


# --- ends -----------------------------------------------------------------------------------------------------------


def _restored(world: World, speculation: Speculation) -> None:
    """All is as it was before: whoever waits may go on."""
    assert speculation.reversal is not None, "only reversible ones are taken back"
    speculation.move(Step.RESTORE)
    _leave(world, speculation, speculation.reversal.doomed or Reason.MISPREDICTED)
    settle(world, speculation)


def settle(world: World, speculation: Speculation) -> None:
    """Have its record forgotten. Until that is so on disk it stays in the way: a crash would have it taken back."""
    ask(
        world,
        speculation,
        Awaits.SETTLED,
        Settle(speculation.connection, speculation.id, speculation.state, speculation.ended_as),
    )


def settled(world: World, event: Settled) -> None:
    """Its record is gone: whoever waits may go on."""
    speculation = awaiting(world, event.speculation, Awaits.SETTLED)
    if speculation is None or speculation.reversal is None:
        return
    if event.ok:
        _let_go(world, speculation)
    else:
        _pause(world, speculation)
        speculation.reversal.awaits = Awaits.SETTLE_AGAIN
        world.watch(speculation)


def stick(world: World, speculation: Speculation, reason: Reason) -> None:
    """A person must settle it. It stays in the way of all that conflicts with it."""
    assert speculation.reversal is not None, "only reversible ones are taken back"
    speculation.reversal.awaits = Awaits.NOTHING
    speculation.move(Step.STICK)
    _leave(world, speculation, reason)
    world.out.append(Settle(speculation.connection, speculation.id, speculation.state, reason))
    _let_older_go_on(world)
    world.forget_if_closed(speculation.connection)


def _leave(world: World, speculation: Speculation, reason: Reason) -> None:
    speculation.ended_as = reason
    world.ledger.remove(speculation)
    lifecycle.end(world, speculation, reason)
    lifecycle.drop(world, speculation)


def _let_go(world: World, speculation: Speculation) -> None:
    world.let_go(speculation)
    _let_older_go_on(world)
    world.forget_if_closed(speculation.connection)


def _let_older_go_on(world: World) -> None:
    for speculation in list(world.ledger.unadopted):
        if speculation.reversal is not None and speculation.reversal.awaits is Awaits.NEWER:
            go_on(world, speculation)


# --- connections and time ---------------------------------------------------------------------------------------------


def connection_lost(world: World, connection: ConnectionState) -> None:
    """The answers that were awaited of it will not come."""
    for speculation in reversed(list(world.ledger.unadopted.on(connection.name))):
        reversal = speculation.reversal
        if reversal is None or speculation.state is not State.COMPENSATING:
            continue
        if reversal.awaits in OF_SERVER:
            reversal.undo_sent |= reversal.awaits is Awaits.UNDO
            go_on(world, speculation)
        elif reversal.awaits is Awaits.CONNECTION:  # it was woken, and has died again
            _pause(world, speculation)


def connection_closed(world: World, connection: ConnectionState) -> None:
    """What is not taken back by now never will be."""
    for speculation in reversed(list(world.ledger.unadopted.on(connection.name))):
        reversal = speculation.reversal
        if reversal is not None and speculation.state is State.COMPENSATING and reversal.awaits is not Awaits.CLAIM:
            go_on(world, speculation)


def asks(world: World, connection: ConnectionState) -> bool:
    """Is the server working on a step of taking something back, or on a reading?"""
    return any(
        speculation.reversal is not None and speculation.reversal.awaits in OF_SERVER | READINGS
        for speculation in world.ledger.unadopted.on(connection.name)
    )


def can_be_asked(world: World, connection: ConnectionState) -> None:
    """It is connected, and its tools are known: what waited for that goes on."""
    for speculation in reversed(list(world.ledger.unadopted.on(connection.name))):
        if speculation.reversal is not None and speculation.reversal.awaits is Awaits.CONNECTION:
            go_on(world, speculation)


def clock_set_back(world: World) -> None:
    """Nothing is due later than it was."""
    for speculation in world.ledger.unadopted:
        if (reversal := speculation.reversal) is not None:
            reversal.asked_at = min(reversal.asked_at, world.now_s)
            reversal.quiet_at = min(reversal.quiet_at, world.now_s + speculation.policy.settle_s)
            if reversal.retry_at is not None:
                reversal.retry_at = min(reversal.retry_at, world.now_s + RETRY_MAX_S)
            world.watch(speculation)


def pass_time(world: World, speculation: Speculation) -> None:
    """Where it is due it goes on: a pause is over, or the server hangs, or the disk."""
    due_s = steps_at(speculation)
    if due_s is None or world.now_s < due_s:
        return
    assert speculation.reversal is not None, "only reversible ones are taken back"
    if speculation.reversal.awaits is Awaits.SETTLE_AGAIN:
        settle(world, speculation)
    elif speculation.reversal.awaits is Awaits.RETRY:
        go_on(world, speculation)
    elif speculation.reversal.awaits is Awaits.EFFECT:
        (look if speculation.state is State.READY else go_on)(world, speculation)
    elif speculation.reversal.awaits is Awaits.ADOPTION:
        lifecycle.fail_undecided(world, speculation)
    else:
        stick(world, speculation, Reason.NO_ANSWER)


def _note_left_late(world: World, event: StateRead) -> None:
    """It was doomed while the reading was on its way, which shows all the same what it has left."""
    speculation = world.ledger.unadopted.get(event.speculation)
    if event.moment is Moment.LEFT and speculation is not None and speculation.reversal is not None:
        speculation.reversal.left = speculation.reversal.left or event.digest


def state_read(world: World, event: StateRead) -> Speculation | None:
    """The reading that a step of taking back awaited; None, or the speculation that awaited one for another reason."""
    speculation = awaiting(world, event.speculation, Awaits(event.moment))
    if speculation is None:
        _note_left_late(world, event)
        return None
    if event.moment is Moment.NOW:
        state_now(world, speculation, event.digest)
    elif event.moment is Moment.RESTORED:
        state_restored(world, speculation, event.digest)
    else:
        return speculation
    return None

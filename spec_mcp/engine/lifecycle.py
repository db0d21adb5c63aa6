"""The steps of a speculation's life, each with the commands and the bookkeeping that belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from spec_mcp.engine import lossy, posting, reversing, undoing
from spec_mcp.engine.commands import (
    CallSettled,
    CancelSpeculation,
    Compare,
    Drop,
    Fail,
    How,
    Invoke,
    Launch,
    Reply,
    SpeculationEnded,
    Tell,
)
from spec_mcp.engine.effects import Effect
from spec_mcp.engine.events import ConnectionName, SpeculationId
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.engine.passing import Apart
from spec_mcp.engine.running import bind
from spec_mcp.engine.speculation import Checked, Speculation
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.waiting import Blocker, Older, Silence, Undo
from spec_mcp.engine.world import World


def launch(world: World, speculation: Speculation) -> None:
    """Make its call: from now on the server works for us."""
    speculation.move(Step.LAUNCH)
    speculation.launched_at = world.now_s
    world.ledger.launched(speculation)
    world.watch(speculation)
    world.out.append(
        Launch(
            speculation.connection,
            speculation.id,
            speculation.session,
            speculation.server,
            speculation.tool,
            speculation.arguments,
            speculation.key,
        )
    )
    if speculation.checks is None and speculation.is_expected:
        bind(world, speculation.session, speculation)


def adopt(world: World, speculation: Speculation, call: CallState, how: How) -> None:
    """Answer the call with its result. What its end leads to need not be awaited: `adopted`."""
    reused = speculation.state is State.ADOPTED
    speculation.move(Step.REUSE if reused else Step.ADOPT)
    speculation.caller = None
    speculation.join_until = None
    speculation.adopted_by = call.id
    world.ledger.writes.drop(call.id)  # what it writes was written
    spared_s = saved_s(speculation, call)
    world.out.append(Reply(call.connection, call.id, speculation.id, how, spared_s))
    tell_others(world, speculation)
    forget(world, call)
    world.later.append(partial(adopted, world, speculation, call, how, spared_s, reused))


def saved_s(speculation: Speculation, call: CallState) -> float:
    """The wait that the client is spared: of what the speculation took, the part before the call."""
    launched_at, returned_at = speculation.under_way
    return max(0.0, min(call.arrived_at - launched_at, returned_at - launched_at))


def adopted(world: World, speculation: Speculation, call: CallState, how: How, spared_s: float, reused: bool) -> None:
    """The call has its result: book it, and let go of what is not kept."""
    report(world, call, how, None if speculation.offer is not None else speculation.id, spared_s)
    if call.key is not None and call.reads:
        world.ledger.remember_answer(call.key, world.footprint(call), len(world.sessions))
    if not reused:
        end(world, speculation, "adopted")
    if keeps_for_reuse(world, speculation):
        world.watch(speculation)
        return
    if speculation.id in world.ledger.live:
        world.ledger.remove(speculation)
    drop(world, speculation)


def adopt_unheard(world: World, speculation: Speculation) -> None:
    """It was decided that its effect is its call's, and by now nobody waits for the answer."""
    speculation.move(Step.ADOPT)
    speculation.caller = None
    world.ledger.remove(speculation)
    world.out.append(Tell(speculation.connection, speculation.id))
    tell_others(world, speculation)
    end(world, speculation, "adopted")
    drop(world, speculation)


def tell_others(world: World, speculation: Speculation) -> None:
    """What it made its server tell over other connections, and was held there, is a client's doing now."""
    if speculation.reversal is not None:
        world.out += [Tell(connection, speculation.id) for connection in speculation.reversal.told_on]


def drop(world: World, speculation: Speculation) -> None:
    """Nothing of it is needed any more."""
    world.out.append(Drop(speculation.connection, speculation.id))
    if speculation.reversal is not None:
        world.out += [Drop(connection, speculation.id) for connection in speculation.reversal.told_on]


def keeps_for_reuse(world: World, speculation: Speculation) -> bool:
    """May its result answer further calls? That of a write answers one."""
    launched_at = speculation.launched_at
    return (
        speculation.policy.effect is Effect.READ
        and launched_at is not None
        and world.now_s - launched_at < speculation.policy.reuse_s
    )


def discard(world: World, speculation: Speculation, reason: Reason) -> None:
    """Drop it; a call that waits for it is made for real, and first. A reversible one is taken back, once launched."""
    if speculation.reversal is not None:
        if speculation.state is State.PROPOSED:
            reversing.give_up_unlaunched(world, speculation, reason)
        else:
            undoing.doom(world, speculation, reason)
        return
    let_go_of_caller(world, speculation)
    if speculation.compared_with is not None and (real := world.calls.get(speculation.compared_with)) is not None:
        real.speculation = None
    if speculation.state is State.ADOPTED:  # kept for reuse only
        world.ledger.remove(speculation)
        drop(world, speculation)
        return
    running = speculation.id in world.ledger.outstanding
    speculation.move(Step.DISCARD)
    world.ledger.remove(speculation)
    if running and not speculation.policy.lossy and bears_cancellation(world, speculation.server):
        world.ledger.cancelled(speculation, world.now_s)
        world.out.append(CancelSpeculation(speculation.connection, speculation.id))
    end(world, speculation, reason)
    drop(world, speculation)


def let_go_of_caller(world: World, speculation: Speculation) -> None:
    """The call that waits for it is made for real."""
    if (call := world.caller_of(speculation)) is not None:
        speculation.caller = None
        speculation.join_until = None
        invoke(world, call)


def bears_cancellation(world: World, server: str) -> bool:
    """Rule 4: may its server be told that a result is no longer wanted?"""
    return world.server(server).policy.cancel


def discard_all(world: World, speculations: Iterable[Speculation], reason: Reason) -> None:
    """Drop each of them, in order. One may take others with it."""
    for speculation in list(speculations):
        if speculation.id in world.ledger.live:
            discard(world, speculation, reason)


def end(world: World, speculation: Speculation, reason: str) -> None:
    """Report its end, for the record and for learning. A check is neither used nor wasted, and another replica reports
    what was its own."""
    if speculation.checks is not None or speculation.offer is not None:
        return
    world.out.append(
        SpeculationEnded(
            speculation.id,
            speculation.session,
            speculation.server,
            speculation.connection,
            speculation.tool,
            speculation.arguments,
            speculation.state,
            reason,
            speculation.q,
            speculation.source,
            speculation.launched_at,
            speculation.returned_at,
            world.now_s,
            speculation.adopted_by if speculation.state is State.ADOPTED else speculation.compared_with,
            speculation.attached_to,
            0 if speculation.attached_to is None else speculation.extra_bytes,
        )
    )


def compare(world: World, speculation: Speculation) -> None:
    """Both results are at hand."""
    call, policy = speculation.compared_with, speculation.policy
    assert call is not None, "a compared speculation has its call"
    checks = speculation.checks
    apart, how, spared_s = _foreseen(world, speculation) if checks is None else _checked(speculation, checks)
    world.out.append(
        Compare(
            speculation.connection,
            speculation.id,
            call,
            speculation.server,
            speculation.tool,
            speculation.arguments,
            world.server(speculation.server).evidence.entry(speculation.tool) or "",
            policy.equal_results,
            apart,
            checks is not None,
            how,
            spared_s,
        )
    )
    speculation.move(Step.COMPARE)
    world.ledger.remove(speculation)
    end(world, speculation, "compared")
    drop(world, speculation)


def _foreseen(world: World, speculation: Speculation) -> tuple[Apart, How, float]:
    """Shadow mode: how the call would have been answered, and what wait it would have been spared."""
    launched_at, returned_at = speculation.under_way
    met = speculation.met
    assert met is not None, "a call that is compared has met its speculation"
    arrived_at, answered_at = met.arrived_at, met.answered_at
    assert answered_at is not None, "a call that is compared has its answer"
    apart = Apart(arrived_at - returned_at, answered_at - launched_at)
    if met.found_ready:
        return apart, How.HIT, answered_at - arrived_at
    if not world.settings.join:
        return apart, How.MISS, 0.0
    return apart, How.JOIN, max(0.0, answered_at - returned_at)


def _checked(speculation: Speculation, checks: Checked) -> tuple[Apart, How, float]:
    launched_at, returned_at = speculation.under_way
    return Apart(launched_at - checks.returned_at, returned_at - checks.launched_at), checks.how, checks.saved_s


def invoke(world: World, call: CallState) -> None:
    """Make the call for real, unless what the server says could be taken for this call's just now, or the call could
    see what is not to be seen."""
    call.speculation = None
    if (blocker := what_blocks(world, call)) is None:
        send(world, call)
    else:
        keep_back(world, call, blocker)


def what_blocks(world: World, call: CallState) -> Blocker | None:
    """What it has to wait for; what it must not see is being taken back from now on."""
    if in_its_way := reversing.clear_the_way(world, call):
        return Undo(in_its_way[0].id)
    if (guess := lossy.still_setting(world, call)) is not None:
        return Undo(guess.id)
    if awaits_silence(world, call):
        return Silence(call.connection)
    if (older := follows_one_that_waits(world, call)) is not None:
        return Older(older.id)
    return posting.post(world, call) if posting.needs_posting(world, call) else None


def keep_back(world: World, call: CallState, blocker: Blocker) -> None:
    """Let it wait. For what is taken back it waits no longer than the manifest says."""
    waits_s = [held.policy.undo_wait_s for held in _in_the_way(world, call)]
    if waits_s and call.kept_until is None:
        call.kept_until = world.now_s + max(waits_s)
    world.waiting.keep(call, blocker, None if call.method in TOUCHES_NOTHING else world.footprint(call))


def _in_the_way(world: World, call: CallState) -> list[Speculation]:
    guess = lossy.still_setting(world, call)
    return reversing.in_the_way(world, call) + ([] if guess is None else [guess])


def fail(world: World, call: CallState) -> None:
    """Rule 12: what a speculation left could not be taken back in time, and the call must not see it."""
    in_its_way = _in_the_way(world, call)
    tools = " and ".join(dict.fromkeys(f"{held.server}.{held.tool}" for held in in_its_way)) or "an earlier call"
    world.ledger.writes.drop(call.id)
    settle(world, call)
    world.out.append(Fail(call.connection, call.id, f"what was speculated with {tools} has not been taken back yet"))


def fail_undecided(world: World, speculation: Speculation) -> None:
    """Rule 13: nobody may see that it is adopted before that is on disk, and the disk hangs.

    What is decided there holds all the same, as for a call that was cancelled.
    """
    call = world.caller_of(speculation)
    if call is None:
        return
    speculation.caller = call.speculation = None
    world.ledger.writes.drop(call.id)  # what it would have written stays in everybody's way as the speculation
    settle(world, call)
    why = (
        f"{speculation.server}.{speculation.tool} was done ahead of this call, and the disk with the undo journal does "
        "not answer, so that nobody can tell yet whether it stands: look before you call again"
    )
    world.out.append(Fail(call.connection, call.id, why))


def follows_one_that_waits(world: World, call: CallState) -> CallState | None:
    """Rule 9: which older request waits that it conflicts with? The client's order to a server never changes."""
    if not len(world.waiting) or call.method in TOUCHES_NOTHING:
        return None
    return world.waiting.before(call, world.footprint(call))


def awaits_silence(world: World, call: CallState) -> bool:
    """Rule 11: speculations that prompt or log are still running, and what they ask must not reach the client.

    All that come meanwhile wait as long, so that the client's requests keep their order; its notifications do not pass
    through here, and may overtake them.
    """
    suspect_until = world.connection(call.connection).suspect_until
    return world.now_s < suspect_until and bool(world.ledger.outstanding_on(call.connection, world.now_s))


def release(world: World) -> None:
    """Make the calls that need not wait any more, in their order."""
    while due := world.waiting.due:
        for call in due:
            if call.id in world.waiting:  # one before it may have led to its going out
                invoke(world, call)


def wait_no_longer(world: World, connection: ConnectionName) -> None:
    """Make all the calls that wait there, but for those that must not see what is not taken back."""
    for call in sorted(world.waiting.on(connection), key=lambda call: call.id):
        if _in_the_way(world, call) or follows_one_that_waits(world, call) is not None:
            continue
        if posting.needs_posting(world, call):
            keep_back(world, call, posting.post(world, call))
        else:
            send(world, call)


def send(world: World, call: CallState) -> None:
    """Let the call go to its server."""
    world.waiting.remove(call)
    world.calls.send(call, world.now_s)
    call.beside = bool(world.ledger.outstanding_at(call.server, world.now_s))
    world.out.append(Invoke(call.connection, call.id))


def settle(world: World, call: CallState) -> None:
    """The server has answered the call, or nobody waits for it any more."""
    forget(world, call)
    if call.is_tool_call:
        report(world, call, How.MISS, None, 0.0)


def report(world: World, call: CallState, how: How, speculation: SpeculationId | None, saved_s: float) -> None:
    """Say how a call came to its answer, for the record."""
    world.out.append(
        CallSettled(
            call.id,
            call.session,
            call.server,
            call.connection,
            call.tool,
            how,
            speculation,
            max(0.0, world.now_s - call.arrived_at),
            saved_s,
            call.was_attached,
        )
    )


def forget(world: World, call: CallState) -> None:
    """The call is no longer in flight, and the client begins to think. Its session may have gone before it."""
    world.waiting.remove(call)
    world.calls.remove(call)
    posting.over(world, call)
    session = world.sessions.get(call.session)
    if session is not None and call.is_tool_call:
        session.outstanding -= 1
        if session.outstanding == 0:
            session.idle_since = world.now_s
            session.idle_step = session.step

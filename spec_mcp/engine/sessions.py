"""Clients: they take steps, they leave, and somebody switches the mode for them."""

from __future__ import annotations

from spec_mcp.engine import lifecycle, posting
from spec_mcp.engine.events import HeldDropped, Mode, ModeSet, SessionClosed
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import SessionState, World


def closed(world: World, event: SessionClosed) -> None:
    """Its speculations end, but calls of others that wait for them are made for real."""
    for connection in {call.connection for call in world.calls.of(event.session) if call.id in world.waiting}:
        lifecycle.wait_no_longer(world, connection)
    own = list(world.ledger.live.of(event.session))
    for call in [call for call in world.calls.of(event.session) if not call.invoked]:
        speculation = None if call.speculation is None else world.ledger.live.get(call.speculation)
        if call.reads:  # else it would have been made by now
            world.waiting.remove(call)
            world.calls.remove(call)
            posting.over(world, call)
        if speculation is not None and speculation not in own:
            own.append(speculation)
    lifecycle.discard_all(world, own, Reason.SESSION_ENDED)
    if (session := world.sessions.get(event.session)) is not None:
        world.forget_session(session)


def held_dropped(world: World, event: HeldDropped) -> None:
    """Held results die with the token (rule 15), and none answers a batch (rule 11). A call that waits goes on."""
    own = [one for one in world.ledger.live.of(event.session) if one.state is not State.JOINED]
    lifecycle.discard_all(world, own, Reason.EXPIRED)


def mode_set(world: World, event: ModeSet) -> None:
    """Somebody switched the mode."""
    world.mode = event.mode
    if event.mode is not Mode.ON:
        lifecycle.discard_all(world, world.ledger.live, Reason.SWITCHED_OFF)
        for connection in world.connections.values():
            connection.queue.clear()


def steps(world: World, session: SessionState) -> None:
    """The client makes a call: what was planned for the step before it is void."""
    if session.outstanding == 0 and session.idle_since is not None:
        world.timing.thought(world.now_s - session.idle_since)
    session.outstanding += 1
    session.step += 1
    world.clear_queues(session)

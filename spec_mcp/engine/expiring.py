"""What time alone does: results age, joins and pauses end, and a clock that is set back spoils all ages."""

from __future__ import annotations

from functools import partial

from spec_mcp.engine import checking, lifecycle, servers, undoing
from spec_mcp.engine.ageing import ends_at
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.waiting import Silence
from spec_mcp.engine.world import World

RATE_LIMIT_PAUSE_S = 30.0
"""How long a server that answered with a rate limit is left alone."""


def deadline_s(world: World) -> float | None:
    """When `Ticked` is due; None while nothing is held or joined."""
    times = [world.ledger.deadlines.next_s, world.waiting.fails_s]
    times += [world.connection(name).suspect_until for name in world.waiting.silences()]
    if world.board is not None and world.board.posted:
        times.append(world.ledger.writes.settles_s)
    return min((time for time in times if time is not None), default=None)


def expire(world: World) -> None:
    """What is of no more use is dropped, what is due goes on, and who has waited long enough is told."""
    ledger, now_s = world.ledger, world.now_s
    due = ledger.deadlines.due(now_s)
    for number in due:
        if (speculation := ledger.live.get(number)) is None:  # it fell with another
            continue
        at_s = ends_at(speculation)
        if speculation.join_until is not None and now_s >= speculation.join_until:
            lifecycle.discard(world, speculation, Reason.LATE)
        elif at_s is not None and now_s >= at_s:
            running = speculation.state in (State.LAUNCHED, State.PROPOSED)
            lifecycle.discard(world, speculation, Reason.LATE if running else Reason.EXPIRED)
        elif speculation.due_at is not None and now_s >= speculation.due_at:
            check_now = partial(checking.launch_due, world, world.connection(speculation.connection))
            world.later.append(check_now)  # the call that is just arriving goes first
    for number in due:
        if (speculation := ledger.unadopted.get(number)) is not None:
            undoing.pass_time(world, speculation)
        ledger.deadlines.tell(number)
    for call in world.waiting.failed(now_s):
        lifecycle.fail(world, call)
    for name in world.waiting.silences():
        if now_s >= world.connection(name).suspect_until:
            world.waiting.wake(Silence(name))


def clock_set_back(world: World) -> None:
    """Rule 7: no age can be told any more."""
    lifecycle.discard_all(world, world.ledger.live, Reason.EXPIRED)
    undoing.clock_set_back(world)
    world.ledger.writes.settle_anew(world.now_s)
    for call in world.waiting:
        call.kept_until = None  # it waits anew
    world.waiting.wake_all()
    for server in world.servers.values():
        server.quiet_until = min(server.quiet_until, world.now_s + RATE_LIMIT_PAUSE_S)
    for connection in world.connections.values():
        connection.suspect_until = min(connection.suspect_until, world.now_s + servers.SILENCE_S)

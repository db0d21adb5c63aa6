"""What time alone does: results age, joins and pauses end, and a clock that is set back spoils all ages."""

from __future__ import annotations

from spec_mcp.engine import admission, lifecycle, servers, undoing
from spec_mcp.engine.ledger import Awaits, Reversal, Speculation
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import World

RATE_LIMIT_PAUSE_S = 30.0
"""How long a server that answered with a rate limit is left alone."""

VALIDATION_LIMIT_S = 5.0
"""A validator that takes longer to read, on a lost network folder say, is of no use."""


def deadline_s(world: World) -> float | None:
    """When `Ticked` is due; None while nothing is held or joined."""
    times = [
        time
        for speculation in world.ledger.live.values()
        for time in (_ends_at(speculation), speculation.join_until)
        if time is not None
    ]
    times += [at for held in world.ledger.unadopted.values() if (at := undoing.due_at(held)) is not None]
    for call in world.kept_back:
        suspect_until = world.server(call.server).suspect_until
        times += [at for at in (suspect_until, call.kept_until) if at is not None and at > world.now_s]
    return min(times, default=None)


def expire(world: World) -> None:
    """What is of no more use is dropped, what is due goes on, and who has waited long enough is told."""
    for speculation in list(world.ledger.live.values()):
        ends_at = _ends_at(speculation)
        if speculation.id not in world.ledger.live:  # it fell with another
            continue
        if speculation.join_until is not None and world.now_s >= speculation.join_until:
            lifecycle.discard(world, speculation, Reason.LATE)
        elif ends_at is not None and world.now_s >= ends_at:
            running = speculation.state in (State.LAUNCHED, State.PROPOSED)
            lifecycle.discard(world, speculation, Reason.LATE if running else Reason.EXPIRED)
    if world.ledger.unadopted:
        undoing.pass_time(world)
    for call in list(world.kept_back):
        if call.kept_until is not None and world.now_s >= call.kept_until:
            lifecycle.fail(world, call)


def clock_set_back(world: World) -> None:
    """Rule 7: no age can be told any more."""
    lifecycle.discard_all(world, list(world.ledger.live.values()), Reason.EXPIRED)
    undoing.clock_set_back(world)
    world.ledger.settle_anew(world.now_s)
    for call in world.kept_back:
        call.kept_until = None  # it waits anew
    for server in world.servers.values():
        server.quiet_until = min(server.quiet_until, world.now_s + RATE_LIMIT_PAUSE_S)
        server.suspect_until = min(server.suspect_until, world.now_s + servers.SILENCE_S)


def _ends_at(speculation: Speculation) -> float | None:
    """When a speculation is of no more use if nothing happens."""
    if speculation.reversal is not None and speculation.launched_at is not None:
        return _reversible_ends_at(speculation, speculation.reversal)
    if speculation.launched_at is None:
        return speculation.proposed_at + VALIDATION_LIMIT_S
    if speculation.state is State.JOINED:
        return None
    limits = [speculation.outdated_at] if speculation.outdated_at is not None else []
    if speculation.state is State.ADOPTED:
        limits.append(speculation.launched_at + speculation.policy.reuse_s)
    elif speculation.policy.lossy:
        limits.append(speculation.launched_at + admission.UNADOPTED_LIMIT_S)
    elif speculation.state is State.LAUNCHED:
        limits.append(speculation.launched_at + admission.SPECULATION_LIMIT_S)
    return min(limits, default=None)


def _reversible_ends_at(speculation: Speculation, reversal: Reversal) -> float | None:
    if speculation.state is State.READY and reversal.awaits is not Awaits.ADOPTION:
        return speculation.proposed_at + admission.UNADOPTED_LIMIT_S
    return None

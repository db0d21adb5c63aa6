"""A small sample of what was adopted is made again, when that costs no call its turn, and held against it.

A check is a speculation of its own that answers no call: it is launched by the rules that hold for any other, spoiled
by what spoils any other, and compared as shadow mode compares. It is proposed when its hit has been answered; whatever
writes there from then on ends it, and before then a write would have ended what was adopted.
"""

from __future__ import annotations

from dataclasses import replace

from spec_mcp.engine import lifecycle
from spec_mcp.engine.commands import Demote, How, Recall
from spec_mcp.engine.connections import ConnectionState, ServerState
from spec_mcp.engine.effects import Effect
from spec_mcp.engine.events import Compared, Mode
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.places import has_place
from spec_mcp.engine.results import Verdict
from spec_mcp.engine.speculation import Checked, Speculation
from spec_mcp.engine.standing import standing_of
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import World

FIRST_CHECKED = 4
"""The hit of a server that is checked first, so that short sessions are checked too; then every `check_every`th."""

CHECKS_PER_MINUTE = 6.0
"""Checks of a server at the most: a busy client must not make them a load."""

DELAY_S = 0.1
"""How long a check lets what is predicted after the same hit go first."""


def is_due(world: World, server: ServerState) -> bool:
    """Is this hit one of the sample? It is counted by that."""
    every = world.settings.check_every
    if every <= 0 or world.mode is not Mode.ON:
        return False
    server.hits += 1
    return server.hits % every == FIRST_CHECKED % every and server.checks.has_room(CHECKS_PER_MINUTE, world.now_s)


def propose(world: World, adopted: Speculation, call: CallState, how: How) -> None:
    """The call has its answer; should it be made again? The result that it was given is still there."""
    connection = world.connection(adopted.connection)
    if adopted.policy.effect is not Effect.READ or not is_due(world, connection.server):
        return
    if connection.check is not None and connection.check in world.ledger.live:
        return
    check = replace(
        adopted,
        id=world.next_speculation(),
        lineage=(),
        depends_on=frozenset(),
        state=State.PROPOSED,
        proposed_at=world.now_s,
        launched_at=None,
        returned_at=None,
        size_bytes=0,
        adopted_by=None,
        caller=None,
        join_until=None,
        cancelled_at=None,
        chained_at=None,
        stands_for=None,
        is_expected=True,
        compared_with=call.id,
        checks=Checked(*adopted.under_way, how, lifecycle.saved_s(adopted, call)),
        due_at=world.now_s + DELAY_S,
    )
    connection.check = check.id
    world.ledger.add(check)
    world.watch(check)
    world.out.append(Recall(adopted.connection, check.id, adopted.id, call.id))


def launch_due(world: World, connection: ConnectionState) -> None:
    """Make the check that waits there, if nobody else could use the place."""
    check = None if connection.check is None else world.ledger.live.get(connection.check)
    if check is None or check.state is not State.PROPOSED:
        return
    if check.due_at is not None and world.now_s < check.due_at:
        return
    check.due_at = None
    is_busy = connection.queue or world.calls.working_on(connection.name)
    if is_busy or not has_place(world, connection, check.session, check):
        return  # until a place is free, or its time is over
    if not connection.server.checks.has_room(CHECKS_PER_MINUTE, world.now_s):
        lifecycle.discard(world, check, Reason.RATE)
        return
    if (reason := _forbidden(world, connection, check)) is not None:
        lifecycle.discard(world, check, reason)
        return
    server = connection.server
    server.checks.add(world.now_s)
    server.launches.add(world.now_s)
    if check.policy.open_world:
        server.reaches_outside(check.tool, world.now_s)
    lifecycle.launch(world, check)


def _forbidden(world: World, connection: ConnectionState, check: Speculation) -> Reason | None:
    """What speaks against any speculation speaks against a check; what it would gain is not asked."""
    standing = standing_of(world, connection, check.tool)
    if (reason := standing.forbidden or standing.barred) is not None:
        return reason
    if standing.policy != check.policy or check.key.epoch != connection.epoch:
        return Reason.CHANGED
    if not standing.has_budget:
        return Reason.OPEN_WORLD
    if world.ledger.writes.touch(check.footprint, world.now_s) or world.ledger.unadopted.overlapping(check.footprint):
        return Reason.CONFLICT
    assert check.checks is not None, "a check has something to check"
    ttl_s = check.policy.ttl_s
    if ttl_s is not None and world.now_s >= check.checks.launched_at + ttl_s:
        return Reason.EXPIRED  # the manifest lets it be otherwise by now
    return Reason.TOO_SLOW if standing.too_slow else None


def compared(world: World, event: Compared) -> None:
    """Two results have been held against each other."""
    server = world.server(event.server)
    policy = server.policy.tool(event.tool)
    if not server.evidence.convicts(event.tool, policy, event.entry, event.verdict is Verdict.DIFFERENT):
        return
    world.out.append(Demote(event.server, event.tool, event.entry))
    if world.mode is Mode.ON:
        held = [one for one in world.ledger.live.at(event.server) if one.tool == event.tool]
        lifecycle.discard_all(world, held, Reason.DEMOTED)

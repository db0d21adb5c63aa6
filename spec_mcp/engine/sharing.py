"""The ways of speculations where several replicas share a board (rules 6, 7, 9 and 15 over all of them).

A speculation is launched when it is offered. A result, our own or another replica's, answers a call only when the board
gives it away. `posting` has the ways of requests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from spec_mcp.engine import admission, lifecycle, posting
from spec_mcp.engine.board import digest_of
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.commands import How, Offer, Take
from spec_mcp.engine.connections import ConnectionState, footprint_by
from spec_mcp.engine.events import (
    Announced,
    CutOff,
    Mode,
    Offered,
    Posted,
    Rejoined,
    Taken,
    TakenAway,
    Withdrawn,
    WorldKnown,
    WrittenElsewhere,
)
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.spoiling import spoil
from spec_mcp.engine.standing import standing_of
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.world import World

TAKE_S = 0.25
"""How long a call waits for the board's word at the most; then it is made for real."""

# --- speculations -----------------------------------------------------------------------------------------------------


def digest(world: World, connection: ConnectionState, key: CallKey) -> str:
    """What the call is to all replicas; empty where its result is of use to this one alone.

    What a validator says of a file here says nothing of one elsewhere.
    """
    server, board = connection.server, world.board
    if board is None or server.name not in board.worlds:
        return ""
    entry, fingerprint = server.evidence.entry(key.tool), (connection.fingerprints or {}).get(key.tool)
    if entry is None or fingerprint is None or connection.tool(key.tool).fresh is not None:
        return ""
    return digest_of(board.worlds[server.name], entry, fingerprint, server.name, key)


def is_offered(world: World, connection: ConnectionState, key: CallKey) -> bool:
    """Does another replica offer its result, so that it need not be speculated here?"""
    return world.board is not None and world.board.offers(digest(world, connection, key))


def offer(world: World, connection: ConnectionState, speculation: Speculation) -> None:
    """Before its launch: what is posted from now on, speaks against its result."""
    policy = speculation.policy
    world.ledger.in_preparation.add(speculation)
    world.watch(speculation)
    world.out.append(
        Offer(
            connection.name,
            speculation.id,
            digest(world, connection, speculation.key),
            speculation.footprint,
            policy.ttl_s,
            speculation.may_be_overtaken,
        )
    )


def offered(world: World, event: Offered) -> None:
    """It is on the board: launch it, unless the world has gone on in the meantime."""
    speculation = world.ledger.live.get(event.speculation)
    if speculation is not None and speculation.state is State.PROPOSED:
        admission.offered(world, speculation, event.ok)


# --- adoption ---------------------------------------------------------------------------------------------------------


def take(world: World, call: CallState, speculation: Speculation, how: How) -> None:
    """Ask the board for the result; the call waits for its word, and for no longer than it would have for this."""
    speculation.caller, call.speculation = call.id, speculation.id
    speculation.taken_as = how
    if speculation.join_until is None:
        speculation.join_until = world.now_s + TAKE_S
        world.watch(speculation)
    keeps = lifecycle.keeps_for_reuse(world, speculation)
    world.out.append(Take(speculation.connection, speculation.id, call.id, speculation.offer, keeps))


def fetch(world: World, call: CallState, speculation: Speculation) -> None:
    """The call has joined what another replica offers."""
    found_as = speculation.taken_as
    assert found_as is not None, "it is made for this call"
    if found_as is How.HIT:
        speculation.join_until = world.now_s + TAKE_S
        world.watch(speculation)
    take(world, call, speculation, found_as)


def taken(world: World, adopt: Callable[[CallState, Speculation, How], None], event: Taken) -> None:
    """The board has spoken: the call has the result, or is made for real."""
    speculation = world.ledger.live.get(event.speculation)
    if speculation is None or speculation.taken_as is None or speculation.caller != event.call:
        return
    call, how = world.caller_of(speculation), speculation.taken_as
    if not event.ok or call is None:
        lifecycle.discard(world, speculation, Reason.SPOILED)
        return
    speculation.taken_as = None
    if speculation.offer is not None:
        speculation.launched_at = min(world.now_s - event.age_s, call.arrived_at)
        speculation.returned_at = call.arrived_at if how is How.HIT else world.now_s
        world.ledger.hold(speculation, event.size_bytes)
    adopt(call, speculation, how)


def foreign(world: World, call: CallState) -> Speculation | None:
    """What another replica offers for this very call, as a speculation to be joined; None where there is nothing."""
    board = world.board
    if board is None or board.cut_off or call.key is None or world.mode is not Mode.ON or call.arguments is None:
        return None
    connection = world.connection(call.connection)
    if (found := board.take_up(digest(world, connection, call.key))) is None:
        return None
    standing = standing_of(world, connection, call.tool)
    footprint = footprint_by(connection.server, standing.policy, call.arguments)
    if standing.forbidden or standing.barred or world.ledger.writes.touch(footprint, world.now_s):
        return None
    speculation = Speculation(
        world.next_speculation(),
        call.session,
        call.server,
        call.connection,
        call.tool,
        call.arguments,
        call.key,
        standing.policy,
        footprint,
        1.0,
        "another replica",
        (),
        world.now_s,
        state=State.LAUNCHED,
        launched_at=world.now_s,
        offer=found.offer,
        is_expected=False,
    )
    world.ledger.add(speculation)
    speculation.taken_as = How.HIT if found.ready else How.JOIN
    return speculation


# --- what is told of others -------------------------------------------------------------------------------------------


def world_known(world: World, event: WorldKnown) -> None:
    """Results of this server are of use to all replicas, or to this one alone."""
    if world.board is None:
        return
    if event.identity:
        world.board.worlds[event.server] = event.identity
    else:
        world.board.worlds.pop(event.server, None)


def announced(world: World, event: Announced) -> None:
    """Another replica has something to offer."""
    if world.board is not None:
        world.board.announce(event.digest, event.offer, event.ready)


def withdrawn(world: World, event: Withdrawn) -> None:
    """It has not any more."""
    if world.board is not None:
        world.board.withdraw(event.digest, event.offer)


def taken_away(world: World, event: TakenAway) -> None:
    """It was of use, elsewhere. A call of ours that wants it too is made for real."""
    speculation = world.ledger.live.get(event.speculation)
    if speculation is None or speculation.state not in (State.READY, State.JOINED):
        return
    lifecycle.let_go_of_caller(world, speculation)
    speculation.move(Step.ADOPT)
    world.ledger.remove(speculation)
    lifecycle.end(world, speculation, Reason.TAKEN)
    lifecycle.drop(world, speculation)


def written_elsewhere(world: World, event: WrittenElsewhere) -> None:
    """What we hold of that is of no use any more."""
    spoil(world, event.footprint)


def cut_off(world: World, event: CutOff) -> None:
    """Nothing that is held can be shown to be unspoiled."""
    if (board := world.board) is None:
        return
    board.cut_off = True
    board.forget_offers()
    lifecycle.discard_all(world, world.ledger.live, Reason.CUT_OFF)
    for connection in world.connections.values():
        connection.queue.clear()


def rejoined(world: World, event: Rejoined) -> None:
    """The board can be reached again."""
    if world.board is not None:
        world.board.cut_off = False


def handlers(world: World) -> dict[type, Callable[..., None]]:
    """By kind of event."""
    table = {
        WorldKnown: world_known,
        Posted: posting.posted,
        Offered: offered,
        Announced: announced,
        Withdrawn: withdrawn,
        TakenAway: taken_away,
        WrittenElsewhere: written_elsewhere,
        CutOff: cut_off,
        Rejoined: rejoined,
    }
    return {kind: partial(handle, world) for kind, handle in table.items()}

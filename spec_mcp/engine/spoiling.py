"""What ends the use of a held result: a write that overlaps it, or a later look at what it shows.

Theory: a result may answer a call only while nothing that could have changed it has happened since its launch (rule 6),
and no client has seen a later moment of what it shows (rule 7). Each such happening is put to one of the functions
here, before anything that it leads to goes out.
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle, posting
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.events import Answer, Outcome
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import Reason
from spec_mcp.engine.world import World
from spec_mcp.engine.writes import NOTICE, SEAL, OpenWrite

NOTICE_SETTLE_S = 2.0
"""How long a server is taken to act on a message that has no answer: after `roots/list_changed` it asks for the roots
first."""


def begin_write(world: World, call: CallState, settle_s: float) -> None:
    """Rules 6 and 9: it spoils what it overlaps, and joined reads that came before it go out before it."""
    written = world.footprint(call)
    spoil(world, written)
    if not world.ledger.writes.open(call.id, OpenWrite(written, call.connection, settle_s), world.now_s):
        seal(world, world.connection(call.connection))


def take_notice(world: World, connection: ConnectionState, settle_s: float | None = None) -> None:
    """The server may act on something to which it gives no answer: what a client told it, for one."""
    spoil(world, connection.everything)
    settle_s = NOTICE_SETTLE_S if settle_s is None else settle_s
    world.ledger.writes.notice(connection.name, connection.everything, settle_s, world.now_s)
    if settle_s > 0.0:
        posting.lasting_notice(world, connection, (NOTICE, connection.name))


def spoil(world: World, written: Footprint) -> None:
    """Discard what a write overlaps. Calls that wait for any of it are made for real, in the client's order."""
    spoiled = world.ledger.conflicting(written)
    spoiled.sort(key=lambda speculation: speculation.caller or 0)
    lifecycle.discard_all(world, spoiled, Reason.SPOILED)
    world.ledger.forget_answers(written)


def overtake(world: World, seen: Footprint, at_s: float, itself: Speculation | None) -> None:
    """A client saw this moment: it must not see an earlier one afterwards.

    A result that a call waits for already may show an earlier moment: that call and the one just answered ran at the
    same time, and no client can tell which came first. One that is only compared answers none.
    """
    overtaken = [
        speculation
        for speculation in world.ledger.conflicting(seen)
        if speculation is not itself
        and speculation.caller is None
        and speculation.compared_with is None
        and is_earlier(speculation, at_s)
    ]
    lifecycle.discard_all(world, overtaken, Reason.OVERTAKEN)


def is_earlier(speculation: Speculation, at_s: float) -> bool:
    """May it show the world as it was before this moment?"""
    launched_at = speculation.launched_at
    return speculation.may_be_overtaken and launched_at is not None and launched_at < at_s


def read_answered(world: World, call: CallState, outcome: Outcome) -> None:
    """A real reply: what it shows is remembered as seen, and as answered. A task looks on until it ends."""
    seen = world.footprint(call)
    if outcome.answer is Answer.TASK:
        world.ledger.writes.open(call.id, OpenWrite(seen, call.connection, task=outcome.task), world.now_s)
    overtake(world, seen, world.now_s, None)
    if call.key is not None and call.is_tool_call and not world.ledger.writes.touch(seen, world.now_s):
        world.ledger.remember_answer(call.key, seen, len(world.sessions))


def leave(world: World, connection: ConnectionState, reason: Reason) -> None:
    """Hold nothing of this connection any more. What others hold of the same server is not touched by that."""
    connection.queue.clear()
    lifecycle.discard_all(world, world.ledger.live.on(connection.name), reason)


def seal(world: World, connection: ConnectionState) -> None:
    """Rule 16: more is unanswered there than can be kept apart, so nothing is held of it until it starts anew."""
    spoil(world, connection.everything)
    world.ledger.writes.seal(connection.name, connection.everything)
    posting.lasting_notice(world, connection, (SEAL, connection.name))


def forget_one_call_too_many(world: World, session: str) -> None:
    """Rule 16: its answer goes through as ever, but nothing is known any more of what it shows or does."""
    if (call := world.calls.one_too_many(session)) is None:
        return
    lifecycle.forget(world, call)
    if call.reads or call.id in world.ledger.writes:
        seal(world, world.connection(call.connection))

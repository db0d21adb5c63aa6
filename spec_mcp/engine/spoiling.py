"""What ends the use of a held result: a write that overlaps it, or a later look at what it shows.

Theory: a result may answer a call only while nothing that could have changed it has happened since its launch (rule 6),
and no client has seen a later moment of what it shows (rule 7). Each such happening is put to one of the functions
here, before anything that it leads to goes out.
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle
from spec_mcp.engine.events import Answer, Outcome
from spec_mcp.engine.ledger import OpenWrite, Speculation
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.states import Reason
from spec_mcp.engine.world import CallState, ServerState, World

NOTICE_SETTLE_S = 2.0
"""How long a server is taken to act on a message that has no answer: after `roots/list_changed` it asks for the roots
first."""


def begin_write(world: World, call: CallState, settle_s: float) -> None:
    """Rules 6 and 9: it spoils what it overlaps, and joined reads that came before it go out before it."""
    written = world.footprint(call)
    spoil(world, written)
    if not world.ledger.open_write(call.id, OpenWrite(written, settle_s), world.now_s):
        seal(world, world.server(call.server))


def take_notice(world: World, server: ServerState, settle_s: float | None = None) -> None:
    """The server may act on something to which it gives no answer: what a client told it, for one."""
    spoil(world, server.everything)
    settle_s = NOTICE_SETTLE_S if settle_s is None else settle_s
    last = world.ledger.notices.get(server.name)
    until = max(world.now_s + settle_s, 0.0 if last is None or last.until is None else last.until)
    world.ledger.notices[server.name] = OpenWrite(server.everything, settle_s, until)


def spoil(world: World, written: Footprint) -> None:
    """Discard what a write overlaps. Calls that wait for any of it are made for real, in the client's order."""
    spoiled = world.ledger.conflicting(written)
    spoiled.sort(key=lambda speculation: speculation.caller or 0)
    lifecycle.discard_all(world, spoiled, Reason.SPOILED)
    world.ledger.forget_answers(written)


def overtake(world: World, seen: Footprint, at_s: float, itself: Speculation | None) -> None:
    """A client saw this moment: it must not see an earlier one afterwards.

    A result that a call waits for already may show an earlier moment: that call and the one just answered ran at the
    same time, and no client can tell which came first.
    """
    overtaken = [
        speculation
        for speculation in world.ledger.conflicting(seen)
        if speculation is not itself
        and speculation.may_be_overtaken
        and speculation.caller is None
        and speculation.launched_at is not None
        and speculation.launched_at < at_s
    ]
    lifecycle.discard_all(world, overtaken, Reason.OVERTAKEN)


def read_answered(world: World, call: CallState, outcome: Outcome) -> None:
    """A real reply: what it shows is remembered as seen, and as answered. A task looks on until it ends."""
    seen = world.footprint(call)
    if outcome.answer is Answer.TASK:
        world.ledger.open_write(call.id, OpenWrite(seen, task=outcome.task), world.now_s)
    overtake(world, seen, world.now_s, None)
    if call.key is not None and call.is_tool_call and not world.ledger.being_written(seen, world.now_s):
        world.ledger.remember_answer(call.key, seen)


def leave(world: World, server: ServerState, reason: Reason) -> None:
    """Hold nothing of this server any more."""
    server.queue.clear()
    lifecycle.discard_all(world, world.ledger.live_on(server.name), reason)
    world.ledger.forget_answers(server.everything)


def seal(world: World, server: ServerState) -> None:
    """Rule 16: more is unanswered there than can be kept apart, so nothing is held of it until it starts anew."""
    spoil(world, server.everything)
    world.ledger.seal(server.everything)


def forget_one_call_too_many(world: World) -> None:
    """Rule 16: its answer goes through as ever, but nothing is known any more of what it shows or does."""
    if (call := world.oldest_call_too_many()) is None:
        return
    lifecycle.forget(world, call)
    if call.reads or call.id in world.ledger.writes:
        seal(world, world.server(call.server))

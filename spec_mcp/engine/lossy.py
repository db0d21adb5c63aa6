"""Tools of which the last write wins (the paper's section 4): not lossless, and counted apart.

A tool that sets a knob is speculated without isolation and without an undo, where manifest and user both say so. What
it sets stays set when the guess was wrong, until the client's own call sets it again, which waits until the guess is
answered. Apart from that it is a write as any other: it spoils what is held of the same things when it goes out, and
while it runs nothing there is launched.
"""

from __future__ import annotations

from spec_mcp.engine import lifecycle
from spec_mcp.engine.events import Answer, Outcome
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import World
from spec_mcp.engine.writes import OpenWrite


def begin(world: World, speculation: Speculation) -> None:
    """It is launched: a write that nobody has asked for yet."""
    _spoil_others(world, speculation)
    write = OpenWrite(speculation.footprint, speculation.connection, speculation.policy.settle_s)
    world.ledger.writes.open(-speculation.id, write, world.now_s)  # calls have numbers above zero
    lifecycle.launch(world, speculation)


def returned(world: World, speculation: Speculation, outcome: Outcome) -> None:
    """It has been answered, or nobody will answer it any more."""
    world.ledger.writes.close(-speculation.id, world.now_s, outcome.task, outcome.answer is Answer.TASK)


def find(world: World, call: CallState) -> Speculation | None:
    """The speculation whose result this call can take, and join."""
    speculation = None if call.key is None else world.ledger.by_key.get(call.key)
    if speculation is None or not speculation.policy.lossy or speculation.caller is not None:
        return None
    joins = speculation.state is State.LAUNCHED and world.settings.join
    return speculation if joins or speculation.state is State.READY else None


def meet(world: World, call: CallState, speculation: Speculation) -> None:
    """The client's call comes: from now on what it sets is set by a client, and is a write even if made for real."""
    _spoil_others(world, speculation)
    world.ledger.forget_answers(world.footprint(call))
    write = OpenWrite(world.footprint(call), call.connection, speculation.policy.settle_s)
    world.ledger.writes.open(call.id, write, world.now_s)


def still_setting(world: World, call: CallState) -> Speculation | None:
    """A guess that the server is still at, and that the client's call is to overwrite: it must not come last."""
    if call.reads or not world.settings.lossy or call.method in TOUCHES_NOTHING:
        return None
    running = [held for held in world.ledger.outstanding.at(call.server) if held.policy.lossy]
    touched = world.footprint(call) if running else None
    return next((held for held in running if touched is not None and touched.overlaps(held.footprint)), None)


def _spoil_others(world: World, speculation: Speculation) -> None:
    others = [other for other in world.ledger.conflicting(speculation.footprint) if other is not speculation]
    lifecycle.discard_all(world, others, Reason.SPOILED)
    world.ledger.forget_answers(speculation.footprint)

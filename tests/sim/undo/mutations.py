"""Rules 12 to 14, each switched off: these worlds must hold a seed that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spec_mcp.engine import admission, lifecycle, reversing, undoing
from spec_mcp.engine.commands import Drop, Settle
from spec_mcp.engine.events import Claimed, Recorded, UndoOutcome
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.resources import Footprint
from spec_mcp.engine.speculation import Awaits, Speculation
from spec_mcp.engine.states import Reason, State, Step
from spec_mcp.engine.waiting import Blocker, Waiting
from spec_mcp.engine.world import World
from tests.sim.mutations import Rule, _put, _wrap  # pyright: ignore[reportPrivateUsage]


def _sees_all(world: World, call: CallState) -> list[Speculation]:
    return []


def _only_writes_wait(in_the_way: Callable[..., Any]) -> Callable[..., Any]:
    return lambda world, call: [] if call.reads else in_the_way(world, call)


def _launches_unrecorded(world: World, speculation: Speculation, event: Any) -> None:
    assert speculation.reversal is not None
    speculation.reversal.before = event.digest or ""
    speculation.reversal.awaits = Awaits.RECORD
    reversing.recorded(world, Recorded(speculation.id, ok=True))


def _launches_all_the_same(recorded: Callable[..., Any]) -> Callable[..., Any]:
    return lambda world, event: recorded(world, Recorded(event.speculation, ok=True))


def _adopts_before_it_is_decided(claim_adoption: Callable[..., Any]) -> Callable[..., Any]:
    def claims(world: World, speculation: Speculation) -> None:
        claim_adoption(world, speculation)
        world.out.pop()
        world.later.append(lambda: _adopt_now(world, speculation))

    return claims


def _adopt_now(world: World, speculation: Speculation) -> None:
    adopted = reversing.adoption_claimed(world, Claimed(speculation.id, State.ADOPTED, ok=True))
    if adopted is not None:
        call, _, how = adopted
        lifecycle.adopt(world, speculation, call, how)


def _claims_always(claimed: Callable[..., Any]) -> Callable[..., Any]:
    return lambda world, event: claimed(world, Claimed(event.speculation, event.into, ok=True))


def _lets_go_at_once(world: World, speculation: Speculation) -> None:
    speculation.reversal.awaits = Awaits.NOTHING  # type: ignore[union-attr]
    world.let_go(speculation)


def _lets_others_come(world: World, speculation: Speculation) -> None:
    world.out.append(Settle(speculation.connection, speculation.id, speculation.state, speculation.ended_as))
    _lets_go_at_once(world, speculation)
    undoing._let_older_go_on(world)  # pyright: ignore[reportPrivateUsage]


def _forgets(world: World, event: Any) -> None:
    return


def _discards(world: World, speculation: Speculation, reason: Reason) -> None:
    """As if it had been a read."""
    if speculation.state in (State.READY, State.LAUNCHED, State.JOINED):
        lifecycle.let_go_of_caller(world, speculation)
        speculation.state = State.DISCARDED
        world.ledger.remove(speculation)
        world.let_go(speculation)
        world.out.append(Drop(speculation.connection, speculation.id))


def _undoes_whatever_is_there(state_now: Callable[..., Any]) -> Callable[..., Any]:
    def reads(world: World, speculation: Speculation, digest: str | None) -> None:
        if speculation.reversal is not None and speculation.reversal.left is not None and digest is not None:
            speculation.reversal.left = digest
        state_now(world, speculation, digest)

    return reads


def _trusts_the_undo(world: World, speculation: Speculation, digest: str | None) -> None:
    undoing._restored(world, speculation)  # pyright: ignore[reportPrivateUsage]


def _gives_up_a_failing_undo(undone: Callable[..., Any]) -> Callable[..., Any]:
    def answered(world: World, event: Any) -> None:
        speculation = undoing.awaiting(world, event.speculation, Awaits.UNDO)
        if speculation is not None and event.outcome is UndoOutcome.FAILED:
            undoing._restored(world, speculation)  # pyright: ignore[reportPrivateUsage]
        else:
            undone(world, event)

    return answered


def _fails_early(keep_back: Callable[..., Any]) -> Callable[..., Any]:
    def keeps(world: World, call: CallState, blocker: Blocker) -> None:
        if reversing.in_the_way(world, call):
            call.kept_until = world.now_s
        keep_back(world, call, blocker)

    return keeps


def _began_to_wait_before(self: Waiting, call: CallState, touched: Footprint) -> CallState | None:
    for other in self:
        if other is call:
            return None
        if other.footprint is not None and touched.overlaps(other.footprint) and not (other.reads and call.reads):
            return other
    return None


def _unlaunched(world: World, speculation: Speculation, reason: Reason) -> None:
    speculation.move(Step.DISCARD)
    world.ledger.remove(speculation)
    lifecycle.end(world, speculation, reason)
    world.out.append(Drop(speculation.connection, speculation.id))
    world.let_go(speculation)


def _only_its_own_connection(in_the_way: Callable[..., Any]) -> Callable[..., Any]:
    return lambda world, call: [held for held in in_the_way(world, call) if held.connection == call.connection]


def _looks_at_its_own_connection(world: World, touched: Footprint) -> bool:
    """As if each connection led to another server."""
    return any(touched.overlaps(held.footprint) for held in world.ledger.outstanding)


RULES: dict[str, Rule] = {
    # rule 12
    "conflicting requests wait": Rule("crowd", _put(reversing, "in_the_way", _sees_all)),
    "reads wait too": Rule("crowd", _wrap(reversing, "in_the_way", _only_writes_wait)),
    "who calls over another connection waits too": Rule(
        "apart", _wrap(reversing, "in_the_way", _only_its_own_connection)
    ),
    "nothing is launched beside calls over other connections": Rule(
        "apart", _put(admission, "_is_looked_at", _looks_at_its_own_connection)
    ),
    "nothing is launched beside what conflicts": Rule("calm", _put(admission, "_is_looked_at", lambda *_: False)),
    "what follows an effect falls with it": Rule("chains", _put(reversing, "stands_on_its_own", lambda *_: True)),
    "only what follows an effect may look at it": Rule(
        "crowd", _put(admission, "_depends_on", lambda *_: frozenset[int]())
    ),
    "who waits keeps the order": Rule("crowd", _put(lifecycle, "follows_one_that_waits", lambda *_: None)),
    "who had joined waits where it came": Rule("disk", _put(Waiting, "before", _began_to_wait_before)),
    "a call fails in its time": Rule("broken", _wrap(lifecycle, "keep_back", _fails_early)),
    # rule 13
    "a record comes before the launch": Rule("mixed", _put(reversing, "state_before", _launches_unrecorded)),
    "no record, no launch": Rule("disk", _wrap(reversing, "recorded", _launches_all_the_same)),
    "adoption is on disk before the reply": Rule(
        "mixed", _wrap(reversing, "claim_adoption", _adopts_before_it_is_decided)
    ),
    "what the disk refuses is not adopted": Rule("disk", _wrap(reversing, "adoption_claimed", _claims_always)),
    "what came to nothing is forgotten on disk": Rule("mixed", _put(reversing, "give_up_unlaunched", _unlaunched)),
    "the record goes before others come": Rule("mixed", _put(undoing, "settle", _lets_others_come)),
    "a launched one is never discarded": Rule("mixed", _put(undoing, "doom", _discards)),
    "what a crash left is settled": Rule("mixed", _put(undoing, "inherited", _forgets)),
    # rule 14
    "only what is ours is undone": Rule("foreign", _wrap(undoing, "state_now", _undoes_whatever_is_there)),
    "an undo is looked at": Rule("broken", _put(undoing, "state_restored", _trusts_the_undo)),
    "a failing undo is made again": Rule("broken", _wrap(undoing, "undone", _gives_up_a_failing_undo)),
    "newest first": Rule("chains", _put(undoing, "_newer", lambda *_: [])),
}

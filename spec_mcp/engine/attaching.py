"""Attach mode, which is not lossless: a reply brings along the results of reads that its client is about to make.

Theory: an attached result is shown to the client at that moment, as if it had made the call just then. So each is one
that would answer that very call now, by every rule (what is held has been kept by them up to this event); and what it
shows has been seen from then on, so that nothing earlier may answer later (rule 7), and asking again is a poll. The
result stays where it is: should the client make the call all the same, it is answered as ever. No reply waits for any
of this: what is not ready, or would first have to be proved fresh, is not attached.
"""

from __future__ import annotations

from functools import partial

from spec_mcp.engine import reversing, spoiling
from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.commands import AttachReads
from spec_mcp.engine.effects import reads
from spec_mcp.engine.events import Mode
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.likeness import likeness
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import State
from spec_mcp.engine.world import SessionState, World

LEAST_Q = 0.8
"""The least probability of use: a saved turn is worth seconds and some thousand tokens, but what nobody wanted is read
by the model in every later turn, and at four wanted of five it still pays."""

ATTACHED_MAX = 3
"""Results with one reply: agents make two or three calls in a turn, and more would crowd out the answer itself."""

ATTACHED_MAX_BYTES = 16 * 1024
"""Of all that is attached to one reply: about four thousand tokens, the price of one turn of a short conversation."""

KNOWN_MAX = 64
"""Attached reads remembered for a session, in order to tell that the client made the call all the same."""


def attach(world: World, call: CallState, host: Speculation | None) -> list[Speculation]:
    """Decide what goes along with the answer to a call: the server's own, or what `host` holds. `given` is due after
    the bookkeeping of that answer."""
    session = world.sessions.get(call.session)
    if session is None or not _takes_extras(world, call) or not _has_room(host):
        return []
    fitting: list[Speculation] = []
    size_bytes = 0
    for held in sorted(world.ledger.live.of(call.session), key=_by_likelihood):
        if not _may_be_attached(world, session, held) or _runs_backwards(world, call, host, held):
            continue
        if len(fitting) < ATTACHED_MAX and size_bytes + held.extra_bytes <= ATTACHED_MAX_BYTES:
            fitting.append(held)
            size_bytes += held.extra_bytes
    if not fitting:
        return []
    world.out.append(AttachReads(call.connection, call.id, tuple(held.id for held in fitting)))
    for held in fitting:
        held.attached_to = call.id
        session.attached[held.key] = None
    while len(session.attached) > KNOWN_MAX:
        del session.attached[next(iter(session.attached))]
    return fitting


def given(world: World, extras: list[Speculation]) -> None:
    """The client has them from now on."""
    if extras:
        world.later.append(partial(_seen, world, extras))


def was_attached(world: World, session: SessionState, key: CallKey | None) -> bool:
    """Was the client given what this call reads, with nothing written there since?"""
    return key is not None and key in session.attached and key in world.ledger.answered


def _takes_extras(world: World, call: CallState) -> bool:
    return world.settings.attach and world.mode is Mode.ON and call.may_attach


def _has_room(host: Speculation | None) -> bool:
    """Is this an answer in which extra items have their place? Only good results are; those are known to be."""
    return host is None or host.extra_bytes > 0


def _by_likelihood(held: Speculation) -> tuple[float, int]:
    return -held.foreseen[1], held.id


def _may_be_attached(world: World, session: SessionState, held: Speculation) -> bool:
    return (
        held.attached_to is None
        and held.extra_bytes > 0
        and _is_news(world, held)
        and _is_likely(session, held)
        and _is_at_hand(world, held)
        and _needs_no_proof(held)
        and _would_answer(world, session, held)
    )


def _is_news(world: World, held: Speculation) -> bool:
    """Has no call had this answer, with nothing written since?"""
    return held.key not in world.ledger.answered


def _is_likely(session: SessionState, held: Speculation) -> bool:
    """Was it foreseen since the client began to think last, and as likely?"""
    step, q = held.foreseen
    return q >= LEAST_Q and step > session.idle_step


def _is_at_hand(world: World, held: Speculation) -> bool:
    """Could it answer a call at once, and is it a read that nothing hangs on?"""
    return (
        held.state is State.READY
        and held.caller is None
        and held.compared_with is None
        and held.checks is None
        and held.reversal is None
        and not held.policy.lossy
        and reversing.stands_on_its_own(world, held)
    )


def _needs_no_proof(held: Speculation) -> bool:
    """A validator would have to be read first, and no reply waits for that."""
    return held.policy.fresh is None


def _would_answer(world: World, session: SessionState, held: Speculation) -> bool:
    """Rule 5: would the client's call be this very call, if it came now?"""
    connection = world.way_of(session, held.server)
    if connection is None or connection.name != held.connection or not reads(connection.tool(held.tool)):
        return False
    template = likeness(world, session, connection)
    if template is None or world.ledger.by_key.get(held.key) is not held or world.calls.ask_for(held.key):
        return False
    return held.key == template._replace(epoch=connection.epoch, tool=held.tool, arguments=held.key.arguments)


def _runs_backwards(world: World, call: CallState, host: Speculation | None, held: Speculation) -> bool:
    """Rule 7: may it show something as it was before what the answer itself shows?"""
    if held is host:
        return True
    seen, at_s = (world.footprint(call), world.now_s) if host is None else (host.footprint, host.under_way[1])
    return spoiling.is_earlier(held, at_s) and held.footprint.overlaps(seen)


def _seen(world: World, extras: list[Speculation]) -> None:
    """The client has them: they count as answered, and as seen at their moments."""
    for held in extras:
        world.ledger.remember_answer(held.key, held.footprint, len(world.sessions))
    for held in extras:
        spoiling.overtake(world, held.footprint, held.under_way[1], held)

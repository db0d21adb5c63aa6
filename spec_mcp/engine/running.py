"""What runs and has no answer yet: a client's call or a speculation, as far as it can be supposed to be answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spec_mcp.engine.calls import Arguments, CallKey
from spec_mcp.engine.commands import BindSurrogate
from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.events import Guess, Lineage, SpeculationId
from spec_mcp.engine.inflight import CallState
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.states import State
from spec_mcp.engine.world import World


@dataclass(frozen=True, slots=True)
class Running:
    """A call of the session, or a speculation for it."""

    connection: ConnectionState
    tool: str
    arguments: Arguments
    key: CallKey
    is_made: bool
    """It is the client's own call."""
    q: float
    """How likely it is that the client makes this call: of its own, 1."""
    lineage: Lineage
    """What is supposed before it."""
    left_s: float
    """How long it is still expected to take."""


def find(world: World, session: str, key: CallKey) -> Running | None:
    """What of the session runs under this key."""
    for call in world.calls.of(session):
        if call.key == key and call.is_tool_call and call.arguments is not None:
            connection = world.connection(call.connection)
            return Running(connection, call.tool, call.arguments, key, True, 1.0, (), left_s(world, call))
    held = world.ledger.by_key.get(key)
    if held is None or held.session != session or held.state is not State.LAUNCHED:
        return None
    connection = world.connection(held.connection)
    return Running(connection, held.tool, held.arguments, key, False, held.q, held.lineage, left_s(world, held))


def left_s(world: World, running: CallState | Speculation) -> float:
    """How long it is still expected to take, in seconds; below 0 where it takes longer than that already."""
    if isinstance(running, CallState):
        since_s = running.arrived_at
    else:
        since_s = world.now_s if running.launched_at is None else running.launched_at
    return since_s + world.timing.latency_s(running.server, running.tool, 0.5) - world.now_s


def steps_ahead(world: World, session: str, lineage: Lineage) -> int:
    """How many calls that the client has not made yet are supposed in a lineage."""
    first = lineage[0] if lineage else None
    made = isinstance(first, Guess) and any(call.key == first.key for call in world.calls.of(session))
    return len(lineage) - made


def guesses_in(lineage: Lineage) -> Sequence[Guess]:
    """The guessed answers that are supposed in a lineage."""
    return [link for link in lineage if isinstance(link, Guess)]


def without(lineage: Lineage, guess: Guess, held: SpeculationId | None) -> Lineage:
    """The lineage where a guess is no guess any more: its call is history, or a speculation whose result is held."""
    instead: Lineage = () if held is None else (held,)
    parts = [instead if link is guess else (link,) for link in lineage]
    return tuple(link for part in parts for link in part)


def bind(world: World, session: str, running: CallState | Speculation) -> None:
    """Have the call of its surrogate made out, if it has one."""
    server = world.server(running.server)
    if running.tool not in server.surrogates or running.key is None or running.arguments is None:
        return
    surrogate = world.connection(running.connection).tool(running.tool).surrogate
    if surrogate is not None:
        world.out.append(BindSurrogate(session, surrogate, running.arguments, running.key))

"""How many speculations a server works on at once: calls come first (rule 4)."""

from __future__ import annotations

from collections.abc import Iterable

from spec_mcp.engine.connections import ConnectionState
from spec_mcp.engine.ledger import using
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.standing import is_measured_concurrent
from spec_mcp.engine.world import World

MEASURED_PLACES = 2
"""Calls and speculations at once on a server of which no more is known than that it was measured to work on two."""


def has_place(world: World, connection: ConnectionState, session: str, itself: Speculation | None = None) -> bool:
    """Rule 4: calls come first. A server that speculations slow down is left alone, whoever calls it."""
    coming, outstanding, name = world.ledger.in_preparation, world.ledger.outstanding, connection.name
    server = connection.server
    world.ledger.forget_cancelled(world.now_s)
    if world.timing.slows(server.name):
        running = _running(world, coming.at(server.name), outstanding.at(server.name), itself)
        return running == 0 and not world.calls.working_at(server.name)
    if server.policy.concurrent:  # each session may ask as much as if it had the server for itself
        own = [one for one in outstanding.of(session) if one.connection == name]
        about_to = [one for one in coming.of(session) if one.connection == name]
        return _running(world, about_to, own, itself) < world.settings.in_flight
    running = _running(world, coming.on(name), outstanding.on(name), itself)
    calls = world.calls.working_on(name)
    if is_measured_concurrent(world, server):
        return running + calls < min(MEASURED_PLACES, world.settings.in_flight)
    return running == 0 and not calls


def _running(
    world: World, coming: Iterable[Speculation], outstanding: Iterable[Speculation], itself: Speculation | None
) -> int:
    """How many of ours use the server's strength, or are about to."""
    return sum(1 for other in coming if other is not itself) + using(outstanding, world.now_s)

"""What holds for a tool, whatever the arguments of a call: may it be speculated at all (rules 1 to 4, 11, 12 and 14).

It is asked once for all the candidates of a predicted set, and again when something was launched.
"""

from __future__ import annotations

from dataclasses import dataclass

from spec_mcp.engine.connections import ConnectionState, ServerState
from spec_mcp.engine.effects import Effect, ToolPolicy, ToolValidator, reads
from spec_mcp.engine.events import Mode
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import World


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for a tool until something is launched or the next event comes."""

    connection: ConnectionState
    policy: ToolPolicy
    forbidden: Reason | None
    """What the manifest and the user say against it."""
    has_budget: bool
    """May it reach the outside world once more (rule 3)?"""
    barred: Reason | None
    """What has become of the server, the connection and the tool since."""
    too_slow: bool
    """It would not end within the thinking gap on a server that does one thing at a time."""


def standing_of(world: World, connection: ConnectionState, tool: str) -> Standing:
    """Look a tool up."""
    server, policy = connection.server, connection.tool(tool)
    is_serial = not server.policy.concurrent and not is_measured_concurrent(world, server)
    return Standing(
        connection,
        policy,
        _forbidden(world, connection, tool, policy),
        not policy.open_world or server.within_budget(tool, world.now_s),
        barred(world, connection, tool),
        is_serial and world.timing.latency_s(server.name, tool, 0.75) > world.timing.gap_s(0.5),
    )


def is_measured_concurrent(world: World, server: ServerState) -> bool:
    """Nobody says whether it works on several calls at once, but the client's own calls have shown it."""
    return server.policy.concurrent is None and world.timing.works_side_by_side(server.name)


def _forbidden(world: World, connection: ConnectionState, tool: str, policy: ToolPolicy) -> Reason | None:
    """Rules 1 to 4: what may not be speculated, whatever it would gain."""
    if (reason := connection.doubt(tool)) is not None:
        return reason
    if not reads(policy):
        if policy.lossy:
            reason = None if world.settings.lossy and world.mode is Mode.ON else Reason.UNSAFE
        else:
            reason = _irreversible(world, connection, tool, policy)
        if reason is not None:
            return reason
    elif policy.ttl_s is None and not policy.exclusive:
        return Reason.EXPIRED  # no manifest says so, but its result would never be too old
    if isinstance(policy.fresh, ToolValidator) and not _may_validate(connection, policy.fresh.tool):
        return Reason.UNVALIDATED
    return None


def _may_validate(connection: ConnectionState, tool: str) -> bool:
    """Rule 7: is the version tool known to do nothing but read?"""
    return reads(connection.tool(tool)) and not connection.tool(tool).open_world


def _irreversible(world: World, connection: ConnectionState, tool: str, policy: ToolPolicy) -> Reason | None:
    """Rules 1, 12 and 14: why this tool's effect may not be made early and taken back."""
    server = connection.server
    if policy.effect is not Effect.REVERSIBLE or not world.settings.reversible:
        return Reason.UNSAFE
    if policy.undo is None or policy.before is None or not policy.exclusive:
        return Reason.NOT_REVERSIBLE_HERE
    if not policy.proved and f"{server.name}.{tool}" not in world.settings.accept_unproven:
        return Reason.UNPROVEN
    if any(connection.changed(used.tool) for used in (policy.undo, policy.before, policy.probe) if used is not None):
        return Reason.CHANGED
    if any(held.state is State.STUCK for held in world.ledger.unadopted.at(server.name)):
        return Reason.STUCK_THERE
    if world.mode is not Mode.ON:
        return Reason.UNSAFE
    return Reason.SUBSCRIBED if server.subscribed_on else None


def barred(world: World, connection: ConnectionState, tool: str) -> Reason | None:
    """Rules 1, 2, 4 and 11, and the user's bound: what has become of the server, the connection and the tool."""
    server = connection.server
    if (reason := connection.doubt(tool)) is not None:
        return reason
    if not connection.connected:
        return Reason.BUSY
    if world.board is not None and world.board.cut_off:
        return Reason.CUT_OFF
    if connection.mistrusted_for is not None or server.died_under(tool):
        return Reason.DEMOTED
    if world.mode is Mode.ON and server.evidence.is_demoted(tool):  # shadow mode goes on looking
        return Reason.DEMOTED
    if world.now_s < server.quiet_until:
        return Reason.RATE_LIMITED
    if not server.within_rate(world.now_s):
        return Reason.RATE
    return None

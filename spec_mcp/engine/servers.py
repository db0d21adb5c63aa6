"""What servers do beside answering: connections come and go, tools are listed, servers notify and ask."""

from __future__ import annotations

from collections.abc import Mapping

from spec_mcp.engine import lifecycle, posting, reversing, undoing
from spec_mcp.engine.commands import Demote, HoldNotification, PassOn, PinFingerprint, Refuse, Withhold
from spec_mcp.engine.connections import ConnectionState, ServerState
from spec_mcp.engine.effects import NO_MANIFEST
from spec_mcp.engine.events import (
    Attached,
    Connected,
    ConnectionClosed,
    Disconnected,
    ManifestFound,
    ServerAsked,
    ServerNotified,
    ToolsListed,
)
from spec_mcp.engine.methods import (
    ALWAYS_PASSED_ON,
    HARMLESS_NOTIFICATIONS,
    OBSERVING_NOTIFICATIONS,
    SPOILING_NOTIFICATIONS,
)
from spec_mcp.engine.speculation import Speculation
from spec_mcp.engine.spoiling import leave, overtake, spoil, take_notice
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import World

SILENCE_S = 2.0
"""How long calls wait at the most for speculations that prompt or log: they have been refused, and soon answer."""

LISTED_MAX = 4096
"""Tools of one server; a list that is longer is no list, and nothing in it is speculated."""

# --- connections ------------------------------------------------------------------------------------------------------


def attached(world: World, event: Attached) -> None:
    """The session has a way to the server. What was told of the connection before, was told of that server."""
    known = world.connections.get(event.connection)
    before = None if known is None else known.server
    world.attach(event.session, event.server, event.connection)
    session = world.session(event.session)
    session.principal = event.principal or session.principal
    if before is not None and before.name != event.server and before.policy != NO_MANIFEST:
        manifest_found(world, ManifestFound(event.connection, before.policy, before.pins))


def connected(world: World, event: Connected) -> None:
    """Rule 8: nothing crosses a restart or a new handshake."""
    connection = world.connection(event.connection)
    leave(world, connection, Reason.DISCONNECTED)
    world.ledger.writes.forget_lost(connection.name)
    forget_handshake(world, connection)
    connection.epoch, connection.protocol = event.epoch, event.protocol
    connection.connected = True


def disconnected(world: World, event: Disconnected) -> None:
    """Rule 4: what it died under is not speculated again, over any connection."""
    connection = world.connection(event.connection)
    if event.ended:
        running = world.ledger.outstanding_on(connection.name, world.now_s)
        connection.server.deadly.update(speculation.tool for speculation in running)
    _lose(world, connection, event.ended)


def _lose(world: World, connection: ConnectionState, ended: bool) -> None:
    """No answer will come to what was asked over it; with the process, what it was doing has ended."""
    connection.connected = False
    reversing.connection_lost(world, connection)
    if ended:
        world.ledger.writes.lose(connection.name, world.calls.is_unsent)
    leave(world, connection, Reason.DISCONNECTED)
    forget_handshake(world, connection)
    undoing.connection_lost(world, connection)
    world.calls.forget_cancelled(connection.name)
    for speculation in list(world.ledger.outstanding.on(connection.name)):
        world.no_longer_outstanding(speculation.id)


def forget_handshake(world: World, connection: ConnectionState) -> None:
    """What was agreed over it is void; what the server works on it may go on with, where it is the same process."""
    connection.fingerprints = None
    for name in connection.sessions:
        world.session(name).template.pop(connection.name, None)


def closed(world: World, event: ConnectionClosed) -> None:
    """Nobody will speak of it again, nor be told of what was asked over it. We left: nothing there has died."""
    connection = world.connections.get(event.connection)
    if connection is None:
        return
    if connection.connected:
        _lose(world, connection, event.ended)
    connection.closed = True
    for call in list(world.calls.on(connection.name)):
        lifecycle.forget(world, call)
    for name in list(connection.sessions):
        world.parts(world.session(name), connection)
    world.ledger.writes.abandon(connection.name, world.now_s)
    world.timing.forget(connection.server.name, connection.name)
    undoing.connection_closed(world, connection)
    world.forget_if_closed(connection.name)


# --- definitions ------------------------------------------------------------------------------------------------------


def tools_listed(world: World, event: ToolsListed) -> None:
    """Rule 1: what is seen first is pinned; what has changed since is not speculated."""
    connection = world.connection(event.connection)
    connection.fingerprints = None
    if len(event.fingerprints) <= LISTED_MAX:
        connection.fingerprints = _as_known(connection.server, event) or dict(event.fingerprints)
    _pin(world, connection)
    undoing.can_be_asked(world, connection)


def _as_known(server: ServerState, event: ToolsListed) -> Mapping[str, str] | None:
    """The same list as over another connection, so that a thousand of them need not be kept."""
    first = next(iter(server.connections.values())).fingerprints
    return first if first == event.fingerprints else None


def manifest_found(world: World, event: ManifestFound) -> None:
    """From now on its word holds, over all connections; what is in flight was taken for a write of everything and
    stays that.

    A write that has been answered already may be one that takes effect late.
    """
    connection = world.connection(event.connection)
    server = connection.server
    _learn(world, server, event)
    if event.policy == server.policy:  # told again, over another connection
        server.pins = {**event.pins, **server.pins}
        _pin(world, connection)
        return
    for other in list(server.connections.values()):
        leave(world, other, Reason.SPOILED)
    world.ledger.forget_answers(server.everything)
    server.review(event.policy, event.pins)
    for other in server.connections.values():
        for call in world.calls.on(other.name):
            world.ledger.writes.settles_with(call.id, event.policy.tool(call.tool).settle_s)
    take_notice(world, connection, server.longest_settle_s)
    for other in server.connections.values():
        _pin(world, other)


def _learn(world: World, server: ServerState, event: ManifestFound) -> None:
    """What comparisons have shown holds for what the manifest said then."""
    server.evidence.review(event.policy)
    server.evidence.learn(event.known)
    world.out += [Demote(server.name, tool, "") for tool in server.evidence.outdated()]


def _pin(world: World, connection: ConnectionState) -> None:
    server = connection.server
    for tool, fingerprint in (connection.fingerprints or {}).items():
        policy = server.policy.tools.get(tool)
        if policy is not None and policy.fingerprint is None and tool not in server.pins:
            server.pins[tool] = fingerprint
            world.out.append(PinFingerprint(server.name, tool, fingerprint))


# --- what servers say -------------------------------------------------------------------------------------------------


def notified(world: World, event: ServerNotified) -> None:
    """A change that the server tells of, or something that a call or a speculation made it say."""
    connection = world.connection(event.connection)
    if event.method in SPOILING_NOTIFICATIONS:
        if (held := reversing.has_caused(world, connection, event.method)) is not None:
            world.out.append(HoldNotification(connection.name, held.id))
            return
        spoil(world, connection.everything)
        posting.notice(world, connection, writes=True)
        if event.method == "notifications/tools/list_changed":
            connection.fingerprints = None
    elif event.method in OBSERVING_NOTIFICATIONS:
        overtake(world, connection.everything, world.now_s, None)
        posting.notice(world, connection, writes=False)
    elif event.method not in HARMLESS_NOTIFICATIONS and may_be_ours(world, connection):
        if not world.works_for_clients(connection):
            world.out.append(Withhold(connection.name))
        stop_speculating_on(world, connection)


def asked(world: World, event: ServerAsked) -> None:
    """Rule 11: no prompt that the client did not cause, and no doubt about which did."""
    connection = world.connection(event.connection)
    refused = False
    if event.method not in ALWAYS_PASSED_ON and may_be_ours(world, connection):
        refused = not world.works_for_clients(connection)
        stop_speculating_on(world, connection)
    world.out.append((Refuse if refused else PassOn)(connection.name, event.request))


def may_be_ours(world: World, connection: ConnectionState) -> bool:
    """Is the server working on a speculation there, or on something that belongs to one?"""
    if world.ledger.outstanding_on(connection.name, world.now_s) or undoing.asks(world, connection):
        return True
    return any(_is_validating(world, held) for held in world.ledger.version_checked.on(connection.name))


def _is_validating(world: World, speculation: Speculation) -> bool:
    """Is its version asked for: before its launch, for the call that would adopt it, or for a comparison?"""
    if speculation.compared_with is not None:
        return speculation.state is State.READY and speculation.compared_with not in world.calls
    return speculation.state is State.PROPOSED or speculation.caller is not None


def stop_speculating_on(world: World, connection: ConnectionState) -> None:
    """What is said there cannot be told apart: not speculated again while these sessions last."""
    connection.mistrusted_for = (connection.mistrusted_for or set()) | connection.sessions.keys()
    connection.suspect_until = world.now_s + SILENCE_S
    leave(world, connection, Reason.PROMPTED)

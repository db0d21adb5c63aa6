"""What servers do beside answering: they come and go, list their tools, notify and ask."""

from __future__ import annotations

from spec_mcp.engine import reversing, undoing
from spec_mcp.engine.commands import HoldNotification, PassOn, PinFingerprint, Refuse, Withhold
from spec_mcp.engine.effects import ToolValidator
from spec_mcp.engine.events import (
    Connected,
    Disconnected,
    ManifestFound,
    ServerAsked,
    ServerNotified,
    ToolsListed,
)
from spec_mcp.engine.ledger import Speculation
from spec_mcp.engine.methods import (
    ALWAYS_PASSED_ON,
    HARMLESS_NOTIFICATIONS,
    OBSERVING_NOTIFICATIONS,
    SPOILING_NOTIFICATIONS,
)
from spec_mcp.engine.spoiling import leave, overtake, spoil, take_notice
from spec_mcp.engine.states import Reason, State
from spec_mcp.engine.world import ServerState, World

SILENCE_S = 2.0
"""How long calls wait at the most for speculations that prompt or log: they have been refused, and soon answer."""

LISTED_MAX = 4096
"""Tools of one server; a list that is longer is no list, and nothing in it is speculated."""


def connected(world: World, event: Connected) -> None:
    """Rule 8: nothing crosses a restart or a new handshake."""
    server = world.server(event.server)
    leave(world, server, Reason.DISCONNECTED)
    world.ledger.forget_lost_writes(server.name)
    forget_handshake(world, server)
    server.epoch = event.epoch
    server.connected = True


def disconnected(world: World, event: Disconnected) -> None:
    """Rule 4: what it died under is not speculated again."""
    server = world.server(event.server)
    server.connected = False
    reversing.connection_lost(world, server)
    if event.ended:
        server.deadly.update(speculation.tool for speculation in world.ledger.outstanding_on(server.name, world.now_s))
        world.ledger.lose_writes(server.name, {call.id for call in world.calls.values() if not call.invoked})
    leave(world, server, Reason.DISCONNECTED)
    forget_handshake(world, server)
    undoing.connection_lost(world, server)
    server.cancelled.clear()
    for speculation in world.ledger.outstanding_on(server.name, world.now_s):
        del world.ledger.outstanding[speculation.id]


def forget_handshake(world: World, server: ServerState) -> None:
    """What was agreed with this server is void; what it works on it may go on with, where it is the same process."""
    server.fingerprints = None
    for session in world.sessions.values():
        session.template.pop(server.name, None)


def tools_listed(world: World, event: ToolsListed) -> None:
    """Rule 1: what is seen first is pinned; what has changed since is not speculated."""
    server = world.server(event.server)
    server.fingerprints = dict(event.fingerprints) if len(event.fingerprints) <= LISTED_MAX else None
    _pin(world, server)
    undoing.can_be_asked(world, server)


def manifest_found(world: World, event: ManifestFound) -> None:
    """From now on its word holds; what is in flight was taken for a write of everything and stays that.

    A write that has been answered already may be one that takes effect late.
    """
    server = world.server(event.server)
    leave(world, server, Reason.SPOILED)
    server.review(event.policy, event.pins)
    for call in world.calls.values():
        if call.server == server.name and (write := world.ledger.writes.get(call.id)) is not None:
            write.settle_s = event.policy.tool(call.tool).settle_s
    take_notice(world, server, server.longest_settle_s)
    _pin(world, server)


def _pin(world: World, server: ServerState) -> None:
    for tool, fingerprint in (server.fingerprints or {}).items():
        policy = server.policy.tools.get(tool)
        if policy is not None and policy.fingerprint is None and tool not in server.pins:
            server.pins[tool] = fingerprint
            world.out.append(PinFingerprint(server.name, tool, fingerprint))


def notified(world: World, event: ServerNotified) -> None:
    """A change that the server tells of, or something that a call or a speculation made it say."""
    server = world.server(event.server)
    if event.method in SPOILING_NOTIFICATIONS:
        if (held := reversing.has_caused(world, server, event.method)) is not None:
            world.out.append(HoldNotification(held.id))
            return
        spoil(world, server.everything)
        if event.method == "notifications/tools/list_changed":
            server.fingerprints = None
    elif event.method in OBSERVING_NOTIFICATIONS:
        overtake(world, server.everything, world.now_s, None)
    elif event.method not in HARMLESS_NOTIFICATIONS and may_be_ours(world, server):
        if not world.works_for_clients(server):
            world.out.append(Withhold(event.server))
        stop_speculating_on(world, server)


def asked(world: World, event: ServerAsked) -> None:
    """Rule 11: no prompt that the client did not cause, and no doubt about which did."""
    server = world.server(event.server)
    refused = False
    if event.method not in ALWAYS_PASSED_ON and may_be_ours(world, server):
        refused = not world.works_for_clients(server)
        stop_speculating_on(world, server)
    world.out.append((Refuse if refused else PassOn)(event.server, event.request))


def may_be_ours(world: World, server: ServerState) -> bool:
    """Is the server working on a speculation, or on something that belongs to one?"""
    return bool(world.ledger.outstanding_on(server.name, world.now_s)) or (
        undoing.asks(world, server) or any(map(_is_validating, world.ledger.live_on(server.name)))
    )


def _is_validating(speculation: Speculation) -> bool:
    if not isinstance(speculation.policy.fresh, ToolValidator):
        return False
    return speculation.state is State.PROPOSED or speculation.caller is not None or speculation.unproven


def stop_speculating_on(world: World, server: ServerState) -> None:
    """What it says cannot be told apart: not speculated again in this session."""
    server.chatty = True
    server.suspect_until = world.now_s + SILENCE_S
    leave(world, server, Reason.PROMPTED)

"""What client and server say of themselves, in the one era and in the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras import words
from spec_mcp.relay.gateway.eras.text import changed, is_object, quoted, text_of
from spec_mcp.relay.gateway.splicing import written

UNKNOWN = b'{"name":"unknown","version":"0"}'
"""Who does not say who it is, where the other era demands it."""


class Era(StrEnum):
    """How a peer speaks."""

    HANDSHAKE = "handshake"
    """2025-11-25 and before: `initialize` first, requests in both directions."""
    STATELESS = "stateless"
    """2026-07-28: each request says all that is needed, and the server asks in its answers."""


@dataclass(frozen=True, slots=True)
class ServerAbout:
    """What is known when client and server have been met."""

    version: str
    """Of the protocol, as it is spoken with the server."""
    result: bytes
    """Of `initialize` or `server/discover`, as the server gave it."""
    client: bytes = b"{}"
    """What the client said of itself: the params of its `initialize`, or the `_meta` of a request."""
    just_met: bool = False
    """Was the server greeted only now? Then it may be about to ask what it needs to know before it can work."""
    capabilities: dict[str, bytes] = field(init=False)
    """The server's, raw."""

    def __post_init__(self) -> None:
        found = wire.members(wire.members(self.result).get("capabilities", b""))
        object.__setattr__(self, "capabilities", found)

    def says(self, capability: str, detail: str = "") -> bool:
        """Does the server have this capability, and this detail of it?"""
        raw = self.capabilities.get(capability, b"")
        return is_object(raw) and (not detail or wire.members(raw).get(detail) == b"true")

    @property
    def changing(self) -> frozenset[str]:
        """Of which lists the server says when they change: `tools`, `prompts`, `resources`."""
        return frozenset(name for name in words.CHANGED if self.says(name, "listChanged"))


# --- servers --------------------------------------------------------------------------------------------------------


def discover_result(initialize_result: bytes, versions: Sequence[str] = (words.STATELESS_VERSION,)) -> bytes:
    """What a client of the stateless era is told of a server that made a handshake. The versions are those it may
    use with us."""
    found = wire.members(initialize_result)
    info = found.get("serverInfo", b"")
    members = {
        "resultType": b'"complete"',
        "supportedVersions": quoted(list(versions)),
        "capabilities": _without_tasks(found.get("capabilities", b"{}")),
        "instructions": found.get("instructions", b""),
        "ttlMs": b"0",
        "cacheScope": b'"private"',
        "_meta": written({words.SERVER_META: info}) if is_object(info) else b"",
    }
    return written({name: raw for name, raw in members.items() if raw not in (b"", wire.NULL)})


def initialize_result(discover_result: bytes, requested: str) -> bytes:
    """What a client that asked for a handshake is told of a server of the stateless era."""
    found = wire.members(discover_result)
    info = wire.members(found.get("_meta", b"")).get(words.SERVER_META, b"")
    members = {
        "protocolVersion": quoted(agreed(requested)),
        "capabilities": _without_tasks(found.get("capabilities", b"{}")),
        "serverInfo": info if is_object(info) else UNKNOWN,
        "instructions": found.get("instructions", b""),
    }
    return written({name: raw for name, raw in members.items() if raw not in (b"", wire.NULL)})


def agreed(requested: str) -> str:
    """The version of the handshake era that is spoken with a client which asked for this one."""
    return requested if requested in words.HANDSHAKE_VERSIONS else words.HANDSHAKE_VERSIONS[-1]


# --- clients --------------------------------------------------------------------------------------------------------


def initialize_params(meta: bytes, version: str = words.HANDSHAKE_VERSIONS[-1]) -> bytes:
    """How a client of the stateless era, by the `_meta` of a request, introduces itself in a handshake."""
    found = wire.members(meta)
    info = found.get(words.CLIENT_META, b"")
    return written(
        {
            "protocolVersion": quoted(version),
            "capabilities": _without_tasks(found.get(words.CAPABILITIES_META, b"{}")),
            "clientInfo": info if is_object(info) else UNKNOWN,
        }
    )


def stateless_meta(initialize_params: bytes, version: str = words.STATELESS_VERSION) -> bytes:
    """How a client that made a handshake introduces itself with each request: the `_meta` of such a request."""
    found = wire.members(initialize_params)
    members = {
        words.VERSION_META: quoted(version),
        words.CAPABILITIES_META: _without_tasks(found.get("capabilities", b"{}")),
    }
    if is_object(info := found.get("clientInfo", b"")):
        members[words.CLIENT_META] = info
    return written(members)


def requested_version(initialize_params: bytes) -> str:
    """The version that a client asks for in its handshake; empty where it names none."""
    return text_of(wire.members(initialize_params).get("protocolVersion", b""))


def _without_tasks(capabilities: bytes) -> bytes:
    """The eras have different tasks, and a call that may not become one is an ordinary call."""
    if not is_object(capabilities):
        return b"{}"
    if b"tasks" not in capabilities:
        return capabilities
    extensions = wire.members(capabilities).get("extensions", b"")
    if words.TASKS_EXTENSION in wire.members(extensions):
        extensions = changed(extensions, {words.TASKS_EXTENSION: b""})
    return changed(capabilities, {"tasks": b"", "extensions": extensions})

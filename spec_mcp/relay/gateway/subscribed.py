"""Who of several sessions on one connection is subscribed to what, and wants to hear how much of the log.

The server knows one client: it is subscribed where anybody is, and logs what the most curious wants.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.eras.text import quoted
from spec_mcp.relay.gateway.eras.words import LEVELS, SUBSCRIBE
from spec_mcp.relay.gateway.splicing import spliced

if TYPE_CHECKING:
    from spec_mcp.relay.gateway.leg import Leg

URIS_MAX = 4096
"""Resources that all sessions of a connection may be subscribed to."""


def uri_of(params: bytes) -> str | None:
    """The resource that params name."""
    found = wire.lenient(wire.members(params).get("uri", wire.NULL))
    return found if isinstance(found, str) else None


class Subscribed:
    """Of one connection."""

    def __init__(self) -> None:
        self._legs: dict[str, dict[Leg, bool]] = {}
        """By resource; true once the server has agreed."""

    def is_needless(self, leg: Leg, method: str, uri: str) -> bool:
        """Is the server in that state anyway, for another's sake?"""
        others = [agreed for other, agreed in self._legs.get(uri, {}).items() if other is not leg]
        return any(others) if method == SUBSCRIBE else bool(others)

    def has_room(self, uri: str) -> bool:
        """May somebody subscribe to this, too?"""
        return uri in self._legs or (len(self._legs) < URIS_MAX and len(uri) <= wire.URI_MAX_CHARS)

    def wants(self, leg: Leg, uri: str, is_agreed: bool) -> None:
        """It asks for this subscription, or has it."""
        self._legs.setdefault(uri, {})[leg] = is_agreed

    def agreed(self, leg: Leg, uri: str) -> None:
        """The server has said yes."""
        if leg in self._legs.get(uri, {}):
            self._legs[uri][leg] = True

    def gives_up(self, leg: Leg, uri: str) -> None:
        """It does not want it any more, or does not get it."""
        legs = self._legs.get(uri, {})
        legs.pop(leg, None)
        if not legs:
            self._legs.pop(uri, None)

    def left(self, leg: Leg) -> list[str]:
        """It is gone; the resources that nobody wants any more."""
        wanted = [uri for uri, legs in self._legs.items() if leg in legs]
        for uri in wanted:
            self.gives_up(leg, uri)
        return [uri for uri in wanted if uri not in self._legs]

    def hearing(self, uri: str | None, legs: Iterable[Leg]) -> list[Leg]:
        """Who is told that this resource has changed: what nobody named may be a part of what somebody named."""
        named = self._legs.get(uri, {}) if uri is not None else {}
        some = named or {leg for subscribed in self._legs.values() for leg in subscribed}
        return [leg for leg in legs if leg in some]


class Levels:
    """Of logging, on one connection."""

    def __init__(self) -> None:
        self._levels: dict[Leg, int] = {}
        self._told: int | None = None

    def wanted(self, leg: Leg, params: bytes) -> bytes:
        """It wants to hear this much from now on; the params with which the server is told, empty where it knows."""
        level = wire.lenient(wire.members(params).get("level", wire.NULL))
        if level not in LEVELS:
            return params  # the server says what is wrong with that
        self._levels[leg] = LEVELS.index(str(level))
        lowest = min(self._levels.values())
        is_known, self._told = lowest == self._told, lowest
        return wire.ABSENT if is_known else spliced(params, "level", quoted(LEVELS[lowest]))

    def left(self, leg: Leg) -> None:
        """It is gone; the server may go on as it does."""
        self._levels.pop(leg, None)

    def hears(self, leg: Leg, params: bytes) -> bool:
        """Does it want this message?"""
        level = wire.lenient(wire.members(params).get("level", wire.NULL))
        return level not in LEVELS or LEVELS.index(str(level)) >= self._levels.get(leg, 0)

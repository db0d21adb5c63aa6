"""What one replica knows of the others: what it has posted, and what they offer.

Theory: replicas share nothing but a board (a table in the database that they share). What a request touches is posted
before it goes to its server, and what is speculated is offered before its launch; a result answers a call only if the
board says, in one step, that nothing that is posted speaks against it. So what one replica is told of the others is
never a reason to adopt anything: it only spares trouble.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from spec_mcp.engine.calls import CallKey
from spec_mcp.engine.events import OfferId, PostId
from spec_mcp.engine.writes import Place

OFFERS_MAX = 16_384
"""Offers of other replicas remembered: as many as results that one may hold. The oldest go."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """What another replica offers."""

    offer: OfferId
    ready: bool


@dataclass(slots=True)
class Board:
    """The board as this replica sees it."""

    cut_off: bool = False
    """It cannot be reached."""
    worlds: dict[str, str] = field(default_factory=dict[str, str])
    """By server that leads all replicas to one world, what tells that world from others."""
    asked: set[PostId] = field(default_factory=set[PostId])
    """What is to be posted, and was not heard of since."""
    posted: set[PostId] = field(default_factory=set[PostId])
    """What is on the board."""
    over: list[PostId] = field(default_factory=list[PostId])
    """What may have come to its end during the present event."""
    notices: dict[Place, PostId] = field(default_factory=dict[Place, PostId])
    """What may take effect still, of all that no request asked for."""
    _offers: OrderedDict[str, Foreign] = field(default_factory=OrderedDict[str, Foreign])
    _notices_made: int = 0

    def next_notice(self) -> PostId:
        """A number for something said without asking for an answer."""
        self._notices_made += 1
        return -self._notices_made

    def announce(self, digest: str, offer: OfferId, ready: bool) -> None:
        """Another replica offers a result of the call with this digest."""
        self._offers[digest] = Foreign(offer, ready)
        self._offers.move_to_end(digest)
        if len(self._offers) > OFFERS_MAX:
            self._offers.popitem(last=False)

    def withdraw(self, digest: str, offer: OfferId) -> None:
        """It does so no more."""
        found = self._offers.get(digest)
        if found is not None and found.offer == offer:
            del self._offers[digest]

    def take_up(self, digest: str) -> Foreign | None:
        """What others offer for a call with this digest. It answers one call."""
        return self._offers.pop(digest, None) if digest else None

    def offers(self, digest: str) -> bool:
        """Does another replica offer a result of that call?"""
        return digest in self._offers

    def forget_offers(self) -> None:
        """Nothing is known of what others offer."""
        self._offers.clear()


def digest_of(world: str, entry: str, fingerprint: str, server: str, key: CallKey) -> str:
    """Equal for calls that are the same whichever replica they reach: all of the key but the connection, which each
    has its own, and what says that they mean the same server, tool and manifest."""
    parts = (world, server, entry, fingerprint, key.protocol, key.tool, key.principal, key.arguments, key.meta)
    told = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        told.update(len(text).to_bytes(8, "big"))
        told.update(text)
    return told.hexdigest()

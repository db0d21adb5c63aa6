"""One server of the configuration: its connections, and who uses which.

per-session   each session has a connection of its own: what the server keeps for it is nobody else's
shared        all sessions of a principal use one
pool          they use the one of a few that the fewest use
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import anyio

from spec_mcp.config import Config
from spec_mcp.engine.events import NOTHING_KNOWN, Attached, Known
from spec_mcp.errors import UserError
from spec_mcp.manifest import Manifest
from spec_mcp.relay.gateway.backs import reached_by
from spec_mcp.relay.gateway.catalogue import Catalogue
from spec_mcp.relay.gateway.connection import Connection
from spec_mcp.relay.gateway.contact import Contact, Lines
from spec_mcp.relay.gateway.greeting import ClientAbout, Eras
from spec_mcp.relay.gateway.leg import Leg
from spec_mcp.relay.gateway.parts import Parts
from spec_mcp.relay.gateway.tenant import Tenant
from spec_mcp.relay.gateway.whose import OneLeg, Switchboard
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.relay.seat import Seat
from spec_mcp.relay.vouching import Vouching, named_manifest
from spec_mcp.store.rows import Scope

IDLE_S = 300.0
"""How long a shared connection is kept for the next session of its principal."""

SETTLING_S = 10.0
"""How long a connection that nobody uses is kept for what is to be taken back there: about what an undo may take."""

SETTLED_POLL_S = 0.05

TOLD_MAX = 256
"""Words about one server until its manifest is edited; who has not read these reads no more."""

POOL_SIZE = 4
"""Connections of a pool, for each principal: a few processes serve many sessions that keep nothing there."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One session, as far as its ways to servers need it."""

    session: str
    tenant: Tenant
    seat_at: Callable[[str], Seat]
    """Makes its seat at a connection of this name."""
    headers: Mapping[str, str]
    """The client's own, names in lower case."""


class Served:
    """One server. `listed` is told what it says of itself to whom."""

    def __init__(
        self,
        name: str,
        config: Config,
        parts: Parts,
        listed: Callable[[Tenant, Catalogue], None],
    ) -> None:
        self.name = name
        self.parked = ""
        """Why it cannot be reached as it is configured."""
        self.pins: dict[str, str] | None = None
        """How its tools looked when they were seen first; None until the store has been read."""
        self._known = NOTHING_KNOWN
        self._parts = parts
        self._listed = listed
        self._connections: dict[str, Connection] = {}
        self._shared: dict[str, list[Connection]] = {}
        """By tenant."""
        self._made = 0
        self._eras = Eras()
        self._told: set[str] = set()
        """Words of vouching that the user has heard: each connection finds the same."""
        self._manifest: Manifest | None = None
        self.configured = config.servers[name]
        try:
            self.configured = config.server(name, parts.environ)
            self._manifest = named_manifest(None, self.configured, parts.home, config.file)
        except UserError as error:
            self.parked = str(error)
            say(self.parked, LogLevel.WARNING, server=name)
        self.scope = Scope.of(name, reached_by(self.configured))

    @property
    def status(self) -> str:
        """How it is, for a person."""
        if self.parked:
            return self.parked
        counted = Counter(one.status for one in self._connections.values())
        return ", ".join(f"{count} {status}" for status, count in counted.items()) or "no connection yet"

    def know(self, pins: dict[str, str], known: Known) -> None:
        """These tools have been seen before, and looked so; this is what comparisons have shown of them."""
        self.pins, self._known = pins, known
        for vouching in self._vouchings:
            vouching.know(pins, known)

    def review(self, config: Config) -> None:
        """The user has edited manifests.

        Raises:
            UserError: the one that is named for this server is wrong, or not there.
        """
        self._manifest = named_manifest(None, self.configured, self._parts.home, config.file)
        self._told.clear()
        for vouching in self._vouchings:
            vouching.review(self._manifest)

    def pause(self) -> None:
        """Read nothing more of it for now."""
        for connection in self._connections.values():
            connection.pause()

    def resume(self) -> None:
        """Read on."""
        for connection in self._connections.values():
            connection.resume()

    def close(self, why: str) -> None:
        """The configuration has no such server any more, or we end."""
        for connection in list(self._connections.values()):
            connection.lose(why)
            self._drop(connection)

    @property
    def _vouchings(self) -> list[Vouching]:
        return [one.vouching for one in self._connections.values() if one.vouching is not None]

    # --- ways to it -------------------------------------------------------------------------------------------------

    def open_leg(self, visit: Visit, about: ClientAbout, to_client: Callable[[Leg, bytes], None]) -> Leg:
        """One session's way to it."""
        connection = self._connection_for(visit)
        seat = visit.seat_at(connection.name)
        principal = seat.identities.principal
        self._parts.deciding.feed(Attached(visit.session, self.name, connection.name, principal))
        leg = Leg(self.name, seat, connection.contact, about, to_client, self._parts.rounds.later)
        leg.begin()
        return leg

    def _connection_for(self, visit: Visit) -> Connection:
        if self.configured.isolation == "per-session":
            return self._connect(visit, f"{self.name}#{visit.session}", OneLeg())
        shared = self._shared.setdefault(visit.tenant.key, [])
        size = POOL_SIZE if self.configured.isolation == "pool" else 1
        free = min(shared, key=lambda one: len(one.contact.legs), default=None)
        if free is not None and (len(shared) == size or not free.contact.legs):
            return free
        self._made += 1
        switchboard = Switchboard()
        connection = self._connect(visit, f"{self.name}#shared-{self._made}", switchboard)
        switchboard.say = connection.contact.say
        shared.append(connection)
        return connection

    def _connect(self, visit: Visit, name: str, lines: Lines) -> Connection:
        parts, tenant = self._parts, visit.tenant
        remembered = tenant.view.catalogues.get(self.name)
        contact = Contact(self.name, lines, remembered, parts.rounds.later, parts.clock, self._eras)
        connection = self._connections[name] = Connection(name, contact, parts)
        contact.on_listed = lambda catalogue: self._listed(tenant, catalogue)
        seat = visit.seat_at(name)
        if isinstance(lines, OneLeg):
            contact.on_empty = lambda: self._leave_soon(connection)
        else:  # what we ask ourselves is nobody's, and outlives the session that came first
            contact.on_empty = lambda: self._leave_later(tenant.key, connection)
            seat = replace(seat, session=name)
        if self.parked:
            contact.park(self.parked)
            return connection
        try:
            connection.open(self.configured, self._manifest, tenant.key, seat, visit.headers)
        except ValueError as error:
            contact.park(str(error))
        if connection.vouching is not None:
            connection.vouching.on_word = self._tell_once
        if self.pins is not None and connection.vouching is not None:
            connection.vouching.know(self.pins, self._known)
        return connection

    def _tell_once(self, words: str) -> None:
        if words not in self._told and len(self._told) < TOLD_MAX:
            self._told.add(words)
            say(words, server=self.name)

    def _leave_soon(self, connection: Connection) -> None:
        """The session whose it was is just leaving."""
        self._parts.start(f"{self.name}: a connection is not let go of", partial(self._leave, connection))

    def _leave_later(self, tenant: str, connection: Connection) -> None:
        """Nobody of this principal is there: keep it a while."""

        def leave() -> None:
            shared = self._shared.get(tenant, [])
            if connection in shared and not connection.contact.legs:
                shared.remove(connection)
                if not shared:
                    del self._shared[tenant]
                self._leave_soon(connection)

        self._parts.rounds.later(IDLE_S, leave)

    async def _leave(self, connection: Connection) -> None:
        """Nobody uses it any more: it goes when nothing is to be taken back there."""
        with anyio.move_on_after(SETTLING_S):
            while not connection.is_settled:  # noqa: ASYNC110  the engine tells nobody
                await anyio.sleep(SETTLED_POLL_S)
        self._drop(connection)

    @property
    def is_settled(self) -> bool:
        """Is nothing to be taken back there?"""
        return all(connection.is_settled for connection in self._connections.values())

    def _drop(self, connection: Connection) -> None:
        if self._connections.pop(connection.name, None) is not None:
            connection.close()

"""One client in front of all servers: what it asks goes to the server that has it, and what they say comes back as one.

With one server its lines go through as they came, but for the handshake, which is made behind: the client need not
wait for a server that is known from earlier. With several, names are put before what they list, and their questions
get ids of ours, since two servers may use the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.gateway.batches import Batches
from spec_mcp.relay.gateway.catalogue import LIST_METHODS, Kind
from spec_mcp.relay.gateway.directory import Directory, Refusal
from spec_mcp.relay.gateway.eras import Era, agreed
from spec_mcp.relay.gateway.eras.about import requested_version
from spec_mcp.relay.gateway.eras.text import answer, error, failure
from spec_mcp.relay.gateway.eras.words import (
    CANCELLED,
    CONNECTION_CLOSED,
    HANDSHAKE_VERSIONS,
    INITIALIZED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    LISTEN,
    PARSE_ERROR,
    PROGRESS,
    SET_LEVEL,
    STATELESS_VERSION,
    UNSUPPORTED_VERSION,
    VERSION_META,
)
from spec_mcp.relay.gateway.greeting import ClientAbout
from spec_mcp.relay.gateway.leg import Leg
from spec_mcp.relay.gateway.lists import Lists, answer_of
from spec_mcp.relay.gateway.names import ToolFilter
from spec_mcp.relay.gateway.ports import ClientOut
from spec_mcp.relay.gateway.several import Several
from spec_mcp.relay.gateway.streams import acknowledgement
from spec_mcp.relay.gateway.view import View
from spec_mcp.relay.gateway.waiting import Later, Waiting
from spec_mcp.relay.saying import LogLevel
from spec_mcp.relay.saying import say as tell_user
from spec_mcp.relay.words import hints_in

MEETING_S = 10.0
"""How long a client's handshake waits for servers of which nothing is known; most clients give up after 30 s."""

OpenLeg = Callable[[str, ClientAbout, Callable[[Leg, bytes], None]], Leg]
"""Open the way to a server: its name, who asks, and where what it says goes."""


class GatewaySession:
    """One client."""

    def __init__(self, client: ClientOut, directory: Directory, open_leg: OpenLeg, later: Later) -> None:
        self.on_closed: Callable[[], None] = lambda: None
        self.on_drop: Callable[[], None] = lambda: None
        """Told that nothing that is held may answer this client any more."""
        self.on_line: Callable[[], None] = lambda: None
        """Told that a line of the client's has been dealt with."""
        self.on_fault: Callable[[Exception], None] = _tell_fault
        """Told what went wrong in dealing with one."""
        self.on_client: Callable[[ClientAbout], None] = lambda about: None
        """Told what the client says of itself, once for each era."""
        self.on_version: Callable[[str], None] = lambda version: None
        """Told which version of the protocol is spoken with the client."""
        self.on_hints: Callable[[bytes], None] = lambda raw: None
        """Told the hints that came with a request that no server gets."""
        self._client = client = Batches(client)
        self._directory = directory
        self._open_leg = open_leg
        self._about: ClientAbout | None = None
        self._legs: dict[str, Leg] = {}
        self._waiting = Waiting(later)
        self._lists = Lists(client, directory, self._waiting)
        self._several = Several(client, directory, later)
        self._several.on_stream_ended = self._lists.streams.end
        self._is_greeted = False
        """Has it the answer to its handshake?"""
        self._is_asking = False
        """Has it asked for something since it began that?"""
        self._is_ready = False
        self._is_closed = False
        self._requests: dict[str, Callable[[wire.Envelope], None]] = {
            "initialize": self._on_initialize,
            "server/discover": self._on_discover,
            "ping": lambda message: self._client.send(answer(message.id)),
        }

    # --- from the client --------------------------------------------------------------------------------------------

    def on_client_line(self, line: bytes) -> None:
        """The client sent this message."""
        if self._is_closed:
            return
        try:
            self._take(line)
        except Exception as fault:  # noqa: BLE001  the boundary: a fault of ours costs one message, not the session
            self.on_fault(fault)
            self._answer_fault(line)
        self.on_line()

    def _answer_fault(self, line: bytes) -> None:
        message = wire.read(line)
        if isinstance(message, wire.Envelope) and message.is_request:
            self._refuse(message.id, INTERNAL_ERROR, "an error of the gateway")

    def _take(self, line: bytes) -> None:
        message = wire.read(line)
        if isinstance(message, wire.Batch):
            self._on_batch(message, line)
        elif message is None:
            if line.strip():
                self._refuse(wire.NULL, PARSE_ERROR, "this is no JSON-RPC message")
        else:
            self._on_message(message, line)

    def _on_batch(self, batch: wire.Batch, line: bytes) -> None:
        only = self._only_leg
        if only is not None and only.takes_batches and self._serves_all(only):
            only.from_client(line)
            return
        self.drop_held()
        self._client.begin(batch)
        for message, text in zip(batch.members, batch.texts, strict=True):
            if message.method or message.id != wire.ABSENT:
                self._on_message(message, text + b"\n")
            else:
                self._refuse(wire.NULL, INVALID_REQUEST, "a part of the batch is no message")

    def _on_message(self, message: wire.Envelope, line: bytes) -> None:
        if message.is_request:
            self._on_request(message, line)
        elif message.method:
            self._on_notification(message, line)
        elif self._is_plain:
            self._tell_all(line)
        else:
            self._several.answered(message, line)

    def _on_request(self, message: wire.Envelope, line: bytes) -> None:
        if len(message.id) > wire.ID_MAX_BYTES:
            self._refuse(message.id, INVALID_REQUEST, f"the id is longer than {wire.ID_MAX_BYTES} bytes")
            return
        if not self._is_introduced(message):
            return
        if (ours := self._requests.get(message.method)) is not None:
            for hints in hints_in(message.params):
                self.on_hints(hints)
            ours(message)
            return
        if self._about is None:
            self._refuse(message.id, INVALID_REQUEST, "the client has not introduced itself")
            return
        self._is_asking = True
        if self._is_greeted:
            self._be_ready()
        if message.method in LIST_METHODS:
            self._on_list(message, line)
        else:
            self._send_on(message, line)

    def _on_notification(self, message: wire.Envelope, line: bytes) -> None:
        if message.method == INITIALIZED:
            self._be_ready()
        elif message.method == CANCELLED:
            self._on_cancellation(message, line)
        elif message.method == PROGRESS and not self._is_plain:
            self._several.reported(message, line)
        else:
            self._tell_all(line)

    def _on_cancellation(self, message: wire.Envelope, line: bytes) -> None:
        name = wire.id_value(wire.members(message.params).get("requestId", wire.NULL))
        self._lists.streams.end(name)
        self._client.cancelled(name)
        if self._waiting.cancel(name):
            return
        if self._is_plain:
            self._tell_all(line)
        else:
            self._several.cancelled(message, line)

    def _tell_all(self, line: bytes) -> None:
        for leg in list(self._legs.values()):
            leg.from_client(line)

    def _be_ready(self) -> None:
        """It has said so, or it asks for something although it has the answer to its handshake."""
        if not self._is_ready:
            self._is_ready = True
            for leg in list(self._legs.values()):
                leg.initialized()

    def _refuse(self, id_raw: bytes, code: int, why: str) -> None:
        self._client.send(failure(id_raw, error(code, why)))

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def awaited(self) -> int:
        """How many answers the client waits for."""
        return len(self._waiting) + sum(leg.awaited for leg in self._legs.values())

    def drop_held(self) -> None:
        """What was done early for this client is no good for what it says from now on."""
        if not self._is_closed:
            self.on_drop()

    def closed(self) -> None:
        """The client has left, or its session was ended."""
        if self._is_closed:
            return
        self._is_closed = True
        self._waiting.close()
        self._several.close()
        legs, self._legs = list(self._legs.values()), {}
        for leg in legs:
            leg.closed()
        self.on_closed()

    # --- introductions ----------------------------------------------------------------------------------------------

    def _is_introduced(self, message: wire.Envelope) -> bool:
        """A client of the stateless era says who it is with each request; the first is the one that counts here.

        False where it speaks a version that we do not know, and has been told so.
        """
        if self._about is not None or message.method == "initialize" or VERSION_META.encode() not in message.params:
            return True
        meta = wire.members(message.params).get("_meta", wire.ABSENT)
        version = wire.lenient(wire.members(meta).get(VERSION_META, wire.NULL))
        if version == STATELESS_VERSION:
            self.on_version(STATELESS_VERSION)
            self._meet(ClientAbout(Era.STATELESS, meta))
        elif version is not None:
            data = {"supported": [STATELESS_VERSION], "requested": version if isinstance(version, str) else ""}
            known = error(UNSUPPORTED_VERSION, "unsupported protocol version", json.dumps(data).encode())
            self._client.send(failure(message.id, known))
            return False
        return True

    def _on_initialize(self, message: wire.Envelope) -> None:
        self._is_greeted = self._is_asking = False
        self._meet(ClientAbout(Era.HANDSHAKE, message.params or b"{}"))
        requested = requested_version(message.params)

        def say() -> None:
            if why := self._why_not_met:
                self._refuse(message.id, CONNECTION_CLOSED, why)
                return
            version = self._version(requested)
            self.on_version(version)
            self._client.send(answer(message.id, self._directory.initialized(version)))
            self._is_greeted = True
            if self._is_asking:
                self._be_ready()

        self._waiting.answer(message.id, lambda: self._is_met(requested), say, MEETING_S)

    def _on_discover(self, message: wire.Envelope) -> None:
        versions = [STATELESS_VERSION, *reversed(HANDSHAKE_VERSIONS)]

        def say() -> None:
            if why := self._why_not_met:
                self._refuse(message.id, CONNECTION_CLOSED, why)
            else:
                self._client.send(answer(message.id, self._directory.discovered(versions)))

        self._waiting.answer(message.id, lambda: self._is_met(""), say, MEETING_S)

    @property
    def _why_not_met(self) -> str:
        """Why nothing is known of the only server; empty where something is, or there are several."""
        only = self._only_leg
        return only.why if only is not None and only.server not in self._directory.view.catalogues else ""

    def _version(self, requested: str) -> str:
        """Of the protocol, as it is spoken with this client from now on."""
        only = self._only_leg
        if only is None:
            return agreed(requested)
        found = self._directory.view.catalogues.get(only.server)
        remembered = None if found is None or found.is_stateless else found.version
        return only.version_for(requested) or remembered or agreed(requested)

    def _is_met(self, requested: str) -> bool:
        """Is enough known of every server to introduce them? `requested` is the client's version, if it names one."""
        for server, leg in self._legs.items():
            known = self._directory.view.catalogues.get(server)
            is_same = known is not None and (not requested or known.is_stateless or known.version == requested)
            if leg.hello is None and not leg.why and not (is_same or (known and not self._directory.view.is_single)):
                return False
        return True

    def _meet(self, about: ClientAbout) -> None:
        """Open the ways to all servers in this client's name."""
        self._about = about
        self.on_client(about)
        for server in self._directory.view.servers:
            self._open(server, about)

    # --- servers ----------------------------------------------------------------------------------------------------

    def _open(self, server: str, about: ClientAbout) -> None:
        if (leg := self._legs.get(server)) is not None:
            leg.client_is(about)
            return
        leg = self._legs[server] = self._open_leg(server, about, self._from_leg)
        leg.on_met = lambda: self._met(leg)
        leg.on_listed = lambda: self._listed(leg)
        if self._directory.view.is_single:
            self._several.straight = leg
        if self._is_ready:
            leg.initialized()

    def _met(self, leg: Leg) -> None:
        """It has been met, or could not be."""
        self._several.met(leg)
        self._waiting.look()

    @property
    def _only_leg(self) -> Leg | None:
        return next(iter(self._legs.values()), None) if self._directory.view.is_single else None

    @property
    def _is_plain(self) -> bool:
        """Is there one server, and nothing left from when there were more?"""
        return self._directory.view.is_single and self._several.is_idle

    @property
    def _is_stateless(self) -> bool:
        return self._about is not None and self._about.era is Era.STATELESS

    def _serves_all(self, leg: Leg) -> bool:
        return self._directory.view.servers.get(leg.server) == ToolFilter()

    def shown_as(self, server: str, tool: str) -> str | None:
        """The name by which the client knows a server's tool; None where it is not shown."""
        return self._directory.view.shown_as(server, tool)

    def show(self, view: View) -> None:
        """What clients see has changed; what a server says to this one itself counts more."""
        if self._is_closed:
            return
        gone = self._directory.view.servers.keys() - view.servers.keys()
        for server, leg in self._legs.items():
            if leg.catalogue is not None and server in view.servers:
                view = view.updated(server, leg.catalogue)
        changed = self._directory.show(view)
        for server in gone:
            self.leave(server, "it is not served any more")
        if self._about is not None:
            for server in view.servers.keys() - self._legs.keys():
                self._open(server, self._about)
        self._lists.changed(changed, self._only_leg, self._is_stateless, self._is_ready)
        self._waiting.look()

    def _listed(self, leg: Leg) -> None:
        """A server has said to this client what it lists."""
        self._lists.heard_from(leg)
        self.show(self._directory.view)

    def leave(self, server: str, why: str) -> None:
        """This server is not what it was: the way to it is opened anew with the next view that has it."""
        if (leg := self._legs.pop(server, None)) is not None:
            leg.closed(why)
            self._several.left(leg, why)
            self._lists.left(leg)

    # --- to the servers ---------------------------------------------------------------------------------------------

    def _on_list(self, message: wire.Envelope, line: bytes) -> None:
        kind, only = LIST_METHODS[message.method], self._only_leg
        if only is not None and only.is_up and (kind is not Kind.TOOLS or self._serves_all(only)):
            self._lists.answered_by(kind)
            only.from_client(line)
        else:
            self._lists.answer(message, self._legs.values(), self._is_stateless)

    def _send_on(self, message: wire.Envelope, line: bytes) -> None:
        routed = self._directory.route(message.method, message.params, self._is_stateless)
        if isinstance(routed, Refusal):
            self._client.send(answer_of(message.id, routed))
            return
        parts = {leg: route.params for route in routed.routes if (leg := self._legs.get(route.server)) is not None}
        is_stream = message.method == LISTEN
        if not parts and not is_stream:
            self._refuse(message.id, CONNECTION_CLOSED, "the server is not served just now")
        elif is_stream:
            self._listen(message, line, parts, routed.honored)
        else:
            if message.method == SET_LEVEL:
                self._several.levels(message.params, parts)
            self._ask(message, line, parts)

    def _listen(self, message: wire.Envelope, line: bytes, parts: dict[Leg, bytes], honored: bytes) -> None:
        self._lists.streams.begin(message, is_open=not self._directory.view.is_single)
        if self._directory.view.is_single:
            self._tell_all(line)
        else:
            self._client.put(acknowledgement(message.id, honored))
            self._several.ask_all(message, parts)

    def _ask(self, message: wire.Envelope, line: bytes, parts: dict[Leg, bytes]) -> None:
        if self._directory.view.is_single:
            self._tell_all(line)
        elif len(parts) == 1:
            ((leg, params),) = parts.items()
            self._several.ask(leg, message, params)
        else:
            self._several.ask_all(message, parts)

    # --- from the servers -------------------------------------------------------------------------------------------

    def _from_leg(self, leg: Leg, line: bytes) -> None:
        if self._is_closed:
            return
        if not self._is_plain:
            self._several.from_leg(leg, line)
            return
        self._client.send(line)
        for more in self._lists.streams.heard(line) if self._lists.streams else ():
            self._client.put(more)


def _tell_fault(fault: Exception) -> None:
    tell_user(f"a client's message could not be dealt with ({type(fault).__name__}: {fault})", LogLevel.ERROR)

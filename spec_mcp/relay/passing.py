"""Lines that are too long to be looked into: they go through in pieces, and nothing of them is kept.

Nobody knows what such a line says. One of the client's spoils all that is held, as every message does that cannot be
read; one of the server's is for the client, unless its beginning names a request of ours.
"""

from __future__ import annotations

from spec_mcp.engine.events import ClientNotified
from spec_mcp.relay.answering import ClientLines
from spec_mcp.relay.bridge import Bridge
from spec_mcp.relay.lines import Piece
from spec_mcp.relay.stdio import StdioLink


class Passing:
    """Hands pieces on between one client and one server."""

    def __init__(self, bridge: Bridge, link: StdioLink, client: ClientLines) -> None:
        self._bridge = bridge
        self._link = link
        self._client = client
        self._is_within = False
        """The server has begun such a line, and not ended it."""
        self._is_ours = False

    def from_client(self, piece: Piece) -> None:
        """Each piece spoils: the server may act on what it has got so far."""
        self._bridge.feed(ClientNotified(self._bridge.seat.session, self._bridge.connection, "?"))
        self._link.pass_on(piece)

    def from_server(self, piece: Piece) -> None:
        """Rule 10: what we asked for is for nobody else, even where it is too long for us too."""
        if not self._is_within:
            self._is_ours = self._bridge.ours.speaks_of_us(piece)
        self._is_within = not piece.endswith(b"\n")
        if not self._is_ours:
            self._client.put(piece)

    def server_lost(self) -> None:
        """Half a line is all that the client will get: end it, so that what is said next can be read."""
        if self._is_within:
            self.from_server(Piece(b"\n"))

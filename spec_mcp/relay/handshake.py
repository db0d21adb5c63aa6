"""What client and server have said of themselves: in the handshake, or, without one, with each request."""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.relay import wire
from spec_mcp.relay.identity import PROTOCOL_META

CLIENT_META = "io.modelcontextprotocol/clientInfo"


class Handshake:
    """The state of one connection, in whichever era."""

    def __init__(self) -> None:
        self.on_server: Callable[[dict[str, bytes]], None] = lambda _: None
        """Told the result of `initialize` or `server/discover`."""
        self.on_client: Callable[[dict[str, bytes]], None] = lambda _: None
        """Told what the client says of itself."""
        self.stateless_meta: dict[str, bytes] = {}
        """The `_meta` of the client's last stateless request: ours must carry the same."""
        self._stateless_raw = b""

    def client_initializes(self, params: bytes) -> None:
        """The client asks for a handshake."""
        self.on_client(wire.members(wire.members(params).get("clientInfo", b"")))

    def client_says(self, meta: bytes) -> None:
        """Note a request's `_meta`."""
        if meta == self._stateless_raw:  # clients send the same one again and again
            return
        found = wire.members(meta)
        if PROTOCOL_META not in found:
            return
        if not self.stateless_meta:
            self.on_client(wire.members(found.get(CLIENT_META, b"")))
        self._stateless_raw, self.stateless_meta = meta, found

    def done(self, result: bytes) -> str:
        """The server took the handshake; the protocol version that it chose."""
        # a client that asked for the other era first goes by this one
        self._stateless_raw, self.stateless_meta = b"", {}
        version = wire.value(wire.members(result).get("protocolVersion", b'""'))
        return version if isinstance(version, str) else ""

    def server_says(self, result: bytes) -> None:
        """Note how the server presents itself."""
        self.on_server(wire.members(result))

"""One client of the gateway over standard input and output."""

from __future__ import annotations

from typing import Protocol

import anyio

from spec_mcp.relay import wire
from spec_mcp.relay.answering import REFUSED, error_line
from spec_mcp.relay.bounds import mib
from spec_mcp.relay.front.outlet import Outlet
from spec_mcp.relay.gateway.ports import ClientOut, ClientSession, Visitor
from spec_mcp.relay.lines import LineReader, LineWriter, Piece

BACKLOG_MAX_BYTES = 16 * 2**20
"""What may wait for a client that does not read, before neither it nor its servers are read from any more."""

LEAVING_S = 1.0
"""How long a client that has closed its input may take to read what is on its way."""

LEAVING_BUSY_S = 10.0
"""How long such a client may wait for answers: it may still read them. One that is in a hurry says so by a signal."""

AWAITED_POLL_S = 0.01


class LeavingSession(ClientSession, Protocol):
    """A client that may still wait for something when it has left."""

    @property
    def awaited(self) -> int:
        """How many answers it waits for."""
        ...


class OneClientGateway(Protocol):
    """The gateway, where it serves one client."""

    def open(self, visitor: Visitor, client: ClientOut) -> LeavingSession:
        """The client has come."""
        ...

    def pause(self) -> None:
        """Read nothing more of the servers for now: their client does not read either."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...


async def serve_stdio(gateway: OneClientGateway, client_in: LineReader, client_out: LineWriter) -> None:
    """Serve the client until it leaves, and write what is still on its way to it."""
    outlet = Outlet(client_out, BACKLOG_MAX_BYTES, gateway.pause, gateway.resume)
    async with anyio.create_task_group() as tasks:

        async def write() -> None:
            await outlet.run()
            tasks.cancel_scope.cancel()  # nobody reads any more

        tasks.start_soon(write)
        session = gateway.open(Visitor(), outlet)
        try:
            await _read(session, client_in, outlet)
            with anyio.move_on_after(LEAVING_BUSY_S):
                while session.awaited:  # noqa: ASYNC110  what makes it fewer is one of many things
                    await anyio.sleep(AWAITED_POLL_S)
            with anyio.move_on_after(LEAVING_S):
                await outlet.drained()
        finally:
            session.closed()
            tasks.cancel_scope.cancel()


async def _read(session: ClientSession, client_in: LineReader, outlet: Outlet) -> None:
    while not client_in.ended:
        await _readable(client_in.fd)
        for line in client_in.read():
            if type(line) is Piece:
                _refuse_piece(outlet, line, client_in.max_bytes)
            else:
                session.on_client_line(line)
        await outlet.has_room()


async def _readable(fd: int) -> None:
    try:
        await anyio.wait_readable(fd)
    except PermissionError:  # a file: it is always readable, and no selector takes it
        await anyio.lowlevel.checkpoint()


def _refuse_piece(outlet: Outlet, piece: Piece, max_bytes: int) -> None:
    """A line that is too long to be collected cannot be routed: nobody knows whom it is for."""
    if piece.endswith(b"\n"):
        outlet.put(error_line(wire.NULL, REFUSED, f"a message of more than {mib(max_bytes)} cannot be passed on"))

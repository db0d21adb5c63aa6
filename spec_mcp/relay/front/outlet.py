"""Lines to a descriptor that may take them later: as much as goes at once, and the rest when there is room."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from spec_mcp.relay.lines import LineWriter


class Outlet:
    """Writes through a `LineWriter`. `run` has to run beside, and ends when nobody reads any more.

    `on_full` is called when `limit_bytes` wait to be written, and `on_room` when fewer do again.
    """

    def __init__(
        self,
        writer: LineWriter,
        limit_bytes: int,
        on_full: Callable[[], None] = lambda: None,
        on_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._writer = writer
        self._limit_bytes = limit_bytes
        self._on_full = on_full
        self._on_room = on_room
        self._is_full = False
        self._has_rest = anyio.Event()
        self._went_out = anyio.Event()

    @property
    def waiting_bytes(self) -> int:
        """What has not been taken yet."""
        return self._writer.waiting_bytes

    def put(self, line: bytes) -> None:
        """Have a line go out, after those before it."""
        self._writer.put(line)
        self._writer.flush()
        if self._writer.waiting_bytes or self._writer.broken:
            self._has_rest.set()
            if not self._is_full and self._writer.waiting_bytes >= self._limit_bytes:
                self._is_full = True
                self._on_full()

    send = put

    async def run(self) -> None:
        """Write what could not go out at once, until nobody reads any more."""
        while not self._writer.broken:
            await self._has_rest.wait()
            self._has_rest = anyio.Event()
            while self._writer.waiting_bytes and not self._writer.broken:
                await anyio.wait_writable(self._writer.fd)
                self._writer.flush()
                self._note()
            self._note()

    async def has_room(self) -> None:
        """Wait until less than the limit is on its way."""
        while self._is_full and not self._writer.broken:
            await self._went_out.wait()

    async def drained(self) -> None:
        """Wait until all has gone out."""
        while self._writer.waiting_bytes and not self._writer.broken:
            await self._went_out.wait()

    def _note(self) -> None:
        if self._is_full and self._writer.waiting_bytes < self._limit_bytes:
            self._is_full = False
            self._on_room()
        self._went_out.set()
        self._went_out = anyio.Event()

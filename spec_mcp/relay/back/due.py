"""When a link is to be started: waited for by whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from spec_mcp.relay.link import ServerLink


class Due:
    """Of one link, which it listens to from now on."""

    def __init__(self, link: ServerLink, clock: Callable[[], float]) -> None:
        self._link = link
        self._clock = clock
        self._bell: anyio.Event | None = None
        link.on_woken = self._ring

    async def wait(self) -> None:
        """Return when the link's next start is due."""
        while True:
            start_at_s, now_s = self._link.start_at_s, self._clock()
            if start_at_s is not None and start_at_s <= now_s:
                return
            self._bell = anyio.Event()
            with anyio.move_on_after(None if start_at_s is None else start_at_s - now_s):
                await self._bell.wait()

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.set()

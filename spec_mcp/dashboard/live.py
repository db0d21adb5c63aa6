"""Tells the page that something was written, by server-sent events. What changed it asks for itself."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

import anyio
from anyio import to_thread

from spec_mcp.dashboard.place import Place
from spec_mcp.dashboard.reading import Reader
from spec_mcp.store.store import StoreError

LOOK_S = 0.7
"""The record is written every tenth of a second at the soonest, and in batches where there is much of it."""

STILL_S = 20.0
"""After so long without news a comment is sent, so that what lies between keeps the connection."""

MAX_STREAMS = 32
"""Pages that are open at once; each looks at the store by itself."""


class Live:
    """All streams of one dashboard."""

    def __init__(self, place: Place, reader: Reader) -> None:
        self._place = place
        self._reader = reader
        self._ending = False
        self.streams = 0

    def end(self) -> None:
        """Let all streams come to their end."""
        self._ending = True

    async def events(self) -> AsyncGenerator[bytes, None]:
        """One page's stream."""
        self.streams += 1
        try:
            seen: object = None
            still_s = 0.0
            while not self._ending:
                now = await to_thread.run_sync(self._state)
                if now != seen:
                    seen, still_s = now, 0.0
                    yield _event("changed", now)
                elif still_s >= STILL_S:
                    still_s = 0.0
                    yield b": still here\n\n"
                await anyio.sleep(LOOK_S)
                still_s += LOOK_S
            yield _event("ended", None)
        finally:
            self.streams -= 1

    def _state(self) -> dict[str, object]:
        try:
            return {"version": str(self._reader.version()), "mode": self._place.mode(self._reader.switched())}
        except StoreError as error:
            return {"trouble": str(error)}


def _event(name: str, data: object) -> bytes:
    return f"retry: 2000\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()

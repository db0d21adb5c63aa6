"""What is written to a client within one round of the loop goes out in one piece.

The head of an answer and its body are written one after the other. Sent apart, the head alone wakes the client, which
then has to wait for the body: on a busy machine that costs more than all else that happens to an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Gathering:
    """A transport that gathers what is written until `flush`, or until the loop comes round."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._due: asyncio.Handle | None = None

    def write(self, data: bytes) -> None:
        """Say this, with what else is said now."""
        if data:
            self._parts.append(data)
            if self._due is None:
                self._due = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Hand over what was gathered."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._parts:
            whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self._transport.write(whole)

    def close(self) -> None:
        """Close once all is said."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._parts.clear()
        self._transport.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

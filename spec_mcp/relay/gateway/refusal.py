"""A request that the gateway itself answers with an error."""

from __future__ import annotations

from dataclasses import dataclass

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
RESOURCE_NOT_FOUND = -32002
"""In the handshake era; later it is `INVALID_PARAMS`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that the client gets."""

    code: int
    message: str
    data: bytes = b""
    """Raw JSON; empty: none."""

"""What one server is given of memory and of time, as the user's entry for it says."""

from __future__ import annotations

from dataclasses import dataclass

from spec_mcp.config import Server

_UNSET = Server()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Each as the configuration explains it."""

    message_bytes: int = _UNSET.message_bytes
    waiting_bytes: int = _UNSET.waiting_bytes
    start_s: float = _UNSET.start_s
    connect_s: float = _UNSET.connect_s
    answer_s: float = _UNSET.answer_s


def bounds_of(server: Server) -> Bounds:
    """Those of an entry."""
    return Bounds(server.message_bytes, server.waiting_bytes, server.start_s, server.connect_s, server.answer_s)


DEFAULT_BOUNDS = Bounds()


def mib(size_bytes: int) -> str:
    """A bound as people are told it."""
    return f"{size_bytes / 2**20:.3g} MiB"

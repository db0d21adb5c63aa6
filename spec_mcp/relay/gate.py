"""Requests that must not go out yet: what another process left at the server, or is doing there, is not known.

They wait in their order and have not arrived as far as anybody else knows. What neither changes nor shows anything
goes by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.engine.methods import TOUCHES_NOTHING
from spec_mcp.relay import wire

if TYPE_CHECKING:
    from spec_mcp.relay.seat import Seat

HELD_MAX = 1024
"""Requests that may wait; a client that makes more gets errors at once."""


@dataclass(slots=True)
class Waiting:
    """A request, or a batch, that has not been let in."""

    message: wire.Envelope | wire.Batch
    line: bytes
    seat: Seat
    until_s: float

    @property
    def ids(self) -> list[bytes]:
        """Those under which answers are awaited, as they came."""
        return ids_of(self.message)


class Gate:
    """Holds requests, each for `wait_s` at the most."""

    def __init__(self, wait_s: float, clock: Callable[[], float]) -> None:
        self.wait_s = wait_s
        self._clock = clock
        self._waiting: list[Waiting] = []

    def stops(self, message: wire.Envelope | wire.Batch) -> bool:
        """Must this not go out yet?"""
        if isinstance(message, wire.Batch):
            return any(member.is_request and could_see(member.method) for member in message.members)
        return could_see(message.method)

    def keep(self, message: wire.Envelope | wire.Batch, line: bytes, seat: Seat) -> bool:
        """Let it wait; False where too many do already."""
        if len(self._waiting) >= HELD_MAX:
            return False
        self._waiting.append(Waiting(message, line, seat, self._clock() + self.wait_s))
        return True

    def cancel(self, name: object) -> bool:
        """The client does not want it any more, and its server has never seen it; False where none of that id waits."""
        for waiting in reversed(self._waiting):
            if isinstance(waiting.message, wire.Envelope) and wire.id_value(waiting.message.id) == name:
                self._waiting.remove(waiting)
                return True
        return False

    def expired(self) -> list[Waiting]:
        """Those that have waited long enough, which are let go of."""
        now_s = self._clock()
        gone = [waiting for waiting in self._waiting if waiting.until_s <= now_s]
        self._waiting = [waiting for waiting in self._waiting if waiting.until_s > now_s]
        return gone

    def open(self) -> list[Waiting]:
        """All that wait, in their order; they are to be let in now."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @property
    def deadline_s(self) -> float | None:
        """When the first of them has waited long enough."""
        return self._waiting[0].until_s if self._waiting else None

    def __len__(self) -> int:
        return len(self._waiting)


def could_see(method: str) -> bool:
    """Might a request of this method see, or change, what tools write?"""
    return method not in TOUCHES_NOTHING and method != "logging/setLevel"


def ids_of(message: wire.Envelope | wire.Batch) -> list[bytes]:
    """Under which answers are awaited, as they came."""
    if isinstance(message, wire.Batch):
        return [member.id for member in message.members if member.is_request]
    return [message.id]

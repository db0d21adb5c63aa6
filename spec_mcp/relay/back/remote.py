"""What links to servers over HTTP have in common: one address, and what is said of it when it fails."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from spec_mcp.relay.answering import CONNECTION_CLOSED, error_line
from spec_mcp.relay.back.address import Address
from spec_mcp.relay.back.due import Due
from spec_mcp.relay.back.reaching import Auth, Reach
from spec_mcp.relay.bounds import DEFAULT_BOUNDS, Bounds
from spec_mcp.relay.link import PAUSE_WAITED_S, ServerLink, Writer
from spec_mcp.relay.saying import say

IN_FLIGHT_MAX = 1024
"""Requests under way, and those that wait for a connection."""

AGAIN_S = (0.2, 0.8)
"""When to try again where nobody answers: a server that is replaced is away for a second or two."""

BARRED_S = 30.0
"""How long a server that wants other credentials is not asked again: they come by hand."""

BUSY_MAX_S = 60.0
"""How long a server is left alone because it says so."""

LEAVE_S = 2.0
"""How long saying good-bye may take: clients wait about so long for us, in all."""


class Remote(ServerLink):
    """Lines to and from one server over HTTP. `run` keeps it."""

    def __init__(
        self,
        address: Address,
        clock: Callable[[], float],
        auth: Auth | None = None,
        chance: Callable[[], float] = random.random,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        super().__init__(self._make_writer(), clock, chance=chance)
        self.address = address
        self.on_line: Callable[[bytes], None] = lambda line: None
        """Told each line of the server."""
        self.on_lost: Callable[[str], None] = lambda why: None
        """Told that the server is gone with all that it was asked, and why."""
        self.on_request_lost = self._tell_request_lost
        self.on_fault: Callable[[Exception], None] = _tell_fault
        """Told of what the others raise: their faults are no reason to lose a server."""
        self._bounds = bounds
        self._reach = Reach(address, auth, bounds)
        self._due = Due(self, clock)
        self._tasks: TaskGroup | None = None
        self._why = ""
        """Why it was lost last."""
        self._barred = ""
        self._barred_until_s = 0.0
        self._busy = ""
        self._busy_until_s = 0.0
        self._has_served = False
        """Has it ever answered?"""

    @property
    def status(self) -> str:
        """How it is, for a person."""
        if self.is_up:
            return "up"
        if self._barred:
            return self._barred
        return self._why or "not connected"

    def pause(self) -> None:
        """Read nothing more for now: those who get the lines do not read either."""
        if self._reach.paused is None:
            self._reach.paused = anyio.Event()

    def resume(self) -> None:
        """Read on."""
        paused, self._reach.paused = self._reach.paused, None
        if paused is not None:
            paused.set()

    # --- lines ------------------------------------------------------------------------------------------------------

    def send(self, method: str, line: bytes) -> str | None:
        """Send a request, or keep it until the server is there again; why not, where it will not be."""
        if self.waiting_bytes > self._bounds.waiting_bytes:
            return "the server does not read what it is sent"
        if self._busy and self._clock() < self._busy_until_s:
            return self._busy
        return super().send(method, line)

    def tell(self, line: bytes) -> None:
        """Send what is no request; a server that does not read is not told."""
        if self.waiting_bytes <= self._bounds.waiting_bytes:
            super().tell(line)

    def _refusal(self) -> str | None:
        now_s = self._clock()
        if self._barred and now_s < self._barred_until_s:
            return self._barred
        pause_s = self._earliest_s - now_s
        return None if pause_s <= PAUSE_WAITED_S else f"{self._why}; it is tried again in {pause_s:.0f} s"

    def _deliver(self, line: bytes) -> None:
        self._safely(self.on_line, line)

    def _tell_request_lost(self, id_raw: bytes, why: str | None) -> None:
        if why is not None:
            self._deliver(error_line(id_raw, CONNECTION_CLOSED, why))

    # --- keeping it -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep it until this is cancelled: begin when that is due, and tell of what fails. Says good-bye at the end."""
        self._reach.open_up()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while True:
                    await self._due.wait()
                    await self._live()
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                with anyio.move_on_after(LEAVE_S):
                    await self._leave()
                await self._reach.close()

    @abstractmethod
    async def _live(self) -> None:
        """Begin; may return before the end."""

    @abstractmethod
    def _make_writer(self) -> Writer:
        """What takes lines to the server."""

    async def _leave(self) -> None:
        """Nothing is to be said."""

    def _lose(self, why: str) -> None:
        """The server is gone, with all that it was asked."""
        self._why = why
        self._disconnected()
        self._safely(self.on_lost, why)

    def _bars(self, why: str) -> None:
        """It is not to be asked before a person has done something."""
        self._barred, self._barred_until_s = why, self._clock() + BARRED_S

    def _leave_alone(self, why: str, again_s: float) -> None:
        """It wants to be left alone for so long."""
        self._busy, self._busy_until_s = why, self._clock() + min(again_s, BUSY_MAX_S)

    def _safely(self, task: Callable[..., None], *arguments: object) -> None:
        try:
            task(*arguments)
        except Exception as error:  # noqa: BLE001  rule 17: a fault of ours costs speculation, never a server
            self.on_fault(error)


def _tell_fault(error: Exception) -> None:
    say(f"a line could not be looked into ({type(error).__name__}: {error})")

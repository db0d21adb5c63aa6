"""Meeting a server on the network for its own sake: as `relay/meeting.py` does it with a process."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from spec_mcp.config import Server
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.meeting import BOUND_S, CannotMeet, Introduction, Visit, meet_over

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from spec_mcp.relay.back.remote import Remote


def meet_remote(
    server: Server, home: Path, bound_s: float = BOUND_S, clock: Callable[[], float] = now_s
) -> Introduction:
    """Meet a server that is reached by a URL, with the credentials that a login gave where it shows none of its own.

    Raises:
        CannotMeet: it cannot be reached, wants a login, stays silent beyond the bound, or answers with an error.
    """
    with visit_remote(server, home, bound_s, clock) as visited:
        return visited.introduction


@contextmanager
def visit_remote(
    server: Server, home: Path, bound_s: float = BOUND_S, clock: Callable[[], float] = now_s
) -> Generator[Visit]:
    """Meet a server that is reached by a URL and stay, to call its tools.

    Raises:
        CannotMeet: as `meet_remote`.
    """
    from anyio.from_thread import start_blocking_portal

    from spec_mcp.relay.back.starting import Starts
    from spec_mcp.relay.gateway.backs import back_to

    started_s = clock()
    try:
        link = cast("Remote", back_to(server, Starts(), clock, {}, home))
    except ValueError as error:
        raise CannotMeet(f"cannot be asked: {error}") from error
    with start_blocking_portal("asyncio") as portal:
        lines = _Posted(link, portal)
        keeping = portal.start_task_soon(link.run)
        try:
            yield meet_over(lines, started_s, bound_s, clock)
        finally:
            keeping.cancel()


class _Posted:
    """A link that lives in a thread of its own."""

    def __init__(self, link: Remote, portal: BlockingPortal) -> None:
        self._link = link
        self._portal = portal
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        link.on_line = self._heard.put
        link.on_lost = self._lost
        self._why = ""

    def tell(self, method: str, line: bytes) -> None:
        if not method or method.startswith("notifications/"):
            self._portal.call(self._link.tell, line)
        elif refused := self._portal.call(self._link.send, method, line):
            raise CannotMeet(_of_server(refused))

    def hear(self, wait_s: float) -> Sequence[bytes]:
        try:
            line = self._heard.get(timeout=wait_s)
        except queue.Empty:
            return ()
        if not line:
            raise CannotMeet(_of_server(self._why))
        return (line,)

    def _lost(self, why: str) -> None:
        self._why = why
        self._heard.put(b"")


def _of_server(why: str) -> str:
    """A sentence about the server, as the end of one that names it."""
    return why.removeprefix("the server ")

"""The HTTP front on a socket: uvicorn within the tasks of whoever runs it, without signals and logs of its own."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import uvicorn
from anyio.abc import TaskStatus

from spec_mcp.errors import Failed
from spec_mcp.relay.front.app import HttpFront
from spec_mcp.relay.front.connection import Connection, bounded
from spec_mcp.relay.front.settings import HttpSettings

KEEP_ALIVE_S = 75
"""Longer than clients keep a connection that they do not use: who closes first is who knows that nothing is on its
way."""

LAST_WORDS_S = 1
"""So long what was said last may take to reach a client that reads slowly."""

BACKLOG = 512
"""Connections that wait to be taken on; a swarm of agents starts at once."""


KNOCKING_MAX = 2048
"""Clients who wait to be let in: what the server asks for when it serves."""


def listening(host: str, port: int, option: str = "") -> socket.socket:
    """A socket at which clients may knock from now on, before anybody serves there: who is told its address may come at
    once. The port is chosen where 0 is given. `option` is where the user has said so.

    Raises:
        Failed: the address is not ours, or taken.
    """
    option = option or f"--http {host}:{port}"
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, proto)
    except OSError as error:
        raise Failed(f"{option}: {error.strerror or error}") from error
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(KNOCKING_MAX)
        taken.setblocking(False)
    except OSError as error:
        taken.close()
        raise Failed(f"{option}: {error.strerror or error}") from error
    return taken


def port_of(bound: socket.socket) -> int:
    """The port of a socket that is bound."""
    return bound.getsockname()[1]


@dataclass(frozen=True, slots=True)
class Ending:
    """When to stop, and how much time there is for that."""

    told: anyio.Event = field(default_factory=anyio.Event)
    notice_s: Callable[[], float] = lambda: 0.0
    """How long requests are still taken then: asked when it is told."""
    hurried: anyio.Event = field(default_factory=anyio.Event)
    """Set where nothing is to be waited for any more."""


async def serve(
    front: HttpFront,
    bound: socket.socket,
    ending: Ending,
    *,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until told to end, then let answers under way come to their end; `task_status` gets the port.

    Started by `await tasks.start(serve, …)`. A cancellation ends it at once. Either way nothing is left: no task, no
    connection, no session.
    """
    server = _Server(front.settings, front, lambda: task_status.started(port_of(bound)))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(front.sweep)
            tasks.start_soon(_end, ending, front, server)
            await server.serve(sockets=[bound])
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            front.close()
            await server.leave_nothing()
            bound.close()


async def _end(ending: Ending, front: HttpFront, server: _Server) -> None:
    """The address is given up last: probes are answered until then, and who comes late is told to go elsewhere."""
    await ending.told.wait()
    front.give_notice()
    left_s = 0.0
    async with anyio.create_task_group() as tasks:

        async def hurry() -> None:
            await ending.hurried.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(hurry)
        await anyio.sleep(ending.notice_s())
        front.drain()
        with anyio.move_on_after(front.settings.listen.drain_s) as draining:
            await front.drained()
            left_s = draining.deadline - anyio.current_time()
        tasks.cancel_scope.cancel()
    if not front.is_drained:
        front.close()
    server.end_within(left_s + LAST_WORDS_S)


class _Server(uvicorn.Server):
    """uvicorn, of which the caller's tasks are the lifetime."""

    def __init__(self, settings: HttpSettings, front: HttpFront, on_started: Callable[[], None]) -> None:
        listen = settings.listen
        super().__init__(
            uvicorn.Config(
                front,
                http=bounded(listen.slow_s, listen.connections),
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",  # what strangers send wrong is nobody's business
                access_log=False,
                proxy_headers=False,
                server_header=False,
                h11_max_incomplete_event_size=listen.header_bytes,
                limit_concurrency=listen.connections,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=LAST_WORDS_S,  # unless `end_within` says otherwise
                backlog=BACKLOG,
            )
        )
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are the caller's."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections on."""
        await super().startup(sockets)
        self._on_started()

    def end_within(self, left_s: float) -> None:
        """Give up the address, and let clients take what was said to them."""
        self.config.timeout_graceful_shutdown = math.ceil(left_s)
        self.should_exit = True

    async def leave_nothing(self) -> None:
        """End whatever is still there, after a cancellation or a client that takes too long."""
        for listener in getattr(self, "servers", ()):
            listener.close()
        for connection in cast("list[Connection]", list(self.server_state.connections)):
            connection.abort()
        if tasks := list(self.server_state.tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

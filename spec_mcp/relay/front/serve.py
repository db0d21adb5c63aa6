"""The HTTP front on a socket: uvicorn within the tasks of whoever runs it, without signals and logs of its own."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
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
"""So long an error may take to reach those whose answers did not come in time."""

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


async def serve(
    front: HttpFront,
    bound: socket.socket,
    stop: anyio.Event,
    *,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set, then let answers under way come to their end; `task_status` gets the port.

    Started by `await tasks.start(serve, …)`. A cancellation ends it at once. Either way nothing is left: no task, no
    connection, no session.
    """
    server = _Server(front.settings, front, lambda: task_status.started(port_of(bound)))
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(front.sweep)
            tasks.start_soon(_stop_when, stop, front, server)
            await server.serve(sockets=[bound])
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            front.close()
            await server.leave_nothing()
            bound.close()


async def _stop_when(stop: anyio.Event, front: HttpFront, server: _Server) -> None:
    await stop.wait()
    front.drain()
    server.should_exit = True
    await anyio.sleep(front.settings.listen.drain_s)
    front.close()


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
                timeout_graceful_shutdown=math.ceil(listen.drain_s + LAST_WORDS_S),
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

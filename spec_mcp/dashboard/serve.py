"""The dashboard by itself, on a socket of this machine."""

from __future__ import annotations

import contextlib
import socket

import uvicorn

from spec_mcp.dashboard.app import Dashboard

LAST_WORDS_S = 1
"""So long streams may take to end."""

MAX_CONNECTIONS = 128


def serve(dashboard: Dashboard, bound: socket.socket) -> None:
    """Serve until a signal comes; Ctrl-C is the way to end it, and no failure."""
    config = uvicorn.Config(
        dashboard,
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,  # the address is a secret
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=LAST_WORDS_S,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[bound])

"""Serve a server of the SDK's low level over stdio, Streamable HTTP or SSE, as the command line says.

    python tests/servers/echo.py [--http [HOST:]PORT | --sse [HOST:]PORT]

Over HTTP the first line of standard output is the URL to connect to; port 0 takes a free one. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

import anyio
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server

LOOPBACK = "127.0.0.1"
BACKLOG = 512
"""Clients that come at once: two hundred in the load program."""
LEAVE_S = 1
"""How long an open stream may hold up the end."""


NO_CHANGES = NotificationOptions()


def serve(server: Server[Any], changes: NotificationOptions = NO_CHANGES) -> None:
    """Serve until the client leaves or SIGTERM comes; `changes` are those of its lists that it tells of."""
    parser = argparse.ArgumentParser(description="An MCP server for tests, over stdio unless told otherwise.")
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--http", metavar="[HOST:]PORT", help="serve Streamable HTTP at /mcp")
    ways.add_argument("--sse", metavar="[HOST:]PORT", help="serve the deprecated SSE transport at /sse")
    options = parser.parse_args()
    if options.http:
        _serve_http(server.streamable_http_app(), options.http, "/mcp")
    elif options.sse:
        _serve_http(_sse(server, changes), options.sse, "/sse")
    else:
        anyio.run(_serve_stdio, server, changes)


async def _serve_stdio(server: Server[Any], changes: NotificationOptions) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options(changes))


def _serve_http(app: Any, place: str, path: str) -> None:
    import uvicorn

    host, _, port = place.rpartition(":")
    # The protocol is named, since asyncio sets TCP_NODELAY only where it is: else each small answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host or LOOPBACK, int(port)))
        listening.listen(BACKLOG)
        bound, number = listening.getsockname()[:2]
        print(f"http://{bound}:{number}{path}", flush=True)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=LEAVE_S, ws="none")
        uvicorn.Server(config).run(sockets=[listening])


def _sse(server: Server[Any], changes: NotificationOptions) -> Any:
    from mcp.server.sse import SseServerTransport
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def connect(request: Request) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options(changes))
        return Response()

    return Starlette(routes=[Route("/sse", connect), Mount("/messages/", app=transport.handle_post_message)])

"""Connections to an address: through which proxy, with which time-outs, and how many."""

from __future__ import annotations

import logging
import socket
import ssl
from functools import cache
from urllib.request import getproxies, proxy_bypass

import httpx2

WRITE_S = 30.0
"""How long a server may not read while it is sent a request."""

POOL_S = 30.0
"""How long a request waits for one of the connections."""

CONNECTIONS_MAX = 256
"""To one server: each is a file, of which a process has a thousand as a rule."""

KEPT_MAX = 32
"""Idle connections: more calls at once than an agent makes."""

KEPT_S = 60.0
"""How long an idle connection is kept: an agent thinks for seconds, and most servers close theirs before that."""

KEEPALIVE_IDLE_S = 30
KEEPALIVE_EVERY_S = 10
KEEPALIVE_TIMES = 6
"""The system itself looks whether the other end is still there: so a call that takes its time needs no time-out."""


for _name in ("httpcore2", "httpx2"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # what they say below that holds what servers and we sent

TIMEOUTS = {"read": None, "write": WRITE_S, "pool": POOL_S}


def transport_to(url: httpx2.URL) -> httpx2.AsyncHTTPTransport:
    """Connections to an address, through the proxy that the environment names for it."""
    limits = httpx2.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=KEPT_MAX, keepalive_expiry=KEPT_S)
    return httpx2.AsyncHTTPTransport(
        verify=_ssl_context(), limits=limits, proxy=_proxy_to(url), socket_options=_socket_options()
    )


@cache
def _ssl_context() -> ssl.SSLContext:
    """One for all: making one takes as long as many calls."""
    return httpx2.create_ssl_context()


def _proxy_to(url: httpx2.URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(url.host) else proxy


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    named = {
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_S,
        "TCP_KEEPALIVE": KEEPALIVE_IDLE_S,  # the same, as macOS calls it
        "TCP_KEEPINTVL": KEEPALIVE_EVERY_S,
        "TCP_KEEPCNT": KEEPALIVE_TIMES,
    }
    options += [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in named.items() if hasattr(socket, name)
    ]
    return options

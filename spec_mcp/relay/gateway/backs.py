"""How the servers of a configuration are reached: by a process of ours, or over HTTP."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.config import Server
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.back.stdio import StdioBack
from spec_mcp.relay.bounds import bounds_of

if TYPE_CHECKING:
    from spec_mcp.relay.back.remote import Remote


def reached_by(server: Server) -> tuple[str, ...]:
    """A server's command line, or its URL."""
    return (server.url or "",) if server.command is None else (server.command, *server.args)


def back_to(
    server: Server,
    starts: Starts,
    clock: Callable[[], float],
    headers: Mapping[str, str],
    home: Path,
    name: str = "",
) -> StdioBack | Remote:
    """The link to a server; `headers` are the client's own, names in lower case, `name` is what the log calls it.

    Where neither they nor the configuration show credentials, those are shown that a login gave.

    Raises:
        ValueError: its address, or a header, cannot be used.
    """
    bounds = bounds_of(server)
    if server.command is not None:
        return StdioBack(reached_by(server), server.env, server.cwd, clock, starts, bounds, name=name)
    from spec_mcp.relay.back.address import Address  # only where it is needed: a quarter of a second
    from spec_mcp.relay.back.auth import ClientCredentials, OAuth
    from spec_mcp.relay.back.http import HttpBack
    from spec_mcp.relay.back.sse import SseBack
    from spec_mcp.relay.back.tokens import keeping_in

    passed_on = {name: headers[name.lower()] for name in server.forward_headers if name.lower() in headers}
    address = Address(server.url or "", {**server.headers, **passed_on})
    kind = SseBack if server.type == "sse" else HttpBack
    if address.has_credentials:
        return kind(address, clock, bounds=bounds)
    given = server.client_credentials
    own = None if given is None else ClientCredentials(given.client_id, given.client_secret, given.issuer, given.scope)
    how = f"spec-mcp login {shlex.quote(str(address))}"
    return kind(address, clock, OAuth(address, keeping_in(home), how, own), bounds=bounds)

"""`spec-mcp wrap --url`: one remote server over stdio, as a gateway of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

import msgspec

from spec_mcp.config import Config, Server, find_config, load_config
from spec_mcp.errors import UserError
from spec_mcp.relay.gateway.gateway import GatewayOptions
from spec_mcp.relay.run import run
from spec_mcp.relay.wrap import WrapOptions


def run_remote(options: WrapOptions, environ: Mapping[str, str]) -> int:
    """Serve it until the client leaves. Returns the exit status.

    Raises:
        UserError: the configuration, the address or a header is wrong.
    """
    config = load_config(find_config(options.config, environ))
    name = options.name or name_of(options.url or "")
    server = msgspec.structs.replace(
        config.servers.get(name, Server()),
        command=None,
        url=options.url,
        headers=dict(options.headers),
    )
    if options.type is not None:
        server = msgspec.structs.replace(server, type=cast("Literal['http', 'sse']", options.type))
    if options.manifest is not None:
        given = Path(options.manifest)
        server = msgspec.structs.replace(server, manifest=str(given.absolute()) if given.exists() else options.manifest)
    only: Config = replace(config, servers={name: server})
    only.server(name, environ)  # a variable that is not set is told at once
    return run(only, GatewayOptions(options.mode, record=options.record, replay=options.replay), None, environ)


def name_of(url: str) -> str:
    """What to call a server of which only the address is known: its host.

    Raises:
        UserError: it is no address of HTTP.
    """
    try:
        found = urlsplit(url)
        host = found.hostname
    except ValueError:
        found, host = urlsplit(""), None
    if found.scheme not in ("http", "https") or not host:
        raise UserError("wrap: --url: write an address such as https://example.com/mcp")
    return host

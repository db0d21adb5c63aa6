"""`spec-mcp run`: all servers of a configuration as one MCP server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption, ModeOption, RecordOption, ReplayOption
from spec_mcp.config import Config, find_config, load_config
from spec_mcp.errors import UserError
from spec_mcp.relay.saying import LogFormat, LogLevel, log_as
from spec_mcp.tables import nearest


def command(
    config: ConfigOption = None,
    http: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Serve Streamable HTTP at /mcp there, and the dashboard, instead of stdio. Port 0: one that is free.",
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="Serve this server of the configuration alone; repeatable.",
            autocompletion=completing.configured_servers,
        ),
    ] = None,
    mode: ModeOption = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="Write lines for people to standard error, or one JSON object a line.")
    ] = LogFormat.HUMAN,
    log_level: Annotated[
        LogLevel, typer.Option(help="Say nothing less than this; debug: each session and each call.")
    ] = LogLevel.INFO,
    record: RecordOption = None,
    replay: ReplayOption = None,
) -> int:
    """Serve all servers of a configuration as one MCP server, to one client over stdio or to many over HTTP.

    With several servers a tool is called [b]SERVER__TOOL[/b]; with one its name is unchanged. A file that holds a
    client's own mcpServers is a configuration as it is:

    [b]spec-mcp run --config claude_desktop_config.json --http 127.0.0.1:8765[/b]
    """
    from spec_mcp.relay.gateway.gateway import GatewayOptions
    from spec_mcp.relay.run import have_standard_streams, run

    have_standard_streams()
    log_as(log_format, log_level)
    found = load_config(find_config(config, os.environ))
    _require_servers(found, only or [])
    options = GatewayOptions(None if mode is None else str(mode), tuple(only or ()), record, replay)
    if http is None:
        return run(found, options, None, os.environ)
    from spec_mcp.cli.dashboard import gateway_dashboard
    from spec_mcp.relay.front.settings import address_of

    address = address_of(http, f"--http {http}", 8765)

    return run(found, options, address, os.environ, gateway_dashboard(found, os.environ))


def _require_servers(config: Config, only: list[str]) -> None:
    file = "config.toml in SPEC_MCP_HOME" if config.file is None else str(config.file)
    for name in only:
        if name not in config.servers:
            near = nearest(name, config.servers)
            raise UserError(f"--only {name}: there is no such server in {file}" + (f": {near}?" if near else ""))
    if not config.servers:
        raise UserError(f"{file}: no servers: add [servers.NAME] with a command or a url, or name a file by --config")

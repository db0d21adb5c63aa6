"""The help of `spec-mcp wrap`. The command itself is dispatched before this library is imported."""

from __future__ import annotations

from typing import Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ModeOption, RecordOption, ReplayOption

CONTEXT = {"ignore_unknown_options": True}


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND [ARG]…", help="The server to start, as the client would start it."),
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FILE",
            help="The safety manifest. Default: the one for the name that the server gives itself.",
            autocompletion=completing.manifests,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="N", help="What to call the server in the record and the configuration.")
    ] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="The configuration to read.")] = None,
    mode: ModeOption = None,
    url: Annotated[
        str | None, typer.Option(help="A remote server, reached over HTTP, in the place of a command.")
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="K=V",
            help="A header for the remote server; [b]${NAME}[/b] stands for an environment variable. Repeatable.",
        ),
    ] = None,
    header_env: Annotated[
        list[str] | None,
        typer.Option(metavar="K=NAME", help="A header whose value is in the environment variable NAME. Repeatable."),
    ] = None,
    url_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="The address is in the environment variable NAME.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="http/sse",
            help="The remote server's transport. Default: http.",
            autocompletion=completing.transports,
        ),
    ] = None,
    record: RecordOption = None,
    replay: ReplayOption = None,
) -> int:
    """Serve one MCP server over stdio, transparently: same tools, same names, same answers, in less time.

    In your client's configuration, write it before the server's own command, such as

    [b]spec-mcp wrap -- npx -y @modelcontextprotocol/server-filesystem ~/notes[/b]

    For a remote server give its address: [b]spec-mcp wrap --url https://example.com/mcp[/b]

    Only tools that a manifest declares as reads are called ahead of time. Without one, this is a plain proxy.
    """
    raise AssertionError("wrap is dispatched before this")

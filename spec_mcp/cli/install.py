"""`spec-mcp install` and `uninstall`: spec-mcp in front of the servers in a client's own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption, JsonOption
from spec_mcp.engine.events import Mode

ClientArgument = Annotated[
    str,
    typer.Argument(
        metavar="CLIENT",
        help="claude-desktop, claude-code, cursor, vscode, gemini or codex.",
        show_default=False,
        autocompletion=completing.clients,
    ),
]
ProjectOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Edit the configuration of this project instead of your own.", show_default=False
    ),
]
FileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Edit this file of the client.", show_default=False)
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Only show what would be changed, as a diff without secrets.")
]


def install(
    client: ClientArgument,
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N", help="Only this server; repeatable. Default: all.", autocompletion=completing.client_servers
        ),
    ] = None,
    dry_run: DryRunOption = False,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="One `spec-mcp run` in the place of all, which speculates across servers.")
    ] = False,
    mode: Annotated[
        Mode | None,
        typer.Option(
            help="Write a mode into the entries, which then hold to it whatever `spec-mcp on` says. Default: none; the "
            "switch of the store decides, and a new one stands at shadow.",
            show_default=False,
        ),
    ] = None,
    project: ProjectOption = None,
    file: FileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put spec-mcp in front of the servers in a client's own configuration.

    Each server keeps its entry and its name; its command is started by spec-mcp from now on. Comments and formatting
    stay, a copy of the file is kept, and [b]spec-mcp uninstall CLIENT[/b] takes out exactly what was put in.

    It starts in shadow: calls are foretold and compared, but always answered by the real call.
    """
    from spec_mcp.cli.installation import Asked, run_install

    asked = Asked(client, tuple(server or ()), project, file, dry_run, as_json)
    run_install(asked, gateway=gateway, mode=mode, config=config)


def uninstall(
    client: ClientArgument,
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N", help="Only this server; repeatable. Default: all.", autocompletion=completing.client_servers
        ),
    ] = None,
    dry_run: DryRunOption = False,
    project: ProjectOption = None,
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take spec-mcp out of a client's configuration again: byte for byte, or exactly our part where you edited since.

    Every file of the client that `install` changed, unless --project or --file names one.
    """
    from spec_mcp.cli.installation import Asked, run_uninstall

    run_uninstall(Asked(client, tuple(server or ()), project, file, dry_run, as_json))

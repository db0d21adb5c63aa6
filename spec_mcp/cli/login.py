"""`spec-mcp login`: log in to a server that wants it, with a browser on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption
from spec_mcp.config import find_config, home, load_config
from spec_mcp.errors import Failed, UserError


def command(
    server: Annotated[
        str,
        typer.Argument(
            metavar="SERVER",
            help="Its name in the configuration, or its address (https://…).",
            autocompletion=completing.configured_servers,
        ),
    ],
    config: ConfigOption = None,
) -> None:
    """Log in to a server that wants it (OAuth), with a browser on this machine.

    The address to open is shown here. The tokens are kept in the system's keyring where `spec-mcp\\[keyring]` is
    installed, else in a file of your own; a gateway that runs finds them by itself within half a minute.
    """
    import anyio

    from spec_mcp.relay.back.address import Address
    from spec_mcp.relay.back.failures import Failure
    from spec_mcp.relay.back.login import log_in
    from spec_mcp.relay.back.tokens import keeping_in

    url, headers = _reached(server, config)
    try:
        address = Address(url, headers)
    except ValueError as error:
        raise UserError(f"login {server}: {error}") from None
    if address.has_credentials:
        raise UserError(f"login {server}: the configuration says what to show there (headers.Authorization)")
    keeping = keeping_in(home(os.environ))
    try:
        said = anyio.run(log_in, address, keeping, _tell)
    except Failure as failure:
        raise Failed(f"{server}: {failure}") from None
    typer.echo(f"{server}: {said}.")


def _tell(words: str) -> None:
    typer.echo(words, err=True)


def _reached(server: str, config: Path | None) -> tuple[str, dict[str, str]]:
    if "://" in server:
        return server, {}
    found = load_config(find_config(config, os.environ)).server(server, os.environ)
    if found.url is None:
        raise UserError(f"login {server}: a server that is started here (command) wants no login")
    return found.url, found.headers

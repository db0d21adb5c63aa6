"""`spec-mcp dashboard`: the web page over the store."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.opening import ConfigOption

if TYPE_CHECKING:
    from spec_mcp.config import Config
    from spec_mcp.dashboard import Dashboard, Place

HOST = "127.0.0.1"
PREFIX = "/dashboard"
"""Where the gateway has it."""


def command(
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65_535, metavar="P", help="Serve it there. Default: a port that is free."),
    ] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser of this machine.")] = False,
    config: ConfigOption = None,
) -> None:
    """Show sessions, savings, predictions, the undo journal and manifests on a web page of this machine.

    The address that it prints holds a random token, made anew at each start: whoever has it sees what is recorded.
    Nothing of the page comes from elsewhere. Ctrl-C ends it.
    """
    import webbrowser

    from spec_mcp.config import find_config, load_config
    from spec_mcp.dashboard.serve import serve
    from spec_mcp.relay.front.serve import listening, port_of

    found = load_config(find_config(config, os.environ))
    dashboard = dashboard_of(found, os.environ)
    bound = listening(HOST, port, f"--port {port}")
    address = f"http://{HOST}:{port_of(bound)}{dashboard.address}"
    typer.echo(f"The dashboard is at {address}\nCtrl-C ends it.")
    sys.stdout.flush()
    if browser:
        webbrowser.open(address)
    serve(dashboard, bound)


def dashboard_of(config: Config, environ: Mapping[str, str]) -> Dashboard:
    """The dashboard over a configuration's store, by itself."""
    from spec_mcp.dashboard import Dashboard

    return Dashboard(_place(config, environ))


def gateway_dashboard(config: Config, environ: Mapping[str, str]) -> Dashboard:
    """The same, below the gateway: it checks names, and its own token opens the page too."""
    from spec_mcp.dashboard import Dashboard

    password = environ.get(config.listen.token_env, "").strip() if config.listen.token_env else ""
    return Dashboard(_place(config, environ), prefix=PREFIX, password=password, checks_host=False)


def _place(config: Config, environ: Mapping[str, str]) -> Place:
    from spec_mcp.config import home
    from spec_mcp.dashboard import Place
    from spec_mcp.store.settings import StoreSettings

    place = StoreSettings.of(config, environ).place
    return Place(place.path, home(environ), config, (sys.executable, "-m", "spec_mcp"), place.remote)

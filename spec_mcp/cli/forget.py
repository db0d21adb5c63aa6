"""`spec-mcp forget`: delete what was recorded and learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import ConfigOption, open_store, store_place
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.store.place import Place
    from spec_mcp.store.store import Store


def command(
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="NAME",
            help="What belongs to this server, as `spec-mcp sessions` names it.",
            autocompletion=completing.recorded_servers,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything.")] = False,
    demotions: Annotated[
        bool,
        typer.Option(
            "--demotions",
            help="Only that tools were demoted since their results differed, of all servers or of `--server`.",
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Delete what was recorded and learned, for good: of one server, or everything.

    Sessions, calls with their arguments and results, what the predictor learned, and the remembered definitions of
    tools. The configuration, manifests and the switch stay. With `--demotions` only what stands against tools whose
    results were seen to differ: they are called ahead of time again.
    """
    if demotions and everything:
        raise UserError("forget: `--demotions` keeps everything else: leave `--all` out")
    if (server is None) != everything and not (demotions and server is None):
        raise UserError("forget: say what: `--server NAME`, `--demotions` or `--all`")
    place = store_place(config)
    if demotions:
        _pardon(place, server)
        return
    store = _open(place, everything)
    if everything:
        from spec_mcp.store.damage import delete_set_aside

        sessions = 0 if store is None else store.forget(None)
        delete_set_aside(place.path)
        typer.echo(f"Forgot everything that was recorded in {place} (sessions: {sessions}).")
        return
    known = [] if store is None else store.servers()
    if store is None or server not in known:
        names = ", ".join(known) or "no server"
        raise Failed(f"{place}: nothing is recorded of {server}: it knows {names}")
    typer.echo(f"Forgot everything that was recorded of {server} (sessions: {store.forget(server)}).")


def _open(place: Place, everything: bool) -> Store | None:
    """The store; a damaged one goes as a whole where everything is to go."""
    from spec_mcp.store.store import StoreCorrupt

    try:
        return open_store(place)
    except StoreCorrupt as error:
        if not everything:
            raise
        from spec_mcp.store.damage import set_aside

        set_aside(place.path, error.inode)
        return None


def _pardon(place: Place, server: str | None) -> None:
    store = open_store(place)
    tools = [] if store is None else store.pardon(server)
    if not tools:
        typer.echo(f"No tool{'' if server is None else f' of {server}'} is demoted in {place}.")
        return
    names = ", ".join(f"{owner}.{tool}" for owner, tool in tools)
    typer.echo(f"Called ahead of time again from the next start of a server on: {names}.")

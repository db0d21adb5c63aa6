"""`spec-mcp trace`: one session as a timeline, or sessions as a record that other programs read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli import completing
from spec_mcp.cli.opening import HOW_TO_BEGIN, ConfigOption, open_store, store_place
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.store.place import Place
    from spec_mcp.store.store import SessionTrace, Store

LAST = "last"

NAMED_AT_MOST = 5
"""Session ids in a message."""


def command(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="The beginning of a session's id, or `last` for the newest session.",
            autocompletion=completing.sessions,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All sessions; needs --json.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print recorded sessions, one a line, as `spec-mcp replay` reads them.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show one session: its calls in the order of time, and what was speculated for them."""
    if (session is None) != everything:
        raise UserError("trace: say which session: the beginning of its id, `last`, or `--all --json`")
    if everything and not as_json:
        raise UserError("trace: --all needs --json: name a session to see its timeline")
    place = store_place(config)
    store = open_store(place)
    if everything:
        if store is None:
            return
        for trace in store.traces():
            _print_record(store, trace)
        return
    assert session is not None
    if store is None:
        raise Failed(f"{place}: no session is recorded: {HOW_TO_BEGIN}")
    trace = store.trace(_find(store, session, place))
    if as_json:
        _print_record(store, trace)
    else:
        from spec_mcp.cli import speculators
        from spec_mcp.cli.timeline import show

        show(trace)
        for line in speculators.lines(store.consulted(trace.session.session)):
            typer.echo(line)


def _find(store: Store, wanted: str, place: Place) -> str:
    """The one session that is meant."""
    if wanted == LAST:
        newest = store.sessions(1)
        if not newest:
            raise Failed(f"{place}: no session is recorded: {HOW_TO_BEGIN}")
        return newest[0].session.session
    found = store.session_ids(wanted)
    if wanted in found:
        return wanted
    if not found:
        raise Failed(f"{place}: no session begins with {wanted}: `spec-mcp sessions` lists them")
    if len(found) > 1:
        raise UserError(f"trace: {wanted} is the beginning of {_named(found)}: write more of the one that you mean")
    return found[0]


def _named(found: Sequence[str]) -> str:
    more = len(found) - NAMED_AT_MOST
    return ", ".join(found[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _print_record(store: Store, trace: SessionTrace) -> None:
    from spec_mcp.cli import speculators
    from spec_mcp.cli.export import as_record
    from spec_mcp.records import session_line

    consulted = store.consulted(trace.session.session)
    more = {"speculators": speculators.as_object(consulted)} if consulted else {}
    sys.stdout.write(session_line(as_record(trace), more).decode("utf-8"))

"""`spec-mcp sessions`: who was here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.opening import HOW_TO_BEGIN, ConfigOption, JsonOption, open_store, store_path

if TYPE_CHECKING:
    from spec_mcp.store.store import SessionSummary

DEFAULT_LIMIT = 30
"""What fits a terminal; a program that asks for JSON gets all."""


def command(
    as_json: JsonOption = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help=f"The newest N alone. Default: {DEFAULT_LIMIT}, as JSON all."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """List the recorded sessions, the newest first. `spec-mcp trace ID` shows one of them."""
    path = store_path(config)
    store = open_store(path)
    if limit is None and not as_json:
        limit = DEFAULT_LIMIT
    found = [] if store is None else store.sessions(limit)
    if as_json:
        typer.echo(json.dumps([_as_object(summary) for summary in found], indent=2))
    else:
        _show(found, path)


def _as_object(summary: SessionSummary) -> dict[str, object]:
    session, totals = summary.session, summary.totals
    return {
        "session": session.session,
        "server": session.scope.server,
        "principal": session.principal,
        "client": session.client_name,
        "client_version": session.client_version,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "calls": totals.calls,
        "hits": totals.hits,
        "joins": totals.joins,
        "misses": totals.misses,
        "speculations": totals.speculations,
        "wasted": totals.wasted,
        "saved_s": round(totals.saved_s, 6),
    }


def _show(found: list[SessionSummary], path: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spec_mcp.cli.text import SHORT_ID, moment, safe, seconds

    console = Console(highlight=False)
    if not found:
        console.print(Text(f"No session is recorded in {path} yet: {HOW_TO_BEGIN}."))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("session", "began", "lasted", "server", "client"):
        table.add_column(heading, no_wrap=heading != "client")
    for heading in ("calls", "hits", "joins", "wasted", "saved"):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in found:
        session, totals = summary.session, summary.totals
        lasted = "–" if session.ended_at is None else seconds(session.ended_at - session.started_at)
        table.add_row(
            Text(safe(session.session[:SHORT_ID])),
            moment(session.started_at),
            lasted,
            Text(safe(session.scope.server)),
            Text(safe(f"{session.client_name} {session.client_version}".strip())),
            *(f"{number:,}" for number in (totals.calls, totals.hits, totals.joins, totals.wasted)),
            seconds(totals.saved_s),
        )
    console.print(table)

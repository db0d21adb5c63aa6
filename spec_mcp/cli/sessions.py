"""`spec-mcp sessions`: who was here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.opening import HOW_TO_BEGIN, ConfigOption, JsonOption, open_store, store_place

if TYPE_CHECKING:
    from spec_mcp.cli.columns import Column
    from spec_mcp.store.place import Place
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
    place = store_place(config)
    store = open_store(place)
    if limit is None and not as_json:
        limit = DEFAULT_LIMIT
    found = [] if store is None else store.sessions(limit)
    if as_json:
        prices = {} if store is None else store.prices()
        listed = [_as_object(summary, prices.get(summary.session.session)) for summary in found]
        typer.echo(json.dumps(listed, indent=2))
    else:
        _show(found, place)


def _as_object(summary: SessionSummary, price: float | None) -> dict[str, object]:
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
        **({} if price is None else {"speculators_price": round(price, 9)}),
    }


def _show(found: list[SessionSummary], place: Place) -> None:
    from rich.console import Console
    from rich.text import Text

    from spec_mcp.cli.columns import fitting

    console = Console(highlight=False)
    if not found:
        console.print(Text(f"No session is recorded in {place} yet: {HOW_TO_BEGIN}."))
        return
    table, _ = fitting(_columns(), [_row(summary) for summary in found], console.width)
    console.print(table)


def _columns() -> tuple[Column, ...]:
    from spec_mcp.cli.columns import Column

    return (
        Column("session", left=True),
        Column("began", spare=1, left=True),
        Column("lasted", spare=4, left=True),
        Column("server", left=True),
        Column("client", spare=6, left=True),
        Column("calls"),
        Column("hits", spare=2),
        Column("joins", spare=3),
        Column("wasted", spare=5),
        Column("saved"),
    )


def _row(summary: SessionSummary) -> tuple[str, ...]:
    from spec_mcp.cli.text import SHORT_ID, moment, seconds

    session, totals = summary.session, summary.totals
    return (
        session.session[:SHORT_ID],
        moment(session.started_at),
        "–" if session.ended_at is None else seconds(session.ended_at - session.started_at),
        session.scope.server,
        f"{session.client_name} {session.client_version}".strip(),
        *(f"{number:,}" for number in (totals.calls, totals.hits, totals.joins, totals.wasted)),
        seconds(totals.saved_s),
    )

"""A client of one era of the protocol with a server of the other: between them, lines are put into the other's words.

    stateless client ── to_handshake ── handshake server     (2026-07-28 in front, 2025-11-25 and before behind)
    handshake client ── to_stateless ── stateless server     (the other way round)

words.py         names of methods, members and errors; bounds
about.py         what client and server say of themselves
text.py          messages as bytes, changed in their outermost members alone
reading.py       lines as messages
results.py       results and errors
outgoing.py      what a translator gives out and can do
asked.py         a stateless client's requests, and what the server asks meanwhile
early.py         what it asks before all
rounds.py        these questions, as answers to requests of the client's
listening.py     a stateless client's streams
to_handshake.py  all of that, by message
gathering.py     a stateless server's questions, as requests to the client
subscribing.py   a handshake client's subscriptions
to_stateless.py  all of that, by message

A translator is for one client's session and one server, after they have been met. It does no input or output and
knows no connection: it is told lines and gives out lines. Every request goes to the server under an id of ours, which
neither side can guess; an answer under an id that nobody uses is dropped.
"""

from __future__ import annotations

from collections.abc import Callable

from spec_mcp.relay.clock import now_s as _now_s
from spec_mcp.relay.gateway.eras.about import (
    Era,
    ServerAbout,
    agreed,
    discover_result,
    initialize_params,
    initialize_result,
    stateless_meta,
)
from spec_mcp.relay.gateway.eras.outgoing import Ids, Outgoing, Side, Straight, Translator
from spec_mcp.relay.gateway.eras.results import (
    error_for_handshake,
    error_for_stateless,
    result_for_handshake,
    result_for_stateless,
)
from spec_mcp.relay.gateway.eras.to_handshake import ToHandshake
from spec_mcp.relay.gateway.eras.to_stateless import ToStateless

__all__ = [
    "Era",
    "Outgoing",
    "ServerAbout",
    "Side",
    "Straight",
    "Translator",
    "agreed",
    "discover_result",
    "error_for_handshake",
    "error_for_stateless",
    "initialize_params",
    "initialize_result",
    "result_for_handshake",
    "result_for_stateless",
    "stateless_meta",
    "translator",
]


def translator(
    client: Era,
    server: Era,
    about: ServerAbout,
    ids: Ids | None = None,
    now_s: Callable[[], float] = _now_s,
) -> Translator:
    """What stands between a client of one era and a server of the same or the other."""
    if client is server:
        return Straight()
    kind = ToHandshake if client is Era.STATELESS else ToStateless
    return kind(about, ids or Ids(), now_s)

"""What a shell may offer for an argument: names that are there. A key press must not fail: then nothing is offered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from spec_mcp.cli.opening import open_store, store_place
from spec_mcp.errors import UserError

LAST = "last"
SESSIONS_OFFERED = 50
"""The newest; who looks for an older one knows its beginning."""

Completion = Callable[[str], list[str]]


def _beginning(names: Callable[[], Iterable[str]]) -> Completion:
    """Those that begin with what has been typed."""

    def offered(incomplete: str) -> list[str]:
        try:
            return [name for name in dict.fromkeys(names()) if name.startswith(incomplete)]
        except (UserError, OSError):
            return []

    return offered


def _clients() -> Iterable[str]:
    from spec_mcp.clients.places import CLIENTS

    return CLIENTS


def _client_servers() -> Iterable[str]:
    """Names in the user's own files of all clients."""
    import sys
    from pathlib import Path

    from spec_mcp.clients.places import CLIENTS, user_file
    from spec_mcp.clients.plans import Read

    for client in CLIENTS.values():
        path = user_file(client, os.environ, sys.platform, Path.home())
        if path.is_file():
            read = Read.of(client, str(path), path.read_text(encoding="utf-8", errors="replace"))
            yield from (name for servers in read.tables for name in servers.node.members)


def _configured() -> Iterable[str]:
    from spec_mcp.config import find_config, load_config

    return load_config(find_config(None, os.environ)).servers


def _recorded() -> Iterable[str]:
    store = open_store(store_place(None))
    if store is None:
        return []
    try:
        return store.servers()
    finally:
        store.close()


def _sessions() -> Iterable[str]:
    store = open_store(store_place(None))
    if store is None:
        return []
    try:
        return [LAST, *reversed(store.session_ids()[-SESSIONS_OFFERED:])]
    finally:
        store.close()


def _manifests() -> Iterable[str]:
    from spec_mcp.config import home
    from spec_mcp.manifest import manifest_files

    return manifest_files(home(os.environ))


def _open_entries() -> Iterable[str]:
    from spec_mcp.store.leftovers import left_behind

    path = store_place(None).path
    return [left.entry.id for left in left_behind(path)] if path.exists() else []


def _predictors() -> Iterable[str]:
    from spec_mcp.replay.evaluate import PREDICTORS

    return PREDICTORS


clients = _beginning(_clients)
client_servers = _beginning(_client_servers)
configured_servers = _beginning(_configured)
recorded_servers = _beginning(_recorded)
sessions = _beginning(_sessions)
manifests = _beginning(_manifests)
open_entries = _beginning(_open_entries)
predictors = _beginning(_predictors)
transcripts = _beginning(lambda: ["claude-code"])
transports = _beginning(lambda: ["http", "sse"])

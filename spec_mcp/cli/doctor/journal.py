"""The undo journal: early writes that are neither used nor taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator

from spec_mcp.cli.findings import Finding, Level, of_error
from spec_mcp.config import Config
from spec_mcp.errors import UserError

JOURNAL = "Undo journal"


def journal(config: Config) -> Iterator[Finding]:
    """What is open in it, and what a person has to settle."""
    from spec_mcp.store.leftovers import REASONS, left_behind
    from spec_mcp.store.settings import StoreSettings

    try:
        path = StoreSettings.of(config, os.environ).place.path
        found = left_behind(path) if path.exists() else []
    except UserError as error:
        yield of_error(JOURNAL, error, "until then no write is made early, and what a crash left stays as it is")
        return
    if not found:
        yield Finding(JOURNAL, Level.OK, "nothing is open: no early write waits to be taken back")
    for left in found:
        entry = left.entry
        what = f"{entry.server}: {entry.tool} ({entry.id})"
        facts = {"id": entry.id, "server": entry.server, "tool": entry.tool, "state": entry.state}
        if entry.state == "stuck":
            why = REASONS.get(entry.reason, entry.reason)
            text = f"{what} was made early and cannot be taken back: {why}"
            mend = f"look at the server, settle it by hand, then: spec-mcp recover --forget {entry.id}"
            yield Finding(JOURNAL, Level.WRONG, text, mend, facts)
        elif left.is_alive:
            yield Finding(JOURNAL, Level.NOTE, f"{what} is under way in a process that runs", "", facts)
        else:
            text = f"{what} was made early by a process that is gone, and was not taken back"
            yield Finding(JOURNAL, Level.WRONG, text, "spec-mcp recover takes it back", facts)

"""The undo journal: what is open, and closing what a person has settled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from spec_mcp.dashboard.reading import Reader
from spec_mcp.engine.calls import Json
from spec_mcp.errors import Failed
from spec_mcp.store.journal import Entry
from spec_mcp.store.leftovers import REASONS, Left, forget, left_behind
from spec_mcp.store.markers import Markers
from spec_mcp.store.owners import Owners
from spec_mcp.store.redaction import Redactor
from spec_mcp.store.sqlite_journal import SELECT

SHOWN_CHARS = 4_000
"""Of arguments and results."""


def entries(reader: Reader, redactor: Redactor) -> list[dict[str, Any]]:
    """All open entries, in the order in which they were made.

    Raises:
        StoreError: the journal cannot be read.
    """
    if not Markers(reader.path).any_open():
        return []
    owners = Owners(reader.path)
    local = reader if reader.remote is None else Reader(reader.path)
    try:
        rows = local.rows(f"{SELECT} ORDER BY number")
    finally:
        if local is not reader:
            local.close()
    found = msgspec.convert(rows, list[Entry], builtin_types=(bytes,))
    return [_entry(Left(entry, owners.is_alive(entry.owner)), redactor) for entry in found]


def close(store: Path, entry_id: str) -> str:
    """Close an entry that a person has settled by hand; what was closed, for a person.

    Raises:
        Failed: there is none of this id, or a running process has it.
        StoreError: the journal cannot be written.
    """
    entry = next((left.entry for left in left_behind(store) if left.entry.id == entry_id), None)
    if entry is None:
        raise Failed(f"{entry_id} is not open any more")
    if not forget(store, entry):
        raise Failed(f"a running spec-mcp has this entry: end the client that uses {entry.server} first")
    return f"{entry.server} {entry.tool}"


def _entry(left: Left, redactor: Redactor) -> dict[str, Any]:
    entry = left.entry
    return {
        "id": entry.id,
        "server": entry.server,
        "tool": entry.tool,
        "session": entry.session,
        "principal": entry.principal,
        "arguments": _shown(entry.arguments, redactor),
        "before": _shown(entry.before, redactor),
        "result": _shown(entry.result, redactor),
        "undo": _undo(entry.reversal),
        "state": entry.state,
        "stage": _stage(left),
        "reason": entry.reason,
        "words": REASONS.get(entry.reason, entry.reason),
        "undo_sent": entry.undo_sent,
        "running": left.is_alive,
        "made_at": entry.made_at,
        "changed_at": entry.changed_at,
    }


def _stage(left: Left) -> str:
    entry = left.entry
    if entry.state == "intended":
        return "made, not used yet" if entry.outcome or entry.left else "perhaps made"
    return "stuck" if entry.state == "stuck" else "being taken back"


def _shown(text: bytes | None, redactor: Redactor) -> str | None:
    cleaned = None if text is None else redactor.clean_json(text)
    if cleaned is None:
        return None
    shown = json.dumps(json.loads(cleaned), indent=2, ensure_ascii=False)
    return shown if len(shown) <= SHOWN_CHARS else shown[:SHOWN_CHARS] + "…"


def _undo(reversal: bytes) -> str:
    """The name of the tool that takes it back, as far as it can be told."""
    value: Json = json.loads(reversal)
    undo = value.get("undo") if isinstance(value, dict) else None
    tool = undo.get("tool") if isinstance(undo, dict) else None
    return tool if isinstance(tool, str) else ""

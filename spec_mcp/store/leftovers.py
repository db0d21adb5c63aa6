"""What is open in the undo journal, for a person: early writes that are neither used nor taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.store.instance import Launch
from spec_mcp.store.journal import Entry
from spec_mcp.store.markers import Markers
from spec_mcp.store.owners import Owners

REASONS: Mapping[str, str] = {
    "foreign-state": "something else has changed there since",
    "outcome-unknown": "nothing tells whether it was done",
    "unbound": "its undo cannot be spelled, or is another tool by now",
    "undo-failed": "the server refused its undo",
    "undo-unknown": "its undo may have been done, and may not be done twice",
    "unreadable": "its state cannot be read",
    "residue": "after its undo the state is not what it was",
    "no-answer": "the server does not answer",
}
"""Why one is stuck, in the words of a person who has to settle it."""


@dataclass(frozen=True, slots=True)
class Left:
    """An open entry, and whether its owner lives."""

    entry: Entry
    is_alive: bool

    @property
    def launch(self) -> Launch:
        """How its server was started."""
        return Launch.of_json(self.entry.launch)

    @property
    def arguments(self) -> Json:
        """Decoded."""
        return cast("Json", json.loads(self.entry.arguments))


def left_behind(store: Path) -> list[Left]:
    """All open entries, in the order in which they were made.

    Raises:
        StoreError: the journal cannot be read.
    """
    if not Markers(store).any_open():
        return []
    from spec_mcp.store.sqlite_journal import SqliteJournal

    journal = SqliteJournal(store)
    try:
        owners = Owners(store)
        return [Left(entry, owners.is_alive(entry.owner)) for entry in journal.open_entries()]
    finally:
        journal.close()


def forget(store: Path, entry: Entry) -> bool:
    """A person has settled it; False where a living process has it.

    Raises:
        StoreError: the journal cannot be written.
    """
    from spec_mcp.store.sqlite_journal import SqliteJournal

    seized = Owners(store).seize(entry.owner)
    if seized is None:
        return False
    journal = SqliteJournal(store)
    try:
        return journal.settled(entry.id, entry.owner)
    finally:
        journal.close()
        seized.release()


def by_instance(found: Sequence[Left]) -> list[list[Left]]:
    """Those of one instance together, in order."""
    groups: dict[str, list[Left]] = {}
    for left in found:
        groups.setdefault(left.entry.instance, []).append(left)
    return list(groups.values())

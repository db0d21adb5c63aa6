"""Two processes at the same entries, in any order, against a journal that is a dictionary."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spec_mcp.store.journal import Entry, Journal
from spec_mcp.store.markers import Markers
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.store.entries import FILES, GRAPH, entry

OWNERS = ("a", "b")
INSTANCES = (GRAPH, FILES)
IDS = ("a-1", "a-2", "b-1", "b-2")
CHANGES = ("returned", "left", "adopted", "compensating", "undo_sent", "stuck", "settled", "take_over")

Step = tuple[str, str, str, bool]
"""What is done, by which owner, to which entry, and whether as part of a group that fails."""

steps = st.lists(
    st.tuples(
        st.sampled_from(("intend", "intend", *CHANGES)), st.sampled_from(OWNERS), st.sampled_from(IDS), st.booleans()
    ),
    max_size=30,
)


@dataclass
class Known:
    """What the model knows of an entry."""

    owner: str
    instance: str
    state: str = "intended"
    outcome: str = ""
    left: str = ""
    undo_sent: int = 0
    reason: str = ""


class Model:
    """The rules in their shortest form."""

    def __init__(self) -> None:
        self.entries: dict[str, Known] = {}

    def intend(self, new: Entry) -> bool:
        if new.id in self.entries:
            return False
        self.entries[new.id] = Known(new.owner, new.instance)
        return True

    def change(self, what: str, owner: str, entry_id: str) -> bool:
        known = self.entries.get(entry_id)
        if known is None or known.owner != owner:
            return False
        allowed = {
            "returned": known.outcome == "",
            "adopted": known.state == "intended",
            "compensating": known.state == "intended",
            "undo_sent": known.state != "intended",
        }.get(what, True)
        if not allowed:
            return False
        if what in ("adopted", "settled"):
            del self.entries[entry_id]
        for name, value in self._effect(what, known).items():
            setattr(known, name, value)
        return True

    def _effect(self, what: str, known: Known) -> dict[str, Any]:
        effects: dict[str, dict[str, Any]] = {
            "returned": {"outcome": "result"},
            "left": {"left": "digest"},
            "compensating": {"state": "compensating"},
            "undo_sent": {"state": "compensating", "reason": "", "undo_sent": known.undo_sent + 1},
            "stuck": {"state": "stuck", "reason": "why"},
            "take_over": {"owner": other(known.owner)},
        }
        return effects.get(what, {})


def other(owner: str) -> str:
    return "b" if owner == "a" else "a"


def change(journal: Journal, what: str, owner: str, entry_id: str) -> bool:
    changes: dict[str, Callable[[], bool]] = {
        "returned": lambda: journal.returned(entry_id, owner, "result", b"{}"),
        "left": lambda: journal.left(entry_id, owner, "digest"),
        "adopted": lambda: journal.claim(entry_id, owner, "adopted"),
        "compensating": lambda: journal.claim(entry_id, owner, "compensating"),
        "undo_sent": lambda: journal.undo_sent(entry_id, owner),
        "stuck": lambda: journal.stuck(entry_id, owner, "why"),
        "settled": lambda: journal.settled(entry_id, owner),
        "take_over": lambda: taken_over(journal, entry_id, owner),
    }
    return changes[what]()


def taken_over(journal: Journal, entry_id: str, owner: str) -> bool:
    """By the process of the other owner, which alone may be that one."""
    return journal.take_over(entry_id, owner, other(owner)) is not None


def intended(journal: Journal, new: Entry) -> bool:
    try:
        journal.intend(new)
    except ValueError:
        return False
    return True


def known(kept: Entry) -> Known:
    return Known(kept.owner, kept.instance, kept.state, kept.outcome, kept.left, kept.undo_sent, kept.reason)


class GroupError(Exception):
    """What was begun must be as if it had not been."""


def in_a_group_that_fails(journal: Journal, step: Callable[[], object]) -> None:
    try:
        with journal.together():
            step()
            raise GroupError
    except GroupError:
        pass


@settings(max_examples=60)
@given(steps)
def test_two_owners_in_any_order_do_what_the_model_says(plan: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.sqlite3"
        journals = {owner: SqliteJournal(path) for owner in OWNERS}
        model = Model()
        try:
            for what, owner, entry_id, fails in plan:
                # an entry is taken over by the other one's process, and made by its own
                journal = journals[other(owner) if what == "take_over" else owner]
                new = entry(int(entry_id[-1]), owner, INSTANCES[int(entry_id[-1]) - 1])
                if fails:
                    in_a_group_that_fails(
                        journal,
                        lambda journal=journal, new=new, what=what, owner=owner, entry_id=entry_id: (
                            intended(journal, new) if what == "intend" else change(journal, what, owner, entry_id)
                        ),
                    )
                elif what == "intend":
                    assert intended(journal, new) == model.intend(new)
                else:
                    assert change(journal, what, owner, entry_id) == model.change(what, owner, entry_id)
                assert {kept.id: known(kept) for kept in journals["a"].open_entries()} == model.entries
                check_markers(Markers(path), model)
        finally:
            for journal in journals.values():
                journal.close()


def check_markers(markers: Markers, model: Model) -> None:
    """No entry without a marker."""
    for kept in model.entries.values():
        assert markers.has_open(kept.instance)

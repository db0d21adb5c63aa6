"""What every undo journal must do. One body, run over each implementation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spec_mcp.store.journal import MAX_ENTRY_BYTES, Journal
from spec_mcp.store.place import Remote
from spec_mcp.store.sqlite_journal import SqliteJournal
from spec_mcp.store.store import StoreError
from tests import postgres
from tests.store.conftest import POSTGRES
from tests.store.entries import FILES, GRAPH, entry
from tests.store.rows import NOW

LATER = NOW + 1_000

Open = Callable[[], Journal]
"""Another process's journal on the same store."""


@pytest.fixture(params=["sqlite", POSTGRES])
def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    def in_a_database() -> Journal:
        from spec_mcp.store.postgres.journal import PostgresJournal

        # whose lease has run out at once anybody may take over from, as from one whose lock was seized
        remote = Remote(request.getfixturevalue("shared_database"))
        return PostgresJournal(remote, lease_s=0.0, wall_clock=lambda: LATER)

    openers: dict[str, Open] = {
        "sqlite": lambda: SqliteJournal(tmp_path / "home" / "store.sqlite3", wall_clock=lambda: LATER),
        "postgres": in_a_database,
    }
    opened: list[Journal] = []

    def open_another() -> Journal:
        opened.append(openers[request.param]())
        return opened[-1]

    yield open_another
    for journal in opened:
        journal.close()
    if request.param == "postgres":
        postgres.empty(request.getfixturevalue("shared_database"))


@pytest.fixture
def journal(open_one: Open) -> Journal:
    return open_one()


def test_an_intended_entry_is_there_as_it_was_given_for_every_process(journal: Journal, open_one: Open) -> None:
    journal.intend(entry())
    assert journal.open_entries() == open_one().open_entries() == [entry()]


def test_any_bytes_and_texts_are_given_back(journal: Journal) -> None:
    odd = entry(before=None, arguments=b"\xff\x00{", result=b"", left="ü\x00'\"", principal="https://x|sub")
    journal.intend(odd)
    assert journal.open_entries() == [odd]


def test_entries_come_in_the_order_in_which_they_were_intended_whatever_the_clock_said(journal: Journal) -> None:
    for number in (3, 1, 2):
        journal.intend(entry(number))
    journal.settled("me-1", "me")
    journal.intend(entry(0, made_at=0.0))
    assert [kept.id for kept in journal.open_entries()] == ["me-3", "me-2", "me-0"]


def test_entries_can_be_asked_for_by_instance(journal: Journal) -> None:
    journal.intend(entry(1))
    journal.intend(entry(2, instance=FILES))
    assert [kept.id for kept in journal.open_entries(GRAPH)] == ["me-1"]
    assert [kept.id for kept in journal.open_entries(FILES)] == ["me-2"]
    assert journal.open_entries("another") == []


def test_an_id_is_used_once(journal: Journal) -> None:
    journal.intend(entry())
    with pytest.raises(ValueError, match="id"):
        journal.intend(entry(tool="another"))
    assert journal.open_entries() == [entry()]


def test_a_text_that_can_never_be_kept_is_refused(journal: Journal) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        journal.intend(entry(tool="\ud800"))
    assert journal.open_entries() == []


def test_what_is_too_large_to_be_kept_is_not_launched_and_an_outcome_that_is_leaves_the_entry_as_it_was(
    journal: Journal,
) -> None:
    much = b"x" * (MAX_ENTRY_BYTES + 1)
    with pytest.raises(StoreError, match="16 MB"):
        journal.intend(entry(before=much))
    journal.intend(entry(before=much[: MAX_ENTRY_BYTES // 2]))
    with pytest.raises(StoreError, match="16 MB"):
        journal.returned("me-1", "me", "result", much)
    assert journal.open_entries()[0].outcome == ""


def test_the_outcome_and_the_state_it_left_are_kept_with_the_time(journal: Journal) -> None:
    journal.intend(entry())
    assert journal.returned("me-1", "me", "result", b'{"x":1}')
    assert journal.left("me-1", "me", "digest")
    assert journal.open_entries() == [
        dataclasses.replace(entry(), outcome="result", result=b'{"x":1}', left="digest", changed_at=LATER)
    ]


def test_the_first_answer_stays(journal: Journal) -> None:
    journal.intend(entry())
    assert journal.returned("me-1", "me", "error", None)
    assert not journal.returned("me-1", "me", "result", b"{}")
    assert journal.open_entries()[0].outcome == "error"


def test_an_adopted_entry_is_gone_and_cannot_be_taken_back(journal: Journal, open_one: Open) -> None:
    journal.intend(entry())
    assert journal.claim("me-1", "me", "adopted")
    assert open_one().open_entries() == []
    assert not journal.claim("me-1", "me", "compensating")
    assert not journal.claim("me-1", "me", "adopted")
    assert not journal.undo_sent("me-1", "me")


def test_an_entry_that_is_being_taken_back_cannot_be_adopted(journal: Journal) -> None:
    journal.intend(entry())
    assert journal.claim("me-1", "me", "compensating")
    assert not journal.claim("me-1", "me", "adopted")
    assert not journal.claim("me-1", "me", "compensating")
    assert journal.open_entries()[0].state == "compensating"


def test_a_stuck_entry_cannot_be_adopted(journal: Journal) -> None:
    journal.intend(entry())
    assert journal.stuck("me-1", "me", "outcome-unknown")
    assert not journal.claim("me-1", "me", "adopted")
    assert [(kept.state, kept.reason) for kept in journal.open_entries()] == [("stuck", "outcome-unknown")]


def test_nothing_else_can_be_claimed(journal: Journal) -> None:
    journal.intend(entry())
    with pytest.raises(ValueError, match="stuck"):
        journal.claim("me-1", "me", "stuck")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert journal.open_entries() == [entry()]


def test_no_undo_is_sent_before_it_is_claimed_and_each_one_counts(journal: Journal) -> None:
    journal.intend(entry())
    assert not journal.undo_sent("me-1", "me")
    journal.claim("me-1", "me", "compensating")
    assert journal.undo_sent("me-1", "me")
    assert journal.undo_sent("me-1", "me")
    assert journal.open_entries()[0].undo_sent == 2


def test_an_answer_that_comes_while_it_is_taken_back_is_kept(journal: Journal) -> None:
    journal.intend(entry())
    journal.claim("me-1", "me", "compensating")
    assert journal.returned("me-1", "me", "result", b"{}")
    assert (journal.open_entries()[0].state, journal.open_entries()[0].outcome) == ("compensating", "result")


def test_a_stuck_entry_whose_undo_is_tried_again_is_compensating_again(journal: Journal) -> None:
    journal.intend(entry())
    journal.claim("me-1", "me", "compensating")
    journal.stuck("me-1", "me", "undo-failed")
    assert journal.undo_sent("me-1", "me")
    kept = journal.open_entries()[0]
    assert (kept.state, kept.reason, kept.undo_sent) == ("compensating", "", 1)


def test_a_settled_entry_is_forgotten(journal: Journal) -> None:
    journal.intend(entry())
    assert journal.settled("me-1", "me")
    assert journal.open_entries() == []
    assert not journal.settled("me-1", "me")


def test_who_lost_an_entry_can_do_nothing_to_it(journal: Journal, open_one: Open) -> None:
    other = open_one()
    journal.intend(entry())
    assert journal.left("me-1", "me", "digest")
    taken = other.take_over("me-1", "me", "you")
    assert taken == dataclasses.replace(entry(), owner="you", left="digest", changed_at=LATER)
    assert not journal.returned("me-1", "me", "result", b"{}")
    assert not journal.left("me-1", "me", "another")
    assert not journal.claim("me-1", "me", "adopted")
    assert not journal.claim("me-1", "me", "compensating")
    assert not journal.undo_sent("me-1", "me")
    assert not journal.stuck("me-1", "me", "x")
    assert not journal.settled("me-1", "me")
    assert journal.take_over("me-1", "me", "him") is None
    assert journal.open_entries() == [taken]
    assert other.claim("me-1", "you", "compensating")


def test_what_is_done_together_is_done_wholly_or_not_at_all(journal: Journal, open_one: Open) -> None:
    other = open_one()
    with journal.together():
        journal.intend(entry(1))
        assert journal.returned("me-1", "me", "result", b"{}")
        journal.intend(entry(2))
        assert journal.claim("me-2", "me", "adopted")
        assert other.open_entries() == []
    assert [kept.id for kept in other.open_entries()] == ["me-1"]
    with pytest.raises(ValueError, match="id"):
        adopt_and_fail(journal)
    assert [kept.state for kept in other.open_entries()] == ["intended"]
    assert journal.claim("me-1", "me", "adopted")


def adopt_and_fail(journal: Journal) -> None:
    with journal.together():
        assert journal.claim("me-1", "me", "adopted")
        journal.intend(entry(3))
        journal.intend(entry(3))

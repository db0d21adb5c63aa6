"""Owners of the undo journal in a database live by a lease; what one who is gone left is taken over once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.journal import PostgresJournal
from spec_mcp.store.store import StoreError
from tests import postgres
from tests.store.entries import entry

pytestmark = pytest.mark.postgres

BOUND_S = 30.0

Open = Callable[..., PostgresJournal]


@pytest.fixture
def open_one(shared_database: str) -> Iterator[Open]:
    opened: list[PostgresJournal] = []

    def open_another(lease_s: float = 3_600.0) -> PostgresJournal:
        opened.append(PostgresJournal(Remote(shared_database), lease_s=lease_s))
        return opened[-1]

    yield open_another
    for journal in opened:
        journal.close()
    postgres.empty(shared_database)


def run_out(url: str, owner: str) -> None:
    """As if the database's clock had gone on beyond the owner's lease."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE spec_mcp.owners SET expires_at = clock_timestamp() WHERE owner = %s", [owner])


def test_who_has_a_lease_lives_and_nobody_takes_over_from_it(open_one: Open) -> None:
    mine, other = open_one(), open_one()
    mine.intend(entry())
    assert other.lives("me")
    assert other.take_over("me-1", "me", "you") is None
    assert mine.claim("me-1", "me", "adopted")


def test_who_was_never_heard_of_is_gone(open_one: Open) -> None:
    assert not open_one().lives("nobody")


def test_who_comes_back_late_can_neither_adopt_nor_undo_what_was_taken_over(
    open_one: Open, shared_database: str
) -> None:
    mine, other = open_one(), open_one()
    mine.intend(entry())
    assert mine.claim("me-1", "me", "compensating")
    run_out(shared_database, "me")
    assert not other.lives("me")
    assert other.take_over("me-1", "me", "you") is not None
    mine.renew()
    assert other.lives("me")
    assert not mine.undo_sent("me-1", "me")
    assert not mine.claim("me-1", "me", "adopted")
    assert other.undo_sent("me-1", "you")
    assert other.settled("me-1", "you")
    assert mine.open_entries() == []


def test_a_lease_that_is_renewed_goes_on(open_one: Open, shared_database: str) -> None:
    mine, other = open_one(), open_one()
    mine.intend(entry())
    run_out(shared_database, "me")
    mine.renew()
    assert other.take_over("me-1", "me", "you") is None


def test_of_many_that_would_take_over_one_does_and_the_fence_is_raised_once(
    open_one: Open, shared_database: str
) -> None:
    gone = open_one(lease_s=0.0)
    gone.intend(entry())
    takers = {f"taker{number}": open_one() for number in range(4)}
    together = threading.Barrier(len(takers))
    taken: list[str] = []

    def take(name: str, journal: PostgresJournal) -> None:
        together.wait(BOUND_S)
        if journal.take_over("me-1", "me", name) is not None:
            taken.append(name)

    threads = [threading.Thread(target=take, args=given) for given in takers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
    assert len(taken) == 1
    assert [kept.owner for kept in gone.open_entries()] == taken
    with psycopg.connect(shared_database) as connection:
        assert connection.execute("SELECT fence FROM spec_mcp.undos").fetchall() == [(1,)]


def test_what_another_one_is_at_just_now_is_not_waited_for(open_one: Open, shared_database: str) -> None:
    gone, other = open_one(lease_s=0.0), open_one()
    gone.intend(entry())
    with psycopg.connect(shared_database) as third:
        third.execute("SELECT 1 FROM spec_mcp.undos FOR UPDATE")
        assert other.take_over("me-1", "me", "you") is None
    assert other.take_over("me-1", "me", "you") is not None


def test_who_closes_is_gone_at_once_and_what_it_left_is_for_others(open_one: Open) -> None:
    mine, other = open_one(), open_one()
    mine.intend(entry())
    mine.close()
    assert not other.lives("me")
    taken = other.take_over("me-1", "me", "you")
    assert taken is not None
    assert dataclasses.replace(taken, changed_at=0.0) == entry(owner="you", id="me-1", changed_at=0.0)


def test_a_step_whose_connection_is_cut_is_an_error_and_what_was_durable_stays(
    open_one: Open, shared_database: str
) -> None:
    mine = open_one()
    mine.intend(entry(1))

    def in_one_step() -> None:
        with mine.together():
            mine.intend(entry(2))
            postgres.cut(shared_database)
            mine.intend(entry(3))

    with pytest.raises(StoreError, match="see whether it runs"):
        in_one_step()
    assert [kept.id for kept in mine.open_entries()] == ["me-1"]
    assert mine.claim("me-1", "me", "adopted")


def test_what_is_done_is_durable_whatever_the_server_s_own_setting_is(open_one: Open, shared_database: str) -> None:
    with psycopg.connect(f"{shared_database}?options=-csynchronous_commit%3Doff") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    journal = PostgresJournal(Remote(f"{shared_database}?options=-csynchronous_commit%3Doff"))
    with journal.together():
        assert journal._connection.query("SHOW synchronous_commit") == [{"synchronous_commit": "on"}]  # pyright: ignore[reportPrivateUsage]
    journal.close()

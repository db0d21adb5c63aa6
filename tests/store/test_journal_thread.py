"""The thread that waits for the disk: nobody waits for it, and everybody gets an answer."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from spec_mcp.store import journal_thread
from spec_mcp.store.journal import Journal
from spec_mcp.store.journal_thread import JournalThread
from spec_mcp.store.markers import Markers
from spec_mcp.store.owners import Owners
from spec_mcp.store.sqlite_journal import SqliteJournal
from spec_mcp.store.store import StoreBusy, StoreError
from tests.store.entries import GRAPH, entry

BOUND_S = 30.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


class Watched(SqliteJournal):
    """Counts its transactions, and fails as told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.groups = 0
        self.faults: list[Exception] = []

    @contextlib.contextmanager
    def together(self) -> Generator[None, None, None]:
        self.groups += 1
        with super().together():
            yield
            if self.faults:
                raise self.faults.pop(0)


class Rig:
    """A journal thread, what it opened, and the answers that came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[Watched] = []
        self.faults: list[Exception] = []
        self.answers: SimpleQueue[Any] = SimpleQueue()
        self.thread = JournalThread(path, open_journal=self.open)

    def open(self, path: Path) -> Journal:
        if self.faults:
            raise self.faults.pop(0)
        self.opened.append(Watched(path))
        return self.opened[-1]

    def submit(self, operation: Callable[[Journal], Any]) -> None:
        self.thread.submit(operation, self.answers.put)

    def ask(self, operation: Callable[[Journal], Any]) -> Any:
        self.submit(operation)
        return self.next()

    def next(self) -> Any:
        return self.answers.get(timeout=BOUND_S)

    def held_up(self) -> Callable[[], None]:
        """Keep the thread busy until what is returned is called; its answer is None."""
        begun, go_on = threading.Event(), threading.Event()

        def hold(_: Journal) -> None:
            begun.set()
            assert go_on.wait(BOUND_S)

        self.submit(hold)
        assert begun.wait(BOUND_S)
        return go_on.set


@pytest.fixture
def rig(path: Path) -> Iterator[Rig]:
    made = Rig(path)
    yield made
    assert made.thread.close(BOUND_S)


def test_each_operation_is_answered_with_what_it_returned_once_that_is_on_disk(rig: Rig, path: Path) -> None:
    assert rig.ask(lambda journal: journal.intend(entry())) is None
    other = SqliteJournal(path)
    assert other.open_entries() == [entry()]
    assert rig.ask(lambda journal: journal.claim("me-1", "me", "compensating")) is True
    assert rig.ask(lambda journal: journal.claim("me-1", "me", "adopted")) is False
    other.close()


def test_nothing_is_done_on_the_thread_of_who_asks(rig: Rig) -> None:
    assert rig.ask(lambda _: threading.current_thread().name) == "spec-mcp journal"


def test_making_one_imports_no_database_and_begins_no_thread() -> None:
    script = "import sys, threading; from pathlib import Path\n"
    script += "from spec_mcp.store.journal_thread import JournalThread; thread = JournalThread(Path('/nowhere/x'))\n"
    script += "assert thread.close()\n"
    script += "assert not {'sqlite3', 'sqlite_utils'} & set(sys.modules); assert threading.active_count() == 1"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=BOUND_S)


def test_what_waits_at_the_same_time_is_written_together_and_in_order(rig: Rig) -> None:
    go_on = rig.held_up()
    for number in range(20):
        rig.submit(lambda journal, number=number: journal.intend(entry(number)))
        rig.submit(lambda journal, number=number: journal.claim(f"me-{number}", "me", "adopted"))
    rig.submit(lambda journal: journal.open_entries())
    go_on()
    assert [rig.next() for _ in range(42)] == [None, *[None, True] * 20, []]
    assert rig.opened[0].groups == 2


def test_one_that_fails_fails_alone(rig: Rig) -> None:
    go_on = rig.held_up()
    rig.submit(lambda journal: journal.intend(entry(1)))
    rig.submit(lambda journal: journal.intend(entry(1)))
    rig.submit(lambda journal: journal.intend(entry(2)))
    go_on()
    answers = [rig.next() for _ in range(4)]
    assert [type(answer) for answer in answers] == [type(None), type(None), StoreError, type(None)]
    assert "ValueError" in str(answers[2])
    assert [kept.id for kept in rig.ask(lambda journal: journal.open_entries())] == ["me-1", "me-2"]


def test_a_group_that_the_disk_refuses_is_tried_singly(rig: Rig) -> None:
    go_on = rig.held_up()
    for number in range(3):
        rig.submit(lambda journal, number=number: journal.intend(entry(number)))
    rig.opened[0].faults = [StoreError("held up"), StoreError("full"), StoreError("still full")]
    go_on()
    assert [str(rig.next()) for _ in range(4)] == ["held up", "still full", "None", "None"]


def test_a_busy_store_answers_all_that_waited_at_once(rig: Rig) -> None:
    go_on = rig.held_up()
    for number in range(5):
        rig.submit(lambda journal, number=number: journal.intend(entry(number)))
    rig.opened[0].faults = [StoreBusy("held up"), StoreBusy("locked")]
    go_on()
    assert [str(rig.next()) for _ in range(6)] == ["held up", *["locked"] * 5]
    assert rig.opened[0].groups == 2
    assert rig.ask(lambda journal: journal.open_entries()) == []


def test_a_store_that_cannot_be_opened_is_tried_again_with_the_next_operation(rig: Rig) -> None:
    rig.faults = [StoreError("no room"), RuntimeError("odd")]
    assert str(rig.ask(lambda journal: journal.open_entries())) == "no room"
    odd = rig.ask(lambda journal: journal.open_entries())
    assert isinstance(odd, StoreError)
    assert "RuntimeError: odd: please report this" in str(odd)
    assert rig.ask(lambda journal: journal.open_entries()) == []


def test_an_answer_that_raises_is_told_and_costs_nobody_elses(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(str(args.exc_value)))

    def done(_: object) -> None:
        raise RuntimeError("the loop is gone")

    rig.thread.submit(lambda journal: journal.open_entries(), done)
    assert rig.ask(lambda journal: journal.open_entries()) == []
    assert told == ["the loop is gone"]


def test_the_marker_goes_after_the_last_entry_and_the_owner_with_the_thread(path: Path) -> None:
    rig = Rig(path)
    rig.ask(lambda journal: journal.intend(entry()))
    assert Markers(path).has_open(GRAPH)
    assert Owners(path).is_alive("me")
    assert rig.ask(lambda journal: journal.claim("me-1", "me", "adopted")) is True
    pause, until_s = threading.Event(), time.monotonic() + BOUND_S
    while Markers(path).has_open(GRAPH) and time.monotonic() < until_s:  # the answer comes first
        pause.wait(0.005)
    assert not Markers(path).has_open(GRAPH)
    assert rig.thread.close(BOUND_S)
    assert not Owners(path).is_alive("me")


def test_closing_does_what_is_waiting_and_answers_it(path: Path) -> None:
    rig = Rig(path)
    go_on = rig.held_up()
    for number in range(200):
        rig.submit(lambda journal, number=number: journal.intend(entry(number)))
    go_on()
    assert rig.thread.close(BOUND_S)
    assert rig.answers.qsize() == 201
    assert len(SqliteJournal(path).open_entries()) == 200


def test_closing_waits_no_longer_than_its_bound(path: Path) -> None:
    rig = Rig(path)
    go_on = rig.held_up()
    assert not rig.thread.close(0.01)
    go_on()
    assert rig.thread.close(BOUND_S)


def test_who_asks_after_the_end_is_told_at_once(path: Path) -> None:
    rig = Rig(path)
    assert rig.thread.close(BOUND_S)
    rig.submit(lambda journal: journal.open_entries())
    assert "closed" in str(rig.answers.get_nowait())


def test_no_more_waits_than_the_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_thread, "MAX_WAITING", 2)
    go_on = rig.held_up()
    for _ in range(3):
        rig.submit(lambda journal: journal.open_entries())
    assert isinstance(rig.answers.get_nowait(), StoreBusy)
    go_on()
    assert [rig.next() for _ in range(3)] == [None, [], []]


def test_a_system_without_a_thread_for_us_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert "can't start new thread" in str(rig.ask(lambda journal: journal.open_entries()))

"""The recorder writes beside the path of calls, and its troubles stay its own."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from spec_mcp.store.intake import MAX_PAYLOAD_BYTES
from spec_mcp.store.place import Place
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.rows import CallRow, Row
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import Store, StoreBusy, StoreError
from spec_mcp.store.worker import COMPACT_ROWS, Loaded, StoreState
from tests.store.rows import FILES, NOW, SHOP, call, learned, pin, session, skip, speculation

BOUND_S = 60.0


class Said(list[str]):
    """What the recorder told people."""


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


Make = Callable[..., Recorder]


@pytest.fixture
def make(path: Path, said: Said) -> Iterator[Make]:
    made: list[Recorder] = []

    def make_one(at: Path = path, started: bool = True, retry_s: float = 0.0, **more: object) -> Recorder:
        settings = {"retention_days": 30.0, "record_results": True, "redact": ("*password*",)}
        opener = {"open_store": more.pop("open_store")} if "open_store" in more else {}
        recorder = Recorder(
            StoreSettings(place=Place(at), **(settings | more)),  # type: ignore[arg-type]
            say=said.append,
            wall_clock=lambda: NOW,
            retry_s=retry_s,
            **opener,  # type: ignore[arg-type]
        )
        made.append(recorder)
        if started:
            recorder.start()
        return recorder

    yield make_one
    for recorder in made:
        assert recorder.close(BOUND_S)


def reopened(path: Path) -> SqliteStore:
    return SqliteStore(path)


class Faulty:
    """A store that fails as told before it works."""

    def __init__(self, faults: list[Exception], inner: Store) -> None:
        self.faults = faults
        self.inner = inner

    def write(self, rows: Sequence[Row]) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.inner.write(rows)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_what_is_recorded_is_in_the_store_after_a_flush(make: Make, path: Path, said: Said) -> None:
    recorder = make()
    for row in (session(), call(1), speculation(1), pin(), learned()):
        recorder.record(row)
    recorder.skip("s1", "files", "read", "busy")
    recorder.skip("s1", "files", "read", "busy")
    assert recorder.flush(BOUND_S)
    store = reopened(path)
    trace = store.trace("s1")
    assert (len(trace.calls), len(trace.speculations), trace.skips) == (1, 1, (skip(count=2),))
    assert store.pins(FILES) == {"read": "sha256:1"}
    assert recorder.counts.written == 6
    assert (recorder.dropped, said) == (0, [])


def test_closing_writes_what_is_left(make: Make, path: Path) -> None:
    recorder = make()
    recorder.record(session())
    for number in range(1_000):
        recorder.record(call(number))
    assert recorder.close(BOUND_S)
    assert reopened(path).totals().all.calls == 1_000


def test_the_librarys_import_stays_off_the_thread_that_records() -> None:
    program = (
        "import sys, spec_mcp.store.recorder, spec_mcp.store.mode, spec_mcp.store.place\n"
        "heavy = {'sqlite3', 'sqlite_utils', 'pydantic', 'typer', 'rich', 'platformdirs', 'mcp'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    import subprocess

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_loading_gives_pins_and_learning_of_one_scope(make: Make, path: Path) -> None:
    SqliteStore(path).write([pin(), learned(b'{"n":4}'), pin("other", scope=SHOP)])
    loaded = make().load(FILES, "local").result(BOUND_S)
    assert loaded.state is StoreState.READY
    assert loaded.pins == {"read": "sha256:1"}
    assert [(row.kind, row.data) for row in loaded.learned] == [("history/1", {"n": 4})]


def test_loading_asked_before_the_start_is_served_after_it(make: Make) -> None:
    recorder = make(started=False)
    future = recorder.load(FILES, "local")
    recorder.start()
    assert future.result(BOUND_S).state is StoreState.READY


def test_many_learned_rows_become_one_when_they_are_loaded(make: Make, path: Path) -> None:
    store = SqliteStore(path)
    store.write([learned() for _ in range(COMPACT_ROWS)])
    recorder = make(merges={"history/1": lambda rows: {"n": sum(row["n"] for row in rows)}})
    assert len(recorder.load(FILES, "local").result(BOUND_S).learned) == COMPACT_ROWS
    assert recorder.flush(BOUND_S)
    assert [json.loads(row.data) for row in store.learned(FILES, "local")] == [{"n": COMPACT_ROWS}]


def test_secrets_never_reach_the_file(make: Make, path: Path) -> None:
    recorder = make()
    recorder.record(session())
    recorder.record(
        call(1, arguments=b'{"password":"hunter2"}', result=b'{"structuredContent":{"password":"hunter2"}}')
    )
    assert recorder.close(BOUND_S)
    assert all(b"hunter2" not in file.read_bytes() for file in path.parent.iterdir())
    assert reopened(path).totals().all.calls == 1


def test_a_result_that_is_too_large_is_left_out_and_its_size_kept(make: Make, path: Path) -> None:
    recorder = make()
    large = b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"'
    recorder.record(session())
    recorder.record(call(1, result=large, arguments=large))
    recorder.record(call(2, result=b'"small"'))
    assert recorder.flush(BOUND_S)
    first, second = reopened(path).trace("s1").calls
    assert (first.result, first.arguments, first.result_bytes) == (None, None, len(large))
    assert (second.result, second.result_bytes) == (b'"small"', 7)


def test_one_row_that_cannot_be_kept_costs_no_other(make: Make, path: Path, said: Said) -> None:
    recorder = make()
    for row in (session(), call(1), call(2, tool="\ud800"), call(3)):
        recorder.record(row)
    recorder.flush(BOUND_S)
    assert [row.number for row in reopened(path).trace("s1").calls] == [1, 3]
    assert (recorder.dropped, said) == (1, [])


def test_a_busy_store_gets_its_rows_later_and_is_spoken_of_once(make: Make, path: Path, said: Said) -> None:
    faults: list[Exception] = [StoreBusy(f"{path}: locked: end it") for _ in range(3)]
    recorder = make(open_store=lambda at: Faulty(faults, SqliteStore(at.path)))
    recorder.record(session())
    recorder.record(call(1))
    assert [recorder.flush(BOUND_S) for _ in range(4)] == [False, False, False, True]
    assert reopened(path).totals().all.calls == 1
    assert said == [f"{path}: locked: end it; calls go on unrecorded meanwhile"]
    assert (recorder.counts.failures, recorder.dropped) == (3, 0)


def test_a_fault_of_our_own_in_the_store_costs_no_more_than_the_record(make: Make, path: Path, said: Said) -> None:
    def broken(_place: Place) -> Store:
        raise ZeroDivisionError("ours")

    recorder = make(open_store=broken)
    loading = recorder.load(FILES, "local")
    recorder.record(call(1))
    assert loading.result(BOUND_S).state is StoreState.UNAVAILABLE
    assert not recorder.flush(BOUND_S)
    assert said == [f"{path}: ZeroDivisionError: ours: please report this"]


def test_a_full_queue_drops_the_oldest_rows_and_counts_them(
    make: Make, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spec_mcp.store.intake.MAX_QUEUED_ROWS", 10)
    recorder = make(started=False)
    for number in range(25):
        recorder.record(call(number))
    recorder.record(session())
    recorder.start()
    assert recorder.flush(BOUND_S)
    assert [row.number for row in reopened(path).trace("s1").calls] == list(range(16, 25))
    assert recorder.dropped == 16


def test_a_queue_is_bounded_by_its_bytes_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spec_mcp.store.intake.MAX_QUEUED_BYTES", 1_000)
    recorder = make(started=False)
    for number in range(10):
        recorder.record(call(number, arguments=b"{}", result=b'"' + b"x" * 298 + b'"'))
    assert recorder.dropped == 7


def test_recording_does_not_wait_for_a_store_that_hangs(make: Make, path: Path) -> None:
    release = threading.Event()
    opening = threading.Event()

    def hanging(at: Place) -> Store:
        opening.set()
        assert release.wait(BOUND_S)
        return SqliteStore(at.path)

    recorder = make(open_store=hanging)
    assert opening.wait(BOUND_S)
    for number in range(2_000):
        recorder.record(call(number))
    assert not recorder.flush(0.01)
    assert not recorder.close(0.01)
    release.set()
    assert recorder.close(BOUND_S)
    assert reopened(path).totals().all.calls == 2_000


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(make: Make, path: Path, said: Said) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database, " * 500)
    recorder = make()
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.READY
    recorder.record(session())
    assert recorder.flush(BOUND_S)
    [aside] = path.parent.glob("*.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
    assert reopened(path).session_ids() == ["s1"]
    assert said == [f"{path}: was damaged: a new one was begun, the old one is {aside.name}"]
    assert recorder.counts.set_aside == 1


def test_a_file_damaged_while_it_is_in_use_costs_its_content_and_nothing_after_it(
    make: Make, path: Path, said: Said
) -> None:
    recorder = make()
    recorder.record(session())
    for number in range(300):
        recorder.record(call(number, result=b'"' + b"x" * 2_000 + b'"'))
    assert recorder.flush(BOUND_S)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with open(path, "r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * (path.stat().st_size - 4_096))
    recorder.record(call(1_000))
    recorder.record(call(1_001, t_start=NOW - 1))
    assert recorder.flush(BOUND_S)
    store = reopened(path)
    assert store.session_ids() == ["s1"]
    assert {row.number for row in store.trace("s1").calls} == {1_000, 1_001}
    assert len(said) == recorder.counts.set_aside == 1


def test_a_file_that_was_deleted_while_it_is_in_use_is_begun_anew_with_its_session(make: Make, path: Path) -> None:
    recorder = make()
    recorder.record(session())
    recorder.record(call(1))
    assert recorder.flush(BOUND_S)
    for file in path.parent.iterdir():
        file.unlink()
    recorder.record(call(2))
    assert recorder.flush(BOUND_S)
    assert [row.number for row in reopened(path).trace("s1").calls] == [2]


def test_a_session_that_was_forgotten_while_it_goes_on_is_there_again_with_its_later_calls(
    make: Make, path: Path
) -> None:
    recorder = make()
    recorder.record(session())
    recorder.record(call(1))
    assert recorder.flush(BOUND_S)
    reopened(path).forget(None)
    recorder.record(call(2))
    assert recorder.flush(BOUND_S)
    assert [row.number for row in reopened(path).trace("s1").calls] == [2]


def test_a_home_that_cannot_be_made_is_said_once_with_what_to_do(make: Make, tmp_path: Path, said: Said) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "home" / "store.sqlite3"
    recorder = make(at=path)
    assert recorder.load(FILES, "local").result(BOUND_S) == Loaded(StoreState.UNAVAILABLE)
    for number in range(3):
        recorder.record(call(number))
        assert not recorder.flush(BOUND_S)
    assert len(said) == 1
    assert said[0].startswith(f"{path}: Not a directory: ")
    assert "SPEC_MCP_HOME" in said[0]
    assert recorder.close(BOUND_S)
    assert recorder.dropped == 3


def test_a_store_that_another_holds_for_longer_than_we_wait_gets_its_rows_afterwards(
    make: Make, path: Path, said: Said
) -> None:
    SqliteStore(path).close()
    recorder = make(open_store=lambda at: SqliteStore(at.path, busy_timeout_s=0.05))
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.READY
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    recorder.record(session())
    recorder.record(call(1))
    assert not recorder.flush(BOUND_S)
    assert len(said) == 1
    assert "locked by another program" in said[0]
    other.execute("COMMIT")
    other.close()
    recorder.record(call(2))
    assert recorder.flush(BOUND_S)
    assert reopened(path).totals().all.calls == 2


def test_rows_are_given_up_only_at_the_end_and_counted(make: Make, path: Path) -> None:
    SqliteStore(path).close()
    recorder = make(open_store=lambda at: SqliteStore(at.path, busy_timeout_s=0.05))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    recorder.record(session())
    recorder.record(call(1))
    assert not recorder.flush(BOUND_S)
    assert recorder.dropped == 0
    assert recorder.close(BOUND_S)
    assert recorder.dropped == 2
    other.close()


def test_upkeep_runs_when_the_store_is_opened(make: Make, path: Path) -> None:
    SqliteStore(path).write(
        [session("old", started_at=0.0, ended_at=1.0), call(1, session="old", t_start=0.0, t_end=1.0)]
    )
    recorder = make()
    recorder.load(FILES, "local").result(BOUND_S)
    assert recorder.flush(BOUND_S)
    assert recorder.close(BOUND_S)
    assert reopened(path).session_ids() == []


def test_a_row_keeps_no_reference_to_what_was_not_kept(make: Make) -> None:
    recorder = make(started=False)
    recorder.record(call(1, result=b"x" * (MAX_PAYLOAD_BYTES + 1)))
    [row] = recorder._intake.take(10)
    assert isinstance(row, CallRow)
    assert row.result is None


def test_an_error_of_the_store_is_one_line(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be read as one" * 10)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_who_asks_after_the_end_is_answered_all_the_same(make: Make) -> None:
    recorder = make()
    assert recorder.close(BOUND_S)
    assert recorder.load(FILES, "local").result(BOUND_S) == Loaded(StoreState.UNAVAILABLE)
    assert not recorder.flush(BOUND_S)
    recorder.record(call(1))


def test_a_system_without_a_thread_for_us_costs_the_record_alone(
    make: Make, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    recorder = make(started=False)
    loading = recorder.load(FILES, "local")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        recorder.start()
    recorder.record(call(1))
    assert loading.result(BOUND_S).state is StoreState.UNAVAILABLE
    assert said == ["can't start new thread: calls go on, nothing is recorded"]


def test_those_who_wait_behind_a_fault_are_served_after_it(make: Make, path: Path) -> None:
    faults: list[Exception] = [ZeroDivisionError("ours")]

    def open_store(at: Place) -> Store:
        if faults:
            raise faults.pop()
        return SqliteStore(at.path)

    recorder = make(started=False, open_store=open_store)
    first, second = recorder.load(FILES, "local"), recorder.load(FILES, "local")
    recorder.start()
    assert first.result(BOUND_S).state is StoreState.UNAVAILABLE
    assert second.result(BOUND_S).state is StoreState.READY

"""The file itself: its modes and versions, several processes on it, and what may happen to it."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlite_utils import Database

from spec_mcp.engine.calls import Json
from spec_mcp.store import connection, migrations
from spec_mcp.store.connection import Connection
from spec_mcp.store.damage import delete_set_aside, set_aside
from spec_mcp.store.place import Place
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import StoreBusy, StoreCorrupt, StoreError, StoreNewer
from spec_mcp.store.upkeep import tidy
from spec_mcp.store.worker import StoreState
from tests.store.rows import FILES, NOW, call, learned, pin, session, speculation

BOUND_S = 60
WRITTEN_ROWS = 60
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


def writer(path: Path, name: str, rows: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.writer", str(path), name, str(rows)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def learned_sum(store: SqliteStore) -> int:
    return sum(json.loads(row.data)["n"] for row in store.learned(FILES, "local"))


def test_the_file_and_its_folder_are_their_users_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        store = SqliteStore(path)
        store.write([session()])
    finally:
        os.umask(old)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        path.name: 0o600,
        path.name + "-wal": 0o600,
        path.name + "-shm": 0o600,
    }


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o644)
    SqliteStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_readers_do_not_wait_for_a_writer(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0)
    store.write([session()])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.session_ids() == ["s1"]
    other.close()


def test_a_writer_that_waits_too_long_says_who_is_to_blame(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked by another program"):
        store.write([session()])
    other.close()
    store.write([session()])


def test_two_processes_write_at_once_and_nothing_is_lost_or_counted_twice(path: Path) -> None:
    writers = [writer(path, name, WRITTEN_ROWS) for name in ("one", "two")]
    for process in writers:
        process.communicate(timeout=BOUND_S)
        assert process.returncode == 0
    store = SqliteStore(path)
    assert {name: len(store.trace(name).calls) for name in store.session_ids()} == {
        "one": WRITTEN_ROWS,
        "two": WRITTEN_ROWS,
    }
    assert store.totals().skips == {"busy": 2 * WRITTEN_ROWS}
    assert learned_sum(store) == 2 * WRITTEN_ROWS
    assert len(store.learned(FILES, "local")) < WRITTEN_ROWS


def test_a_writer_killed_at_any_moment_leaves_all_that_it_had_written(path: Path) -> None:
    for round_, lines in enumerate((1, 5, 13)):
        process = writer(path, f"w{round_}", 10_000)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        rest = process.stdout.read().splitlines(keepends=True)
        process.wait(BOUND_S)
        process.stdout.close()
        whole = [line for line in [*said, *rest] if line.endswith("\n")]
        store = SqliteStore(path)
        kept = [row.number for row in store.trace(f"w{round_}").calls]
        assert kept == list(range(len(kept)))
        assert len(whole) <= len(kept) <= len(whole) + 1
        assert learned_sum(store) == store.totals().all.calls
        store.close()


def test_two_processes_that_begin_a_store_at_once_both_succeed(path: Path) -> None:
    writers = [writer(path, f"w{number}", 1) for number in range(4)]
    for process in writers:
        process.communicate(timeout=BOUND_S)
        assert process.returncode == 0
    assert len(SqliteStore(path).session_ids()) == 4


def test_what_another_adds_during_a_compaction_is_kept_beside_it(path: Path) -> None:
    store, other = SqliteStore(path), SqliteStore(path, busy_timeout_s=BOUND_S)
    store.write([learned(b'{"n":1}'), learned(b'{"n":2}')])
    merging = threading.Event()
    adding = threading.Thread(target=lambda: merging.wait(BOUND_S) and other.write([learned(b'{"n":4}')]))
    adding.start()

    def add(rows: list[Json]) -> Json:
        merging.set()
        return {"n": sum(row["n"] for row in rows)}  # type: ignore[index,call-overload,misc]

    assert store.compact(FILES, "local", "history/1", add)
    adding.join(BOUND_S)
    assert [json.loads(row.data)["n"] for row in store.learned(FILES, "local")] == [3, 4]


def test_a_store_of_an_older_version_is_brought_up_to_date_with_its_content(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    store.write([session(), call(1)])
    store.close()
    later = "9999-a-later-step"
    steps = migrations.Migrations("spec-mcp")
    for step in migrations.migrations.pending(Database(memory=True)):
        steps(name=step.name)(step.fn)

    @steps(name=later)
    def add_a_column(db: Database) -> None:
        db.table("calls").add_column("mood", str)

    with monkeypatch.context() as patched:
        patched.setattr(connection, "migrations", steps)
        patched.setattr(connection, "STEPS", (*migrations.STEPS, later))
        newer = Connection(path)
        assert newer.query("SELECT number, mood FROM calls") == [{"number": 1, "mood": None}]
        newer.close()
    with pytest.raises(StoreNewer, match="written by a newer spec-mcp: update spec-mcp"):
        SqliteStore(path)


def test_every_step_of_the_tables_is_known_by_name() -> None:
    assert tuple(step.name for step in migrations.migrations.pending(Database(memory=True))) == migrations.STEPS


def test_a_step_that_fails_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore(path).close()
    steps = migrations.Migrations("spec-mcp")
    for step in migrations.migrations.pending(Database(memory=True)):
        steps(name=step.name)(step.fn)

    @steps(name="9999-broken")
    def half_done(db: Database) -> None:
        db.table("calls").add_column("mood", str)
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "migrations", steps)
        patched.setattr(connection, "STEPS", (*migrations.STEPS, "9999-broken"))
        with pytest.raises(RuntimeError, match="broken"):
            SqliteStore(path)
    store = SqliteStore(path)
    store.write([session(), call(1)])
    assert store.totals().all.calls == 1


def test_a_newer_store_makes_a_recorder_step_back_and_say_so_once(path: Path) -> None:
    SqliteStore(path).close()
    Database(path).table("_sqlite_migrations").insert(
        {"migration_set": "spec-mcp", "name": "9999-from-the-future", "applied_at": "2030"}
    )
    before = path.read_bytes()
    said: list[str] = []
    recorder = Recorder(StoreSettings(Place(path), 30, True, ()), say=said.append, retry_s=0)
    recorder.start()
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.NEWER
    assert recorder.load(FILES, "local").result(BOUND_S).state is StoreState.NEWER
    recorder.record(call(1))
    recorder.flush(BOUND_S)
    assert recorder.close(BOUND_S)
    assert said == [
        f"{path}: written by a newer spec-mcp: update spec-mcp, or name another store; until then this is a plain proxy"
    ]
    assert recorder.dropped == 1
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_not_touched(path: Path) -> None:
    path.parent.mkdir()
    other = Database(path)
    other.table("notes").insert({"text": "mine"})
    other.close()
    with pytest.raises(StoreError, match="another program's database") as caught:
        SqliteStore(path)
    assert not isinstance(caught.value, StoreCorrupt)
    assert Database(path).table_names() == ["notes"]


def test_an_empty_file_is_a_store_to_begin(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    SqliteStore(path).write([session()])


@pytest.mark.parametrize("place", ["file/store.sqlite3", "file/home/store.sqlite3", "folder"])
def test_a_place_where_no_file_can_be_is_named_with_what_to_do(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="SPEC_MCP_HOME") as caught:
        SqliteStore(tmp_path / place)
    assert str(caught.value).startswith(str(tmp_path / place))


FULL_DISK = """
import resource, sys
from pathlib import Path
from spec_mcp.store.place import Place
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.settings import StoreSettings
from tests.store.rows import call, session

said = []
recorder = Recorder(StoreSettings(Place(Path(sys.argv[1])), 30, True, ()), say=said.append, retry_s=0)
recorder.start()
recorder.record(session())
recorder.record(call(1))
assert recorder.flush(30)
size = Path(sys.argv[1] + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
for number in range(2, 40):
    recorder.record(call(number, result=b'"' + b"x" * 5000 + b'"'))
assert not recorder.flush(30)
assert len(said) == 1 and "disk" in said[0], said
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert recorder.flush(30)
assert recorder.close(30)
assert recorder.dropped == 0
"""


def test_a_full_disk_costs_nothing_that_fits_once_there_is_room_again(path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [row.number for row in SqliteStore(path).trace("s1").calls] == list(range(1, 40))


def test_a_damaged_file_is_set_aside_by_one_process_only(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 100)
    damaged = path.stat().st_ino
    first = set_aside(path, damaged)
    SqliteStore(path).write([session()])
    assert set_aside(path, damaged) is None
    assert SqliteStore(path).session_ids() == ["s1"]
    assert first is not None
    assert delete_set_aside(path) == 1
    assert not first.exists()


def test_a_damaged_file_that_cannot_be_renamed_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="move it away"):
        set_aside(tmp_path / "file" / "store", 1)


def test_a_store_beyond_its_size_loses_its_oldest_calls_first(path: Path) -> None:
    store = Connection(path)
    text = b'"' + b"x" * 10_000 + b'"'
    sqlite = SqliteStore(path)
    sqlite.write([session(), learned(), pin()])
    sqlite.write([call(number, result=text) for number in range(200)])
    sqlite.write([speculation(number) for number in range(200)])
    assert tidy(store, NOW + 1_000, 30, max_bytes=1_000_000)
    kept = [row.number for row in sqlite.trace("s1").calls]
    assert 20 < len(kept) < 100
    assert kept == list(range(200 - len(kept), 200))
    assert len(sqlite.learned(FILES, "local")) == 1
    store.close()


def test_what_was_deleted_by_retention_is_not_left_in_the_file(path: Path) -> None:
    store = SqliteStore(path)
    store.write([session(started_at=1.0, ended_at=2.0), call(1, result=b'"an old secret"', t_start=1.0, t_end=2.0)])
    store.close()
    assert b"an old secret" in path.read_bytes()
    store = SqliteStore(path)
    store.upkeep(NOW, 30)
    store.close()
    assert b"an old secret" not in path.read_bytes()

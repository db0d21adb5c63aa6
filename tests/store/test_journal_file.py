"""The journal's file in bad times: killed processes, lost power, a full disk, damage, locks, and other hands."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spec_mcp.store.damage import set_aside
from spec_mcp.store.journal import Entry
from spec_mcp.store.locks import beside
from spec_mcp.store.markers import Markers
from spec_mcp.store.owners import Owners
from spec_mcp.store.place import Place
from spec_mcp.store.recorder import Recorder
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.sqlite_journal import SqliteJournal
from spec_mcp.store.store import StoreBusy, StoreCorrupt, StoreError
from tests.store.entries import FILES, GRAPH, entry
from tests.store.journal_steps import OWNER
from tests.store.rows import NOW, call, session

BOUND_S = 60
ROOT = Path(__file__).resolve().parents[2]

Seen = tuple[str, str, str, int]
"""State, outcome, left and undos."""

ADOPTED = ["intend", "returned", "left", "adopted"]
TAKEN_BACK = ["intend", "returned", "left", "compensating", "undo_sent", "settled"]
STUCK = ["intend", "compensating", "undo_sent", "stuck"]

AFTER: dict[tuple[str, ...], list[Seen]] = {
    ("intend",): [("intended", "", "", 0)],
    ("intend", "returned"): [("intended", "result", "", 0)],
    ("intend", "returned", "left"): [("intended", "result", "digest", 0)],
    tuple(ADOPTED): [],
    tuple(TAKEN_BACK[:4]): [("compensating", "result", "digest", 0)],
    tuple(TAKEN_BACK[:5]): [("compensating", "result", "digest", 1)],
    tuple(TAKEN_BACK): [],
    tuple(STUCK): [("stuck", "", "", 1)],
}
"""What must be on disk once the last of these steps is done."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


def child(path: Path, *steps: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.journal_steps", str(path), *steps],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def seen(entries: list[Entry]) -> list[Seen]:
    return [(kept.state, kept.outcome, kept.left, kept.undo_sent) for kept in entries]


def entries_at(path: Path) -> list[Entry]:
    journal = SqliteJournal(path)
    try:
        return journal.open_entries()
    finally:
        journal.close()


# --- killed processes and lost power --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", AFTER, ids=lambda steps: "-".join(steps[-2:]))
def test_what_was_done_before_a_kill_or_a_power_cut_is_on_disk(
    path: Path, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    with child(path, *steps) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        for step in steps:
            assert process.stdout.readline() == step + "\n"
            if step != steps[-1]:
                process.stdin.write("\n")
                process.stdin.flush()
        # what lies in the files at this moment, without the memory that its processes share
        shutil.copytree(path.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm"))
        assert Owners(path).is_alive(OWNER)
        process.kill()
        process.wait(BOUND_S)
    assert seen(entries_at(tmp_path / "copy" / path.name)) == AFTER[steps]
    assert seen(entries_at(path)) == AFTER[steps]
    assert Markers(path).has_open(GRAPH) == bool(AFTER[steps])
    assert not Owners(path).is_alive(OWNER)


@pytest.mark.parametrize("lines", [1, 2, 5, 9, 14])
def test_a_kill_at_any_moment_loses_no_step_and_invents_none(path: Path, lines: int) -> None:
    steps = ["intend", "compensating", "undo_sent", "settled"]
    states: list[list[Seen]] = [[("intended", "", "", 0)], [("compensating", "", "", 0)], [("compensating", "", "", 1)]]
    with child(path, "run", *steps) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    done = len([line for line in said if line.endswith("\n")])
    possible = [[*states, []][(count - 1) % len(steps)] for count in (done, done + 1)]
    kept = entries_at(path)
    assert seen(kept) in possible
    assert not kept or Markers(path).has_open(GRAPH)


@pytest.mark.parametrize("lines", [1, 40, 150])
def test_what_was_answered_before_a_kill_is_on_disk_however_much_was_written_together(path: Path, lines: int) -> None:
    with child(path, "thread") as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    answered = [int(line) for line in said if line.endswith("\n")]
    kept = [int(entry.id.removeprefix(f"{OWNER}-")) for entry in entries_at(path)]
    assert answered == list(range(len(answered)))
    assert kept == list(range(len(kept)))
    assert len(answered) <= len(kept)


SETTLER = """
import os, signal, sys
from pathlib import Path
from spec_mcp.store.owners import new_token
from spec_mcp.store.sqlite_journal import SqliteJournal
journal, me = SqliteJournal(Path(sys.argv[1]), busy_timeout_s=30), new_token()
print("ready", flush=True)
sys.stdin.readline()
while left := journal.open_entries():
    for entry in left:
        seized = journal.owners.seize(entry.owner)
        if seized is None:
            continue
        entry = journal.take_over(entry.id, entry.owner, me)
        if entry is not None:
            assert journal.claim(entry.id, me, "compensating") == (entry.state == "intended")
            assert journal.undo_sent(entry.id, me)
            print(entry.id, entry.undo_sent, flush=True)
            if entry.id.endswith("0") and not entry.undo_sent:
                os.kill(os.getpid(), signal.SIGKILL)
            assert journal.settled(entry.id, me)
        seized.release()
journal.close()
"""


def test_processes_that_race_to_settle_send_no_undo_twice_unless_one_died_over_it(path: Path) -> None:
    names = {f"dead{number % 7}-{number}" for number in range(1, 30)}
    journal = SqliteJournal(path)
    for number in range(1, 30):
        journal.intend(entry(number, f"dead{number % 7}"))
    journal.close()
    settlers = [
        subprocess.Popen(
            [sys.executable, "-c", SETTLER, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for settler in settlers:
        assert settler.stdout is not None
        assert settler.stdout.readline() == "ready\n"
    for settler in settlers:
        assert settler.stdin is not None
        settler.stdin.write("go\n")
        settler.stdin.flush()
    said = [line for settler in settlers for line in settler.communicate(timeout=BOUND_S)[0].splitlines()]
    assert sorted(said) == sorted([f"{name} 0" for name in names] + [f"{n} 1" for n in names if n.endswith("0")])
    assert sorted(settler.returncode for settler in settlers) == [-9, -9, 0]
    assert entries_at(path) == []
    assert not Markers(path).any_open()


@pytest.mark.parametrize("steps", [("kill:intend",), ("intend", "kill:adopted"), ("intend", "kill:settled")])
def test_a_kill_between_the_marker_and_the_entry_leaves_a_marker_that_the_next_look_removes(
    path: Path, steps: tuple[str, ...]
) -> None:
    with child(path, *steps) as process:
        process.communicate("\n" * len(steps), timeout=BOUND_S)
    assert process.returncode < 0
    assert Markers(path).has_open(GRAPH)
    journal = SqliteJournal(path)
    assert journal.open_entries(GRAPH) == []
    assert not Markers(path).has_open(GRAPH)
    journal.close()


def test_what_a_dead_process_left_is_taken_over_and_settled_by_another(path: Path) -> None:
    with child(path, "intend", "returned") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    journal = SqliteJournal(path)
    with journal.owners.seize(OWNER) or pytest.fail("not seized"):
        assert journal.take_over(f"{OWNER}-1", OWNER, "me")
    assert journal.owners.is_alive("me")
    assert journal.claim(f"{OWNER}-1", "me", "compensating")
    assert journal.undo_sent(f"{OWNER}-1", "me")
    assert journal.settled(f"{OWNER}-1", "me")
    assert not Markers(path).has_open(GRAPH)
    journal.close()
    assert list(journal.owners.folder.iterdir()) == []


def test_each_step_waits_for_the_disk_whatever_other_connections_do(path: Path) -> None:
    journal = SqliteJournal(path)
    settings = [journal._connection.pragma(name) for name in ("journal_mode", "synchronous", "checkpoint_fullfsync")]
    assert settings == ["wal", 2, 1]
    journal.close()


def test_the_folder_of_a_new_store_is_synced_with_the_name_of_its_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    SqliteJournal(path).close()
    assert synced == [path.parent.stat().st_ino, path.parent.parent.stat().st_ino]


# --- a full disk, a lock, damage ------------------------------------------------------------------------------------

FULL_DISK = """
import resource, sys
from pathlib import Path
from spec_mcp.store.sqlite_journal import SqliteJournal
from spec_mcp.store.store import StoreError
from tests.store.entries import entry

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def refused(step):
    try:
        step()
    except StoreError as error:
        return "disk" in str(error)
    return False

journal = SqliteJournal(Path(sys.argv[1]))
journal.intend(entry(1))
limit(Path(sys.argv[1] + "-wal").stat().st_size + 1000)
assert refused(lambda: journal.intend(entry(2, before=b"x" * 10_000)))
assert refused(lambda: journal.claim("me-1", "me", "adopted"))
assert [kept.id for kept in journal.open_entries()] == ["me-1"]
limit(resource.RLIM_INFINITY)
assert journal.claim("me-1", "me", "compensating")
journal.intend(entry(2, before=b"x" * 10_000))
print([kept.id for kept in journal.open_entries()], flush=True)
"""


def test_a_full_disk_refuses_each_step_and_harms_nothing_that_is_there(path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "['me-1', 'me-2']\n", "")
    assert [kept.state for kept in entries_at(path)] == ["compensating", "intended"]


def test_a_disk_that_takes_no_marker_takes_no_entry(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SqliteJournal(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        journal.intend(entry())
    assert journal.open_entries() == []
    monkeypatch.undo()
    journal.intend(entry())
    assert Markers(path).has_open(GRAPH)
    journal.close()


def test_a_locked_store_refuses_a_step_in_bounded_time(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry(1))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began_s = time.monotonic()
    with pytest.raises(StoreBusy, match="locked by another program"):
        journal.intend(entry(2))
    assert time.monotonic() - began_s < BOUND_S
    assert [kept.id for kept in journal.open_entries()] == ["me-1"]
    other.close()
    journal.intend(entry(2))
    journal.close()


def test_a_store_that_is_none_is_told_and_left_where_it_lies_as_long_as_an_undo_may_be_in_it(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry())
    journal.close()
    path.write_bytes(b"no database " * 1_000)
    with pytest.raises(StoreCorrupt):
        SqliteJournal(path)
    with pytest.raises(StoreError, match="undo them by hand, then delete"):
        set_aside(path, path.stat().st_ino)
    shutil.rmtree(beside(path, "open"))
    assert set_aside(path, path.stat().st_ino) is not None


def test_a_recorder_does_not_begin_a_store_anew_over_an_undo(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry())
    journal.close()
    path.write_bytes(b"no database " * 1_000)
    said: list[str] = []
    recorder = Recorder(StoreSettings(Place(path), 30, True, ()), say=said.append, retry_s=0)
    recorder.start()
    recorder.record(session())
    assert not recorder.flush(BOUND_S)
    assert recorder.close(BOUND_S)
    assert len(said) == 1
    assert "undo them by hand" in said[0]
    assert path.read_bytes().startswith(b"no database")


def test_damage_that_shows_only_later_stops_the_journal_with_a_store_error(path: Path) -> None:
    journal = SqliteJournal(path)
    for number in range(50):
        journal.intend(entry(number, before=b"x" * 4_000))
    journal.close()
    with path.open("r+b") as file:
        file.seek(4_096 * 40)
        file.write(b"\xff" * 4_096 * 100)
    again = SqliteJournal(path)
    with pytest.raises(StoreCorrupt):
        again.open_entries()
    again.close()


@pytest.mark.parametrize("value", ["'happy'", "1", "x'ff'", "cast(x'ff' as text)"])
def test_a_value_that_is_never_written_is_damage(path: Path, value: str) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry())
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE undos SET state = {value}")
    other.close()
    with pytest.raises(StoreCorrupt, match="damaged"):
        journal.open_entries()
    journal.close()


# --- other hands ----------------------------------------------------------------------------------------------------


def test_a_file_that_was_removed_is_not_written_to_and_no_answer_is_made_up(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry())
    path.unlink()
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink()
    SqliteStore(path).close()
    with pytest.raises(StoreError, match="removed while in use"):
        journal.intend(entry(2))
    with pytest.raises(StoreError, match="removed while in use"):
        journal.claim("me-1", "me", "adopted")
    with pytest.raises(StoreError, match="removed while in use"):
        journal.open_entries()
    journal.close()
    assert entries_at(path) == []


def test_a_process_whose_owner_lock_was_removed_launches_nothing_more(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry(1))
    shutil.rmtree(journal.owners.folder)
    with pytest.raises(StoreError, match="removed while in use"):
        journal.intend(entry(2))
    assert [kept.id for kept in journal.open_entries()] == ["me-1"]
    journal.close()


def test_a_marker_stays_until_the_last_entry_of_its_instance_is_settled(path: Path) -> None:
    journal, other = SqliteJournal(path), SqliteJournal(path)
    journal.intend(entry(1))
    other.intend(entry(1, "you"))
    journal.intend(entry(2, instance=FILES))
    assert journal.claim("me-1", "me", "adopted")
    assert Markers(path).has_open(GRAPH)
    assert other.settled("you-1", "you")
    assert not Markers(path).has_open(GRAPH)
    assert Markers(path).has_open(FILES)
    journal.close()
    other.close()


def test_a_marker_that_was_removed_is_put_again_with_the_next_entry(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry(1))
    Markers(path).remove(GRAPH)
    journal.intend(entry(2))
    assert Markers(path).has_open(GRAPH)
    journal.close()


def test_neither_age_nor_forgetting_touches_what_is_open(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry(made_at=1.0))
    store = SqliteStore(path)
    store.write([session(started_at=1.0), call(1, t_start=1.0, t_end=1.0)])
    assert store.upkeep(NOW, 30)
    store.forget(None)
    store.forget("memory")
    assert journal.open_entries() == [entry(made_at=1.0)]
    assert journal.claim("me-1", "me", "adopted")
    journal.close()


def test_journal_and_record_share_one_file_within_a_process(path: Path) -> None:
    recorder = Recorder(StoreSettings(Place(path), 30, True, ()), retry_s=0)
    recorder.start()
    recorder.record(session())
    journal = SqliteJournal(path)
    for number in range(20):
        recorder.record(call(number))
        journal.intend(entry(number))
        assert journal.claim(f"me-{number}", "me", "adopted")
    assert recorder.flush(BOUND_S)
    assert recorder.close(BOUND_S)
    journal.close()
    assert SqliteStore(path).totals().all.calls == 20


def test_everything_beside_the_store_is_its_users_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        journal = SqliteJournal(path)
        journal.intend(entry())
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.rglob("*")}
    finally:
        os.umask(old)
    folders = {path.name + ".open", path.name + ".owners"}
    assert folders < set(modes)
    assert {modes.pop(name) for name in folders} == {0o700}
    assert set(modes.values()) == {0o600}
    journal.close()


def test_a_settled_entry_leaves_no_trace_in_the_file(path: Path) -> None:
    journal = SqliteJournal(path)
    journal.intend(entry(before=b"a secret of somebody"))
    assert journal.settled("me-1", "me")
    journal.close()
    assert not any(b"a secret of" in file.read_bytes() for file in path.parent.iterdir() if file.is_file())

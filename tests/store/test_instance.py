"""What tells server instances apart, whose turn it is at one, and what a start may know without a database."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.store.instance import InstanceLock, Launch, instance_of, store_key
from spec_mcp.store.locks import beside, turn
from spec_mcp.store.markers import Markers
from spec_mcp.store.store import StoreError
from tests.store.racing import raced

BOUND_S = 60
ROOT = Path(__file__).resolve().parents[2]
KEY = b"k" * 32
LAUNCH = Launch("npx", ("-y", "memory"), "/home/me", "", ("MEMORY_FILE_PATH",))
ENV = {"MEMORY_FILE_PATH": "/a.json", "TERM": "x"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


# --- its name -------------------------------------------------------------------------------------------------------


def test_the_same_launch_with_the_same_values_is_the_same_instance() -> None:
    assert instance_of(KEY, LAUNCH, ENV) == instance_of(KEY, LAUNCH, ENV | {"TERM": "y"})


@pytest.mark.parametrize(
    ("launch", "env"),
    [
        (LAUNCH, {"MEMORY_FILE_PATH": "/b.json"}),
        (LAUNCH, {"MEMORY_FILE_PATH": ""}),
        (LAUNCH, {}),
        (Launch("npx", ("-y memory",), "/home/me", "", ("MEMORY_FILE_PATH",)), ENV),
        (Launch("npx", ("-y", "memory"), "/home/you", "", ("MEMORY_FILE_PATH",)), ENV),
        (Launch("npx", ("-y", "memory"), "/home/me", "", ()), ENV),
        (Launch(url="https://x"), {}),
    ],
)
def test_anything_else_is_another_instance(launch: Launch, env: dict[str, str]) -> None:
    assert instance_of(KEY, launch, env) != instance_of(KEY, LAUNCH, ENV)


def test_the_name_cannot_be_guessed_without_the_stores_secret() -> None:
    assert instance_of(KEY, LAUNCH, ENV) != instance_of(b"l" * 32, LAUNCH, ENV)


def test_the_order_of_the_variables_is_free() -> None:
    one, two = Launch("x", env_names=("A", "B")), Launch("x", env_names=("B", "A"))
    assert instance_of(KEY, one, {"A": "1", "B": "2"}) == instance_of(KEY, two, {"B": "2", "A": "1"})


texts = st.text(st.characters(exclude_categories=()))


@given(st.builds(Launch, texts, st.lists(texts).map(tuple), texts, texts, st.lists(texts).map(tuple)))
def test_a_launch_comes_back_from_its_text_and_has_a_name_of_a_file(launch: Launch) -> None:
    assert Launch.of_json(launch.to_json()) == launch
    assert len(instance_of(KEY, launch, dict.fromkeys(launch.env_names, "x"))) == 32


@pytest.mark.parametrize("text", [b"", b"[]", b'{"args":1}', b'{"command":null}'])
def test_another_text_is_no_launch(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Launch.of_json(text)


def test_the_secret_stays_and_is_its_users_alone(path: Path) -> None:
    old = os.umask(0)
    try:
        key = store_key(path)
    finally:
        os.umask(old)
    assert len(key) == 32
    assert store_key(path) == key
    file = beside(path, "key")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    assert store_key(path) == key
    assert file.stat().st_mode & 0o777 == 0o600


def test_processes_that_begin_at_once_have_one_secret(path: Path) -> None:
    script = "import sys; from pathlib import Path; from spec_mcp.store.instance import store_key\n"
    script += "print(store_key(Path(sys.argv[1])).hex())"
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert len({process.communicate(timeout=BOUND_S)[0] for process in processes}) == 1


def test_a_secret_that_a_crash_cut_short_is_made_anew(path: Path) -> None:
    store_key(path)
    beside(path, "key").write_bytes(b"short")
    assert len(store_key(path)) == 32


def test_a_lost_secret_is_not_replaced_while_entries_may_be_named_by_it(path: Path) -> None:
    store_key(path)
    beside(path, "key").unlink()
    Markers(path).put("graph")
    with pytest.raises(StoreError, match="lost, and undos may be open"):
        store_key(path)


def test_a_place_where_no_secret_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="SPEC_MCP_HOME"):
        store_key(tmp_path / "file" / "store")


# --- the markers ----------------------------------------------------------------------------------------------------


def test_an_instance_is_marked_from_putting_to_removing(path: Path) -> None:
    markers = Markers(path)
    assert not markers.has_open("graph")
    assert not markers.any_open()
    markers.put("graph")
    markers.put("graph")
    assert markers.has_open("graph")
    assert not markers.has_open("files")
    assert markers.any_open()
    markers.remove("graph")
    markers.remove("graph")
    assert not markers.any_open()


def test_a_marker_and_its_folder_are_synced_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}") if Path("/proc/self").exists() else "")
        fsync(descriptor)

    path.parent.mkdir()
    monkeypatch.setattr(os, "fsync", spy)
    Markers(path).put("graph")
    folder = beside(path, "open")
    if Path("/proc/self").exists():
        assert synced == [str(folder / "graph"), str(folder), str(path.parent)]


def test_looking_opens_no_file_and_imports_no_database() -> None:
    script = "import sys; from pathlib import Path; from spec_mcp.store.markers import Markers\n"
    script += "assert not Markers(Path('/nowhere/store')).has_open('x'); assert 'sqlite3' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=BOUND_S)


# --- its lock -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lock(path: Path) -> Iterator[InstanceLock]:
    made = InstanceLock(path, "graph")
    yield made
    made.release()


@pytest.fixture
def other(path: Path) -> Iterator[InstanceLock]:
    made = InstanceLock(path, "graph")
    yield made
    made.release()


def test_several_serve_one_instance_and_none_of_them_has_it_alone(lock: InstanceLock, other: InstanceLock) -> None:
    assert lock.serve(0)
    assert lock.serve(0)
    assert other.serve(0)
    assert not lock.upgrade()
    assert not other.upgrade()
    assert (lock.serving, lock.exclusive) == (True, False)


def test_a_refused_upgrade_keeps_the_share(lock: InstanceLock, other: InstanceLock, path: Path) -> None:
    assert lock.serve(0)
    assert other.serve(0)
    assert not lock.upgrade()
    other.release()
    third = InstanceLock(path, "graph")
    assert third.serve(0)
    assert not third.upgrade()
    third.release()


def test_who_serves_alone_may_have_it_alone_and_then_nobody_else_serves(
    lock: InstanceLock, other: InstanceLock
) -> None:
    assert lock.serve(0)
    assert lock.upgrade()
    assert lock.upgrade()
    assert not other.serve(0)
    assert not other.serve(0.05)
    lock.downgrade()
    assert not lock.exclusive
    assert other.serve(0)


def test_nothing_is_upgraded_that_is_not_served(lock: InstanceLock) -> None:
    assert not lock.upgrade()
    lock.downgrade()
    assert not lock.exclusive


def test_who_waits_to_serve_gets_its_share_before_anybody_has_it_alone_again(
    lock: InstanceLock, other: InstanceLock
) -> None:
    assert lock.serve(0)
    assert lock.upgrade()
    served: list[bool] = []
    waiting = threading.Thread(target=lambda: served.append(other.serve(BOUND_S)))
    waiting.start()
    pause = threading.Event()
    for _ in range(1_000):
        if lock.is_wanted():
            break
        pause.wait(0.01)
    assert lock.is_wanted()
    lock.downgrade()
    assert not lock.upgrade()
    waiting.join(BOUND_S)
    assert served == [True]
    assert not lock.is_wanted()
    assert not lock.upgrade()
    other.release()
    assert lock.upgrade()


def test_no_upgrade_waits_for_anothers_turn(lock: InstanceLock, path: Path) -> None:
    assert lock.serve(0)
    with turn(path):
        assert not lock.upgrade()
    assert lock.upgrade()


def test_a_lock_whose_file_was_removed_gives_no_right_any_more(lock: InstanceLock, other: InstanceLock) -> None:
    assert lock.serve(0)
    assert lock.upgrade()
    lock.path.unlink()
    assert other.serve(0)
    assert not lock.upgrade()


def test_instances_do_not_lock_each_other_out(lock: InstanceLock, path: Path) -> None:
    another = InstanceLock(path, "files")
    assert lock.serve(0)
    assert another.serve(0)
    assert lock.upgrade()
    assert another.upgrade()
    another.release()


def test_a_clean_end_removes_its_file_and_those_of_the_dead(lock: InstanceLock, path: Path) -> None:
    served = InstanceLock(path, "served")
    assert served.serve(0)
    assert lock.serve(0)
    (lock.folder / "dead").touch()
    (lock.folder / "dead.wanted").touch()
    lock.release()
    assert [file.name for file in lock.folder.iterdir()] == ["served"]
    served.release()
    assert list(lock.folder.iterdir()) == []


UPGRADER = """
import sys
from pathlib import Path
from spec_mcp.store.instance import InstanceLock
path, inside = Path(sys.argv[1]), Path(sys.argv[2])
lock = InstanceLock(path, "graph")
print("ready", flush=True)
sys.stdin.readline()
alone = 0
for number in range(300):
    assert lock.serve(30)
    if lock.upgrade():
        inside.touch(exist_ok=False)
        assert lock.exclusive
        alone += 1
        inside.unlink()
        lock.downgrade()
    else:
        assert lock.serving
    if number % 3 == 0:
        lock.release()
lock.release()
print(alone, flush=True)
"""


def test_processes_that_race_for_an_instance_never_have_it_alone_both(path: Path, tmp_path: Path) -> None:
    times_alone = raced(UPGRADER, (str(path), str(tmp_path / "inside")), 2)
    assert sum(map(int, times_alone)) > 0


HOLDER = """
import sys
from pathlib import Path
from spec_mcp.store.instance import InstanceLock
lock = InstanceLock(Path(sys.argv[1]), "graph")
assert lock.serve(0) and lock.upgrade()
print("alone", flush=True)
sys.stdin.read()
"""


def test_a_process_that_dies_while_it_has_it_alone_keeps_nobody_waiting(lock: InstanceLock, path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "alone\n"
        assert not lock.serve(0)
        process.kill()
        assert lock.serve(BOUND_S)
    assert lock.upgrade()

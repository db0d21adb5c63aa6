"""Who may act on an entry: the process that holds its owner's lock, and no two of them."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spec_mcp.store.locks import turn
from spec_mcp.store.owners import Owners, new_token
from spec_mcp.store.store import StoreBusy, StoreError
from tests.store.racing import raced

BOUND_S = 60
ROOT = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from pathlib import Path
from spec_mcp.store.owners import Owners
Owners(Path(sys.argv[1])).hold(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


@pytest.fixture
def owners(path: Path) -> Iterator[Owners]:
    made = Owners(path)
    yield made
    made.let_go()


def holder(path: Path, token: str) -> subprocess.Popen[str]:
    """A process that is this owner until its input ends, or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), token],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100


def test_an_owner_is_alive_as_long_as_its_process_and_no_longer(path: Path, owners: Owners) -> None:
    with holder(path, "them") as process:
        assert owners.is_alive("them")
        assert owners.seize("them") is None
        process.kill()
        process.wait(BOUND_S)
    assert not owners.is_alive("them")
    seized = owners.seize("them")
    assert seized is not None
    seized.release()


def test_an_owner_is_alive_to_itself(owners: Owners) -> None:
    owners.hold("me")
    owners.hold("me")
    assert owners.is_alive("me")
    assert owners.seize("me") is None


def test_an_owner_that_nobody_ever_was_is_gone_and_can_be_seized(owners: Owners) -> None:
    assert not owners.is_alive("nobody")
    assert not (owners.folder / "nobody").exists()
    with owners.seize("nobody") or pytest.fail("not seized"):
        assert owners.is_alive("nobody")


def test_who_has_seized_an_owner_locks_all_others_out_until_it_is_released(path: Path, owners: Owners) -> None:
    other = Owners(path)
    first = owners.seize("them")
    assert first is not None
    assert other.seize("them") is None
    with pytest.raises(StoreError, match="held by another process"):
        other.hold("them")
    first.release()
    first.release()
    assert list(owners.folder.iterdir()) == []
    again = other.seize("them")
    assert again is not None
    again.release()


def test_a_clean_end_leaves_no_file(owners: Owners) -> None:
    owners.hold("me")
    assert [file.name for file in owners.folder.iterdir()] == ["me"]
    owners.let_go()
    assert list(owners.folder.iterdir()) == []
    assert not owners.is_alive("me")


def test_files_of_owners_that_are_gone_are_cleaned_up_and_others_left(path: Path, owners: Owners) -> None:
    owners.hold("me")
    with holder(path, "dead") as process:
        process.kill()
    with holder(path, "alive") as process:
        assert Owners(path).clean() == 1
        assert sorted(file.name for file in owners.folder.iterdir()) == ["alive", "me"]
        assert Owners(path).is_alive("me")
        process.communicate(timeout=BOUND_S)


def test_a_process_whose_file_was_removed_is_told_before_it_goes_on_as_the_owner(owners: Owners) -> None:
    owners.hold("me")
    (owners.folder / "me").unlink()
    with pytest.raises(StoreError, match="removed while in use"):
        owners.hold("me")


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(
    path: Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    removed: list[Path] = []

    def remove_first(descriptor: int, how: int) -> None:
        file = owners.folder / "them"
        if file.exists() and not removed:
            removed.append(file)
            file.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with owners.seize("them") or pytest.fail("not seized"):
        assert removed
        assert Owners(path).seize("them") is None


def test_the_files_are_their_users_alone(owners: Owners) -> None:
    owners.hold("me")
    assert owners.folder.stat().st_mode & 0o777 == 0o700
    assert (owners.folder / "me").stat().st_mode & 0o777 == 0o600


def test_a_place_where_no_lock_can_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="SPEC_MCP_HOME"):
        Owners(tmp_path / "file" / "store").hold("me")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a" * 65, "a.b"])
def test_a_name_that_is_no_file_is_a_programmers_error(owners: Owners, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        owners.hold(name)


def test_a_turn_that_another_never_ends_is_waited_for_no_longer_than_the_bound(path: Path) -> None:
    with turn(path), pytest.raises(StoreBusy, match="held for too long"), turn(path, 0.02):
        pytest.fail("two turns at once")


SEIZER = """
import os, sys
from pathlib import Path
from spec_mcp.store.owners import Owners
owners, settled = Owners(Path(sys.argv[1])), Path(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    with_lock = owners.seize(f"dead-{number}")
    if with_lock is None:
        continue
    file = settled / str(number)
    if not file.exists():  # as one looks whether there is an entry left
        file.touch(exist_ok=False)
        print(number, flush=True)
    with_lock.release()
"""


def test_processes_that_race_to_settle_what_others_left_settle_each_thing_once(path: Path, tmp_path: Path) -> None:
    settled = tmp_path / "settled"
    settled.mkdir()
    done = " ".join(raced(SEIZER, (str(path), str(settled)), 3)).split()
    assert sorted(map(int, done)) == list(range(200))

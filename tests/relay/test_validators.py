"""A file's validator: what it says, and that a slow one holds up nobody."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from spec_mcp.engine.effects import FileValidator
from spec_mcp.relay.validators import READING_MAX, Validators, file_of, file_value
from tests.pipes import eventually

FILE = FileValidator("{path}")


def aged(path: Path) -> Path:
    """A file that nobody has touched for a while."""
    os.utime(path, ns=(10**18 + 5, 10**18 + 5))
    return path


def settled(path: Path) -> str:
    """Its value, once it is not too young to have one: the change time cannot be set."""
    values: list[str] = []

    def has_value() -> bool:
        value = file_value(str(path))
        values.extend([value] if value else [])
        return bool(values)

    eventually(has_value, f"a value of {path}")
    return values[0]


def test_a_file_has_the_same_value_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    first = settled(aged(path))
    assert settled(path) == first
    path.write_text("two")
    assert settled(aged(path)) != first, "the same size and modification time, yet changed"


def test_a_file_that_was_touched_just_now_has_none(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("one")
    assert file_value(str(path)) is None


@pytest.mark.parametrize("path", ["relative", "", "/a\0b", 5, None])
def test_what_names_no_file_safely_has_no_value(path: object) -> None:
    assert file_of(FILE, {"path": path}) is None  # pyright: ignore[reportArgumentType]


def test_another_kind_of_validator_is_not_read() -> None:
    assert file_value("/no/such/file") is None


class Slow:
    """A file system that answers when it is told to."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.soon: deque[Callable[[], None]] = deque()
        self.told: list[str | None] = []
        self.validators = Validators(self.soon.append, self.read_file)

    def read_file(self, path: str) -> str | None:
        if path == "/slow":
            self.may_answer.wait(30)
        return path

    def read(self, path: str) -> None:
        self.validators.read(FILE, {"path": path}, self.told.append)


def test_a_fast_one_is_told_at_once() -> None:
    slow = Slow()
    slow.validators = Validators(slow.soon.append, slow.read_file)
    slow.read("/fast")
    eventually(lambda: bool(slow.told) or bool(slow.soon), "a value, at once or soon")
    while slow.soon:
        slow.soon.popleft()()
    assert slow.told == ["/fast"]
    slow.validators.close()


def test_a_slow_one_is_told_later_once_and_on_the_loops_thread() -> None:
    slow = Slow()
    slow.read("/slow")
    assert slow.told == []
    slow.may_answer.set()
    eventually(lambda: slow.soon, "the value is there")
    assert slow.told == []
    slow.soon.popleft()()
    assert slow.told == ["/slow"]
    slow.read("/fast")
    eventually(lambda: len(slow.told) == 2 or bool(slow.soon), "the next one is read too")
    slow.validators.close()


def test_while_one_hangs_the_others_are_bounded_and_the_rest_told_that_nothing_is_known() -> None:
    slow = Slow()
    for _ in range(READING_MAX + 5):
        slow.read("/slow")
    assert slow.told == [None] * 5
    slow.may_answer.set()
    eventually(lambda: len(slow.soon) == READING_MAX, "all that hung are there")
    while slow.soon:
        slow.soon.popleft()()
    assert slow.told.count("/slow") == READING_MAX
    slow.validators.close()


def test_no_thread_is_started_before_one_is_needed_and_none_stays() -> None:
    before = threading.active_count()
    slow = Slow()
    assert threading.active_count() == before
    slow.read("/fast")
    slow.validators.close()
    eventually(lambda: threading.active_count() == before, "the thread has ended")

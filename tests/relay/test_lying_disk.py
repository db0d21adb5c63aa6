"""A disk that reports an error for what it did all the same: nothing is done twice, and nothing stays in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.store.store import StoreError
from tests.relay.reversing_rig import Numbers, Reversing
from tests.relay.rig import call

STEPS = 6
"""More than an adoption or an undo asks of the disk."""


def lies(monkeypatch: pytest.MonkeyPatch, rig: Reversing, step: int) -> None:
    """What is asked of the disk from now on is done, and of one step it is said that it was not."""
    do, asked = rig.disk.do, 0

    def lying(operation: Any, done: Callable[[Any], None]) -> None:
        nonlocal asked
        asked += 1
        is_lie = asked == step
        do(operation, lambda result: done(StoreError("no answer in time") if is_lie else result))

    monkeypatch.setattr(rig.disk, "do", lying)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reversing:
    """A number has been added early."""
    return Reversing(monkeypatch, tmp_path).begins().made()


@pytest.mark.parametrize("step", range(1, STEPS))
def test_what_is_wanted_is_done_once(monkeypatch: pytest.MonkeyPatch, rig: Reversing, step: int) -> None:
    lies(monkeypatch, rig, step)
    rig.client(call(1, "add", '{"n":1}')).until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.answers()[1]["result"]["structuredContent"] == {"added": 1}
    assert rig.numbers.held == [1]
    assert rig.entries() == []


@pytest.mark.parametrize("step", range(1, STEPS))
def test_what_is_not_wanted_is_taken_back_once(monkeypatch: pytest.MonkeyPatch, rig: Reversing, step: int) -> None:
    lies(monkeypatch, rig, step)
    rig.client(call(1, "all", "{}")).until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert rig.numbers.asked.count("remove") == 1
    assert rig.entries() == []


@pytest.mark.parametrize("step", range(1, STEPS + 2))
def test_what_a_killed_process_left_is_taken_back_before_a_call_goes_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: int
) -> None:
    numbers = Numbers()
    Reversing(monkeypatch, tmp_path, numbers).begins().made().killed()
    second = Reversing(monkeypatch, tmp_path, numbers)
    lies(monkeypatch, second, step)
    second.begins().client(call(1, "all", "{}")).until(lambda: 1 in second.answers() and second.is_settled())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert second.entries() == []


def test_a_disk_that_hangs_over_an_adoption_holds_no_call_for_ever_and_what_it_says_at_last_holds(
    monkeypatch: pytest.MonkeyPatch, rig: Reversing
) -> None:
    do, held_up = rig.disk.do, []  # type: ignore[var-annotated]
    monkeypatch.setattr(rig.disk, "do", lambda operation, done: held_up.append((operation, done)))
    rig.client(call(1, "add", '{"n":1}')).serves()
    rig.client(call(2, "other", "{}")).until(lambda: 1 in rig.answers())
    assert "the disk" in rig.answers()[1]["error"]["message"]
    monkeypatch.setattr(rig.disk, "do", do)
    for operation, done in held_up:
        rig.disk.do(operation, done)
    rig.until(rig.is_settled)
    assert rig.numbers.held == [1]
    assert rig.numbers.asked.count("add") == 1
    assert rig.entries() == []
    rig.client(call(3, "all", "{}")).until(lambda: 3 in rig.answers())
    assert rig.answers()[3]["result"]["structuredContent"] == {"numbers": [1]}

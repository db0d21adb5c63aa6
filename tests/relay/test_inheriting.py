"""What an earlier process left at a server, or another one is doing there, is known before a request goes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spec_mcp.engine.effects import Undo
from spec_mcp.engine.events import Mode
from spec_mcp.engine.states import State
from spec_mcp.store.connection import Connection
from tests.relay.reversing_rig import ADD, Numbers, Reversing
from tests.relay.rig import call, cancelled, request


@pytest.fixture
def numbers() -> Numbers:
    """A server that outlives the processes in front of it."""
    return Numbers()


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbers: Numbers) -> Reversing:
    """A process that has added a number early."""
    return Reversing(monkeypatch, tmp_path, numbers).begins().made()


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbers: Numbers) -> Reversing:
    """Another one in front of the same."""
    return Reversing(monkeypatch, tmp_path, numbers)


def test_what_a_killed_process_left_is_taken_back_before_a_call_goes_out(
    first: Reversing, second: Reversing, numbers: Numbers
) -> None:
    first.killed()
    numbers.asked.clear()
    second.begins().client(call(1, "all", "{}")).until(lambda: 1 in second.answers() and second.is_settled())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert numbers.asked == ["all", "remove", "all", "all"]
    assert second.ends == [("add", State.COMPENSATED, "crashed")]
    assert second.entries() == []
    assert not second.disk.has_open()


def test_lists_need_not_wait_and_calls_keep_their_order(first: Reversing, second: Reversing) -> None:
    first.killed()
    second.bridge.inheriting.look_at_start()
    second.client(call(1, "all", "{}")).client(call(2, "add", '{"n":2}')).client(request(3, "tools/list"))
    assert [json.loads(line)["id"] for line in second.to_server] == [3]
    second.begins().until(lambda: 2 in second.answers() and second.is_settled())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert second.numbers.held == [2]


def test_a_call_that_is_cancelled_at_the_gate_never_goes_out(first: Reversing, second: Reversing) -> None:
    first.killed()
    second.bridge.inheriting.look_at_start()
    second.client(call(1, "all", "{}")).client(cancelled(1))
    second.begins().until(lambda: bool(second.ends))
    assert 1 not in second.answers()
    assert second.bridge.awaited == 0


def test_where_the_crash_came_before_the_launch_nothing_is_undone(first: Reversing, second: Reversing) -> None:
    first.numbers.held.clear()
    first.killed()
    second.begins().until(lambda: bool(second.ends))
    assert second.ends == [("add", State.COMPENSATED, "crashed")]
    assert "remove" not in second.numbers.asked


def test_what_a_living_process_does_early_is_waited_for(first: Reversing, second: Reversing) -> None:
    second.begins().client(call(1, "all", "{}")).serves()
    assert second.answers() == {}
    first.client(call(7, "add", '{"n":1}')).until(first.is_settled)
    second.until(lambda: 1 in second.answers())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": [1]}
    assert second.ends == []


def test_who_has_an_early_write_and_no_use_for_it_yet_gives_way(first: Reversing, second: Reversing) -> None:
    second.begins().client(call(1, "all", "{}")).serves()
    first.until(first.is_settled)
    second.until(lambda: 1 in second.answers())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert first.ends == [("add", State.COMPENSATED, "switched-off")]
    assert first.engine.world.mode is Mode.ON


def test_who_waits_too_long_for_a_living_process_gets_a_clear_error(first: Reversing, second: Reversing) -> None:
    second.begins().client(call(1, "all", "{}")).until(lambda: 1 in second.answers())
    assert "spec-mcp recover" in second.answers()[1]["error"]["message"]
    assert first.numbers.held == [1]


def test_what_is_stuck_stays_in_the_way_and_is_not_tried_again(first: Reversing, second: Reversing) -> None:
    first.numbers.held.append(7)
    first.client(call(1, "add", '{"n":2}')).until(lambda: bool(first.ends))
    first.killed()
    second.begins().client(call(1, "all", "{}")).until(lambda: 1 in second.answers())
    assert "error" in second.answers()[1]
    assert [entry.state for entry in second.entries()] == ["stuck"]
    assert not second.bridge.is_settling


def test_two_that_start_at_once_share_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: Reversing, second: Reversing, numbers: Numbers
) -> None:
    first.killed()
    numbers.asked.clear()
    third = Reversing(monkeypatch, tmp_path, numbers)
    second.begins()
    third.begins().client(call(1, "all", "{}"))
    second.until(lambda: bool(second.ends) or bool(third.ends))
    third.until(lambda: 1 in third.answers())
    assert third.answers()[1]["result"]["structuredContent"] == {"numbers": []}
    assert numbers.asked.count("remove") == 1
    assert sorted(len(rig.ends) for rig in (second, third)) == [0, 1]


def test_an_entry_that_this_version_cannot_read_blocks_what_could_see_its_effect(
    first: Reversing, second: Reversing, capfd: pytest.CaptureFixture[str]
) -> None:
    first.killed()
    connection = Connection(first.store)
    with connection.transaction():
        connection.run("UPDATE undos SET reversal = ?", [b'{"of a later":"version"}'])
    connection.close()
    second.begins().client(call(1, "all", "{}")).until(lambda: 1 in second.answers())
    assert "error" in second.answers()[1]
    assert "spec-mcp recover --forget" in capfd.readouterr().err


def test_where_the_journal_cannot_be_read_calls_fail_and_the_rest_goes_on(
    first: Reversing, second: Reversing, capfd: pytest.CaptureFixture[str]
) -> None:
    first.killed()
    first.store.rename(first.store.with_name("gone"))
    first.store.mkdir()
    second.begins().client(call(1, "all", "{}")).client(request(2, "tools/list")).until(lambda: 1 in second.answers())
    assert "error" in second.answers()[1]
    assert "result" in second.answers()[2]
    assert "the undo journal" in capfd.readouterr().err


BY_ARGUMENTS = replace(ADD, undo=Undo("remove", {"n": "arguments.n"}, idempotent=True))
KILLS_MAX = 60


@pytest.mark.parametrize("wanted", [True, False])
def test_wherever_it_is_killed_what_was_not_used_is_taken_back_and_what_was_used_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: bool
) -> None:
    """The process is killed after each of its steps in turn, until one run comes to its end."""
    for kill_after in range(KILLS_MAX):
        folder = tmp_path / str(kill_after)
        folder.mkdir()
        numbers = Numbers()
        first = Reversing(monkeypatch, folder, numbers, BY_ARGUMENTS).begins()
        ended = lives(first, iter(range(kill_after)), 1 if wanted else 2)
        answered = 1 in first.answers()
        first.killed()
        comes_after(Reversing(monkeypatch, folder, numbers, BY_ARGUMENTS).begins())
        used = 1 if wanted else 2
        assert numbers.held in ([], [used])
        assert not answered or numbers.held == [used]
        if ended:
            return
    raise AssertionError("it never came to its end")


def lives(rig: Reversing, steps: Iterator[int], called: int) -> bool:
    """It adds 1 early, and then its client calls; did it come to its end in these steps?"""
    rig.client(call(901, "all", "{}")).serves().predicts("add", n=1)
    ended = step_by_step(rig, steps, lambda rig: rig.is_ready())
    rig.client(call(1, "add", f'{{"n":{called}}}'))
    ended = ended and step_by_step(rig, steps, lambda rig: 1 in rig.answers() and rig.is_settled())
    rig.shown += rig.to_client
    return ended


def comes_after(rig: Reversing) -> None:
    """The next process takes back what is left, and shows what there is."""
    rig.client(call(1, "all", "{}")).until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.answers()[1]["result"]["structuredContent"]["numbers"] == sorted(rig.numbers.held)
    assert all(end[1] is State.COMPENSATED for end in rig.ends), rig.ends
    assert rig.entries() == []


def step_by_step(rig: Reversing, steps: Iterator[int], holds: Callable[[Reversing], object]) -> bool:
    """Let the server answer one request, or the disk one thing, at each step; did it come to hold in time?"""
    while not holds(rig):
        if next(steps, None) is None:
            return False
        rig.step()
    return True


def test_what_was_read_early_while_another_had_the_server_answers_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbers: Numbers
) -> None:
    second = Reversing(monkeypatch, tmp_path, numbers)
    monkeypatch.setattr(second.bridge.inheriting, "serve", lambda: None)  # its manifest comes late
    second.begins().client(request(900, "unheard-of")).client(call(901, "nothing", "{}")).serves()
    monkeypatch.undo()
    first = Reversing(monkeypatch, tmp_path, numbers).begins().made()
    second.bridge.inheriting.serve()
    second.predicts("all")
    second.serves()
    second.client(call(1, "all", "{}"))
    first.until(first.is_settled)
    second.until(lambda: 1 in second.answers())
    assert second.answers()[1]["result"]["structuredContent"] == {"numbers": []}


def test_what_was_answered_when_it_was_not_wanted_any_more_can_be_taken_back_by_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, numbers: Numbers, second: Reversing
) -> None:
    first = Reversing(monkeypatch, tmp_path, numbers).begins()
    first.client(request(900, "unheard-of")).client(call(901, "all", "{}")).serves()
    first.predicts("add", n=1)
    while 1 not in numbers.held:
        first.step()
        if numbers.asked[-1:] == ["all"] and first.live and first.live[0].state is State.LAUNCHED:
            first.client(call(1, "all", "{}"))  # while it runs
    numbers.fails.add("all")  # so that its undo does not begin
    first.until(lambda: not first.on_disk, serves=False)
    first.killed()
    numbers.fails.clear()
    assert second.entries()[0].outcome == "result"
    second.begins().until(lambda: bool(second.ends))
    assert second.ends == [("add", State.COMPENSATED, "crashed")]
    assert numbers.held == []

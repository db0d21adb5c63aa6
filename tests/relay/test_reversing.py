"""What the relay does for a reversible speculation, up to its end: on disk, at the server, before the client."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spec_mcp.engine import events
from spec_mcp.engine.effects import Probe, Undo
from spec_mcp.engine.states import State
from spec_mcp.store.instance import InstanceLock
from tests.relay.reversing_rig import ADD, Numbers, Reversing
from tests.relay.rig import call, notification, request


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reversing:
    """In front of the numbers, with its handshake done."""
    return Reversing(monkeypatch, tmp_path).begins()


def add(id_: int, n: int = 1) -> bytes:
    return call(id_, "add", f'{{"n":{n}}}')


def test_the_call_that_was_foretold_is_answered_by_the_servers_own_bytes_and_made_once(rig: Reversing) -> None:
    rig.made().client(add(1)).until(rig.is_settled)
    assert rig.answers()[1]["result"]["structuredContent"] == {"added": 1}
    assert rig.numbers.asked == ["all", "add", "all"]
    assert rig.ends == [("add", State.ADOPTED, "adopted")]
    assert rig.entries() == []
    assert rig.numbers.held == [1]


def test_before_the_launch_its_undo_is_on_disk(rig: Reversing) -> None:
    rig.client(call(901, "all", "{}")).serves().predicts("add", n=1)
    rig.serves()  # what was before it
    assert "add" not in rig.numbers.asked
    rig.until(lambda: any(b'"add"' in line for line in rig.link.writer.lines), serves=False)  # type: ignore[attr-defined]
    (entry,) = rig.entries()
    assert (entry.tool, json.loads(entry.arguments), entry.state) == ("add", {"n": 1}, "intended")
    assert json.loads(entry.reversal)["undo"]["tool"] == "remove"
    assert set(json.loads(entry.reversal)["fingerprints"]) == {"add", "all", "remove"}


def test_what_it_left_and_what_the_server_answered_are_noted(rig: Reversing) -> None:
    rig.made()
    (entry,) = rig.entries()
    assert (entry.outcome, json.loads(entry.result or b"")["structuredContent"]) == ("result", {"added": 1})
    assert entry.left


def test_another_call_waits_until_it_is_taken_back(rig: Reversing) -> None:
    rig.made().client(add(1, 2)).until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.numbers.asked == ["all", "add", "all", "all", "remove", "all", "add"]
    assert rig.numbers.held == [2]
    assert rig.ends == [("add", State.COMPENSATED, "spoiled")]
    assert rig.entries() == []


def test_a_call_that_comes_while_it_runs_joins_it(rig: Reversing) -> None:
    rig.client(call(901, "all", "{}")).serves().predicts("add", n=1)
    rig.serves()
    rig.until(lambda: bool(rig.engine.world.ledger.outstanding), serves=False)
    rig.client(add(1)).until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.numbers.held == [1]
    assert rig.entries() == []


# --- not launched -----------------------------------------------------------------------------------------------------


def skipped(rig: Reversing, n: int = 1) -> None:
    rig.client(call(901, "all", "{}")).serves().predicts("add", n=n)
    rig.until(lambda: "add" not in [held.tool for held in rig.live] and rig.tasks.empty() and not rig.live)
    assert "add" not in rig.numbers.asked
    assert not rig.bridge.reversing.has_any


def test_where_the_manifest_says_unless_it_is_not_made(rig: Reversing) -> None:
    rig.numbers.held = [1]
    skipped(rig)


def test_where_unless_cannot_be_told_it_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    skipped(
        Reversing(monkeypatch, tmp_path, tool=replace(ADD, unless="contains(before.nothing, arguments.n)")).begins()
    )


def test_where_the_state_cannot_be_read_it_is_not_made(rig: Reversing) -> None:
    rig.client(call(901, "all", "{}")).serves()
    rig.numbers.fails = {"all"}
    skipped(rig)


def test_where_another_process_serves_the_same_instance_it_is_not_made(rig: Reversing) -> None:
    other = InstanceLock(rig.store, rig.disk.instance)
    assert other.serve(0.0)
    skipped(rig)
    other.release()


def test_where_the_journal_fails_it_is_not_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rig = Reversing(monkeypatch, tmp_path)
    rig.store.mkdir()
    skipped(rig.begins())


# --- taken back -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["before", "after"])
@pytest.mark.parametrize("tool", ["all", "remove"])
def test_a_server_that_dies_while_it_is_taken_back_is_started_again_for_it(
    rig: Reversing, kind: str, tool: str
) -> None:
    rig.made()
    (rig.numbers.dies_before if kind == "before" else rig.numbers.dies_after).add(tool)
    rig.client(add(1, 2)).until(lambda: rig.numbers.held == [2] and rig.is_settled())
    assert rig.entries() == []
    assert len(rig.processes) == 2


@pytest.mark.parametrize("kind", ["before", "after"])
def test_a_server_that_dies_under_it_is_asked_whether_it_was_done(rig: Reversing, kind: str) -> None:
    rig.client(call(901, "all", "{}")).serves()
    (rig.numbers.dies_before if kind == "before" else rig.numbers.dies_after).add("add")
    rig.predicts("add", n=1).until(lambda: bool(rig.ends))
    undone = kind == "before"
    assert rig.ends == [("add", State.COMPENSATED if undone else State.STUCK, "disconnected" if undone else "unbound")]


def test_whether_it_was_done_is_seen_by_the_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_arguments = replace(ADD, undo=Undo("remove", {"n": "arguments.n"}, idempotent=True))
    rig = Reversing(monkeypatch, tmp_path, tool=by_arguments).begins()
    rig.client(call(901, "all", "{}")).serves()
    rig.numbers.dies_after.add("add")
    rig.predicts("add", n=1).until(lambda: bool(rig.ends) and rig.is_settled())
    assert rig.ends == [("add", State.COMPENSATED, "disconnected")]
    assert rig.numbers.held == []


@pytest.mark.parametrize("done", ["contains(result.nothing, arguments.n)", "length(result.numbers) > `5`"])
def test_what_the_probe_cannot_tell_or_denies_is_never_undone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: str
) -> None:
    by_arguments = replace(ADD, undo=Undo("remove", {"n": "arguments.n"}, True), probe=Probe("all", {}, done))
    rig = Reversing(monkeypatch, tmp_path, tool=by_arguments).begins()
    rig.client(call(901, "all", "{}")).serves()
    rig.numbers.dies_after.add("add")
    rig.predicts("add", n=1).until(lambda: bool(rig.ends))
    assert rig.ends[0][1] is State.STUCK
    assert "remove" not in rig.numbers.asked


def test_an_undo_that_cannot_be_spelled_is_not_sent_and_told_loudly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rig = Reversing(monkeypatch, tmp_path, tool=replace(ADD, undo=Undo("remove", {"n": "result.nothing"}))).begins()
    rig.made().client(add(1, 2)).until(lambda: bool(rig.ends))
    assert "remove" not in rig.numbers.asked
    assert rig.ends == [("add", State.STUCK, "unbound")]
    (entry,) = rig.entries()
    assert (entry.state, entry.reason) == ("stuck", "unbound")
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "STUCK" in line]
    assert all(part in line for part in ("s: add", '{"n": 1}', "unbound", "spec-mcp recover"))


def test_an_undo_that_the_server_refuses_is_stuck_after_some_tries(rig: Reversing) -> None:
    rig.made()
    rig.numbers.fails = {"remove"}
    rig.client(add(1, 2)).until(lambda: bool(rig.ends))
    assert rig.ends == [("add", State.STUCK, "undo-failed")]
    assert rig.numbers.asked.count("remove") > 1


def test_an_undo_that_goes_on_as_a_task_is_not_made_again_even_where_it_may_run_twice(rig: Reversing) -> None:
    rig.made()
    rig.numbers.goes_on = {"remove"}
    rig.client(add(1, 2)).until(lambda: bool(rig.ends))
    assert rig.ends == [("add", State.STUCK, "undo-unknown")]
    assert rig.numbers.asked.count("remove") == 1


def test_an_undo_whose_definition_has_changed_is_not_sent(rig: Reversing) -> None:
    rig.made()
    rig.dies()
    rig.numbers.version = 2
    rig.until(lambda: bool(rig.ends))
    assert "remove" not in rig.numbers.asked
    assert rig.ends[0][1] is State.STUCK


def test_a_list_that_changes_while_it_is_taken_back_is_read_again(rig: Reversing) -> None:
    rig.made().client(add(1, 2)).server(notification("notifications/tools/list_changed"))
    rig.until(lambda: 1 in rig.answers() and rig.is_settled())
    assert rig.numbers.held == [2]


def test_what_somebody_else_has_changed_since_is_not_undone(rig: Reversing) -> None:
    rig.made()
    rig.numbers.held.append(7)
    rig.client(add(1, 2)).until(lambda: bool(rig.ends))
    assert rig.ends == [("add", State.STUCK, "foreign-state")]
    assert rig.numbers.held == [1, 7]


def test_a_call_that_would_see_what_is_stuck_gets_a_clear_error_in_time(rig: Reversing) -> None:
    rig.made()
    rig.numbers.held.append(7)
    rig.client(add(1, 2)).client(request(2, "tools/list")).until(lambda: 1 in rig.answers())
    error = rig.answers()[1]["error"]
    assert "s.add" in error["message"]
    assert "spec-mcp recover" in error["message"]
    assert "result" in rig.answers()[2]
    rig.client(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}')
    assert rig.to_server == []


def test_where_the_disk_does_not_take_the_note_no_undo_is_sent(monkeypatch: pytest.MonkeyPatch, rig: Reversing) -> None:
    rig.made()
    monkeypatch.setattr(rig.disk, "undo_sent", lambda held, done: done(False))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    rig.client(add(1, 2)).until(lambda: 1 in rig.answers())
    assert "error" in rig.answers()[1]
    assert "remove" not in rig.numbers.asked


# --- what the client sees ---------------------------------------------------------------------------------------------


def test_what_the_server_tells_of_the_change_comes_with_the_adopted_answer(rig: Reversing) -> None:
    rig.numbers.announces = True
    rig.made()
    assert rig.shown == []
    rig.client(add(1)).until(rig.is_settled)
    assert [json.loads(line).get("method", "answer") for line in rig.shown] == [
        "notifications/resources/updated",
        "answer",
    ]


def test_what_the_server_tells_of_a_change_that_is_taken_back_is_never_seen(rig: Reversing) -> None:
    rig.numbers.announces = True
    rig.made()
    rig.bridge.on_client_left()
    rig.until(rig.is_settled)
    assert rig.shown == []


# --- ends -------------------------------------------------------------------------------------------------------------


def test_when_the_client_leaves_it_is_taken_back(rig: Reversing) -> None:
    rig.made()
    assert rig.bridge.is_settling
    rig.bridge.on_client_left()
    rig.until(lambda: not rig.bridge.is_settling)
    assert rig.numbers.held == []
    assert rig.entries() == []


def test_the_right_to_the_instance_is_given_back_when_nothing_is_open(rig: Reversing) -> None:
    other = InstanceLock(rig.store, rig.disk.instance)
    rig.made()
    assert not other.serve(0.0)
    rig.client(add(1)).until(rig.is_settled)
    assert other.serve(0.0)
    other.release()


def test_a_fault_leaves_the_entry_and_fails_what_could_see_the_effect(
    rig: Reversing, capfd: pytest.CaptureFixture[str]
) -> None:
    rig.made()
    rig.bridge.give_up(RuntimeError("a fault"))
    rig.client(add(1, 2)).client(request(2, "resources/read")).client(request(3, "tools/list"))
    rig.client(notification("notifications/x")).serves()
    answers = rig.answers()
    assert "spec-mcp recover" in answers[1]["error"]["message"]
    assert "error" in answers[2]
    assert "result" in answers[3]
    assert rig.numbers.held == [1]
    assert len(rig.entries()) == 1
    assert "NOT TAKEN BACK" in capfd.readouterr().err


def test_a_fault_with_nothing_open_is_a_plain_proxy(rig: Reversing) -> None:
    rig.bridge.give_up(RuntimeError("a fault"))
    rig.client(add(1, 2)).serves()
    assert "result" in rig.answers()[1]


def test_what_was_switched_off_is_taken_back(rig: Reversing) -> None:
    rig.made().bridge.feed(events.ModeSet(events.Mode.OFF))
    rig.until(rig.is_settled)
    assert rig.numbers.held == []


def test_without_reversible_tools_nothing_is_put_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rig = Reversing(monkeypatch, tmp_path, Numbers())
    rig.bridge.inheriting.look_at_start()
    rig.client(call(1, "all", "{}")).serves()
    assert list(tmp_path.iterdir()) == []

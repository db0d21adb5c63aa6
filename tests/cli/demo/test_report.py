"""What the demonstration's figures say, and that they would say it if something were wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spec_mcp.cli.demo.agent import Answer
from spec_mcp.cli.demo.report import Outcome, compare, guess, guessed_outcome, measured_outcome
from spec_mcp.cli.demo.runner import LATENCY_S, Executed, Made, Run
from spec_mcp.engine.commands import How
from spec_mcp.store.place import locate
from spec_mcp.store.rows import CallRow, Row, Scope, SessionRow, SpeculationRow
from spec_mcp.store.sqlite import SqliteStore

READ, WRITE = "get_order_details", "cancel_pending_order"
NEEDED_S = LATENCY_S[READ]


def made(case, tool, sent_s, wait_s, text="{}"):
    return Made(case, tool, {"order_id": "#W1"}, Answer(text, is_error=False), sent_s, sent_s + wait_s)


def executed(tool, start_s):
    return Executed(tool, {"order_id": "#W1"}, start_s, start_s + NEEDED_S, writes=tool == WRITE)


def run(calls, log):
    return Run(tuple(calls), tuple(log), records=("shop",), duration_s=9.0)


OFF = run(
    [made(1, READ, 0.0, 0.4), made(1, WRITE, 1.0, 0.4), made(3, READ, 2.0, 0.4), made(3, READ, 3.0, 0.4)],
    [executed(READ, 0.0), executed(WRITE, 1.0), executed(READ, 2.0), executed(READ, 3.0)],
)
ON = run(
    [made(1, READ, 0.0, 0.4), made(1, WRITE, 1.0, 0.4), made(3, READ, 2.0, 0.2), made(3, READ, 3.0, 0.0)],
    [executed(READ, 0.0), executed(WRITE, 1.0), executed(READ, 1.8), executed(READ, 2.3), executed(READ, 2.4)],
)
OUTCOME = Outcome((How.MISS, How.MISS, How.JOIN, How.HIT), speculations=3, wasted=1, measured=True)


def compared(off=OFF, on=ON, outcome=OUTCOME):
    return compare(0, 3, off, on, outcome)


def test_shares_and_seconds_are_counted_over_all_cases_and_from_the_third_on():
    report = compared()
    assert (report.hits, report.joins, report.misses) == (1, 1, 2)
    assert (report.all_cases.calls, report.all_cases.reads, report.all_cases.answered) == (4, 3, 2)
    assert report.all_cases.answered_share == 0.5
    assert report.all_cases.answered_reads_share == pytest.approx(2 / 3, abs=1e-4)
    assert (report.all_cases.wait_off_s, report.all_cases.wait_on_s, report.all_cases.saved_s) == (1.6, 1.0, 0.6)
    assert report.from_third_case.answered_reads_share == 1.0
    assert report.from_third_case.wait_cut_share == 0.75


def test_runs_that_differ_in_time_alone_are_lossless():
    report = compared()
    assert report.lossless
    assert (report.writes_made, report.writes_off, report.writes_on, report.early_writes) == (1, 1, 1, 0)
    assert report.as_json()["lossless"] is True


def test_another_answer_is_a_difference():
    other = run([*ON.made[:3], made(3, READ, 3.0, 0.0, text="{stale}")], ON.executed)
    assert not compared(on=other).identical_answers
    assert not compared(on=other).lossless


def test_a_call_less_is_a_difference():
    other = run(ON.made[:3], ON.executed)
    outcome = replace(OUTCOME, hows=OUTCOME.hows[:3])
    assert not compared(on=other, outcome=outcome).identical_answers


def test_a_write_made_twice_is_a_difference():
    other = run(ON.made, [*ON.executed, executed(WRITE, 4.0)])
    assert not compared(on=other).identical_writes
    assert not compared(on=other).lossless


def test_a_write_begun_before_the_agent_made_it_is_early():
    other = run(ON.made, [executed(READ, 0.0), executed(WRITE, 0.9)])
    assert compared(on=other).early_writes == 1
    assert not compared(on=other).lossless


def test_other_records_are_a_difference():
    assert not compared(on=replace(ON, records=("another shop",))).lossless


def test_without_calls_there_is_no_share():
    report = compared(off=run([], []), on=run([], []), outcome=Outcome((), 0, 0, measured=False))
    assert report.all_cases.answered_reads_share is None
    assert report.all_cases.wait_cut_share is None


def test_times_alone_tell_hits_joins_and_misses_apart():
    assert guess(made(1, READ, 0.0, NEEDED_S * 0.1), pace=1.0) is How.HIT
    assert guess(made(1, READ, 0.0, NEEDED_S * 0.6), pace=1.0) is How.JOIN
    assert guess(made(1, READ, 0.0, NEEDED_S * 1.01), pace=1.0) is How.MISS
    assert guess(made(1, READ, 0.0, NEEDED_S * 0.6), pace=0.5) is How.MISS
    assert guess(made(1, WRITE, 0.0, 0.0), pace=1.0) is How.MISS


def test_what_the_server_executed_beyond_the_misses_was_speculated():
    outcome = guessed_outcome(ON, pace=1.0)
    assert outcome.hows == OUTCOME.hows
    assert (outcome.speculations, outcome.wasted, outcome.measured) == (3, 1, False)


def test_the_store_tells_how_each_call_was_answered(tmp_path):
    write_store(tmp_path, READ, WRITE)
    two = run(ON.made[:2], ON.executed)
    outcome = measured_outcome(tmp_path, two)
    assert outcome == Outcome((How.HIT, How.MISS), speculations=2, wasted=1, measured=True)


def test_a_store_of_other_calls_tells_nothing(tmp_path):
    write_store(tmp_path, WRITE, READ)
    assert measured_outcome(tmp_path, run(ON.made[:2], ON.executed)) is None


def write_store(home, *tools):
    store = SqliteStore(locate(folder=home).path)
    rows: list[Row] = [SessionRow("s", Scope.of("retail", ["x"]), "local", 1.0, 1)]
    for number, (tool, how) in enumerate(zip(tools, ("hit", "miss"), strict=True)):
        kind = "read" if tool == READ else "write"
        rows.append(
            CallRow("s", number, "retail", tool, b"{}", b"{}", False, kind, None, number, number, how, 0.0, 0.0)
        )
    for number, (state, launched_at) in enumerate([("adopted", 1.0), ("discarded", 1.0), ("discarded", None)]):
        call = 0 if state == "adopted" else None
        rows.append(SpeculationRow("s", number, "retail", READ, b"{}", state, "", 0.5, "", launched_at, 1.5, 2.0, call))
    store.write(rows)
    store.close()

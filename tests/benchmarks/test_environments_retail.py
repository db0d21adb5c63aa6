"""The shop's customers, lived again: what they were answered is what was recorded, and who waited is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest

from benchmarks.environments.repeating import differences
from benchmarks.environments.retail import at_once, live
from benchmarks.environments.retail_sessions import Turns, simulated
from benchmarks.environments.running import DIRECT, Arm
from spec_mcp.records import CallEvent, TextEvent
from tests.benchmarks.quick import quick_round

PACE = 0.005


def test_simulated_customers_write_and_their_calls_have_results() -> None:
    customers = simulated(3, 1, 2)
    assert len(customers.before) == 1
    for session in customers.served:
        assert isinstance(session.events[0], TextEvent), "a customer writes first"
        calls = list(session.calls())
        assert calls
        assert all(isinstance(call.result, str) for call in calls)
        kinds = [isinstance(event, CallEvent) for event in session.events]
        assert kinds.count(False) >= 2, "who they are, and what they want"
    assert simulated(3, 1, 2).served == customers.served


def test_a_customer_is_served_the_same_with_and_without_the_proxy(tmp_path: Path) -> None:
    customers = simulated(3, 0, 1)
    arms = (DIRECT, Arm("on", config="[speculation]\nwasted_call_s = 0.0\n"))
    lived = [anyio.run(partial(live, customers, arm, PACE, tmp_path / arm.name)) for arm in arms]
    runs = {arm.name: [done.run] for arm, done in zip(arms, lived, strict=True)}
    assert not differences(runs, DIRECT.name)
    for done in lived:
        assert done.turns.unlike == 0
        assert sum(map(len, done.turns.waits_s)) == len(list(customers.served[0].calls()))


def test_a_turn_is_without_a_wait_only_where_no_call_of_it_was_waited_for() -> None:
    assert at_once(Turns([[0.001, 0.002], [0.001, 0.9], [0.002]]), 1.0) == 2 / 3


@pytest.mark.slow
def test_a_quick_round_serves_everybody_the_same_in_all_arms() -> None:
    said = quick_round("retail")
    answered = [row["ours"]["median"] for row in said["rows"] if row["figure"] == "calls answered"]
    assert len(answered) in (2, 4), "simulated customers, and recorded ones where there are any"
    assert max(answered) > 0

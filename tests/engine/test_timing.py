"""What is expected of tools and of thinking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine.timing import (
    GAP_BOUND_S,
    SAMPLES_KEPT,
    TOOLS_MEASURED_MAX,
    UNKNOWN_GAP_S,
    UNKNOWN_LATENCY_S,
    Durations,
    Timing,
    merge_timings,
)

SECONDS = st.floats(0.0, 1e3)


@given(st.lists(SECONDS, min_size=1, max_size=2 * SAMPLES_KEPT), st.floats(0.0, 1.0))
def test_a_quantile_is_one_of_the_recent_durations_and_not_exceeded_by_its_share(durations, fraction):
    measured = Durations()
    for duration in durations:
        measured.add(duration)
    recent = durations[-SAMPLES_KEPT:]
    quantile = measured.quantile(fraction)
    assert quantile in recent
    below = sum(duration <= quantile for duration in recent)
    assert below >= fraction * len(recent)


@given(st.lists(SECONDS, min_size=1), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_quantiles_do_not_fall(durations, one, other):
    measured = Durations()
    for duration in durations:
        measured.add(duration)
    low, high = sorted((one, other))
    assert (measured.quantile(low) or 0.0) <= (measured.quantile(high) or 0.0)


def test_a_quantile_follows_what_was_added_after_it_was_asked_for():
    measured = Durations()
    measured.add(1.0)
    assert measured.quantile(0.5) == 1.0
    for _ in range(SAMPLES_KEPT):
        measured.add(3.0)
    assert measured.quantile(0.0) == 3.0
    assert Durations().quantile(0.5) is None


def test_an_unmeasured_tool_takes_what_the_tools_of_its_server_take():
    timing = Timing()
    assert timing.latency_s("s", "a", 0.5) == UNKNOWN_LATENCY_S
    for latency_s, tool in ((1.0, "a"), (2.0, "b"), (9.0, "c")):
        timing.took("s", tool, latency_s)
    assert timing.latency_s("s", "new", 0.5) == 2.0
    assert timing.latency_s("t", "new", 0.5) == UNKNOWN_LATENCY_S
    assert timing.latency_s("s", "c", 0.5) == 9.0


def test_a_person_who_went_away_says_nothing_of_thinking_times():
    timing = Timing()
    assert timing.gap_s(0.5) == UNKNOWN_GAP_S
    timing.thought(GAP_BOUND_S + 1)
    assert timing.gap_s(0.5) == UNKNOWN_GAP_S
    timing.thought(2.0)
    assert timing.gap_s(0.5) == 2.0


@given(st.lists(SECONDS, min_size=1), st.lists(st.floats(0.0, 50.0), min_size=1), SECONDS, st.integers(1, 4))
def test_what_is_hidden_is_neither_more_than_the_latency_nor_than_the_lead(latencies, gaps, head_start_s, steps):
    timing = Timing()
    for latency in latencies:
        timing.took("s", "t", latency)
    for gap in gaps:
        timing.thought(gap)
    hidden_s = timing.hidden_s("s", "t", head_start_s, steps)
    assert 0.0 <= hidden_s <= max(latencies) + 1e-6
    assert hidden_s <= head_start_s + steps * max(gaps) + 1e-6
    assert hidden_s <= timing.hidden_s("s", "t", head_start_s + 1.0, steps) + 1e-6


@given(st.lists(st.tuples(st.floats(0.0, 50.0), st.floats(0.0, 50.0)), min_size=1, max_size=2 * SAMPLES_KEPT))
def test_what_is_expected_goes_by_every_measurement_though_it_was_asked_before(measured):
    asked, unasked = Timing(), Timing()
    for latency_s, gap_s in measured:
        for timing in (asked, unasked):
            timing.took("s", "t", latency_s)
            timing.thought(gap_s)
        asked.hidden_s("s", "t", 0.5, 2)
    assert asked.hidden_s("s", "t", 0.5, 2) == unasked.hidden_s("s", "t", 0.5, 2)


def test_a_slow_down_is_believed_after_enough_measurements_of_both_kinds():
    timing = Timing()
    for number in range(8):
        assert not timing.slows("s")
        timing.compared("s", "t", 0.1, beside=False)
        timing.compared("s", "t", 0.2 if number else 0.1, beside=True)
    assert timing.slows("s")
    assert not timing.slows("t")


def test_calls_of_milliseconds_that_take_some_more_are_not_slowed():
    timing = Timing()
    for _ in range(16):
        timing.took("s", "t", 0.004)
        timing.compared("s", "t", 0.004, beside=False)
        timing.compared("s", "t", 0.012, beside=True)
    assert not timing.slows("s")


def test_tools_that_do_not_exist_do_not_fill_the_memory():
    timing = Timing()
    for number in range(TOOLS_MEASURED_MAX + 10):
        timing.took("s", f"tool-{number}", 1.0)
    assert len(timing.latencies) == TOOLS_MEASURED_MAX
    assert ("s", "tool-0") not in timing.latencies


def test_what_was_measured_is_dumped_loaded_and_merged():
    timing = Timing()
    timing.took("s", "t", 1.0)
    timing.thought(2.0)
    again = Timing()
    again.load_json(merge_timings([timing.dump_json(), timing.dump_json()]))
    assert list(again.latencies["s", "t"].recent) == [1.0, 1.0]
    assert list(again.gaps.recent) == [2.0, 2.0]


@pytest.mark.parametrize("dumped", [None, [], {}, {"gaps": 1, "latencies": {}}, {"gaps": [], "latencies": {"s": 1}}])
def test_measurements_of_another_shape_are_refused(dumped):
    with pytest.raises(ValueError, match="another shape"):
        Timing().load_json(dumped)

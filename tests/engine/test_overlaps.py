"""Whether a server works on several calls at once is told from the client's own, and not too soon."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_mcp.engine import events
from spec_mcp.engine.overlaps import CALLS_KEPT, ENOUGH, SEEN_KEPT, Overlaps
from spec_mcp.engine.timing import ENOUGH_TO_COMPARE
from tests.engine.playbook import RESULT, SERVER, Playbook, guess, invoke, launch, skipped

USUAL_S = 0.5


class Watched:
    """Calls of a server in the order of their answers."""

    def __init__(self) -> None:
        self.overlaps = Overlaps()
        self.now_s = 100.0

    def burst(self, *spans: tuple[float, float], tool: str = "t", beside: bool = False) -> Watched:
        """Calls, each with when it was sent and answered after now; then a pause."""
        for sent_s, answered_s in sorted(spans, key=lambda span: span[1]):
            self.overlaps.add(tool, self.now_s + sent_s, self.now_s + answered_s, USUAL_S, beside)
        self.now_s += 100.0
        return self


def test_later_calls_that_are_answered_first_ran_beside_the_earlier_ones() -> None:
    watched = Watched()
    for count in range(ENOUGH):
        assert not watched.overlaps.are_side_by_side, count
        watched.burst((0.0, 2.0), (0.5, 1.0))
    assert watched.overlaps.are_side_by_side


def test_calls_sent_together_and_answered_together_ran_side_by_side() -> None:
    watched = Watched()
    for _ in range(ENOUGH):
        watched.burst((0.0, 0.5), (0.01, 0.55))
    assert watched.overlaps.are_side_by_side


@pytest.mark.parametrize(
    "spans",
    [
        [(0.0, 0.5), (0.01, 1.0)],  # the second waited
        [(0.0, 0.5), (0.01, 0.75)],  # it may have waited
        [(0.0, 0.5), (0.4, 0.55)],  # it was sent late, and may be a short one
        [(0.0, 0.04), (0.001, 0.041)],  # their answers may have been read together
        [(0.0, 1.0), (0.01, 1.01)],  # the first one's answer was perhaps held back
        [(0.0, 2.0), (0.5, 0.6)],  # the second was perhaps turned away
        [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)],  # one after the other
    ],
)
def test_what_a_serial_server_may_show_too_is_no_sign(spans: list[tuple[float, float]]) -> None:
    watched = Watched()
    for _ in range(SEEN_KEPT):
        watched.burst(*spans)
    assert not watched.overlaps.are_side_by_side


def test_what_ran_beside_speculations_is_no_measure_of_queueing() -> None:
    watched = Watched()
    for _ in range(SEEN_KEPT):
        watched.burst((0.0, 0.5), (0.01, 0.55), beside=True)
    assert not watched.overlaps.seen


def test_calls_that_waited_outvote_those_that_did_not() -> None:
    watched = Watched()
    for _ in range(ENOUGH):
        watched.burst((0.0, 0.5), (0.01, 0.55)).burst((0.0, 0.5), (0.01, 1.0))
    assert not watched.overlaps.are_side_by_side


def test_a_clock_that_was_set_back_makes_no_overlap() -> None:
    watched = Watched()
    for _ in range(SEEN_KEPT):
        watched.burst((0.0, 0.5))
        watched.now_s -= 100.3
    assert not watched.overlaps.seen


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 1.0]), st.integers(2, 8))
def test_a_serial_server_is_never_taken_for_another(seed: int, spread: float, at_once: int) -> None:
    """Bursts of up to eight calls, each of which takes its time after the one before it."""
    random, watched = Random(seed), Watched()
    for _ in range(60):
        sent_s, free_s, spans = 0.0, 0.0, list[tuple[float, float]]()
        for _ in range(random.randint(1, at_once)):
            sent_s += random.choice([0.001, 0.2])
            free_s = max(free_s, sent_s) + USUAL_S * random.uniform(1.0 - spread / 2, 1.0 + spread)
            spans.append((sent_s, free_s))
        watched.burst(*spans)
        assert not watched.overlaps.are_side_by_side
    assert len(watched.overlaps.recent) <= CALLS_KEPT


# --- what the engine makes of it --------------------------------------------------------------------------------------


def side_by_side(play: Playbook, times: int = ENOUGH) -> Playbook:
    """The client makes two calls at once, so often, and both take as long as ever."""
    for number in range(times):
        first, second = 100 + 2 * number, 101 + 2 * number
        play << play.call(first, "look", id=first) >> invoke(first)
        play << play.call(second, "look", id=second) >> invoke(second)
        play.wait(0.5) << events.CallReturned(first, RESULT)
        play << events.CallReturned(second, RESULT)
        play.wait(2.0)
    return play


def test_a_server_that_is_measured_to_work_on_two_calls_gets_a_speculation_beside_a_call() -> None:
    with Playbook(concurrent=None).begun() as play:
        side_by_side(play)
        play << play.call(1, "get", id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2), guess("get", id=3)) >> launch("get", id=2)


def test_it_is_serial_until_then_and_where_its_manifest_says_so() -> None:
    for concurrent, times in ((None, ENOUGH - 1), (False, 2 * ENOUGH)):
        with Playbook(concurrent=concurrent).begun() as play:
            side_by_side(play, times)
            play << play.call(1, "get", id=1) >> invoke(1)
            play << play.predicted(guess("get", id=2))


def test_it_is_serial_again_when_speculations_are_measured_to_slow_its_calls() -> None:
    with Playbook(concurrent=None).begun() as play:
        side_by_side(play)
        for _ in range(ENOUGH_TO_COMPARE):
            play.engine.world.timing.compared(SERVER, "get", 0.5, beside=False)
            play.engine.world.timing.compared(SERVER, "get", 5.0, beside=True)
        play << play.call(1, "get", id=1) >> invoke(1)
        play << play.predicted(guess("get", id=2))


def test_a_read_that_outlasts_the_thinking_is_speculated_where_it_holds_nobody_up() -> None:
    with Playbook(concurrent=None).begun() as play:
        play.takes("get", 8.0)
        play << play.predicted(guess("get", id=1)) >> skipped("too-slow")
        side_by_side(play)
        play << play.predicted(guess("get", id=1)) >> launch("get", id=1)

"""The tuning benchmark runs, its Actor learns from what was measured, and what the client set last stays set."""

from __future__ import annotations

import pytest

from benchmarks.environments.tuning import BOTH, PAPER_MS, TARGET, Actor, Point
from tests.benchmarks.quick import quick_round


def test_the_actor_goes_between_the_best_and_what_lies_below_it() -> None:
    actor = Actor()
    actor.seen = [Point(100_000, 90.0)]
    assert actor.decide() == 3162
    actor.seen += [Point(1000, 20.0), Point(1000, 300.0), Point(1000, 21.0)]
    assert actor.best() == 1000, "one noisy window decides nothing"
    assert actor.decide() == 316
    actor.seen += [Point(316, 30.0)]
    assert actor.decide() == 1000


def test_the_target_is_the_papers_own_ratio() -> None:
    assert pytest.approx(PAPER_MS[BOTH] / PAPER_MS["actor only"], abs=0.005) == TARGET


@pytest.mark.slow
def test_a_quick_round_guesses_early_and_ends_with_what_the_client_set() -> None:
    found = quick_round("tuning", "--model")
    assert found["environment"] == "Tuning (model)", "a model is called one"
    guesses = next(row for row in found["rows"] if row["figure"] == "guesses that came into force")
    assert guesses["ours"]["median"] >= 1
    assert any(note.startswith("MODEL") for note in found["notes"])

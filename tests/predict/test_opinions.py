"""What speculators say of a call, weighed by what such statements came to."""

from __future__ import annotations

from random import Random

from spec_mcp.predict.opinions import Opinions, Statement

SURE = Statement("model", 0.9, is_first=True)
SILENT = Statement("model", None, asked_for=4)


def live(opinions: Opinions, history: float | None, statement: Statement, used_share: float, calls: int = 200) -> float:
    """So many calls of which these were said, so many of which are used; what is said after them."""
    random = Random(1)
    for _ in range(calls):
        opinions.learn(opinions.weigh(history, "get", [statement]), int(random.random() < used_share), 1.0)
    return opinions.weigh(history, "get", [statement]).q


def test_history_alone_is_taken_at_its_word() -> None:
    assert abs(Opinions().weigh(0.3, "get", []).q - 0.3) < 1e-9


def test_a_model_that_nobody_knows_is_believed_half() -> None:
    assert 0.3 < Opinions().weigh(None, "get", [SURE]).q < 0.5


def test_what_a_model_says_of_its_confidence_comes_to_mean_what_it_was_worth() -> None:
    assert live(Opinions(), None, SURE, 0.15) < 0.25
    assert live(Opinions(), None, SURE, 0.8) > 0.7


def test_what_its_confidences_are_worth_is_told_from_all_of_them_before_each_was_heard_often() -> None:
    opinions, often = Opinions(), Statement("model", 0.7, is_first=True)
    before = opinions.weigh(None, "get", [often]).q
    for confidence in (0.3, 0.5, 0.9, 0.97, 1.0) * 6:
        said = Statement("model", confidence, is_first=True)
        opinions.learn(opinions.weigh(None, "get", [said]), 0, 1.0)
    assert opinions.weigh(None, "get", [often]).q < 0.7 * before


def test_agreement_raises_a_probability_and_the_silence_of_one_who_usually_knows_lowers_it() -> None:
    opinions = Opinions()
    assert opinions.weigh(0.4, "get", [SURE]).q > 0.4
    live(opinions, 0.4, SURE, 0.9)
    assert live(opinions, 0.4, SILENT, 0.05) < 0.12
    assert opinions.weigh(0.4, "get", [SURE]).q > 0.8


def test_a_speculator_that_says_nothing_new_changes_nothing() -> None:
    """Its statements have nothing to do with what is used: history is right."""
    opinions = Opinions()
    assert abs(live(opinions, 0.3, SURE, 0.3) - 0.3) < 0.08
    assert abs(live(opinions, 0.3, SILENT, 0.3) - 0.3) < 0.08


def test_a_second_model_that_repeats_the_first_counts_once() -> None:
    random, opinions = Random(2), Opinions()
    other = Statement("other", 0.9, is_first=True)
    for _ in range(300):
        opinions.learn(opinions.weigh(None, "get", [SURE, other]), int(random.random() < 0.6), 1.0)
    assert abs(opinions.weigh(None, "get", [SURE, other]).q - 0.6) < 0.1


def test_each_tool_has_its_own_measure() -> None:
    random, opinions = Random(3), Opinions()
    for _ in range(200):
        opinions.learn(opinions.weigh(None, "known", [SURE]), int(random.random() < 0.9), 1.0)
        opinions.learn(opinions.weigh(None, "strange", [SURE]), int(random.random() < 0.05), 1.0)
    assert opinions.weigh(None, "known", [SURE]).q > 0.75
    assert opinions.weigh(None, "strange", [SURE]).q < 0.2


def test_what_a_model_may_say_is_only_guessed_when_enough_was_heard() -> None:
    opinions = Opinions()
    assert opinions.prospects("model", 0.4, "get", 4) == []
    live(opinions, 0.4, SURE, 0.9, calls=30)
    live(opinions, 0.4, SILENT, 0.05, calls=30)
    prospects = opinions.prospects("model", 0.4, "get", 4)
    assert abs(sum(share for share, _ in prospects) - 1.0) < 1e-9
    assert min(q for _, q in prospects) < 0.2 < 0.6 < max(q for _, q in prospects)

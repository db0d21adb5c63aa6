"""What a surrogate's answer is taken for, and what its guesses turn out to be worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from spec_mcp.engine.calls import CallKey, Equivalence, Json
from spec_mcp.engine.commands import BindSurrogate
from spec_mcp.engine.effects import Effect, FollowRule, ServerPolicy, Surrogate, ToolPolicy
from spec_mcp.engine.events import Candidate, Guess, GuessesJudged
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.surrogates import OPEN_MAX, Surrogates, read
from tests.predict.driving import Driven

SERVER = "shop"
KEY = CallKey(SERVER, 1, "p", "think", "me", "{}", "{}")
GLANCE = Surrogate("glance", {"moves": "arguments.moves"}, 3)
THINK = ToolPolicy(
    Effect.READ,
    surrogate=GLANCE,
    equal_results={("result", "took_s"): (Equivalence.IGNORE,)},
    followed_by=(FollowRule("think", {"moves": "[[arguments.moves, [result.move]][]]"}, 0.9),),
)
POLICIES = {SERVER: ServerPolicy(SERVER, {"think": THINK, "glance": ToolPolicy(Effect.READ)})}


def said(**confidences: float) -> Json:
    """A surrogate's answer."""
    return {"guesses": [{"result": {"move": move}, "confidence": q} for move, q in confidences.items()]}


def about(number: int = 1, moves: Sequence[str] = (), k: int = 3) -> Guess:
    return Guess(number, SERVER, "think", {"moves": list(moves)}, KEY, k)


def follow(supposed: Sequence[Supposed]) -> list[Candidate]:
    """What comes next, certainly."""
    return [Candidate(SERVER, "think", {"moves": [str(supposed[-1].result)]}, 1.0, "test", True)]


def think(surrogates: Surrogates, move: str, guesses: Json, number: int = 1) -> list[GuessesJudged]:
    """One thought, its guesses and its answer."""
    surrogates.began(CallBegan("s", number, SERVER, "think", {"moves": []}, 0.0, False))
    surrogates.predict("s", about(number), guesses, (), 8, follow)
    return surrogates.ended(CallEnded("s", number, {"move": move, "took_s": 3.0}, False, 9.0))


@pytest.mark.parametrize("bare", [True, False])
def test_guesses_stand_in_a_list_or_in_an_object_and_the_likeliest_k_count(bare: bool) -> None:
    guesses: list[Json] = [{"result": n, "confidence": n / 10} for n in (1, 4, 2)]
    assert [one.result for one in read(guesses if bare else {"guesses": guesses}, 2)] == [4, 2]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "e7e5",
        {},
        {"guesses": "e7e5"},
        {"guesses": ["e7e5", {"result": 1}, {"confidence": 0.4}]},
        *({"guesses": [{"result": 1, "confidence": bad}]} for bad in (0, -1, 1.5, True, "0.4", None, float("nan"))),
    ],
)
def test_what_is_no_guess_is_left_out_and_said_once(answer: Any) -> None:
    surrogates, told = Surrogates(POLICIES), list[Guess]()
    surrogates.on_unreadable = told.append
    assert read(answer, 3) == []
    for number in (1, 2):
        assert surrogates.predict("s", about(number), answer, (), 8, follow) == []
    assert len(told) == 1


def test_confidences_of_one_answer_are_together_no_more_than_certain() -> None:
    assert sum(one.confidence for one in read(said(a=0.9, b=0.9), 3)) == pytest.approx(1.0)


def test_what_follows_is_as_likely_as_its_guess_and_counts_as_copied_from_nowhere() -> None:
    found = Surrogates(POLICIES).predict("s", about(), said(a=0.2, b=0.5), (), 8, follow)
    assert [(one.q, one.guesses, one.copied_whole) for one in found] == [
        (pytest.approx(0.5), (0,), False),
        (pytest.approx(0.2), (1,), False),
    ]


def test_what_follows_from_several_guesses_alike_is_as_likely_as_all_of_them() -> None:
    def look(supposed: Sequence[Supposed]) -> list[Candidate]:
        return [Candidate(SERVER, "glance", {}, 0.5, "test")]

    (found,) = Surrogates(POLICIES).predict("s", about(), said(a=0.2, b=0.6), (), 8, look)
    assert found.q == pytest.approx(0.4)
    assert found.guesses == (0, 1)


def test_a_guess_is_right_where_it_equals_the_answer_but_for_what_the_manifest_ignores() -> None:
    (verdict,) = think(Surrogates(POLICIES), "b", said(a=0.6, b=0.3))
    assert verdict == GuessesJudged("s", 1, SERVER, "think", (1,))


def test_an_answer_is_judged_once_and_by_its_own_session() -> None:
    surrogates = Surrogates(POLICIES)
    surrogates.predict("s", about(), said(a=0.6), (), 8, follow)
    answer = Supposed(SERVER, "think", {"moves": []}, {"move": "a"}, False)
    assert surrogates.answered("other", answer) == []
    assert len(surrogates.answered("s", answer)) == 1
    assert surrogates.answered("s", answer) == []


def test_no_guess_is_right_of_a_call_that_failed_and_none_is_judged_by_what_nobody_could_read() -> None:
    surrogates = Surrogates(POLICIES)
    answers: list[tuple[Json, bool, list[tuple[int, ...]]]] = [(None, False, []), ({"move": "a"}, True, [()])]
    for result, is_error, right in answers:
        surrogates.predict("s", about(), said(a=0.6), (), 8, follow)
        answer = Supposed(SERVER, "think", {"moves": []}, result, is_error)
        assert [verdict.right for verdict in surrogates.answered("s", answer)] == right


def test_a_confidence_comes_to_mean_how_often_such_guesses_were_right() -> None:
    surrogates = Surrogates(POLICIES)
    for number in range(200):  # a boaster: sure of the first, which is right one time in four
        think(surrogates, "a" if number % 4 == 0 else "b", said(a=0.9, b=0.1), number)
    first, second = sorted(
        surrogates.predict("s", about(999), said(a=0.9, b=0.1), (), 8, follow), key=lambda c: c.guesses
    )
    assert first.q == pytest.approx(0.25, abs=0.03)
    assert second.q == pytest.approx(0.75, abs=0.03)


def test_a_supposed_answer_is_remembered_for_chains_until_the_real_one_is_there() -> None:
    surrogates = Surrogates(POLICIES)
    surrogates.predict("s", about(), said(a=0.6, b=0.3), (), 8, follow)
    second = Guess(1, SERVER, "think", {"moves": []}, KEY, 3, (1, 0))
    supposed = surrogates.supposed(second)
    assert supposed is not None
    assert supposed.result == {"move": "b"}
    assert surrogates.supposed(Guess(1, SERVER, "think", {}, KEY, 3, (7,))) is None
    surrogates.closed("s")
    assert surrogates.supposed(second) is None


def test_guesses_are_kept_of_so_many_calls_and_no_more() -> None:
    surrogates = Surrogates(POLICIES)
    for number in range(OPEN_MAX + 1):
        surrogates.predict("s", about(number), said(a=0.6), (), 8, follow)
    kept = [Guess(number, SERVER, "think", {}, KEY, 3, (0,)) for number in range(OPEN_MAX + 1)]
    assert [surrogates.supposed(guess) is None for guess in kept] == [True] + [False] * OPEN_MAX


def test_the_surrogates_arguments_are_made_of_the_calls() -> None:
    surrogates = Surrogates(POLICIES)
    bound = surrogates.bind(BindSurrogate("s", GLANCE, {"moves": ["e4"]}, KEY))
    assert bound is not None
    assert bound.arguments == {"moves": ["e4"]}
    assert surrogates.bind(BindSurrogate("s", GLANCE, {"other": 1}, KEY)) is None


def test_the_default_predictor_follows_a_rule_from_each_guess_of_a_call_that_runs() -> None:
    driven = Driven(POLICIES)
    driven.predictor.began(CallBegan(driven.session, 1, SERVER, "think", {"moves": ["e4"]}, 0.0, False))
    found = Surrogates(POLICIES).predict(
        driven.session,
        about(1, ["e4"]),
        said(e5=0.6, c5=0.3),
        (),
        8,
        lambda supposed: driven.predictor.predict(driven.session, supposed, 8, 0.0),
    )
    assert [one.arguments for one in found[:2]] == [{"moves": ["e4", "e5"]}, {"moves": ["e4", "c5"]}]
    assert 0.3 < found[0].q < 0.6

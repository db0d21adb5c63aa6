"""While a slow call runs, a cheap read guesses its answer, and what may come after it is launched meanwhile."""

# pyright: reportUnusedExpression=false
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spec_mcp.engine import commands as do
from spec_mcp.engine import events
from spec_mcp.engine.effects import FollowRule, Surrogate
from spec_mcp.engine.events import Answer, Candidate, Guess, Lineage, Outcome
from spec_mcp.engine.policy import Settings
from tests.engine.playbook import (
    CLIENT,
    HIT,
    JOIN,
    LOST,
    RESULT,
    SERVER,
    Playbook,
    Wanted,
    cancel_speculation,
    ended,
    guess,
    invoke,
    launch,
    reading,
    reply,
    skipped,
    writing,
)

SLOW = reading(
    ("game:{game}",),
    surrogate=Surrogate("glance", {"moves": "arguments.moves"}, 3),
    followed_by=(FollowRule("think", {"moves": "result.moves"}, 0.9),),
)
TOOLS = {"think": SLOW, "glance": reading(("game:{game}",)), "look": reading(("game:{game}",)), "put": writing(None)}
THINK_S, GLANCE_S = 4.0, 0.2

bind = Wanted(do.BindSurrogate)


def table(tools: Any = TOOLS, **more: Any) -> Playbook:
    """Somebody plays, and it is known how long each tool takes."""
    play = Playbook(tools, settings=Settings(wasted_call_s=0.2, **more), cancel=True).begun()
    play.takes("think", THINK_S)
    play.takes("glance", GLANCE_S)
    return play


def bound(play: Playbook, moves: int) -> events.SurrogateBound:
    """The surrogate's arguments for this thought are made out."""
    key = play.key("think", {"moves": moves})
    assert key is not None
    return events.SurrogateBound(CLIENT, key, {"moves": moves})


def then(tool: str, *ranks: int, q: float = 0.9, **arguments: Any) -> Candidate:
    """A candidate that follows from these guesses."""
    return replace(guess(tool, q, **arguments), guesses=ranks)


def asked_upon(play: Playbook) -> Lineage:
    """What the engine has last asked to be supposed."""
    (asked,) = [command for command in play.record if isinstance(command, do.Predict) and command.lineage]
    return asked.lineage


def predicted(play: Playbook, lineage: Lineage, *candidates: Candidate) -> events.Predicted:
    """What follows."""
    return events.Predicted(CLIENT, play.engine.world.session(CLIENT).step, lineage, candidates)


def judged(lineage: Lineage, *right: int) -> events.GuessesJudged:
    """The guesses that were right."""
    last = lineage[-1]
    assert isinstance(last, Guess)
    return events.GuessesJudged(CLIENT, last.surrogate, SERVER, "think", right)


def thinking(play: Playbook) -> Lineage:
    """The client's own thought runs, and its answer has been guessed."""
    play << play.call(1, "think", moves=1) >> invoke(1) >> bind << bound(play, 1) >> launch("glance", moves=1)
    play << play.returned()
    return asked_upon(play)


def test_a_call_that_its_slow_predecessor_leads_to_starts_before_that_is_answered():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 0, moves=2)) >> launch("think", moves=2) >> bind
        play << events.CallReturned(1, RESULT) >> ended("guessed")
        play << judged(lineage, 0) << play.call(2, "think", moves=2) >> bind
        play << play.returned() >> reply(2, JOIN)


def test_what_rests_on_wrong_guesses_alone_is_discarded_and_cancelled_at_once():
    with table() as play:
        lineage = thinking(play)
        candidates = then("think", 0, moves=2), then("think", 1, moves=3), then("look", 1, 2, moves=4)
        play << predicted(play, lineage, *candidates)
        play >> launch("think", moves=2) >> bind >> launch("think", moves=3) >> bind >> launch("look", moves=4)
        play << events.CallReturned(1, RESULT)
        play << judged(lineage, 1) >> ended("mispredicted") >> cancel_speculation()
        assert sorted(str(held.arguments["moves"]) for held in play.engine.world.ledger.live) == ["3", "4"]
        assert all(not held.lineage for held in play.engine.world.ledger.live)


def test_what_waits_for_a_place_for_a_wrong_guess_gives_it_up():
    with table(in_flight=1) as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 0, q=0.9, moves=2), then("think", 1, q=0.8, moves=3))
        play >> launch("think", moves=2) >> bind
        play << events.CallReturned(1, RESULT)
        play << judged(lineage) >> cancel_speculation()
        play.wait(5.0)


def test_a_call_that_has_joined_what_rests_on_a_wrong_guess_keeps_it():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 0, moves=2)) >> launch("think", moves=2) >> bind
        play << events.CallReturned(1, RESULT) << play.call(2, "think", moves=2) >> bind
        play << judged(lineage, 1) << play.returned() >> reply(2, JOIN)


def test_what_is_predicted_from_what_really_happened_too_rests_on_no_guess():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("look", 0, moves=2)) >> launch("look", moves=2)
        play << play.predicted(guess("look", moves=2)) >> skipped("known")
        play << events.CallReturned(1, RESULT) << judged(lineage) << play.returned()
        play << play.call(2, "look", moves=2) >> reply(2, HIT)


def test_chains_go_on_through_guessed_answers_of_speculations():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 1, moves=2)) >> launch("think", moves=2) >> bind
        play << bound(play, 2) >> launch("glance", moves=2) << play.returned()
        deeper = asked_upon(play)
        assert [link.ranks for link in deeper if isinstance(link, Guess)] == [(1,), ()]
        play << predicted(play, deeper, then("look", 0, moves=3)) >> launch("look", moves=3)
        # the second thought is answered: its guess was right, and its result is held
        play << play.returned(index=-3) << judged(deeper, 0)
        (look,) = [held for held in play.engine.world.ledger.live if held.tool == "look"]
        assert [isinstance(link, Guess) for link in look.lineage] == [True, False]
        # the first thought's was wrong: the whole chain falls
        play << events.CallReturned(1, RESULT) << judged(lineage, 0) >> cancel_speculation()
        assert not play.held


def test_a_candidate_is_as_likely_as_the_call_whose_answer_is_guessed():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 0, q=0.6, moves=2)) >> launch("think", moves=2) >> bind
        play << bound(play, 2) >> launch("glance", moves=2) << play.returned()
        play << predicted(play, asked_upon(play), then("look", 0, q=0.9, moves=3)) >> launch("look", moves=3)
        (look,) = [held for held in play.engine.world.ledger.live if held.tool == "look"]
        assert look.q == pytest.approx(0.54)


def test_guesses_are_followed_to_the_depth_and_not_beyond():
    with table(depth=1) as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("think", 0, moves=2)) >> launch("think", moves=2) >> bind
        play << bound(play, 2) >> skipped("not-worth-it")


def test_a_surrogate_is_asked_only_where_that_may_hide_a_wait():
    with table() as play:
        play.takes("think", 0.1)  # no longer slow
        play << play.call(1, "think", moves=1) >> invoke(1) >> bind << bound(play, 1) >> skipped("not-worth-it")


def test_a_surrogate_that_is_never_right_is_asked_no_more():
    with table() as play:
        for moves in range(40):
            play << play.call(moves, "think", moves=moves) >> invoke(moves) >> bind << bound(play, moves)
            if not play.pending:
                play >> skipped("not-worth-it")
                return
            play >> launch("glance") << play.returned()
            lineage = asked_upon(play)
            play << events.CallReturned(moves, RESULT) << judged(lineage)
        pytest.fail("it is asked still")


@pytest.mark.parametrize("surrogate", ["put", "unheard-of", "reversible"])
def test_what_may_not_be_speculated_is_no_surrogate(surrogate: str):
    tools = {
        **TOOLS,
        "think": replace(SLOW, surrogate=Surrogate(surrogate, {}, 1)),
        "reversible": replace(writing(None), lossy=True),
    }
    play = Playbook(tools, settings=Settings(wasted_call_s=0.01, lossy=True, reversible=True)).begun()
    play.takes("think", THINK_S)
    with play:
        play << play.call(1, "think", moves=1) >> invoke(1) >> bind << bound(play, 1) >> Wanted(do.Skipped)


def test_a_surrogate_that_waits_for_a_place_until_the_answer_is_there_is_not_asked():
    serial = Playbook(TOOLS, settings=Settings(wasted_call_s=0.01), concurrent=False).begun()
    serial.takes("think", THINK_S)
    with serial:
        serial << serial.call(1, "think", moves=1) >> invoke(1) >> bind << bound(serial, 1)
        serial << events.CallReturned(1, RESULT)


def test_a_guess_never_answers_the_slow_call():
    with table() as play:
        thinking(play)
        play << play.call(2, "think", moves=1) >> invoke(2) >> bind >> bind


@pytest.mark.parametrize("outcome", [LOST, "cancelled"])
def test_where_the_answer_never_comes_nothing_rests_on_guesses_of_it(outcome: Any):
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("look", 0, moves=2)) >> launch("look", moves=2)
        if outcome == "cancelled":
            play << events.CallCancelled(1) >> Wanted(do.ForwardCancellation) >> cancel_speculation()
        else:
            play << events.CallReturned(1, outcome) >> cancel_speculation()
        assert not play.held


def test_a_surrogates_result_that_the_client_asks_for_itself_is_a_result_like_any():
    with table() as play:
        thinking(play)
        play << play.call(2, "glance", moves=1) >> reply(2, HIT) >> bind


def test_a_write_spoils_what_a_surrogate_said_and_what_follows_from_it():
    with table() as play:
        lineage = thinking(play)
        play << predicted(play, lineage, then("look", 0, moves=2)) >> launch("look", moves=2)
        play << play.call(2, "put", x=1) >> cancel_speculation() >> invoke(2) >> bind
        assert not play.held


@pytest.mark.parametrize(
    ("put", "is_asked"),
    [(writing(("score:{x}",)), True), (writing(("game:{x}",)), False)],
    ids=["of something else", "of what is read then"],
)
def test_a_write_between_is_passed_over_where_the_read_after_it_may_be_made_before_it(put: Any, is_asked: bool):
    with table({**TOOLS, "put": put, "look": reading(("game:{moves}",))}) as play:
        for number in range(1, 7, 3):  # thinks, writes down what came of it, and looks: as the rules do not say
            play << play.call(number, "think", moves=number) >> invoke(number) >> bind
            play << events.CallReturned(number, RESULT)
            play << play.call(number + 1, "put", x=number) >> invoke(number + 1)
            play << events.CallReturned(number + 1, RESULT)
            play << play.call(number + 2, "look", moves=number) >> invoke(number + 2)
            play << events.CallReturned(number + 2, RESULT)
        play.takes("look", 1.0)
        play << play.call(7, "think", moves=7) >> invoke(7) >> bind << bound(play, 7)
        play >> (launch("glance", moves=7) if is_asked else skipped("not-worth-it"))


def test_an_error_of_a_surrogate_says_nothing():
    with table() as play:
        play << play.call(1, "think", moves=1) >> invoke(1) >> bind << bound(play, 1) >> launch("glance", moves=1)
        play << play.returned(Outcome(Answer.TOOL_ERROR, 10)) >> ended("error")

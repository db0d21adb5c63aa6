"""History and speculators, merged: what is told, what is asked, and what is learned of it."""

from __future__ import annotations

import json

import pytest

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import Effect, ServerPolicy, ToolPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.bandit import Costs
from spec_mcp.predict.default import make_predictor
from spec_mcp.predict.guessing import About, Answered, Ending, Guess, Merging, Question, Spent, Terms
from spec_mcp.predict.merged import MergedPredictor, add_up
from spec_mcp.predict.predictor import CallBegan, CallEnded, Predictor, Supposed
from spec_mcp.predict.prices import FREE
from spec_mcp.predict.silent import Silent

SERVER = "shop"
ANSWER_S = 0.5
POLICY = ServerPolicy(
    SERVER,
    {
        "find": ToolPolicy(Effect.READ, exclusive=True, open_world=False),
        "get": ToolPolicy(Effect.READ, exclusive=True, open_world=False),
        "delete_all": ToolPolicy(Effect.UNSAFE),
    },
)


class Lived:
    """A merged predictor, and the sessions that it lives: each call takes a second, and three pass between calls."""

    def __init__(self, history: Predictor | None = None, *names: str) -> None:
        policies = {SERVER: POLICY}
        self.timing = Timing()
        for tool in ("find", "get"):
            for _ in range(8):
                self.timing.took(SERVER, tool, 1.0)
                self.timing.thought(3.0)
        self.predictor = MergedPredictor(
            history or make_predictor(policies, 0),
            {name: Terms(FREE) for name in names or ("model",)},
            policies,
            self.timing,
            Costs(settings=lambda: self.settings),
        )
        self.settings = Settings()
        self.now_s = 0.0
        self._calls = 0

    def call(self, tool: str, arguments: Arguments, *, writes: bool = False, pause_s: float = 3.0) -> None:
        """One call and its answer."""
        self._calls += 1
        self.now_s += pause_s
        self.predictor.began(CallBegan("s", self._calls, SERVER, tool, arguments, self.now_s, writes))
        self.now_s += 1.0
        self.predictor.ended(CallEnded("s", self._calls, {"text": "ok"}, False, self.now_s))

    def told(self) -> dict[tuple[str, str], float]:
        """What is told now."""
        return {(c.tool, json.dumps(c.arguments)): c.q for c in self.candidates()}

    def candidates(self) -> list[Candidate]:
        """The same, whole."""
        return self.predictor.predict("s", (), 16, self.now_s)

    def ask(self) -> list[Question]:
        """What is asked now."""
        self.candidates()
        return list(self.predictor.questions("s", self.now_s))

    def answer(self, question: Question, *guesses: Guess, ending: Ending = Ending.ANSWERED) -> None:
        """An answer half a second later."""
        spent = Spent(3_000, 0, 60, 0.0, ANSWER_S)
        self.predictor.answered(Answered(question, ending, guesses, spent), self.now_s + ANSWER_S)

    def named(self, number: int, confidence: float = 0.9, tool: str = "get") -> Guess:
        """The guess of a call."""
        return Guess(SERVER, tool, {"id": number}, confidence)


def test_it_is_a_merging_predictor() -> None:
    assert isinstance(Lived().predictor, Merging)
    assert not isinstance(make_predictor({}, 0), Merging)


def test_a_guess_of_a_speculator_becomes_a_candidate_that_names_it() -> None:
    lived = Lived()
    lived.call("find", {"name": "x"})
    lived.answer(lived.ask()[0], lived.named(7))
    told = {candidate.tool: candidate for candidate in lived.candidates()}
    assert told["get"].arguments == {"id": 7}
    assert told["get"].source == "model"


def test_equal_calls_are_one_candidate_whoever_named_them() -> None:
    lived = Lived(None, "model", "other")
    lived.call("find", {"name": "x"})
    questions = lived.ask()
    assert {question.speculator for question in questions} == {"model", "other"}
    lived.answer(questions[0], Guess(SERVER, "get", {"id": 7, "full": True}, 0.6))
    alone = lived.told()["get", '{"id": 7, "full": true}']
    lived.answer(questions[1], Guess(SERVER, "get", {"full": True, "id": 7}, 0.6))
    told = lived.told()
    assert len([1 for tool, _ in told if tool == "get"]) == 1
    assert told["get", '{"id": 7, "full": true}'] >= alone


def test_what_may_not_be_speculated_is_not_told_though_a_speculator_is_sure_of_it() -> None:
    lived = Lived()
    lived.call("find", {"name": "x"})
    lived.answer(lived.ask()[0], lived.named(1, 1.0, "delete_all"), lived.named(2))
    assert {tool for tool, _ in lived.told()} <= {"find", "get"}


def test_a_question_is_asked_once_a_turn_and_its_late_answer_is_no_answer_to_the_next() -> None:
    lived = Lived()
    lived.call("find", {"name": "x"})
    (question,) = lived.ask()
    assert question.about is About.NEXT_CALL
    assert lived.ask() == []
    lived.answer(question, ending=Ending.CANCELLED)
    lived.call("find", {"name": "y"})
    assert lived.ask() == [question]


def test_while_a_call_runs_the_question_is_about_it() -> None:
    lived = Lived()
    lived.call("find", {"name": "x"})
    lived.answer(lived.ask()[0])
    lived.predictor.began(CallBegan("s", 99, SERVER, "find", {"name": "z"}, lived.now_s + 3.0, False))
    (question,) = lived.ask()
    assert (question.about, question.call) == (About.RUNNING_CALL, 99)


def live(lived: Lived, turns: int, *, right: bool, spoil: bool = False) -> None:
    """Turns after each of which a speculator names a call, which comes or does not."""
    for number in range(turns):
        lived.call("find", {"name": f"n{number}"})
        for question in lived.ask():
            lived.answer(question, lived.named(number))
        if spoil:
            lived.call("delete_all", {}, writes=True)
        lived.call("get", {"id": number if right else -number - 1})
        for question in lived.ask():
            lived.answer(question, ending=Ending.TIMED_OUT)
    lived.call("delete_all", {}, writes=True)


def test_a_speculator_that_is_right_is_believed_and_one_that_is_not_is_not() -> None:
    good, bad = Lived(Silent()), Lived(Silent())
    live(good, 25, right=True)
    live(bad, 25, right=False)
    assert good.predictor.standings()[0].weight > 20 * bad.predictor.standings()[0].weight
    assert good.predictor.standings()[0].right == 25
    assert bad.predictor.standings()[0].right == 0


def test_a_guess_that_comes_after_a_conflicting_write_was_wrong() -> None:
    lived = Lived(Silent())
    live(lived, 10, right=True, spoil=True)
    assert lived.predictor.standings()[0].right == 0


def test_a_guess_that_a_later_call_uses_before_a_write_was_right() -> None:
    lived = Lived(Silent())
    lived.call("find", {"name": "x"})
    lived.answer(lived.ask()[0], lived.named(7))
    lived.call("find", {"name": "y"})
    lived.call("get", {"id": 7})
    assert lived.predictor.standings()[0].right == 1


def test_what_history_foretells_as_well_earns_a_speculator_nothing() -> None:
    class Knows(Silent):
        def predict(self, session: str, supposed: object, limit: int, now_s: float) -> list[Candidate]:
            return [Candidate(SERVER, "get", {"id": number}, 0.9, "history") for number in range(3)]

    known, alone = Lived(Knows()), Lived(Silent())
    live(known, 3, right=True)
    live(alone, 3, right=True)
    assert known.predictor.standings()[0].saved_s == pytest.approx(0.0)
    assert alone.predictor.standings()[0].saved_s > 1.0


def test_of_two_that_say_the_same_one_earns_it() -> None:
    lived = Lived(Silent(), "model", "other")
    live(lived, 20, right=True)
    first, second = lived.predictor.standings()
    assert first.saved_s > 10.0
    assert second.saved_s < 0.1 * first.saved_s


def test_history_alone_is_told_unchanged_where_nobody_has_spoken() -> None:
    lived, alone = Lived(), make_predictor({SERVER: POLICY}, 0)
    for number in range(12):
        for predictor in (lived.predictor, alone):
            call = 2 * number
            predictor.began(CallBegan("s", call, SERVER, "find", {"name": f"n{number}"}, 0.0, False))
            predictor.ended(CallEnded("s", call, {"id": number}, False, 0.0))
            assert lived.predictor.predict("s", (), 16, 0.0) or True
            predictor.began(CallBegan("s", call + 1, SERVER, "get", {"id": number}, 0.0, False))
            predictor.ended(CallEnded("s", call + 1, {"text": "ok"}, False, 0.0))
    supposed = [Supposed(SERVER, "find", {"name": "new"}, {"id": 77}, False)]
    assert lived.predictor.predict("s", supposed, 16, 0.0) == alone.predict("s", supposed, 16, 0.0) != []
    assert lived.predictor.dump() == alone.dump()


def test_a_likely_call_waits_for_one_who_knows_better_and_is_told_once_it_has_spoken() -> None:
    class Unsure(Silent):
        def predict(self, session: str, supposed: object, limit: int, now_s: float) -> list[Candidate]:
            return [Candidate(SERVER, "get", {"id": 1}, 0.3, "history")]

    lived = Lived(Unsure())
    for number in range(60):
        comes = number % 3 == 0
        lived.call("find", {"name": f"n{number}"})
        for question in lived.ask():
            lived.answer(question, lived.named(1 if comes else 2))
        lived.call("get", {"id": 1 if comes else 2})
        for question in lived.ask():
            lived.answer(question, ending=Ending.CANCELLED)
        lived.call("delete_all", {}, writes=True)
    lived.call("find", {"name": "last"})
    assert ("get", '{"id": 1}') not in lived.told()
    (question,) = lived.predictor.questions("s", lived.now_s)
    lived.answer(question, lived.named(1))
    assert lived.told()["get", '{"id": 1}'] > 0.6


def test_what_a_wasted_call_is_worth_is_what_speculation_goes_by_at_present() -> None:
    lived = Lived(Silent())
    for wasted_call_s, saved_s in ((0.2, -0.2), (0.05, -0.25)):
        lived.settings = Settings(wasted_call_s=wasted_call_s)
        live(lived, 1, right=False)
        assert lived.predictor.standings()[0].saved_s == pytest.approx(saved_s)


def test_a_client_that_never_pauses_is_soon_not_asked_for_and_again_once_it_does() -> None:
    lived = Lived(Silent())

    def asked(turns: int, pause_s: float) -> int:
        """How often in so many turns. Whatever does not come within the pause is taken back."""
        questions = 0
        for number in range(turns):
            lived.call("find", {"name": f"n{number}"}, pause_s=pause_s)
            for question in lived.ask():
                questions += 1
                if pause_s > ANSWER_S:
                    lived.answer(question, lived.named(number))
                else:
                    lived.answer(question, ending=Ending.CANCELLED)
            lived.call("get", {"id": number}, pause_s=pause_s)
            for question in lived.ask():
                lived.answer(question, ending=Ending.CANCELLED)
        return questions

    assert asked(100, 0.3) > 5
    assert asked(100, 0.3) < 10
    assert asked(900, 0.3) > 0, "it is tried again now and then"
    assert asked(300, 3.0) > 100


def test_what_a_speculator_names_in_time_need_not_be_launched_while_it_is_silent() -> None:
    class Knows(Silent):
        """It tells a call that is used in the end, and is not sure of it."""

        number = 0

        def predict(self, session: str, supposed: object, limit: int, now_s: float) -> list[Candidate]:
            return [Candidate(SERVER, "get", {"id": self.number}, 0.15, "history")]

    def after(*, names: bool) -> float:
        """What is told of such a call after a silence, where it is named just before its use, or never."""
        history = Knows()
        lived = Lived(history)
        for history.number in range(40):
            for number in (1_000 + history.number, history.number if names else -1):
                lived.call("find", {"name": str(number)})
                for question in lived.ask():
                    lived.answer(question, lived.named(number))
                lived.call("get", {"id": history.number if number < 0 else number})
                for question in lived.ask():
                    lived.answer(question, ending=Ending.CANCELLED)
        history.number = 99
        lived.call("find", {"name": "last"})
        lived.answer(lived.ask()[0], lived.named(-1))
        return lived.told().get(("get", '{"id": 99}'), 0.0)

    assert after(names=True) < 0.1
    assert after(names=False) > 0.14


def test_what_processes_learned_of_speculators_adds_up_and_is_loaded() -> None:
    one, other, whole = Lived(Silent()), Lived(Silent()), Lived(Silent())
    live(one, 20, right=True)
    live(other, 20, right=True)
    dumps = [lived.predictor.dump_speculators() for lived in (one, other)]
    whole.predictor.load_speculators(add_up(json.loads(json.dumps(dumps))))
    assert whole.predictor.standings()[0].right == 40
    assert whole.predictor.standings()[0].weight == pytest.approx(one.predictor.standings()[0].weight, rel=0.9)
    assert one.predictor.dump_speculators() is None


@pytest.mark.parametrize(
    "data", [None, [], {"version": 0}, {"version": 1, "opinions": []}, {"version": 1, "arms": {"[]": ["x", 1, 2]}}]
)
def test_data_of_another_shape_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="speculators"):
        Lived().predictor.load_speculators(json.loads(json.dumps(data)))


@pytest.mark.parametrize("confidence", [float("nan"), float("inf"), -3.0, 7.0])
def test_a_confidence_beyond_all_bounds_does_no_harm(confidence: float) -> None:
    lived = Lived()
    for number in range(3):
        lived.call("find", {"name": f"n{number}"})
        lived.answer(lived.ask()[0], lived.named(number, confidence))
        assert all(0.0 <= q <= 1.0 for q in lived.told().values())
        lived.call("get", {"id": number})
    assert 0.0 < lived.predictor.standings()[0].weight < 1e6


def test_an_answer_that_comes_after_its_session_is_counted_and_told_to_nobody() -> None:
    lived = Lived()
    lived.call("find", {"name": "x"})
    (question,) = lived.ask()
    lived.predictor.closed("s")
    lived.answer(question, lived.named(7))
    assert lived.predictor.standings()[0].asked == 1
    assert ("get", '{"id": 7}') not in lived.told()

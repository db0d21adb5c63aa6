"""What predictors are shown, and what becomes of what they say."""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.engine.calls import CallKey, Json
from spec_mcp.engine.commands import BindSurrogate, Predict
from spec_mcp.engine.effects import Effect, ServerPolicy, Surrogate, ToolPolicy
from spec_mcp.engine.events import Candidate, Guess, GuessesJudged, Predicted, SurrogateBound
from spec_mcp.predict.disclosure import Guard
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.learning import SUPPOSED_MAX, Held, Learner


class Noting(Silent):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.supposed: list[list[Json]] = []
        self.answers: list[Json] = []
        self.says: list[Candidate] = []

    def ended(self, call: CallEnded) -> None:
        self.answers.append(call.result)

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        self.supposed.append([step.result for step in supposed])
        return self.says


def result(number: int) -> bytes:
    """The raw result of a speculation."""
    return b'{"content":[],"structuredContent":{"order":"W%d"}}' % number


def held(number: int) -> Held:
    """The speculation of this number, anew each time."""
    return Held("shop", "get_order", {}, bytes(bytearray(result(number))))


def ask(learner: Learner, step: int, *lineage: int) -> None:
    """One step's question."""
    learner.predict(Predict("s", step, lineage), held)
    learner.work()


def test_a_result_that_is_supposed_again_and_answers_in_the_end_is_decoded_once() -> None:
    predictor = Noting()
    learner = Learner(predictor, lambda: 0.0)
    ask(learner, 1, 7)
    ask(learner, 2, 7)
    ask(learner, 2, 7, 8)
    learner.ended("s", 1, result(7), False)
    learner.work()
    assert predictor.answers == [{"order": "W7"}]
    shown = [chain[0] for chain in predictor.supposed] + predictor.answers
    assert all(one is shown[0] for one in shown)


def test_only_so_many_supposed_results_are_kept() -> None:
    predictor = Noting()
    learner = Learner(predictor, lambda: 0.0)
    for number in (*range(SUPPOSED_MAX + 1), 0):
        ask(learner, number, number)
    assert predictor.supposed[0] == predictor.supposed[-1]
    assert predictor.supposed[0][0] is not predictor.supposed[-1][0]


# --- several servers --------------------------------------------------------------------------------------------------

ASK = Candidate("bank", "get_account", {"order": "W7777"}, 0.9, "test")


class Told:
    """A learner in front of these servers, and the candidates that the engine is told of."""

    def __init__(self, *servers: str, guard: Guard | None = None) -> None:
        self.predictor = Noting()
        self.predictor.says = [ASK]
        guard = guard or Guard()
        guard.serve(dict.fromkeys(servers, ()), ())
        self.learner = Learner(self.predictor, lambda: 0.0, guard)
        self.learner.on_predicted = self._take
        self.candidates: list[Candidate] = []

    def _take(self, predicted: Predicted | SurrogateBound | GuessesJudged) -> None:
        assert isinstance(predicted, Predicted)
        self.candidates += predicted.candidates

    def call(self, server: str, number: int) -> None:
        """The client calls there, and gets the result of this number."""
        self.learner.began(lambda: CallBegan("s", number, server, "get_order", {}, 0.0, False), 0)
        self.learner.ended("s", number, result(number), False)
        while self.learner.has_work:
            self.learner.work()


def test_what_would_tell_one_server_of_another_is_marked_whoever_says_it() -> None:
    told = Told("shop", "bank")
    told.call("shop", 7777)
    ask(told.learner, 1)
    assert [candidate.discloses for candidate in told.candidates] == [True]


def test_what_a_supposed_result_would_tell_of_its_server_is_marked() -> None:
    told = Told("shop", "bank")
    ask(told.learner, 1, 7777)
    assert [candidate.discloses for candidate in told.candidates] == [True]


def test_with_one_server_nothing_is_looked_at() -> None:
    class Deaf(Guard):
        def began(self, call: CallBegan) -> None:
            raise AssertionError("a call was looked at")

        ended = judge = began  # type: ignore[assignment]

    told = Told("shop", guard=Deaf())
    told.call("shop", 7777)
    ask(told.learner, 1)
    assert told.candidates == [ASK]
    assert told.learner.faults == 0


def test_what_could_not_be_noted_is_not_shown_to_the_predictor_either() -> None:
    class Failing(Guard):
        def ended(self, call: CallEnded) -> None:
            raise RuntimeError("no memory")

    told = Told("shop", "bank", guard=Failing())
    told.call("shop", 7777)
    assert told.predictor.answers == []
    assert told.learner.faults == 1


def test_another_server_of_the_same_name_has_been_told_nothing() -> None:
    told = Told("shop", "bank")
    told.call("shop", 7777)
    told.call("bank", 7777)
    ask(told.learner, 1)
    told.learner.left("bank")
    told.learner.work()
    ask(told.learner, 2)
    assert [candidate.discloses for candidate in told.candidates] == [False, True]


# --- surrogates -------------------------------------------------------------------------------------------------------

THINKING = {
    "shop": ServerPolicy(
        "shop", {"think": ToolPolicy(Effect.READ, surrogate=Surrogate("glance", {"at": "arguments.at"}, 2))}
    )
}
KEY = CallKey("shop", 1, "p", "think", "me", '{"at":1}', "{}")
GUESSES = b'[{"result":{"m":1},"confidence":0.5},{"result":{"m":2},"confidence":0.25}]'
GLANCED = b'{"content":[],"structuredContent":{"guesses":%s}}' % GUESSES


def test_what_a_surrogate_guessed_is_supposed_until_the_answer_shows_which_guess_was_right() -> None:
    predictor, told = Noting(), list[object]()
    predictor.says = [ASK]
    learner = Learner(predictor, lambda: 0.0, policies=THINKING)
    learner.on_predicted = told.append
    learner.began(lambda: CallBegan("s", 1, "shop", "think", {"at": 1}, 0.0, False), 10)
    learner.bind(BindSurrogate("s", Surrogate("glance", {"at": "arguments.at"}, 2), {"at": 1}, KEY))
    guess = Guess(7, "shop", "think", {"at": 1}, KEY, 2)
    learner.predict(Predict("s", 1, (guess,)), lambda _: Held("shop", "glance", {"at": 1}, GLANCED))
    learner.ended("s", 1, b'{"content":[],"structuredContent":{"m":2}}', False)
    for _ in range(4):
        learner.work()
    assert predictor.supposed == [[{"m": 1}], [{"m": 2}]]
    bound, predicted, judged = told
    assert bound == SurrogateBound("s", KEY, {"at": 1})
    assert isinstance(predicted, Predicted)
    assert [(one.guesses, one.q) for one in predicted.candidates] == [((0, 1), 0.675)]
    assert judged == GuessesJudged("s", 7, "shop", "think", (1,))

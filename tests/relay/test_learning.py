"""What predictors are shown of results that are only supposed."""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.engine.calls import Json
from spec_mcp.engine.commands import Predict
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.predictor import CallEnded, Supposed
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.learning import SUPPOSED_MAX, Held, Learner


class Noting(Silent):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.supposed: list[list[Json]] = []
        self.answers: list[Json] = []

    def ended(self, call: CallEnded) -> None:
        self.answers.append(call.result)

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        self.supposed.append([step.result for step in supposed])
        return []


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

"""From what several sources say of a call to one probability that a call will use it.

History says its own, which is calibrated. Each speculator in turn then says of the call: named it, first or later and
with such a confidence, now or in an earlier turn; or spoke and did not name it. What that statement is worth is a shift
of the log odds, by which the calls of which it was made before, in the same situation, were used more or less often
than was expected without it: so agreement raises a probability, the silence of one that usually knows lowers it,
confidence is calibrated, and what a second speculator says is judged by what it adds to the first. This is stagewise
additive logistic modelling (Friedman, Hastie and Tibshirani, "Additive logistic regression", Annals of Statistics
28(2), 2000) with the log odds of smoothed counts as the step of each stage.

A shift is counted per speculator and statement, then also per probability so far, then also per tool; each finer count
backs off to the coarser, and the coarsest to a start which averages the log odds of history and of a speculator whose
confidence is halved (models are overconfident), moved by as much as all such starts of its first guesses, or of its
later ones, were wrong: a few dozen guesses say what it means by its confidences, before each was heard often. While
evidence is thin a probability therefore stays near history's own; and as every group of calls is pulled to the share of
it that was used, the merged probability tells at least what each source told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from spec_mcp.predict.cells import logit
from spec_mcp.predict.counts import Counts, Key
from spec_mcp.predict.mixer import sigmoid

UNTOLD = 0.05
"""The probability of a call of which no source has spoken."""

TRUST = 0.5
"""A confidence is taken for so much of itself until it was seen what it means."""

DOUBTS = (6.0, 8.0, 10.0)
"""Observations that what a count backs off to counts for, from the coarsest to the finest."""

START_DOUBT = 20.0
"""The same of how wrong the starts are: one guess that came true by chance must not have all others believed."""

KNOWN = 20.0
"""Calls that were spoken of, or not, before it is guessed what a speculator will say of the next one."""

MOST_SHIFT = 5.0
"""No statement moves the log odds by more: rare situations would be taken for certainties."""

SILENT = "silent"
"""Of a call that was not named. That never speaks for it: it would be a judgement of history's word alone."""

CONFIDENCES = (0.2, 0.4, 0.6, 0.75, 0.88, 0.96)
"""Where a class of confidences ends and the next begins."""

LOGITS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""The same of the log odds so far."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one speculator says of a call: that it named it, or that it spoke and did not."""

    speculator: str
    confidence: float | None
    """None: not named."""
    is_first: bool = False
    """The guess that it put first."""
    age: int = 0
    """Turns since it was named."""
    asked_for: int = 0
    """Guesses that it might have named: the silence of one who may name four says more than of one who may name one."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """The probability of a call at one moment, and what it was made of."""

    q: float
    stages: tuple[tuple[Sequence[Key], float, float], ...]
    """Of each statement its contexts, the coarsest first, the log odds before it, and the shift to start from."""


class Opinions:
    """What the statements of speculators are worth."""

    def __init__(self) -> None:
        self.counts = Counts(3)
        """Observed, used, and expected to be used without the statement."""

    def weigh(self, history: float | None, tool: str, statements: Sequence[Statement]) -> Weighed:
        """The probability of a call; `history` is what history says, None where it says nothing."""
        x = logit(UNTOLD if history is None else history)
        is_told = history is not None
        stages: list[tuple[Sequence[Key], float, float]] = []
        for statement in statements:
            keys = _contexts(statement.speculator, _says(statement), x, tool, is_told=is_told)
            start = _start(statement, x, is_told)
            stages.append((keys, x, start))
            x += self._shift(keys, start)
            is_told = is_told or statement.confidence is not None
        return Weighed(sigmoid(x), tuple(stages))

    def again(self, weighed: Weighed) -> float:
        """The same probability by what is known now."""
        if not weighed.stages:
            return weighed.q
        x = weighed.stages[0][1]
        for keys, _, start in weighed.stages:
            x += self._shift(keys, start)
        return sigmoid(x)

    def prospects(self, speculator: str, q: float, tool: str, k: int) -> list[tuple[float, float]]:
        """What a speculator that is asked now for so many guesses may say of a call of this probability: how likely
        each statement is, and the probability after it. Empty where too little is known of that."""
        x = logit(q)
        found: list[tuple[float, float]] = []
        for says in (_silent(k), *_NAMED_NOW):
            keys = _contexts(speculator, says, x, tool, is_told=True)
            row = self.counts.row(keys[2])
            if row is not None and row[0] > 0.0:
                found.append((row[0], sigmoid(x + self._shift(keys, 0.0))))
        total = sum(count for count, _ in found)
        return [(count / total, after) for count, after in found] if total >= KNOWN else []

    def learn(self, weighed: Weighed, used: int, weight: float) -> None:
        """What became of a call."""
        for keys, before, start in weighed.stages:
            self.counts.add(keys[0], weight, weight * used, weight * sigmoid(before + start))
            for key in keys[1:]:
                self.counts.add(key, weight, weight * used, weight * sigmoid(before))

    def weight(self, speculator: str) -> float:
        """How many times likelier, in odds, a call is for this speculator's having named it first, which history did
        not: over all its confidences."""
        total = [0.0, 0.0, 0.0]
        for confidence in (0.0, *CONFIDENCES):
            statement = Statement(speculator, confidence, is_first=True)
            row = self.counts.row((speculator, "untold", _says(statement)))
            if row is not None:
                total = [one + other for one, other in zip(total, row, strict=True)]
        start = _start(Statement(speculator, 0.5, is_first=True), logit(UNTOLD), False)
        return exp(_shift_of(total, DOUBTS[0], start))

    def _shift(self, keys: Sequence[Key], start: float) -> float:
        start += _shift_of(self.counts.row(keys[0]), START_DOUBT, 0.0)
        for key, doubt in zip(keys[1:], DOUBTS, strict=True):
            start = _shift_of(self.counts.row(key), doubt, start)
        return min(0.0, start) if keys[0][-1] == SILENT else start


def _contexts(speculator: str, says: str, x: float, tool: str, *, is_told: bool) -> Sequence[Key]:
    """The contexts in which a statement is counted, the coarsest first: that of the starts, in which what was expected
    is what was so by them, and those of the shifts, in which it is what was so without the statement."""
    told = "told" if is_told else "untold"
    starts = (speculator, told, "all", says.split(maxsplit=1)[0])
    coarse = (speculator, told, says)
    finer = (*coarse, str(bisect_right(LOGITS, x)) if is_told else "")
    return (starts, coarse, finer, (*finer, tool))


def _shift_of(row: Sequence[float] | None, doubt: float, parent: float) -> float:
    """By how much the log odds of what was counted differ from what was expected; the parent's shift counts for
    `doubt` observations."""
    if row is None or row[0] <= 0.0:
        return parent
    expected = logit(row[2] / row[0])
    counted = logit((row[1] + doubt * sigmoid(expected + parent)) / (row[0] + doubt))
    return max(-MOST_SHIFT, min(MOST_SHIFT, counted - expected))


def _start(statement: Statement, x: float, is_told: bool) -> float:
    """The shift of a statement about which nothing was counted yet."""
    if statement.confidence is None:
        return 0.0
    own = logit(TRUST * statement.confidence)
    if statement.age:
        own -= 1.0
    return max(0.0, 0.5 * (own - x) if is_told else own - x)


def _says(statement: Statement) -> str:
    if statement.confidence is None:
        return _silent(statement.asked_for)
    place = "first" if statement.is_first else "later"
    return f"{place} {bisect_right(CONFIDENCES, statement.confidence)} {min(2, statement.age)}"


def _silent(asked_for: int) -> str:
    return f"{SILENT} of {1 if asked_for == 1 else 2}"


_NAMED_NOW = [_says(Statement("", c, is_first=first)) for c in (0.0, *CONFIDENCES) for first in (True, False)]
"""All that a speculator can say of a call that it names now."""

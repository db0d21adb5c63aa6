"""Evidence into one probability: an online logistic model over the logits of many cells, then a learned correction.

Each kind of context has one weight for each class of evidence, so that a rate seen twice counts for less than one seen
fifty times. The weights know kinds of contexts and positions in lists, never a tool or a value: the ones that are
shipped hold for any server, and go on learning from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

from spec_mcp.predict.cells import Cell

RATE = 0.008
"""Step of the weights: small, because the candidates of one session resemble each other."""

BINS = 24
"""Knots of the correction, evenly spaced in logits from -SPAN to SPAN."""

SPAN = 6.0
CORRECTION_DOUBT = 12.0
"""Observations that the uncorrected value counts for at each knot."""

CORRECTION_SHARE = 0.9
"""How much of the correction is applied."""

CORRECTION_MEMORY = 150
"""Observations that a knot of the correction remembers."""

WEIGHT_BOUND = 4.0
"""No weight goes beyond: data loaded from elsewhere cannot run away with the sum."""


Rated = Sequence[tuple[int, Cell]]
"""Contexts that have a rate: the index of the weight of each, and its cell."""

Chains = Sequence[tuple[int, float, float]]
"""The index of a weight, and the logits of use and of being next."""


def sigmoid(x: float) -> float:
    """The probability of a log odds."""
    return 1.0 / (1.0 + exp(-x)) if x > -30.0 else 0.0


class Mixer:
    """One logistic model. The weights of rates are never negative: a rate that is low may be ignored, but it must not
    speak for its candidate, which thin and redundant evidence would else teach it to."""

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = list(weights)
        self._start = list(weights)

    def learn_next(self, flags: Sequence[int], cells: Rated, chains: Chains, error: float) -> None:
        """Of being next: `error` is the truth (0 or 1) less the probability that these positions and rates gave."""
        step = RATE * error
        weights = self.weights
        for index in flags:
            weights[index] += step
        for index, cell in cells:
            weight = weights[index] + step * cell.logit_next
            weights[index] = weight if weight > 0.0 else 0.0
        for index, _, rate in chains:
            weight = weights[index] + step * rate
            weights[index] = weight if weight > 0.0 else 0.0

    def dump(self) -> list[float]:
        """How far the weights moved since the last dump."""
        moved = [round(now - then, 6) for now, then in zip(self.weights, self._start, strict=True)]
        self._start = list(self.weights)
        return moved

    def load(self, moved: Sequence[float]) -> None:
        """Move the weights by what was learned elsewhere."""
        for index, by in enumerate(moved[: len(self.weights)]):
            self.weights[index] = max(-WEIGHT_BOUND, min(WEIGHT_BOUND, self.weights[index] + by))
        self._start = list(self.weights)


def learn_both(
    used: Mixer, next_: Mixer, flags: Sequence[int], cells: Rated, chains: Chains, used_error: float, next_error: float
) -> None:
    """Of use and of being next, in one pass: this is what learning does most."""
    used_step, next_step = RATE * used_error, RATE * next_error
    of_use, of_next = used.weights, next_.weights
    for index in flags:
        of_use[index] += used_step
        of_next[index] += next_step
    for index, cell in cells:
        weight = of_use[index] + used_step * cell.logit_used
        of_use[index] = weight if weight > 0.0 else 0.0
        weight = of_next[index] + next_step * cell.logit_next
        of_next[index] = weight if weight > 0.0 else 0.0
    for index, used_rate, next_rate in chains:
        weight = of_use[index] + used_step * used_rate
        of_use[index] = weight if weight > 0.0 else 0.0
        weight = of_next[index] + next_step * next_rate
        of_next[index] = weight if weight > 0.0 else 0.0


class Correction:
    """What a told logit meant until now: a monotone-ish curve by knots, each pulled to the truth near it."""

    def __init__(self, knots: Sequence[float]) -> None:
        straight = [self._centre(index) for index in range(BINS + 1)]
        self.knots = list(knots) if len(knots) == len(straight) else straight
        self._seen = [CORRECTION_DOUBT] * (BINS + 1)
        self._new_seen = [0.0] * (BINS + 1)
        self._new_used = [0.0] * (BINS + 1)

    @staticmethod
    def _centre(index: int) -> float:
        return -SPAN + 2.0 * SPAN * index / BINS

    def apply(self, x: float) -> float:
        """The corrected probability of a log odds."""
        knots = self.knots
        if not -SPAN < x < SPAN:
            return sigmoid(knots[0] if x < 0.0 else knots[BINS])
        position = (x + SPAN) * BINS / (2.0 * SPAN)
        index = int(position)
        share = position - index
        corrected = knots[index] * (1.0 - share) + knots[index + 1] * share
        return 1.0 / (1.0 + exp(-(x + CORRECTION_SHARE * (corrected - x))))

    def learn(self, x: float, truth: int) -> None:
        """A candidate of this logit was used or not."""
        x = -SPAN if x < -SPAN else SPAN if x > SPAN else x
        position = (x + SPAN) * BINS / (2.0 * SPAN)
        index = int(position) if position < BINS else BINS - 1
        share = position - index
        if share <= 0.95:
            self._observe(index, 1.0 - share, truth)
        if share >= 0.05:
            self._observe(index + 1, share, truth)

    def dump(self) -> list[float]:
        """What was observed near each knot since the last dump: how much, and how much of it was used."""
        told = [round(count, 3) for count in (*self._new_seen, *self._new_used)]
        self._new_seen, self._new_used = [0.0] * (BINS + 1), [0.0] * (BINS + 1)
        return told

    def load(self, told: Sequence[float]) -> None:
        """Add observations."""
        if len(told) != 2 * (BINS + 1):
            return
        for knot, (seen, used) in enumerate(zip(told[: BINS + 1], told[BINS + 1 :], strict=True)):
            if seen > 0.0:
                self._pull(knot, min(seen, CORRECTION_MEMORY), min(1.0, max(0.0, used / seen)))

    def _observe(self, knot: int, part: float, truth: int) -> None:
        self._new_seen[knot] += part
        self._new_used[knot] += part * truth
        self._pull(knot, part, truth)

    def _pull(self, knot: int, seen: float, rate: float) -> None:
        whole = self._seen[knot] + seen
        self._seen[knot] = whole = whole if whole < CORRECTION_MEMORY else CORRECTION_MEMORY
        p = sigmoid(self.knots[knot])
        p += (rate - p) * seen / whole
        p = 0.003 if p < 0.003 else 0.997 if p > 0.997 else p
        self.knots[knot] = log(p / (1.0 - p))

"""The paper's analysis of speculative actions (arXiv 2510.04371), and what its Algorithm 1 does exactly.

An agent makes T calls one after the other, without thinking between them. Each takes Exp(beta). While one runs, a
speculator guesses its answer after Exp(alpha), right with probability p, and the call that follows from the guess is
launched. If it was the right one, launched A after a call that took B, and itself takes C, then the pair of calls
ends at max(B, A + C) in place of B + C. That saves min(C, B - A) where A < B: by memorylessness the shorter of two
Exp(beta), 1 / (2 beta) on average, and A < B has the probability alpha / (alpha + beta).

The proof of Proposition 1 has the pair end at C + min(A, B), which saves (B - A)+ with twice that mean, and then gives
half of it to each of two boundaries. But with A + C < B the answer of the first call is still to come: a pair saves the
half in truth, and it belongs to its one boundary. So the proposition holds if every boundary is speculated upon as if
the call before it had just begun. In Algorithm 1 none is after a hit, since line 6 goes on without asking the
speculator (`as_stated`); and where it is asked all the same, the call that was hit has little or nothing left to run
(`one_step`). Times are in any unit, rates in its inverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the analysis."""

    p: float
    """Probability that a guess is right."""
    alpha: float
    """Rate of the speculator's latency."""
    beta: float
    """Rate of a call's latency."""
    calls: int
    """T, how many one after the other."""

    @property
    def launched_right(self) -> float:
        """The probability that the next call is launched, and rightly, while one that has just begun still runs."""
        return self.p * self.alpha / (self.alpha + self.beta)

    @property
    def sequential(self) -> float:
        """E[T_seq] = T / beta."""
        return self.calls / self.beta


def proposition_1(setting: Setting) -> float:
    """E[T_s] / E[T_seq] = 1 - (1 - 1/T) p alpha / (2 (alpha + beta)): Proposition 1 of the paper."""
    return 1.0 - (1.0 - 1.0 / setting.calls) * setting.launched_right / 2.0


def as_stated(setting: Setting) -> float:
    """The exact ratio for Algorithm 1 as it is stated: a call that is found in the cache is not speculated upon.

    Expected hits of n calls, the first of which is made for real, with r = `launched_right`:
    h(n) = r (1 + h(n - 2)) + (1 - r) h(n - 1), h(0) = h(1) = 0. Each saves 1 / (2 beta).
    """
    r, before, hits = setting.launched_right, 0.0, 0.0
    for _ in range(2, setting.calls + 1):
        before, hits = hits, r * (1.0 + before) + (1.0 - r) * hits
    return 1.0 - hits / (2.0 * setting.calls)


def one_step(setting: Setting) -> float:
    """The exact ratio where a call that joins one on its way is speculated upon too, one step ahead.

    After a hit the call still runs with probability 1/2 (C > B - A, two Exp(beta)), for Exp(beta) more; else it is
    answered at once, and what comes after it is made for real. In units of 1 / (2 beta), n calls of which the first
    runs save f(n) = r (1 + f(n - 1) / 2 + f(n - 2) / 2) + (1 - r) f(n - 1), f(0) = f(1) = 0.
    """
    r, before, saved = setting.launched_right, 0.0, 0.0
    for _ in range(2, setting.calls + 1):
        before, saved = saved, r * (1.0 + saved / 2.0 + before / 2.0) + (1.0 - r) * saved
    return 1.0 - saved / (2.0 * setting.calls)


def bound(setting: Setting) -> float:
    """The ratio that no depth and no breadth goes below, with every guess right: what lead cannot hide.

    A call starts no sooner after the one before it than that one is guessed or answered, min(A, B), and the last one
    takes its time: ((T - 1) / (alpha + beta) + 1 / beta) / (T / beta).
    """
    spent = (setting.calls - 1) / (setting.alpha + setting.beta) + 1.0 / setting.beta
    return spent / setting.sequential


# --- cost and latency of branches -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Branch:
    """A call that may be launched on a guess. At most one of several branches is the right one."""

    q: float
    """Its confidence."""
    saved_s: float
    """The wait that it hides if it is right."""
    cost_s: float
    """What it costs if it is wrong, in seconds of waiting."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a set of branches is expected to take and to cost."""

    branches: tuple[Branch, ...]
    time_s: float
    cost_s: float


def expected(branches: Sequence[Branch], wait_s: float) -> Point:
    """Of a wait of `wait_s`, what is left with these branches, sum of q saved_s less; and what the wrong ones cost.

    The paper's trade-off of breadth against cost (its section 2 and appendix B.1 measure it), in expectation.
    """
    time_s = wait_s - sum(branch.q * branch.saved_s for branch in branches)
    return Point(tuple(branches), time_s, sum((1.0 - branch.q) * branch.cost_s for branch in branches))


def optimal(branches: Sequence[Branch], price: float = 1.0, places: int | None = None) -> tuple[Branch, ...]:
    """The set with the least time plus `price` times cost, of no more than `places` branches, best first.

    Time and cost add up over branches, so each stands for itself: it is worth q saved_s - price (1 - q) cost_s, and
    the best that are worth more than nothing are launched. The engine's policy decides by the same rule.
    """
    worth = [(branch.q * branch.saved_s - price * (1.0 - branch.q) * branch.cost_s, branch) for branch in branches]
    paying = sorted((pair for pair in worth if pair[0] > 0.0), key=lambda pair: -pair[0])
    return tuple(branch for _, branch in paying[:places])


def frontier(branches: Sequence[Branch], wait_s: float) -> list[Point]:
    """The sets that are optimal at some price, from none to all that save time: each step buys time at a higher price.

    They are nested: branches come in the order of the time that they save for their cost.
    """
    saving = [branch for branch in branches if branch.q * branch.saved_s > 0.0]
    saving.sort(key=lambda branch: (1.0 - branch.q) * branch.cost_s / (branch.q * branch.saved_s))
    return [expected(saving[:count], wait_s) for count in range(len(saving) + 1)]

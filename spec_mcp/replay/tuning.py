"""The cost-latency curve of recorded sessions: what each setting would have hidden, and wasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spec_mcp.engine.policy import Settings
from spec_mcp.records import Session
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.tally import Tally, share

COSTS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Settings tried: each doubles the price of waste."""


@dataclass(frozen=True, slots=True)
class Point:
    """One setting and what comes of it."""

    wasted_call_s: float
    answered_share: float
    used_share: float
    waste_per_ten: float
    hidden_share: float
    hidden_s: float

    @staticmethod
    def of(wasted_call_s: float, tally: Tally) -> Point:
        """What was counted at a setting."""
        return Point(
            wasted_call_s,
            tally.answered_share,
            tally.used_share,
            10.0 * share(tally.speculations - tally.used, tally.calls),
            share(tally.wait_hidden_s, tally.wait_s),
            tally.wait_hidden_s,
        )

    def as_object(self) -> dict[str, float]:
        """For programs."""
        return {name: round(getattr(self, name), 4) for name in self.__slots__}


def curve(sessions: Sequence[Session], costs_s: Sequence[float] = COSTS_S) -> list[Point]:
    """Play the sessions at each setting, learning from nothing on, as the user's own first time was."""
    points: list[Point] = []
    for cost_s in costs_s:
        evaluation = Evaluation(Options(settings=Settings(wasted_call_s=cost_s)))
        points.append(Point.of(cost_s, evaluation.play(sessions, ())))
    return points


def best(points: Sequence[Point], used_share: float) -> Point | None:
    """The setting that hides most of the wait while so many speculations are used; None where none does."""
    allowed = [point for point in points if point.used_share >= used_share and point.hidden_s > 0.0]
    return max(allowed, key=lambda point: (point.hidden_s, point.used_share), default=None)

"""The cost-latency curve of recorded sessions: what each setting would have hidden, and wasted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.policy import Settings
from spec_mcp.records import Session, Tool
from spec_mcp.replay.evaluate import Evaluation, Options
from spec_mcp.replay.tally import Tally, share

COSTS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Settings tried: each about doubles the price of waste."""

NEEDED_CALLS = 100
"""With fewer, a share is known to no better than ten points."""

NEEDED_SESSIONS = 5
"""With fewer, nothing can be told to be a habit."""

NEAR = 0.05
"""Settings that hide the wait as well as the best one but for this share of it count as equal: less waste decides."""

WORTH_A_CHANGE = 0.1
"""So much less waste per ten calls: for less nobody should edit a file."""


@dataclass(frozen=True, slots=True)
class History:
    """The sessions of one server."""

    sessions: Sequence[Session]
    policy: ServerPolicy | None = None
    """None: the record says which tools read, and every write spoils everything."""
    tools: Sequence[Tool] = ()
    """The catalogue beside the record, where there is one: it may say which tools read."""


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


@dataclass(frozen=True, slots=True)
class Curve:
    """What was played, and what comes of each setting, the cheapest waste first."""

    points: tuple[Point, ...] = ()
    sessions: int = 0
    calls: int = 0
    reads: int = 0

    @property
    def is_enough(self) -> bool:
        """Can a setting be chosen by it?"""
        return self.calls >= NEEDED_CALLS and self.sessions >= NEEDED_SESSIONS

    def at(self, wasted_call_s: float) -> Point:
        """What comes of a setting that was tried."""
        return next(point for point in self.points if point.wasted_call_s == wasted_call_s)

    def best(self, used_share: float, now: Point) -> Point | None:
        """The setting to choose where so many speculations are to be used; None where none does.

        Of those that hide about as much of the wait as the best, the one that wastes least; the one that is set `now`
        stays where that is hardly more.
        """
        allowed = [point for point in self.points if point.used_share >= used_share and point.hidden_s > 0.0]
        most = max((point.hidden_share for point in allowed), default=0.0)
        near = [point for point in allowed if point.hidden_share >= (1.0 - NEAR) * most]
        least = min(near, key=lambda point: (point.waste_per_ten, -point.hidden_share), default=None)
        if least is not None and now in near and now.waste_per_ten < least.waste_per_ten + WORTH_A_CHANGE:
            return now
        return least


@dataclass(slots=True)
class Tuning:
    """Plays histories at several settings, each server on its own, as each has a predictor of its own."""

    histories: Sequence[History]
    settings: Settings = field(default_factory=Settings)
    """Those that are not tried out: as the user has them."""
    costs_s: Sequence[float] = COSTS_S

    def play(self, progress: Callable[[], None] | None = None) -> Curve:
        """Play all sessions at each setting, learning from nothing on, as the user's own first time was."""
        points: list[Point] = []
        whole = Tally()
        for cost_s in sorted({*self.costs_s, self.settings.wasted_call_s}):
            whole = Tally()
            for history in self.histories:
                settings = replace(self.settings, wasted_call_s=cost_s)
                evaluation = Evaluation(Options(settings=settings, manifest=history.policy))
                whole.add(evaluation.play(history.sessions, history.tools, progress))
            points.append(Point.of(cost_s, whole))
        return Curve(tuple(points), whole.sessions, whole.calls, whole.reads)

"""Keeps the share of speculations that are used where the user wants it, by what a wasted call is taken to cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import exp, log

from spec_mcp.engine.calls import Json
from spec_mcp.engine.policy import Settings

KIND = "share/1"
"""What rows of this data are called in a store."""

GAIN = 0.12
"""How far the logarithm of the cost moves for one used or wasted speculation too many."""

LEAST_S, MOST_S = 0.002, 200.0
"""The cost stays within these bounds: beyond them everything, or nothing, is speculated anyway."""

LEAST_LEVEL = 0.05
"""A cost of nothing has no logarithm to start from."""


class ShareKeeper:
    """Moves the cost of a wasted call after each speculation, so that in the long run `target` of them are used."""

    def __init__(self, target: float, wasted_call_s: float) -> None:
        self._target = target
        self._level = log(max(LEAST_LEVEL, wasted_call_s))
        self._has_news = False

    @property
    def wasted_call_s(self) -> float:
        """What a wasted call costs at present, in seconds of waiting."""
        return exp(self._level)

    def ended(self, used: bool) -> None:
        """A speculation was used, or not."""
        self._has_news = True
        level = self._level + GAIN * (self._target - used)
        self._level = min(log(MOST_S), max(log(LEAST_S), level))

    def apply(self, settings: Settings) -> Settings:
        """The settings with the present cost."""
        return replace(settings, wasted_call_s=self.wasted_call_s)

    def dump(self) -> Json:
        """Where it stands, for a later run; None if it has not moved since the last time."""
        if not self._has_news:
            return None
        self._has_news = False
        return {"target": self._target, "wasted_call_s": round(self.wasted_call_s, 6)}

    def load(self, dumped: Json) -> None:
        """Go on where another run stood; what was learned for another target says nothing about this one.

        Raises:
            ValueError: the data has another shape.
        """
        cost_s = dumped.get("wasted_call_s") if isinstance(dumped, dict) else None
        if not isinstance(dumped, dict) or not isinstance(cost_s, int | float) or not LEAST_S <= cost_s <= MOST_S:
            raise ValueError("the cost of a wasted call is kept in another shape")
        if dumped.get("target") == self._target:
            self._level = log(cost_s)


def latest(dumps: Sequence[Json]) -> Json:
    """One dump in the place of several, the oldest first: the cost moves on, so only the last says where it stands."""
    return dumps[-1]

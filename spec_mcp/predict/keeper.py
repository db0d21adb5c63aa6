"""Keeps the share of speculations that are used where the user wants it, by what a wasted call is taken to cost."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from spec_mcp.engine.policy import Settings

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

    @property
    def wasted_call_s(self) -> float:
        """What a wasted call costs at present, in seconds of waiting."""
        return exp(self._level)

    def ended(self, used: bool) -> None:
        """A speculation was used, or not."""
        level = self._level + GAIN * (self._target - used)
        self._level = min(log(MOST_S), max(log(LEAST_S), level))

    def apply(self, settings: Settings) -> Settings:
        """The settings with the present cost."""
        return replace(settings, wasted_call_s=self.wasted_call_s)

"""How long tools take and how long clients think: quantiles of the last few durations, in seconds.

The wait that a speculation hides is the shorter of the call's latency and its lead, so expectations are taken over
quantiles of both rather than over means, which one slow call would spoil.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.engine.overlaps import Overlaps

UNFELT_S = 0.02
"""Added to both sides of a comparison: a call of some milliseconds that takes some more is not what slowing means."""

SAMPLES_KEPT = 32
"""Enough for an upper quartile that holds still, few enough to follow a server that changes."""

UNKNOWN_LATENCY_S = 0.1
"""What a tool is taken to need before any tool of its server was measured."""

UNKNOWN_GAP_S = 1.0
"""What a client is taken to think before it was measured: models need a second or more."""

GAP_BOUND_S = 60.0
"""A longer pause is a person who went away, and says nothing of the next one."""

TOOLS_MEASURED_MAX = 1024
"""Tools whose latency is kept: a client may call any number of tools that do not exist."""

GRID = (0.125, 0.375, 0.625, 0.875)
"""Where quantile functions are evaluated for an expectation: the middles of four equal parts."""


@dataclass(slots=True)
class Durations:
    """The last few durations of one kind."""

    recent: deque[float] = field(default_factory=lambda: deque[float](maxlen=SAMPLES_KEPT))
    _sorted: list[float] | None = None
    _on_grid: list[float] | None = None
    """The quantiles at `GRID`; as those sorted, only for as long as nothing is added."""

    def add(self, duration_s: float) -> None:
        """Take note of one duration."""
        self.recent.append(max(0.0, duration_s))
        self._sorted = self._on_grid = None

    def quantile(self, fraction: float) -> float | None:
        """The duration that this fraction of the recent ones did not exceed; None without any."""
        if not self.recent:
            return None
        if self._sorted is None:
            self._sorted = sorted(self.recent)
        return self._sorted[min(len(self._sorted) - 1, int(fraction * len(self._sorted)))]

    def on_grid(self) -> list[float] | None:
        """The quantiles at `GRID`; None without any duration."""
        if self._on_grid is None and self.recent:
            self._on_grid = [value for fraction in GRID if (value := self.quantile(fraction)) is not None]
        return self._on_grid


def _no_time() -> float:
    return 0.0


@dataclass(slots=True)
class Timing:
    """Measured latencies by server and tool, and thinking times."""

    clock: Callable[[], float] = _no_time
    """The time of the world that is measured."""

    latencies: dict[tuple[str, str], Durations] = field(default_factory=dict[tuple[str, str], Durations])
    gaps: Durations = field(default_factory=Durations)
    alone: dict[str, Durations] = field(default_factory=dict[str, Durations])
    """By server: latency of calls relative to their tool's median while no speculation ran."""
    beside: dict[str, Durations] = field(default_factory=dict[str, Durations])
    """By server: the same while a speculation ran."""
    overlaps: dict[str, Overlaps] = field(default_factory=dict[str, Overlaps])
    """By server, what calls at the same time showed in this run."""

    def took(self, server: str, tool: str, latency_s: float) -> None:
        """A call or speculation of this tool was answered after this long."""
        self.latencies.setdefault((server, tool), Durations()).add(latency_s)
        if len(self.latencies) > TOOLS_MEASURED_MAX:
            del self.latencies[next(iter(self.latencies))]

    def compared(self, server: str, tool: str, latency_s: float, beside: bool, connection: str = "") -> None:
        """A call was answered just now and took this long, with or without a speculation running beside it.

        Calls over two connections at the same time say nothing of one: each may have a process of its own.
        """
        usual_s = self.latency_s(server, tool, 0.5)
        kind = self.beside if beside else self.alone
        kind.setdefault(server, Durations()).add((latency_s + UNFELT_S) / (usual_s + UNFELT_S))
        now_s = self.clock()
        self.overlaps.setdefault(server, Overlaps()).add(tool, now_s - latency_s, now_s, usual_s, beside, connection)

    def forget(self, server: str, connection: str) -> None:
        """The connection is gone for good."""
        if (overlaps := self.overlaps.get(server)) is not None:
            overlaps.forget(connection)

    def thought(self, gap_s: float) -> None:
        """The client made its next call this long after its last answer."""
        if gap_s <= GAP_BOUND_S:
            self.gaps.add(gap_s)

    def latency_s(self, server: str, tool: str, fraction: float) -> float:
        """A quantile of a tool's latency; of its server's tools where it was never measured."""
        if (durations := self.latencies.get((server, tool))) is not None:
            known = durations.quantile(fraction)
            if known is not None:
                return known
        others = sorted(
            value
            for (owner, _), durations in self.latencies.items()
            if owner == server and (value := durations.quantile(fraction)) is not None
        )
        return others[len(others) // 2] if others else UNKNOWN_LATENCY_S

    def is_measured(self, server: str, tool: str) -> bool:
        """Was any call of this tool measured?"""
        return (server, tool) in self.latencies

    def gap_s(self, fraction: float) -> float:
        """A quantile of the thinking time."""
        known = self.gaps.quantile(fraction)
        return UNKNOWN_GAP_S if known is None else known

    def hidden_s(self, server: str, tool: str, head_start_s: float, gaps: int) -> float:
        """The wait that a speculation launched now is expected to hide: E[min(latency, lead)].

        The lead is what is left of a running call (`head_start_s`, below zero if the launch comes later than now) and
        `gaps` thinking times.
        """
        durations = self.latencies.get((server, tool))
        latencies = None if durations is None else durations.on_grid()
        if latencies is None:
            latencies = [self.latency_s(server, tool, fraction) for fraction in GRID]
        gaps_s = self.gaps.on_grid() or [UNKNOWN_GAP_S] * len(GRID)
        leads = [max(0.0, head_start_s + gaps * gap_s) for gap_s in gaps_s]
        shorter = [latency if latency < lead else lead for latency in latencies for lead in leads]
        return sum(shorter) / len(shorter)

    def slows(self, server: str) -> bool:
        """Are calls measured to take half as long again while speculations run?"""
        alone, beside = self.alone.get(server), self.beside.get(server)
        if alone is None or beside is None or min(len(alone.recent), len(beside.recent)) < ENOUGH_TO_COMPARE:
            return False
        return (beside.quantile(0.5) or 0.0) > SLOWED * (alone.quantile(0.5) or 0.0)

    def works_side_by_side(self, server: str) -> bool:
        """Is it measured in this run that the server works on several calls at once, and bears speculations then?"""
        overlaps = self.overlaps.get(server)
        return overlaps is not None and overlaps.are_side_by_side and not self.slows(server)

    def dump_json(self) -> Json:
        """The measurements as JSON."""
        latencies: dict[str, Json] = {}
        for server in {owner for owner, _ in self.latencies}:
            latencies[server] = {
                tool: [round(value, 6) for value in durations.recent]
                for (owner, tool), durations in self.latencies.items()
                if owner == server
            }
        return {"gaps": [round(value, 6) for value in self.gaps.recent], "latencies": latencies}

    def load_json(self, dumped: Json) -> None:
        """Take over what was dumped.

        Raises:
            ValueError: the data has another shape.
        """
        try:
            found = cast("dict[str, dict[str, dict[str, list[float]]]]", dumped)
            gaps = [float(gap) for gap in cast("list[float]", found["gaps"])]
            durations = [
                (server, tool, float(duration))
                for server, tools in found["latencies"].items()
                for tool, values in tools.items()
                for duration in values
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"measured durations have another shape: {error!r}") from error
        for gap in gaps:
            self.thought(gap)
        for server, tool, duration in durations:
            self.took(server, tool, duration)


def merge_timings(rows: list[Json]) -> Json:
    """One dump in the place of several, the oldest first.

    Raises:
        ValueError: one has another shape.
    """
    timing = Timing()
    for row in rows:
        timing.load_json(row)
    return timing.dump_json()


ENOUGH_TO_COMPARE = 8
"""Measurements of each kind before a slow-down is believed."""

SLOWED = 1.5
"""Calls that take this many times as long beside speculations are being slowed by them."""

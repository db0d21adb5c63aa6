"""What is counted while recorded sessions are played, and the figures that come of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of one file or of several."""

    sessions: int = 0
    calls: int = 0
    reads: int = 0
    reachable: int = 0
    answered: int = 0
    speculations: int = 0
    used: int = 0
    next_tool_top1: int = 0
    next_call_top1: int = 0
    next_call_top3: int = 0
    wait_s: float = 0.0
    waited_s: float = 0.0
    """With speculation."""
    oracle_hidden_s: float = 0.0
    decide_s: list[float] = field(default_factory=list[float])
    calibration: list[tuple[float, bool]] = field(default_factory=list[tuple[float, bool]])
    """Of each candidate told after a turn, what was said and whether a call used it before the next write."""
    missed: Counter[str] = field(default_factory=Counter[str])
    """Calls that were not answered, by cause."""
    wasted: Counter[str] = field(default_factory=Counter[str])
    """Speculations that no call used, by tool."""

    def add(self, other: Tally) -> None:
        """Add the counts of another."""
        for name in (
            "sessions", "calls", "reads", "reachable", "answered", "speculations", "used", "next_tool_top1",
            "next_call_top1", "next_call_top3", "wait_s", "waited_s", "oracle_hidden_s",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.decide_s += other.decide_s
        self.calibration += other.calibration
        self.missed += other.missed
        self.wasted += other.wasted

    @property
    def answered_share(self) -> float:
        """Of all calls."""
        return share(self.answered, self.calls)

    @property
    def used_share(self) -> float:
        """Of the speculations."""
        return share(self.used, self.speculations)

    @property
    def wait_hidden_s(self) -> float:
        """Less waiting than without speculation."""
        return self.wait_s - self.waited_s

    def report(self, source: str) -> dict[str, object]:
        """The figures under the names that are fixed for `spec-mcp replay --json`."""
        return {
            "source": source,
            "sessions": self.sessions,
            "calls": self.calls,
            "reads": self.reads,
            "reachable": self.reachable,
            "answered": self.answered,
            "answered_share": round(self.answered_share, 4),
            "answered_reads_share": round(share(self.answered, self.reads), 4),
            "speculations": self.speculations,
            "used_share": round(self.used_share, 4),
            "next_tool_top1": round(share(self.next_tool_top1, self.calls), 4),
            "next_call_top1": round(share(self.next_call_top1, self.calls), 4),
            "next_call_top3": round(share(self.next_call_top3, self.calls), 4),
            "wait_s": round(self.wait_s, 3),
            "wait_hidden_s": round(self.wait_hidden_s, 3),
            "wait_hidden_share": round(share(self.wait_hidden_s, self.wait_s), 4),
            "oracle_hidden_s": round(self.oracle_hidden_s, 3),
            "decide_ms_p50": round(1e3 * quantile(self.decide_s, 0.5), 4),
            "decide_ms_p99": round(1e3 * quantile(self.decide_s, 0.99), 4),
        }


def share(part: float, whole: float) -> float:
    """A share, 0 of nothing."""
    return part / whole if whole else 0.0


def quantile(values: list[float], fraction: float) -> float:
    """A quantile, 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def calibration_error(said: list[tuple[float, bool]], bins: int = 15, least: float = 0.1) -> float:
    """Expected calibration error over bins of equal mass, of candidates told with at least this probability."""
    told = _by_probability(said, least)
    total = 0.0
    for number in range(bins):
        part = told[number * len(told) // bins : (number + 1) * len(told) // bins]
        total += abs(sum(q for q, _ in part) - sum(used for _, used in part))
    return share(total, len(told))


def reliability(said: list[tuple[float, bool]], bins: int = 15, least: float = 0.0) -> list[tuple[float, float, int]]:
    """For bins of equal mass: the mean of what was said, the share that was used, and how many there are."""
    told = _by_probability(said, least)
    points: list[tuple[float, float, int]] = []
    for number in range(bins):
        part = told[number * len(told) // bins : (number + 1) * len(told) // bins]
        if part:
            points.append((sum(q for q, _ in part) / len(part), sum(used for _, used in part) / len(part), len(part)))
    return points


def _by_probability(said: list[tuple[float, bool]], least: float) -> list[tuple[float, bool]]:
    """In the order of what was said alone: among equals the truth must not decide who shares a bin."""
    return sorted(((q, used) for q, used in said if q >= least), key=lambda told: told[0])

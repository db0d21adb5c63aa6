"""Does a server work on several calls at once? Told from the client's own calls that ran at the same time.

Theory: a serial server answers in the order in which it was asked, and each call takes its own time after the one
before it. So a later call that is answered first, after about its usual time, ran beside the earlier one. And of two
calls of one tool that were sent at nearly the same moment to an idle server, the second one of a serial server takes
about twice as long as the first; where both end at nearly the same moment, they ran side by side. Anything in between
says nothing. One such observation may be chance: several must agree.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

CALLS_KEPT = 8
"""Answered calls that a later one is held against: clients seldom make more at once."""

SEEN_KEPT = 32
"""Observations kept: enough to outvote an odd one, few enough to follow a server that changes."""

ENOUGH = 5
"""Observations of calls side by side before they are believed."""

OUTVOTED = 4
"""For each observation of a call that waited for another, so many of calls side by side."""

SHORTEST_S = 0.05
"""Two calls that take less may end together because somebody read their answers together."""

TOGETHER = 0.1
"""Calls are sent at the same moment where this part of the first one's time lies between them."""

SIDE_BY_SIDE = 0.25
"""The second one ends at most this part of the first one's time after it."""

QUEUED = 0.75
"""The second one ends at least this part of the first one's time after it: the server began with it then."""

LONG = 1.5
"""A first call that takes so many times its usual time may have had its answer held back until the second's."""

SHORT = 0.5
"""A call that takes less than this part of its usual time may have been turned away before its turn."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A call that has its answer."""

    tool: str
    sent_s: float
    answered_s: float
    usual_s: float
    """What the tool took at the median, before this call."""
    beside: bool
    """Speculations ran when it was sent."""
    first: bool
    """No call ran when it was sent, of those that are known."""

    @property
    def took_s(self) -> float:
        """Its latency."""
        return self.answered_s - self.sent_s


@dataclass(slots=True)
class Overlaps:
    """What the calls of one server showed."""

    recent: dict[str, deque[Answered]] = field(default_factory=dict[str, "deque[Answered]"])
    """By connection: calls over two of them may have gone to two processes."""
    seen: deque[bool] = field(default_factory=lambda: deque[bool](maxlen=SEEN_KEPT))
    """True for calls side by side, False for one that waited for another."""

    def add(
        self, tool: str, sent_s: float, answered_s: float, usual_s: float, beside: bool, connection: str = ""
    ) -> None:
        """A call was answered; they come in the order of their answers. It is one observation at the most."""
        recent = self.recent.setdefault(connection, deque(maxlen=CALLS_KEPT))
        if recent and recent[-1].answered_s > answered_s:  # the clock was set back
            recent.clear()
        during = [other for other in recent if other.answered_s > sent_s]
        call = Answered(tool, sent_s, answered_s, usual_s, beside, not during)
        observed = [found for other in during if (found := _observed(other, call)) is not None]
        recent.append(call)
        if observed:
            self.seen.append(all(observed))

    def forget(self, connection: str) -> None:
        """No call will travel over it any more."""
        self.recent.pop(connection, None)

    @property
    def are_side_by_side(self) -> bool:
        """Is it settled that calls run at the same time there?"""
        together = sum(self.seen)
        return together >= ENOUGH and together >= OUTVOTED * (len(self.seen) - together)


def _observed(other: Answered, call: Answered) -> bool | None:
    """What two calls at the same time show, of which `call` was answered last; None for nothing."""
    if other.sent_s > call.sent_s:
        came_first = other.answered_s < call.answered_s
        return True if came_first and other.took_s >= SHORT * other.usual_s else None
    if other.tool != call.tool or not other.first or other.beside or call.beside:
        return None
    whole_s = other.took_s
    if not SHORTEST_S <= whole_s <= LONG * other.usual_s or call.sent_s - other.sent_s > TOGETHER * whole_s:
        return None
    after_s = call.answered_s - other.answered_s
    return True if after_s <= SIDE_BY_SIDE * whole_s else False if after_s >= QUEUED * whole_s else None

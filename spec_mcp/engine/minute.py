"""What happened in the last minute, for bounds that are stated by the minute."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MINUTE_S = 60.0

COUNTED_MAX = 8192
"""What is counted at the most, for all sessions together; a bound beyond it holds as one of so many."""


@dataclass(slots=True)
class LastMinute:
    """When something happened, as far as it is a minute ago or less."""

    _at: deque[float] = field(default_factory=lambda: deque[float](maxlen=COUNTED_MAX))

    def add(self, now_s: float) -> None:
        """It happens."""
        self._at.append(now_s)

    def has_room(self, per_minute: float, now_s: float) -> bool:
        """May it happen once more? What a clock that was set back takes for the future counts no more."""
        while self._at and not now_s - MINUTE_S < self._at[0] <= now_s:
            self._at.popleft()
        return len(self._at) < min(COUNTED_MAX, per_minute)

"""How many tokens a speculator may take in any minute."""

from __future__ import annotations

from collections import deque

from spec_mcp.engine.minute import MINUTE_S

CHARS_PER_TOKEN = 3.5
"""Rather too few, so that an estimate is rather too large."""


def estimated_tokens(chars: int) -> int:
    """About how many tokens so many characters are, for what no server has counted."""
    return int(chars / CHARS_PER_TOKEN) + 1


class TokenBudget:
    """Of one speculator. What is asked is reserved with its longest answer, and settled by what was counted."""

    def __init__(self, per_minute: int) -> None:
        """0: no bound."""
        self._per_minute = per_minute
        self._spent: deque[list[float]] = deque()
        """Moments and tokens, oldest first."""

    def reserve(self, tokens: int, now_s: float) -> list[float] | None:
        """Room for so many; None where there is none in this minute."""
        while self._spent and not now_s - MINUTE_S < self._spent[0][0] <= now_s:
            self._spent.popleft()
        if self._per_minute and sum(entry[1] for entry in self._spent) + tokens > self._per_minute:
            return None
        entry = [now_s, float(tokens)]
        self._spent.append(entry)
        return entry

    def settle(self, entry: list[float], tokens: int) -> None:
        """So many it were."""
        entry[1] = float(tokens)

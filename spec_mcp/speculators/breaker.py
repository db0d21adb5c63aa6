"""The circuit breaker: who fails again and again, or asks to be left alone, is left alone for a while.

Closed, questions pass. Open, none does until its time is over. Then it is half-open: one question passes, and what
comes of it closes the circuit or opens it for twice as long.
"""

from __future__ import annotations

FAILURES = 3
"""In a row, before it opens: one may be chance."""

FIRST_S = 5.0
LONGEST_S = 300.0
"""How long it stays open, the first time and at the most; what a server asks for in its own words may be longer."""

ASKED_MAX_S = 3_600.0
"""No server is left alone for longer than this without trying it again."""


class Breaker:
    """Of one speculator. Times are in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._failures = 0
        self._opened = 0
        """How often in a row."""
        self._until_s: float | None = None
        self._trying = False

    def may_pass(self, now_s: float) -> bool:
        """May a question be sent? Where that is yes, `succeeded`, `failed` or `gave_up` is due for it."""
        if self._until_s is None:
            return True
        if now_s < self._until_s or self._trying:
            return False
        self._trying = True
        return True

    def is_open(self, now_s: float) -> bool:
        """Is nothing sent for now?"""
        return self._until_s is not None and now_s < self._until_s

    def succeeded(self) -> None:
        """It answered."""
        self._failures = self._opened = 0
        self._until_s = None
        self._trying = False

    def gave_up(self) -> None:
        """The question was taken back: that says nothing of the speculator."""
        self._trying = False

    def failed(self, now_s: float, *, for_good: bool = False, retry_after_s: float | None = None) -> None:
        """It did not answer. `for_good`: nor will it to the next question, as it is configured."""
        self._trying = False
        self._failures += 1
        if self._failures < FAILURES and self._until_s is None and not for_good and retry_after_s is None:
            return
        open_s = LONGEST_S if for_good else min(LONGEST_S, FIRST_S * 2**self._opened)
        if retry_after_s is not None:
            open_s = min(ASKED_MAX_S, max(retry_after_s, FIRST_S if self._opened else retry_after_s))
        self._opened = min(self._opened + 1, 16)
        self._until_s = now_s + open_s

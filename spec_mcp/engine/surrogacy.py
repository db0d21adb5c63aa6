"""What came of a surrogate's guesses of one tool's answers, and which calls come after them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from spec_mcp.engine.resources import Footprint

FOLLOWERS_KEPT = 16
"""Enough to know what comes after a call as a rule."""

JUDGED_KEPT = 64.0
"""Guessed answers that count; older ones fade, so that a surrogate which gets better or worse is soon known to."""

WRITES_BETWEEN = 4
"""After more writes a read does not come after the call any more."""

PRIOR_RIGHT, PRIOR_JUDGED = 1.0, 2.0
"""Before anything is known, one of two guessed answers is taken to be right."""


@dataclass(slots=True)
class Awaited:
    """Of a session: the read that comes after the last call of a tool that has a surrogate."""

    server: str
    tool: str
    written: list[Footprint] = field(default_factory=list[Footprint])
    """What was written since: a read of it could not have been made ahead."""


@dataclass(slots=True)
class Surrogacy:
    """Of one tool that has a surrogate."""

    right: float = PRIOR_RIGHT
    judged: float = PRIOR_JUDGED
    followers: deque[tuple[str, str] | None] = field(
        default_factory=lambda: deque[tuple[str, str] | None](maxlen=FOLLOWERS_KEPT)
    )
    """The server and the tool of the reads that came next; None where none could have been made ahead."""

    def note(self, is_right: bool) -> None:
        """An answer is there; was it among the guesses?"""
        if self.judged >= JUDGED_KEPT:
            fading = 1.0 - 1.0 / JUDGED_KEPT
            self.right, self.judged = self.right * fading, self.judged * fading
        self.right += is_right
        self.judged += 1.0

    @property
    def q(self) -> float:
        """How likely it is that one of the guesses is right."""
        return self.right / self.judged

"""The clock by which results age: it runs while the machine sleeps (rule 7)."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def now_s() -> float:
    """Seconds since some moment; comparable within one process only."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)

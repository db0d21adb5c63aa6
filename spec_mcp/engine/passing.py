"""Values that go with the time or with the request, and say nothing of the thing that was asked for.

Two results of the same call may hold different clocks, ages, counters and ids of their own, and still tell the same.
What is taken for such a value must have its form and differ as it would: two points in time must lie as far apart as
the two answers do. So the time at which a thing was last changed is not taken for a clock, once the thing has changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from spec_mcp.engine.calls import Json

SLACK_S = 1.1
"""How much further apart than the answers two times may be: many clocks are told in whole seconds."""

MINUTE_S = 60.0
DAY_S = 86_400.0

INSTANT_NAMES = frozenset({"time", "timestamp", "ts", "at", "now", "date", "datetime", "clock", "epoch", "expires"})
"""Words in the name of a number that is a point in time."""

SPAN_NAMES = frozenset({"age", "uptime", "ago", "since", "elapsed", "remaining", "expires", "ttl", "idle", "left"})
"""Words in the name of a number that goes up or down with the time."""

MILLISECONDS = frozenset({"ms", "millis", "milliseconds"})

MEASURED_NAMES = frozenset({"took", "elapsed", "duration", "latency"})
"""Words in the name of what was measured of the call itself."""

COUNTER_NAMES = frozenset({"counter", "seq", "sequence", "serial", "served", "requestcount", "callcount", "requests"})
"""Names of numbers that go up with each request."""

ID_NAMES = (
    "requestid",
    "traceid",
    "spanid",
    "correlationid",
    "invocationid",
    "executionid",
    "responseid",
    "callid",
    "nonce",
)
"""How names of ids end that each request gets anew."""

WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
CLOCK_TIME = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?")
IN_TEXT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
    r"|\b\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\b"
    r"|\b[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"
)
"""Points in time within a text."""

HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"

UNITS_S = (1.0, 1e-3, 1e-6, 1e-9)
EPOCH_S = (1e9, 1e10)
"""Seconds since 1970 that are a time of ours: 2001 to 2286."""


@dataclass(frozen=True, slots=True)
class Apart:
    """How far apart the moments of two answers are, in seconds."""

    least_s: float
    most_s: float

    def fits(self, between_s: float, slack_s: float = SLACK_S) -> bool:
        """Can two clocks that were read at these moments be so far apart?"""
        return self.least_s - slack_s <= between_s <= self.most_s + slack_s


def passes(name: str, early: Json, real: Json, apart: Apart) -> bool:
    """Do these two values under one name go with the time or with the request?"""
    words = [word.lower() for word in WORDS.findall(name)]
    if isinstance(early, bool) or isinstance(real, bool):
        return False
    if isinstance(early, str | int) and isinstance(real, str | int) and "".join(words).endswith(ID_NAMES):
        return True
    if isinstance(early, str) and isinstance(real, str):
        return _texts_pass(early, real, apart)
    if isinstance(early, int | float) and isinstance(real, int | float):
        return _numbers_pass(frozenset(words), "".join(words), early, real, apart)
    return False


def _numbers_pass(words: frozenset[str], name: str, early: float, real: float, apart: Apart) -> bool:
    if words & MEASURED_NAMES or (name in COUNTER_NAMES and real > early):
        return True
    if words & INSTANT_NAMES:
        for unit_s in UNITS_S:
            if all(EPOCH_S[0] <= value * unit_s < EPOCH_S[1] for value in (early, real)):
                return apart.fits((real - early) * unit_s)
    if words & SPAN_NAMES:
        return apart.fits(abs(real - early) * (1e-3 if words & MILLISECONDS else 1.0))
    return False


def _texts_pass(early: str, real: str, apart: Apart) -> bool:
    """Are they the same but for points in time, each as much later as it should be?"""
    if IN_TEXT.sub("\0", early) != IN_TEXT.sub("\0", real):
        return False
    pairs = zip(IN_TEXT.findall(early), IN_TEXT.findall(real), strict=True)
    return all(one == other or _instants_pass(one, other, apart) for one, other in pairs)


def _instants_pass(early: str, real: str, apart: Apart) -> bool:
    for read in _READERS:
        one, other = read(early), read(real)
        if one is not None and other is not None:
            between_s = other[0] - one[0]
            if read is _of_day:
                between_s = (between_s + DAY_S / 2) % DAY_S - DAY_S / 2  # past midnight
            return apart.fits(between_s, SLACK_S if one[1] else MINUTE_S)
    return False


def _iso(text: str) -> tuple[float, bool] | None:
    """Seconds, and are there seconds in it?"""
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), text.count(":") >= 2


def _http(text: str) -> tuple[float, bool] | None:
    try:
        return datetime.strptime(text, HTTP_DATE).replace(tzinfo=UTC).timestamp(), True
    except ValueError:
        return None


def _of_day(text: str) -> tuple[float, bool] | None:
    found = CLOCK_TIME.fullmatch(text)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds, found[3] is not None


_READERS: tuple[Callable[[str], tuple[float, bool] | None], ...] = (_iso, _http, _of_day)

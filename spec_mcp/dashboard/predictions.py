"""How good the predictions were: calibration, and what they came from."""

from __future__ import annotations

import math
from typing import Any

from spec_mcp.dashboard.figures import WASTED, Part
from spec_mcp.dashboard.reading import Reader
from spec_mcp.dashboard.words import ended
from spec_mcp.store.sql import Record

BINS = 10
USED = "state IN ('adopted', 'compared')"
"""Shadow mode compares what it would have used."""

Z = 1.96
"""Of a normal distribution, for 95 %."""

MAX_SOURCES = 40


def predictions(reader: Reader, part: Part) -> dict[str, Any]:
    """What was expected of launched speculations, and how many of them were used."""
    where, values = part.where("ended_at")
    launched = f"FROM speculations WHERE launched_at IS NOT NULL AND {where}"
    bin_ = f"CASE WHEN q < 1 THEN {reader.whole(f'q * {BINS}')} ELSE {BINS - 1} END"
    bins = reader.rows(
        f"SELECT {bin_} AS bin, count(*) AS count, avg(q) AS expected, "
        f"count(*) FILTER (WHERE {USED}) AS used {launched} GROUP BY bin ORDER BY bin",
        values,
    )
    sources = reader.rows(
        f"SELECT source, count(*) AS count, avg(q) AS expected, count(*) FILTER (WHERE {USED}) AS used {launched} "
        f"GROUP BY source ORDER BY 2 DESC LIMIT {MAX_SOURCES}",
        values,
    )
    ends = reader.rows(
        f"SELECT reason, count(*) AS count {launched} AND {WASTED} GROUP BY reason ORDER BY 2 DESC", values
    )
    return {"bins": [_bin(row) for row in bins], "sources": sources, "ends": [_end(row) for row in ends]}


def interval(used: int, count: int) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 %: where it may truly lie, after so few tries."""
    share, z2 = used / count, Z * Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _bin(row: Record) -> Record:
    low, high = interval(row["used"], row["count"])
    return {**row, "share": row["used"] / row["count"], "low": low, "high": high}


def _end(row: Record) -> Record:
    return {**row, "words": ended(row["reason"])}

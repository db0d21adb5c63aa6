"""Texts for the terminal: short, and without anything in them that a terminal would obey."""

from __future__ import annotations

import datetime
import json
from typing import cast

from spec_mcp.engine.calls import Json
from spec_mcp.errors import printable

SHORT_ID = 24
"""Characters of a session's id in a list: its time and some more, enough to tell sessions apart."""


safe = printable
"""For names and values, which come from servers and models."""


def shorten(text: str, width: int) -> str:
    """At most so many characters on one line."""
    text = safe(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


def arguments_text(text: bytes | None, width: int) -> str:
    """A call's arguments as `name=value, …`."""
    value = decoded(text)
    if not isinstance(value, dict):
        return "" if value is None else shorten(json.dumps(value, ensure_ascii=False), width)
    parts = (f"{name}={json.dumps(member, ensure_ascii=False)}" for name, member in value.items())
    return shorten(", ".join(parts), width)


def decoded(text: bytes | None) -> Json:
    """JSON text from the store, None where there is none."""
    return None if text is None else cast("Json", json.loads(text))


def seconds(duration_s: float | None) -> str:
    """A duration as people read it."""
    if duration_s is None:
        return "–"
    if duration_s == 0:
        return "0 s"
    if duration_s >= 7_200:
        return f"{duration_s / 3_600:.1f} h"
    if duration_s >= 120:
        return f"{duration_s / 60:.1f} min"
    return f"{duration_s:.2f} s" if duration_s >= 0.0995 else f"{duration_s * 1_000:.0f} ms"


def moment(at: float) -> str:
    """A time of day as people here read it."""
    return datetime.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def share(part: int, whole: int) -> str:
    """A percentage."""
    return f"{100 * part / whole:.0f} %" if whole else "–"


def size(size_bytes: int) -> str:
    """A size for reading."""
    return f"{size_bytes:,} bytes" if size_bytes < 10_000 else f"{size_bytes / 1024:,.0f} KB"


def count(number: int, noun: str) -> str:
    """A number with its noun."""
    plural = {"miss": "misses", "query": "queries"}.get(noun, noun + "s")
    return f"{number:,} {noun if number == 1 else plural}"

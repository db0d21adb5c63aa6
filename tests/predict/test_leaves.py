"""What a result names is found in time that grows with its length alone, whatever a server writes into it."""

from __future__ import annotations

import time

import pytest

from spec_mcp.engine.calls import Json
from spec_mcp.predict.leaves import MAX_TEXT_CHARS, leaves

HARD = [
    "1" + "a." * MAX_TEXT_CHARS,
    "1" + "a-" * MAX_TEXT_CHARS,
    "@ " + "a" * MAX_TEXT_CHARS,
    "@ " + "a." * MAX_TEXT_CHARS,
    "1" * MAX_TEXT_CHARS,
    "/" + "./a" * MAX_TEXT_CHARS,
    "://" + "http" * MAX_TEXT_CHARS,
    " " + "Aa-" * MAX_TEXT_CHARS,
    " " * MAX_TEXT_CHARS + ":",
    "- " + " " * MAX_TEXT_CHARS,
]
"""Each would have an expression that is tried from every character read on to the end of the text."""


def seconds(text: str, count: int) -> float:
    content: list[Json] = [{"type": "text", "text": text} for _ in range(count)]
    began = time.process_time()
    leaves({"content": content})
    return time.process_time() - began


@pytest.mark.parametrize("text", HARD, ids=lambda text: text[:6].strip())
def test_no_text_holds_up_who_waits(text: str) -> None:
    short = MAX_TEXT_CHARS // 16
    assert seconds(text[:MAX_TEXT_CHARS], 4) < 3 * max(seconds(text[:short], 64), 0.02)


def test_what_has_a_long_name_is_known_by_it_all_the_same() -> None:
    names = ["ORD-2024-000123", "src/a/very/long/way/to/a/module/of/ours/v2.py", "first.last+tag@mail.example.co.uk"]
    found = {value for _, _, value in leaves({"text": f"Look at {', '.join(names)} and the rest of it"})}
    assert {"ORD-2024-000123", "first.last+tag@mail.example.co.uk"} <= found

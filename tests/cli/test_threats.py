"""The threat model names, for each threat, the tests that play it, and they are there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text().partition("| threat |")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]


@cache
def there() -> set[str]:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return set(re.findall(r"^(?:async )?def (test_\w+)", tests, re.MULTILINE))


def test_there_are_threats() -> None:
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_each_threat_has_an_answer_and_is_played_by_tests_that_are_there(row: list[str]) -> None:
    _, answer, played_by = row
    named = set(re.findall(r"`(test_\w+)`", played_by))
    assert answer
    assert named
    assert named <= there(), named - there()

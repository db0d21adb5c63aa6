"""What the documentation says of users' complaints is complete, and shown by tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMPLAINTS = 15


def test_each_complaint_is_answered_and_shown_by_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "gateway.md").read_text().partition("| complaint |")[2]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def (test_\w+)", tests, re.MULTILINE))
    assert len(rows) == COMPLAINTS
    for complaint, answer, shown_by in rows:
        named = set(re.findall(r"`(test_\w+)`", shown_by))
        assert answer.strip(), complaint
        assert named, complaint
        assert named <= there, (complaint, named - there)

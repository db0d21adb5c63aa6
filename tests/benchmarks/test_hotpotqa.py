"""The benchmark of multi-hop search runs, and its agents do as people's agents do."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest

from benchmarks.environments.hotpotqa import record
from tests.benchmarks.quick import quick_round


def test_the_scripts_do_the_same_again_and_answer_all_questions() -> None:
    once, again = (anyio.run(record, 1, 40) for _ in range(2))
    assert once == again
    assert all([call.tool for call in session.calls()][-1] == "finish" for session in once)


def test_the_scripts_have_variety() -> None:
    sessions = anyio.run(record, 1, 40)
    calls = [call for session in sessions for call in session.calls()]
    counts = Counter(call.tool for call in calls)
    assert counts["search"] > counts["lookup"] > counts["finish"] == 40
    texts = [str(call.result) for call in calls]
    assert any("No article has this title" in text for text in texts), "some searches fail"
    assert any("No more results" in text for text in texts), "some words are not there"
    assert len({len(session.events) for session in sessions}) > 4
    spelled = [call.arguments.get("entity") for call in calls if call.tool == "search"]
    assert any(text != str(text).strip() for text in spelled)
    assert any(str(text).islower() for text in spelled)


@pytest.mark.slow
def test_a_quick_round_finds_the_same_transcripts_in_all_arms() -> None:
    said = quick_round("hotpotqa")
    arms = {row["arm"] for row in said["rows"]}
    assert {"history, top 3", "and equal, top 3", "perfect guesser"} <= arms
    predicted = {row["arm"]: row["ours"]["median"] for row in said["rows"] if row["figure"] == "calls predicted"}
    assert predicted["and equal, top 3"] > 0
    assert said["details"]["median_search_wait_s"] > 0.2

"""What the suite finds is told as it is: a server that lacks much fails, and a check that came out worse shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gateway.running import server, serving
from tests.conformance.suite import Check, Outcome, Scenario, run_suite


@pytest.mark.slow
@pytest.mark.xdist_group("conformance")
def test_a_server_that_only_echoes_passes_what_it_offers_and_fails_the_rest(tmp_path: Path) -> None:
    with serving(server("echo.py", "--http", "0")) as echo:
        outcome = run_suite(echo.url, "2025-11-25", tmp_path)
    failing = outcome.failing()
    assert {"prompts-list", "resources-list", "tools-call-simple-text"} <= failing.keys()
    assert all(failing.values()), "each with a reason"
    assert not {"ping", "tools-list", "server-initialize"} & failing.keys()


def outcome(**statuses: str) -> Outcome:
    checks = tuple(Check(name, status, "why") for name, status in statuses.items())
    return Outcome("2025-11-25", ("one",), {"one": Scenario("one", checks)})


def test_a_scenario_that_did_not_run_counts_as_failing() -> None:
    assert outcome().failing() == {"one": ["it did not run"]}
    assert Outcome("2025-11-25", ("one",), {}).failing() == {"one": ["it did not run"]}


def test_a_check_is_worse_when_it_fails_warns_or_is_missing_where_the_other_passed() -> None:
    there = outcome(a="SUCCESS", b="SUCCESS", c="SUCCESS", d="WARNING", e="FAILURE")
    here = outcome(a="FAILURE", b="WARNING", d="WARNING", e="SUCCESS")
    assert here.worse_than(there) == [
        "one, a: SUCCESS there, here FAILURE why",
        "one, b: SUCCESS there, here WARNING why",
        "one, c: SUCCESS there, here missing",
    ]
    assert there.worse_than(there) == []

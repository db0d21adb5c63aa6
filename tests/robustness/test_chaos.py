"""Replicas die and are cut off under busy clients, and every answer is one that the server itself would have given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.robustness.chaos import Done, Wrong, campaign, check

SECONDS = 15.0


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.xdist_group("replicas")
def test_whatever_dies_or_is_cut_off_no_call_is_lost_done_twice_or_answered_with_what_was_not_there(
    tmp_path: Path,
) -> None:
    found = campaign(1, SECONDS, tmp_path)
    assert sum(call.is_answered for call in found.done) > len(found.done) / 2
    assert found.troubles["killed"] + found.troubles["cut off"] + found.troubles["connections cut"] > 1


def entry(tool: str, text: str, at_s: float) -> dict[str, Any]:
    """What the server notes."""
    return {"tool": tool, "arguments": {"name": "p", "text": text}, "at": at_s}


LOG = [entry("write_page", "one", 1.0), entry("write_page", "two", 3.0)]


@pytest.mark.parametrize("shown", ["one", "two"])
def test_a_read_may_show_what_was_there_at_any_time_between_its_call_and_its_answer(shown: str) -> None:
    check([Done("read_page", "p", shown, 2.0, 4.0, is_answered=True)], LOG)


@pytest.mark.parametrize(
    "call",
    [
        Done("read_page", "p", "one", 3.5, 4.0, is_answered=True),
        Done("read_page", "p", "two", 2.0, 2.5, is_answered=True),
        Done("read_page", "p", "", 2.0, 2.5, is_answered=True),
        Done("write_page", "p", "never", 2.0, 2.5, is_answered=True),
    ],
    ids=["too old", "too new", "before all", "lost"],
)
def test_what_was_not_there_is_found_out(call: Done) -> None:
    with pytest.raises(Wrong):
        check([call], LOG)


def test_a_write_that_was_done_twice_is_found_out() -> None:
    call = Done("write_page", "p", "one", 0.0, 9.0, is_answered=False)
    with pytest.raises(Wrong):
        check([call], [*LOG, entry("write_page", "one", 5.0)])

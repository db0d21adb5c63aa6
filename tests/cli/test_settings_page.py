"""The page of settings is the one that the code makes, and leaves nothing out."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.reference import ENVIRONMENT, PAGE, missing, page
from spec_mcp.dashboard.words import ENDS, SKIPS
from spec_mcp.engine.states import Reason

ROOT = Path(__file__).resolve().parents[2]
STUCK = {
    Reason.FOREIGN_STATE,
    Reason.OUTCOME_UNKNOWN,
    Reason.UNBOUND,
    Reason.UNDO_FAILED,
    Reason.UNDO_UNKNOWN,
    Reason.RESIDUE,
    Reason.NO_ANSWER,
}
"""What `recover` and the undo journal say in words of their own."""
OUR_OWN = {"SPEC_MCP_LOAD_MARK", "SPEC_MCP_SHARED"}
"""For the project's own tests and measurements."""


def test_the_page_of_settings_is_what_make_docs_writes() -> None:
    assert PAGE.read_text() == page(), "run: make docs"


def test_every_key_says_what_it_means() -> None:
    assert missing() == []


def test_every_variable_of_ours_that_the_code_names_is_on_the_page() -> None:
    sources = [path.read_text() for path in (ROOT / "spec_mcp").rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"SPEC_MCP_[A-Z_]+", source)}
    assert {name if not name.endswith("_") else f"{name}…" for name in named} - OUR_OWN <= set(ENVIRONMENT)


def test_every_reason_is_explained() -> None:
    assert {*ENDS, *SKIPS} == {reason.value for reason in Reason} - {reason.value for reason in STUCK}

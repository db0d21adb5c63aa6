"""What every test gets: a home of its own, and the rule for the shared folder of recorded sessions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SPEC_MCP_SHARED") or ROOT.parent / "shared")
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
OUR_SETTINGS = ("SPEC_MCP_HOME", "SPEC_MCP_CONFIG", "SPEC_MCP_MODE")


def _shared_is_there() -> bool:
    return (SHARED / "traces").is_dir()


def pytest_configure(config: pytest.Config) -> None:
    """A clone without the recorded sessions is fine, our own CI without them is not."""
    if IN_CI and not _shared_is_there():
        raise pytest.UsageError(
            f"CI is set, but there are no recorded sessions in {SHARED}: "
            "set SPEC_MCP_SHARED to their folder, or unset CI to leave out the tests that need them"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `shared` where the folder is missing."""
    if _shared_is_there():
        return
    left_out = [item for item in items if item.get_closest_marker("shared")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("shared")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out."""
    if not _shared_is_there():
        terminalreporter.write_line(
            f"left out: the tests marked `shared`, since {SHARED} has no recorded sessions (SPEC_MCP_SHARED names them)"
        )


@pytest.fixture
def shared() -> Path:
    """The folder of recorded sessions; only for tests marked `shared`."""
    return SHARED


@pytest.fixture(autouse=True)
def spec_mcp_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty SPEC_MCP_HOME, so that no test reads or writes the user's own."""
    home = tmp_path / "spec-mcp-home"
    for name in OUR_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPEC_MCP_HOME", str(home))
    return home

"""What every test gets: a home of its own, and the rule for the shared folder of recorded sessions."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.needs import IN_CI, NEEDS, SHARED

OUR_SETTINGS = ("SPEC_MCP_HOME", "SPEC_MCP_CONFIG", "SPEC_MCP_MODE")

# Containers tend to forbid it; then each of the hundreds of processes below compiles all that it imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# No property test fails because a machine is busy. Who suppresses another health check names this one beside it.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    """Our own CI leaves nothing out."""
    for need in NEEDS if IN_CI else ():
        if not need.is_there():
            raise pytest.UsageError(
                f"CI is set, but there is no {need.missing}: {need.mend}, or unset CI to leave out the tests marked "
                f"`{need.mark}`"
            )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs something that is not there."""
    missing = [need.mark for need in NEEDS if not need.is_there()]

    def is_left_out(item: pytest.Item) -> bool:
        return any(item.get_closest_marker(mark) for mark in missing)

    config.hook.pytest_deselected(items=[item for item in items if is_left_out(item)])
    items[:] = [item for item in items if not is_left_out(item)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line each what was left out."""
    for need in NEEDS:
        if not need.is_there():
            terminalreporter.write_line(
                f"left out: the tests marked `{need.mark}`, since there is no {need.missing} ({need.mend}; CI has it)"
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

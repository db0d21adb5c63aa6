"""A browser for the tests below: Debian's, never one that is downloaded."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.rig import CHROMIUM, SWITCHES, record, served
from tests.conftest import IN_CI

HERE = Path(__file__).parent


def _needs_browser(item: pytest.Item) -> bool:
    return item.path.is_relative_to(HERE)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out where there is no browser; our own CI has one."""
    for item in items:
        if _needs_browser(item):
            item.add_marker(pytest.mark.xdist_group("browser"))
    if CHROMIUM.exists():
        return
    left_out = [item for item in items if _needs_browser(item)]
    if left_out and IN_CI:
        raise pytest.UsageError(
            f"CI is set, but there is no browser at {CHROMIUM}: install Debian's package chromium, "
            "or name a Chromium by SPEC_MCP_CHROMIUM"
        )
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not _needs_browser(item)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out."""
    if not CHROMIUM.exists():
        terminalreporter.write_line(
            f"left out: tests/browser, since there is no {CHROMIUM} (SPEC_MCP_CHROMIUM names another; CI has it)"
        )


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """One for all tests of a file; each page has a context of its own.

    Not for longer: while it is there, no other test can run an event loop in this thread.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a record of real sessions; not to be changed."""
    return record(tmp_path_factory.mktemp("browser") / "run")


@pytest.fixture(scope="session")
def address(recorded: Path) -> Generator[str]:
    """A dashboard over that home."""
    with served(recorded) as found:
        yield found

"""A browser for the tests below: Debian's, never one that is downloaded."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.rig import SWITCHES, record, served
from tests.needs import CHROMIUM


def pytest_itemcollected(item: pytest.Item) -> None:
    """They need a browser, and share it."""
    item.add_marker("browser")
    item.add_marker(pytest.mark.xdist_group("browser"))


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

"""A dashboard as a process over a real store, and a browser that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from spec_mcp.cli.demo.cases import draw_cases
from spec_mcp.cli.demo.runner import run_cases, target
from wrapped_servers.retail.generator import generate

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
WAIT_MS = 60_000
"""The longest that anything on a page may take to appear."""
expect.set_options(timeout=WAIT_MS)

CASES = 4
PACE = 0.25

SWITCHES = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""A machine without a screen and without a network, whose user may be root."""


class Unseen:
    """Watches a run of the demonstration, and shows nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def record(folder: Path) -> Path:
    """A home with what a scripted agent did at a shop, in front of which spec-mcp was; real processes."""
    shop = target(folder, "on", 0, PACE)
    unseen: Any = Unseen()
    with ThreadPoolExecutor(1) as aside:  # the browser's driver has an event loop in this thread
        aside.submit(anyio.run, run_cases, shop, draw_cases(generate(0), 0, CASES), PACE, unseen).result()
    return folder / "home"


def copy(home: Path, to: Path) -> Path:
    """The same home, to be changed."""
    shutil.copytree(home, to, dirs_exist_ok=True)
    return to


@contextmanager
def served(home: Path) -> Generator[str]:
    """`spec-mcp dashboard` over a home; its address. It must end by itself when it is told to."""
    environment = {**os.environ, "SPEC_MCP_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "spec_mcp", "dashboard"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.send_signal(signal.SIGINT)
        process.wait(WAIT_MS / 1000)
    finally:
        process.kill()
        process.wait(WAIT_MS / 1000)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def looking(browser: Browser, width: int = 1280, scheme: Any = "light") -> Generator[Page]:
    """A page; whatever its scripts complain of fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not is_ours(request.url) else None)
    yield page
    context.close()
    assert complaints == []


def is_ours(url: str) -> bool:
    """Does a page stay on this machine?"""
    return url.startswith(("http://127.0.0.1:", "data:"))


def shoot(page: Page, name: str) -> None:
    """Keep how it looks, for a person."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

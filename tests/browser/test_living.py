"""The page while things happen: news, the keyboard, the theme, and what is done on a click."""

from __future__ import annotations

import os
import time
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import CallRow, Row, SessionRow
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.browser.rig import copy, looking, served, shoot
from tests.store import rows as short
from tests.store.entries import entry

HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture
def home(recorded: Path, tmp_path: Path) -> Path:
    """A record of one's own."""
    return copy(recorded, tmp_path / "own")


@pytest.fixture
def page(browser: Browser, home: Path) -> Generator[Page]:
    with served(home) as address, looking(browser) as page:
        page.goto(address)
        expect(page.locator("#state")).to_contain_text("live")
        yield page


def go(page: Page, title: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def write(home: Path, *rows: Row) -> None:
    store = SqliteStore(home / STORE_NAME)
    store.write(rows)
    store.close()


def living(name: str = "now") -> SessionRow:
    """A session of this very process."""
    return short.session(name, started_at=time.time(), pid=os.getpid(), client_name="live client")


def made(number: int, **more: object) -> CallRow:
    now = time.time()
    return short.call(number, "now", t_start=now, t_end=now + 0.1, **more)


# --- news -----------------------------------------------------------------------------------------------------------


def test_a_session_shows_up_as_it_begins_and_its_calls_as_they_come(page: Page, home: Path) -> None:
    go(page, "Sessions")
    write(home, living())
    line = page.locator(".sessions a").filter(has_text="live client")
    expect(line).to_contain_text("live now")
    line.click()
    expect(page.locator("main")).to_contain_text("No call yet")
    write(home, made(1))
    expect(page.locator(".rows > li")).to_have_count(1)
    write(home, made(2, tool="list"), made(3))
    expect(page.locator(".rows > li")).to_have_count(3)


def test_news_take_neither_the_focus_nor_what_is_open(page: Page, home: Path) -> None:
    write(home, living(), made(1))
    go(page, "Sessions")
    page.locator(".sessions a").filter(has_text="live client").click()
    row = page.locator(".rows > li > button").first
    row.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    write(home, made(2))
    expect(page.locator(".rows > li")).to_have_count(2)
    expect(row).to_be_focused()
    expect(row).to_have_attribute("aria-expanded", "true")


def test_what_servers_say_is_text_and_nothing_else(page: Page, home: Path) -> None:
    write(home, living(), made(1, tool=HOSTILE, server=HOSTILE, arguments=b'{"x":"</script><b>"}'))
    for title in ("Overview", "Tools", "Manifests", "Sessions"):
        go(page, title)
    page.locator(".sessions a").filter(has_text="live client").click()
    page.locator(".rows > li > button").click()
    expect(page.locator(".rows .call b")).to_have_text(HOSTILE)
    assert page.locator("main img").count() == 0


def test_a_dashboard_that_has_ended_is_said_to_be(browser: Browser, home: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    with served(home) as address:
        page.goto(address)
        expect(page.locator("#state")).to_contain_text("live")
    expect(page.locator("#state")).to_contain_text("not connected")
    context.close()


# --- keyboard and theme ---------------------------------------------------------------------------------------------


def test_everything_is_reached_by_the_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the page")).to_be_focused()
    link = page.get_by_role("navigation").get_by_role("link", name="Sessions")
    for _ in range(10):
        page.keyboard.press("Tab")
        if link.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator(".sessions a").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".sessions a").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".rows > li").first).to_be_visible()
    row = page.locator(".rows > li > button").first
    for _ in range(20):
        page.keyboard.press("Tab")
        if row.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Space")
    expect(row).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Space")
    expect(row).to_have_attribute("aria-expanded", "false")


def test_the_theme_is_chosen_and_remembered(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    button = page.get_by_role("button", name="Theme")
    button.click()
    button.click()
    expect(button).to_have_text("Theme: dark")
    dark = page.evaluate(background)
    assert light != dark
    page.reload()
    expect(button).to_have_text("Theme: dark")
    assert page.evaluate(background) == dark


# --- what is done on a click ----------------------------------------------------------------------------------------


def test_the_curve_is_drawn_with_the_present_setting_marked(page: Page) -> None:
    go(page, "Tuning")
    page.get_by_role("button", name="Draw the curve").click()
    expect(page.get_by_role("row").filter(has_text="now")).to_contain_text("0.2")
    expect(page.locator(".chart canvas")).to_have_count(1)
    shoot(page, "tuning-curve")


def stuck(home: Path, number: int = 1) -> str:
    """An entry of a process that is gone, which could not take it back."""
    journal = SqliteJournal(home / STORE_NAME)
    kept = entry(number)
    journal.intend(kept)
    assert journal.claim(kept.id, kept.owner, "compensating")
    assert journal.stuck(kept.id, kept.owner, "foreign-state")
    journal.close()
    return kept.id


def test_a_stuck_entry_is_loud_and_is_closed_after_a_second_click(page: Page, home: Path) -> None:
    go(page, "Undo journal")
    expect(page.locator("main")).to_contain_text("Nothing is open")
    stuck(home)
    expect(page.locator(".entry")).to_contain_text("something else has changed there since")
    expect(page.locator("#pages .count")).to_have_text("1")
    shoot(page, "undo-stuck")
    page.get_by_role("button", name="Settle by hand").click()
    page.get_by_role("button", name="close the entry").click()
    expect(page.locator("main")).to_contain_text("Closed: ")
    expect(page.locator(".entry")).to_have_count(0)
    journal = SqliteJournal(home / STORE_NAME)
    assert journal.open_entries() == []
    journal.close()


def test_an_entry_that_a_running_process_has_is_left_alone(page: Page, home: Path) -> None:
    journal = SqliteJournal(home / STORE_NAME)
    journal.intend(entry(1))
    go(page, "Undo journal")
    expect(page.locator(".entry")).to_contain_text("A running spec-mcp has this entry")
    expect(page.get_by_role("button", name="Settle by hand")).to_have_count(0)
    journal.close()


def test_nothing_is_trusted_more_before_each_line_has_its_yes(page: Page, home: Path) -> None:
    go(page, "Manifests")
    page.get_by_role("link", name="Review retail").click()
    page.get_by_label("Effect of transfer_to_human_agents").select_option("read")
    page.get_by_label("How old an answer of transfer_to_human_agents").fill("5")
    page.get_by_label("Lock get_order_details as it was seen").check()
    page.get_by_role("button", name="Show what would be written").click()
    shown = page.locator(".difference")
    expect(shown).to_contain_text('+effect = "read"')
    expect(shown).to_contain_text("+fingerprint = ")
    own = home / "manifests" / "retail.toml"
    button = page.get_by_role("button", name="Write retail.toml")
    expect(button).to_be_disabled()
    assert not own.exists()
    shoot(page, "review-difference")
    page.get_by_label("transfer_to_human_agents: calls of it may be made early").check()
    button.click()
    expect(page.locator("main")).to_contain_text(f"Written: {own}")
    tools = tomllib.loads(own.read_text())["tools"]
    assert (tools["transfer_to_human_agents"]["effect"], tools["transfer_to_human_agents"]["ttl_s"]) == ("read", 5)
    assert tools["get_order_details"]["fingerprint"].startswith("sha256:")
    expect(page.locator("tr").filter(has_text="get_order_details")).to_contain_text("locked, as reviewed")

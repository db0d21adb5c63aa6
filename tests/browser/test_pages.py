"""Each page over a real record: wide and light, on a phone and dark, and where nothing is recorded."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.rig import looking, served, shoot
from tests.dashboard.filled import write
from tests.store.rows import call, question, session

PHONE = 390
PAGES = {
    "": ("Overview", "Newest sessions"),
    "sessions": ("Sessions", "Past"),
    "tools": ("Tools", "get_order_details"),
    "predictions": ("Predictions", "What predicted"),
    "tuning": ("Tuning", "Draw the curve"),
    "comparisons": ("Comparisons", "Early results held against later ones"),
    "undo": ("Undo journal", "Nothing is open"),
    "manifests": ("Manifests", "All manifests"),
    "review?name=retail&server=retail": ("Review retail", "get_order_details"),
}
EMPTY = {
    "": "spec-mcp wrap -- COMMAND",
    "sessions": "A session begins when",
    "tools": "No call in this part",
    "predictions": "No speculation in this part",
    "tuning": "Nothing is recorded to draw it from yet",
    "undo": "Every early write was used or taken back",
    "manifests": "No server is in the record yet",
}


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Generator[tuple[Page, str]]:
    """Wide and light, and a phone in the dark."""
    width = 1280 if request.param == "light" else PHONE
    with looking(browser, width, request.param) as page:
        yield page, request.param


def fits(page: Page) -> bool:
    """Does nothing stick out at the side?"""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_what_it_is_for(page: tuple[Page, str], address: str, name: str) -> None:
    looked, scheme = page
    title, words = PAGES[name]
    looked.goto(f"{address}#/{name}")
    expect(looked.get_by_role("heading", level=1)).to_have_text(title)
    expect(looked.locator("main")).to_contain_text(words)
    expect(looked.locator("#state")).to_contain_text("live")
    assert fits(looked)
    shoot(looked, f"{name.partition('?')[0] or 'overview'}-{scheme}")


def test_a_session_is_a_timeline_with_reasons(page: tuple[Page, str], address: str) -> None:
    looked, scheme = page
    looked.goto(f"{address}#/sessions")
    looked.locator(".sessions a").filter(has_text="8 calls").first.click()
    hit = looked.locator(".rows > li.hit").first
    hit.get_by_role("button").click()
    for words in (
        "Predicted by",
        "history: ",
        "Expected",
        "Admitted",
        "since it could hide more than",
        "used by this call",
    ):
        expect(hit).to_contain_text(words)
    expect(hit.locator(".bar")).to_have_count(2)
    wasted = looked.locator(".rows > li.wasted").first
    wasted.get_by_role("button").click()
    expect(wasted).to_contain_text("discarded: ")
    expect(looked.locator("main")).to_contain_text("Predictions not acted on")
    assert fits(looked)
    shoot(looked, f"session-{scheme}")


def test_kinds_of_lines_can_be_left_out(browser: Browser, address: str) -> None:
    with looking(browser) as page:
        page.goto(f"{address}#/sessions")
        page.locator(".sessions a").first.click()
        expect(page.locator(".rows > li.miss")).not_to_have_count(0)
        page.get_by_label("miss").uncheck()
        expect(page.locator(".rows > li.miss")).to_have_count(0)
        expect(page.locator(".rows > li.wasted")).not_to_have_count(0)


def test_charts_are_drawn_and_say_in_words_what_they_show(browser: Browser, address: str) -> None:
    with looking(browser) as page:
        page.goto(address)
        expect(page.locator(".chart canvas")).to_have_count(2)
        expect(page.get_by_role("img", name="saved")).to_be_visible()
        page.goto(f"{address}#/predictions")
        expect(page.locator(".chart canvas")).to_have_count(2)
        expect(page.get_by_role("img", name="Calibration: expected")).to_be_visible()


def test_a_part_of_the_record_can_be_chosen(browser: Browser, address: str) -> None:
    with looking(browser) as page:
        page.goto(f"{address}#/tools")
        page.get_by_label("Tool", exact=True).select_option("get_order_details")
        expect(page.locator("tbody tr").filter(has_text="retail")).to_have_count(1)
        assert "tool=get_order_details" in page.url
        page.reload()
        expect(page.get_by_label("Tool", exact=True)).to_have_value("get_order_details")


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    with served(tmp_path_factory.mktemp("nothing") / "home") as found:
        yield found


@pytest.mark.parametrize("name", EMPTY)
def test_where_nothing_is_recorded_a_page_says_what_to_do(browser: Browser, nothing: str, name: str) -> None:
    with looking(browser, PHONE) as page:
        page.goto(f"{nothing}#/{name}")
        expect(page.locator("main")).to_contain_text(EMPTY[name])
        shoot(page, f"empty-{name or 'overview'}")


def test_the_beginning_asks_for_the_token(browser: Browser, address: str) -> None:
    beginning, token = address.rstrip("/").rsplit("/", 1)
    context = browser.new_context()
    page = context.new_page()
    page.goto(beginning)
    shoot(page, "enter")
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    context.close()


def test_what_speculators_were_asked_stands_in_a_line_of_a_sessions_page(browser: Browser, tmp_path: Path) -> None:
    write(tmp_path, session("s1"), call(1), question("s1"), question("s1", ending="cancelled", price=0.001))
    with served(tmp_path) as address, looking(browser) as page:
        page.goto(f"{address}#/session?id=s1")
        line = "small was asked 2 questions (1 answered, 1 cancelled): 2,000 tokens sent, 100 answered, 0.0030"
        expect(page.locator("main")).to_contain_text(line)

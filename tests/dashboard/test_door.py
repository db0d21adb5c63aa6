"""Who may look: whoever has the address, on a name of this machine, from no other page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.filled import TOKEN, Page, dashboard, write

PAGE = f"/{TOKEN}/"
ASKED = f"/{TOKEN}/api/overview"


@pytest.fixture
def page(spec_mcp_home: Path) -> Page:
    write(spec_mcp_home)
    return Page(dashboard(spec_mcp_home))


@pytest.mark.parametrize("path", [PAGE, ASKED, f"/{TOKEN}/static/main.js", f"/{TOKEN}/static/vendor/uPlot.iife.min.js"])
def test_who_has_the_address_sees_the_page(page: Page, path: str) -> None:
    assert page.request("GET", path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/api/overview", "/x/api/overview", f"/{TOKEN}x/", f"/{TOKEN[:-1]}/", "/static/main.js"]
)
def test_without_the_token_there_is_nothing(page: Page, path: str) -> None:
    response = page.request("GET", path)
    assert response.status_code == 404
    assert "retail" not in response.text
    assert TOKEN not in response.text


def test_each_start_has_another_token(spec_mcp_home: Path) -> None:
    addresses = {dashboard(spec_mcp_home, token=None).address for _ in range(3)}
    assert len(addresses) == 3
    assert all(len(address) > 40 for address in addresses)


def test_the_beginning_asks_for_the_token_and_leads_to_the_page(page: Page) -> None:
    asked = page.request("GET", "/")
    assert (asked.status_code, "<form" in asked.text) == (401, True)
    assert page.request("POST", "/enter", data={"token": "wrong"}).status_code == 403
    led = page.request("POST", "/enter", data={"token": TOKEN})
    assert (led.status_code, led.headers["location"]) == (303, PAGE)


def test_the_gateways_own_token_opens_the_page_and_is_no_address(spec_mcp_home: Path) -> None:
    page = Page(dashboard(spec_mcp_home, prefix="/dashboard", password="of the gateway", checks_host=False))
    led = page.request("POST", "/dashboard/enter", data={"token": "of the gateway"})
    assert led.headers["location"] == f"/dashboard{PAGE}"
    assert page.request("GET", f"/dashboard{PAGE}").status_code == 200
    assert page.request("GET", "/dashboard/of%20the%20gateway/").status_code == 404


def test_an_empty_token_opens_nothing(page: Page) -> None:
    assert page.request("POST", "/enter", data={"token": ""}).status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.",
        "localhost@evil.example",
        "",
        "[::1",
        "127.1",
    ],
)
def test_a_name_that_is_not_this_machines_is_refused(page: Page, host: str) -> None:
    for path in (PAGE, ASKED, "/"):
        assert page.request("GET", path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_this_machines_own_names_are_served_through_a_tunnel_too(page: Page, host: str) -> None:
    assert page.request("GET", ASKED, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1:8000"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8000"},
        {"origin": "null"},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", PAGE), ("GET", ASKED), ("POST", f"/{TOKEN}/api/close-undo")])
def test_another_page_gets_no_answer(page: Page, headers: dict[str, str], method: str, path: str) -> None:
    response = page.request(method, path, headers=headers)
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "none"}, {"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1:8000"}, {}],
)
def test_the_page_itself_and_a_typed_address_get_one(page: Page, headers: dict[str, str]) -> None:
    assert page.request("GET", ASKED, headers=headers).status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("act", ["close-undo", "recover", "review", "draw-curve"])
def test_nothing_is_done_for_what_a_form_can_send(page: Page, act: str, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    assert page.request("POST", f"/{TOKEN}/api/{act}", content=b"{}", headers=headers).status_code == 415


@pytest.mark.parametrize(("body", "status"), [(b"[]", 400), (b"{", 400), (b"\xff", 400), (b" " * (2**20 + 1), 413)])
def test_what_is_no_object_is_refused(page: Page, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    assert page.request("POST", f"/{TOKEN}/api/close-undo", content=body, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/../../app.py", "/%2e%2e/app.py", "/..%2f..%2fapp.py", "/vendor/../../__init__.py"])
def test_only_the_pages_own_files_are_served(page: Page, path: str) -> None:
    assert page.request("GET", f"/{TOKEN}/static{path}").status_code == 404


@pytest.mark.parametrize("path", [PAGE, ASKED, "/", "/nothing", f"/{TOKEN}/static/main.js"])
def test_every_answer_stays_where_it_is(page: Page, path: str) -> None:
    headers: Any = page.request("GET", path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert (headers["referrer-policy"], headers["x-content-type-options"]) == ("no-referrer", "nosniff")


def test_nothing_of_the_page_is_fetched_from_elsewhere() -> None:
    static = Path(__file__).resolve().parents[2] / "spec_mcp" / "dashboard" / "static"
    own = [path for path in static.rglob("*") if path.suffix in (".html", ".js", ".css") and "vendor" not in path.parts]
    assert len(own) > 10
    for path in own:
        assert "//" not in path.read_text().replace("// ", "").replace("http://www.w3.org/", ""), path

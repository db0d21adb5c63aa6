"""Names that are served and pages that may ask: no web page reaches us through a name of its own."""

from __future__ import annotations

import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front.hosts import Hosts
from spec_mcp.relay.front.settings import HttpSettings, Secret
from tests.relay.front.rig import INITIALIZE, Scripted, request, serving


def hosts(bound: str = "127.0.0.1", token: str = "", **listen: object) -> Hosts:
    return Hosts(HttpSettings(Listen(**listen), Secret(token) if token else None), bound)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]", "[::1]:65535", "127.9.9.9", " localhost "]
)
def test_loopback_is_always_served(host: str) -> None:
    assert hosts().knows(host)
    assert hosts("0.0.0.0", "t").knows(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.1.evil.example",
        "localhost:80:80",
        "localhost:",
        "localhost:x",
        "localhost/",
        "[::1",
        "[::1]evil",
        "[::1]evil:80",
        "::1",
        "127.1",
        "0.0.0.0",
        "0x7f.1",
        "*",
        "localhost, evil.example",
    ],
)
def test_no_other_name_is(host: str) -> None:
    assert not hosts().knows(host)
    assert not hosts("0.0.0.0", "t").knows(host)
    assert not hosts(allowed_hosts=("*",)).knows(host)


def test_names_that_the_user_allows_are() -> None:
    given = hosts("10.0.0.7", "t", allowed_hosts=("Box", "exact:81"), public_url="https://gateway.example/mcp")
    for host in ("box", "box:99", "exact:81", "10.0.0.7:80", "gateway.example", "Gateway.Example:443"):
        assert given.knows(host)
    for host in ("exact", "exact:80", "boxer", "example"):
        assert not given.knows(host)
    assert hosts("fd00::7", "t").knows("[fd00::7]:80")
    assert hosts("0.0.0.0", "t", allowed_hosts=("*",)).knows("anything.example:1")


@pytest.mark.parametrize("origin", ["http://localhost", "https://localhost:3000", "http://127.0.0.1:1", "http://[::1]"])
def test_pages_of_this_machine_may_ask(origin: str) -> None:
    assert hosts().lets_in(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://localhost/",
        "file://localhost",
        "localhost",
        "http://localhost http://evil.example",
    ],
)
def test_no_other_page_may(origin: str) -> None:
    assert not hosts().lets_in(origin)


def test_pages_that_the_user_allows_may() -> None:
    given = hosts(allowed_origins=("https://App.example/",), public_url="https://gateway.example:8443/mcp")
    assert given.lets_in("https://app.example")
    assert given.lets_in("https://gateway.example:8443")
    assert not given.lets_in("http://app.example")
    assert not given.lets_in("https://gateway.example")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:5173"}, 200),
        ({"host": "localhost:1"}, 200),
    ],
)
async def test_a_request_for_another_name_or_from_another_page_goes_nowhere(
    headers: dict[str, str], status: int
) -> None:
    async with serving(Scripted()) as rig:
        response = await rig.post(request("initialize", INITIALIZE), **headers)
        assert response.status_code == status
        assert len(rig.gateway.sessions) == (status == 200)

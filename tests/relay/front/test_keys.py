"""An issuer's keys, fetched from a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front.keys import FETCH_MAX_BYTES, Unreachable, fetch
from tests.relay.front.rig import INITIALIZE, Scripted, request, serving
from tests.relay.front.test_door import JWKS, bearer, token

pytestmark = pytest.mark.anyio


class Pages(BaseHTTPRequestHandler):
    """`/keys` are the keys; metadata names them; anything else is odd."""

    def do_GET(self) -> None:
        place = f"http://{self.headers['host']}"
        pages = {
            "/keys": json.dumps(JWKS),
            "/.well-known/openid-configuration": json.dumps({"issuer": place, "jwks_uri": f"{place}/keys"}),
            "/large": "x" * (FETCH_MAX_BYTES + 1),
        }
        text = pages.get(self.path, "")
        self.send_response(200 if text else 302 if self.path == "/moved" else 404)
        self.send_header("location", "/keys")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        pass


@pytest.fixture
def place() -> Iterator[str]:
    """Where it is."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("names_keys", [True, False])
async def test_tokens_are_checked_by_keys_that_are_fetched(place: str, names_keys: bool) -> None:
    listen = Listen(issuer=place, audience="us", jwks_url=f"{place}/keys" if names_keys else "")
    async with serving(Scripted(), listen) as rig:
        refused = await rig.post(request("initialize", INITIALIZE), **bearer(token(aud="us")))
        assert refused.status_code == 401
        await rig.initialize(**bearer(token(aud="us", iss=place)))
        assert rig.gateway.session.visitor.principal.issuer == place


@pytest.mark.parametrize("path", ["/large", "/moved", "/nowhere"])
async def test_what_is_no_key_set_is_not_taken(place: str, path: str) -> None:
    with pytest.raises(Unreachable):
        await fetch(place + path)


async def test_an_issuer_that_cannot_be_reached_lets_nobody_in() -> None:
    listen = Listen(issuer="http://127.0.0.1:1", audience="us", jwks_url="http://127.0.0.1:1/keys")
    async with serving(Scripted(), listen) as rig:
        refused = await rig.post(request("initialize", INITIALIZE), **bearer(token()))
        assert refused.status_code == 503
        assert "cannot be reached" in refused.json()["error"]["message"]

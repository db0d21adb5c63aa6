"""A store with two sessions in it, and a dashboard over it without a socket."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx2

from spec_mcp.config import Config, load_config
from spec_mcp.dashboard import Dashboard, Place
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import Row
from spec_mcp.store.sqlite import SqliteStore
from tests.store.rows import NOW, SHOP, call, pin, session, skip, speculation

TOKEN = "a-token-for-tests"
PROGRAM = (sys.executable, "-m", "spec_mcp")

ROWS: tuple[Row, ...] = (
    session("s1", ended_at=NOW + 60, client_name="agent", client_version="2"),
    call(1, "s1"),
    call(2, "s1", how="hit", wait_s=0.0, t_end=NOW + 2, saved_s=0.5, speculation=1),
    call(3, "s1", how="join", wait_s=0.2, saved_s=0.3, speculation=2),
    call(4, "s1", tool="write", kind="write", is_error=True),
    speculation(1, "s1", launched_at=NOW + 1.1, returned_at=NOW + 1.6, ended_at=NOW + 2, call=2, q=0.8),
    speculation(2, "s1", launched_at=NOW + 2.9, returned_at=NOW + 3.2, ended_at=NOW + 3.2, call=3, q=0.7),
    speculation(3, "s1", state="discarded", reason="spoiled", launched_at=NOW + 3.5, returned_at=NOW + 3.7, call=None),
    speculation(4, "s1", state="discarded", reason="busy", launched_at=None, returned_at=None, call=None),
    skip("not-worth-it", 7, "s1"),
    session("s2", scope=SHOP, started_at=NOW + 100, pid=os.getpid()),
    call(1, "s2", server="shop", tool="look", t_start=NOW + 101, t_end=NOW + 101.5),
    pin("read", "sha256:" + "1" * 64),
)


def write(home: Path, *rows: Row) -> Path:
    """Put rows into the store of a home."""
    path = home / STORE_NAME
    store = SqliteStore(path)
    store.write(rows or ROWS)
    store.close()
    return path


def dashboard(home: Path, config: Config | None = None, **options: Any) -> Dashboard:
    """A dashboard over that store."""
    place = Place(home / STORE_NAME, home, config or load_config(None), PROGRAM)
    given: dict[str, Any] = {"token": TOKEN, "wall_s": lambda: NOW + 200, **options}
    return Dashboard(place, **given)


class Page:
    """Asks a dashboard, as a page of its own would."""

    def __init__(self, app: Dashboard, base: str = "") -> None:
        self._app = app
        self._base = base

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Any request; the host is this machine's unless a header says otherwise."""

        async def ask() -> httpx2.Response:
            transport = httpx2.ASGITransport(self._app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
                with anyio.fail_after(30):
                    return await client.request(method, self._base + path, **options)

        return anyio.run(ask)

    def get(self, name: str, status: int = 200, **parameters: Any) -> Any:
        """What is told under a name."""
        response = self.request("GET", f"/{TOKEN}/api/{name}", params=parameters)
        assert response.status_code == status, response.text
        return response.json()

    def post(self, name: str, body: Any, status: int = 200) -> Any:
        """Have something done."""
        response = self.request(
            "POST", f"/{TOKEN}/api/{name}", content=json.dumps(body), headers={"content-type": "application/json"}
        )
        assert response.status_code == status, response.text
        return response.json()

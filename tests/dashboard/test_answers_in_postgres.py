"""A dashboard says the same of a record in a PostgreSQL database as of one in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spec_mcp.config import load_config
from spec_mcp.dashboard import Dashboard, Place
from spec_mcp.engine.events import Mode
from spec_mcp.store.place import STORE_NAME, Remote
from spec_mcp.store.postgres.store import PostgresStore
from tests import postgres
from tests.dashboard.filled import PROGRAM, ROWS, TOKEN, Page, dashboard, write
from tests.store.rows import NOW, comparison, demotion, question

pytestmark = pytest.mark.postgres

MORE = (*ROWS, comparison(), comparison(verdict="same", is_check=True), demotion(), question())

ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("overview", {}),
    ("overview", {"hours": 1, "server": "files"}),
    ("over-time", {}),
    ("over-time", {"hours": 24}),
    ("tools", {}),
    ("tools", {"tool": "read"}),
    ("parts", {}),
    ("sessions", {}),
    ("sessions", {"server": "shop"}),
    ("session", {"id": "s1"}),
    ("session", {"id": "s1", "before": 4}),
    ("predictions", {}),
    ("comparisons", {}),
    ("undos", {}),
    ("curve", {}),
    ("manifests", {}),
)


def test_every_question_is_answered_as_from_a_file(spec_mcp_home: Path) -> None:
    write(spec_mcp_home, *MORE)
    with postgres.database() as url:
        store = PostgresStore(Remote(url))
        store.write(MORE)
        place = Place(spec_mcp_home / STORE_NAME, spec_mcp_home, load_config(None), PROGRAM, Remote(url))
        ours = Dashboard(place, token=TOKEN, wall_s=lambda: NOW + 200)
        try:
            shown, known = Page(ours), Page(dashboard(spec_mcp_home))
            for name, parameters in ASKED:
                ignored = {"store": ""}
                answer, same = shown.get(name, **parameters), known.get(name, **parameters)
                assert answer | ignored == same | ignored, name
            assert shown.get("overview")["store"] == url
            before = shown.get("overview")["mode"]
            store.turn(Mode.OFF)
            assert (before, shown.get("overview")["mode"]) == ("on", "off")
        finally:
            store.close()
            ours.end()

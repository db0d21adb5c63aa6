"""Servers on the network are asked like those that are started: in both eras, and over the older transport."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.manifests import tell
from tests.relay.back.places import Served, over_http, over_stateless_http

Capsys = pytest.CaptureFixture[str]


@pytest.fixture(params=[over_http, over_stateless_http], scope="module", ids=["handshake", "stateless"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served: Served = request.param(tmp_path_factory.mktemp("busy"))
    yield served
    served.end()


def test_a_draft_of_a_remote_server_is_accepted_by_check_against_it(
    place: Served, spec_mcp_home: Path, capsys: Capsys
) -> None:
    drafted = tell(f"manifest draft --save --url {place.url}", None, capsys)
    assert drafted.status == 0
    [path] = (spec_mcp_home / "manifests").glob("*.toml")
    assert "echo" in tomllib.loads(path.read_text())["tools"]
    checked = tell(f"manifest check {path} --json --url {place.url} --header X-Any=thing", None, capsys)
    assert (checked.status, checked.object["new"], checked.object["missing"]) == (0, [], [])
    locked = tell(f"manifest lock {path} --url {place.url}", None, capsys)
    assert "fingerprints hold already" in locked.out

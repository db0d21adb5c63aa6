"""The official conformance suite finds the same of our fixture server alone and through the gateway, with speculation
on. What a revision requires passes everywhere; no other check comes out worse through us.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from benchmarks.gateway.running import BIN, OVER_HTTP, SERVERS, Program, gateway, server, serving
from tests.conformance.suite import REVISIONS, Outcome, run_suite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("conformance"),  # one worker: the fixture's own outcome is needed by all
]
Back = Literal["http", "stdio"]

FIXTURE = "conformance_fixture.py"
REQUIRED = {"2025-11-25": 30, "2026-07-28": 37}

RULED_OUT: dict[Back, dict[str, str]] = {"http": {}, "stdio": {}}
"""Scenarios that cannot pass, whatever we do, because of what the transport behind us is, with the reason."""

CONFIGURATION = """\
[servers.fixture]
{where}
manifest = "{manifest}"

[speculation]
mode = "on"
wasted_call_s = 0.0
"""


@pytest.fixture(scope="module")
def fixture() -> Generator[Program]:
    """The fixture server over HTTP."""
    with serving(server(FIXTURE, "--http", "0")) as program:
        yield program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@cache
def direct(url: str, revision: str, folder: Path) -> Outcome:
    """What the suite finds of the fixture alone."""
    return run_suite(url, revision, folder / f"direct-{revision}")


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_fixture_alone_passes_all_that_a_revision_requires(revision: str, fixture: Program, folder: Path) -> None:
    outcome = direct(fixture.url, revision, folder)
    assert len(outcome.required) == REQUIRED[revision]
    assert outcome.failing() == {}


@pytest.mark.parametrize("back", ["http", "stdio"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_through_the_gateway_the_suite_finds_the_same_while_speculation_is_on(
    revision: str, back: Back, fixture: Program, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    config = tmp_path / "spec-mcp.toml"
    config.write_text(configuration(back, fixture.url))
    env = {**os.environ, "SPEC_MCP_HOME": str(home)}
    with serving(gateway(config, *OVER_HTTP), env) as program:
        outcome = run_suite(program.url, revision, tmp_path / "found")
        said = program.text()
    failing = {name: why for name, why in outcome.failing().items() if name not in RULED_OUT[back]}
    assert failing == {}, said
    worse = outcome.worse_than(direct(fixture.url, revision, folder))
    assert [line for line in worse if line.split(",")[0] not in RULED_OUT[back]] == [], said
    assert statistics(env)["speculations"] > 0, said
    assert "going on as a plain proxy" not in said


def configuration(back: Back, url: str) -> str:
    """The gateway's configuration: the fixture alone, so that its names stay as they are."""
    command = server(FIXTURE)
    where = f'url = "{url}"' if back == "http" else f"command = {json.dumps(command[0])}\nargs = {command[1:]}"
    return CONFIGURATION.format(where=where, manifest=SERVERS / "conformance.toml")


def statistics(env: dict[str, str]) -> dict[str, int]:
    """What our own record says."""
    done = subprocess.run(
        [str(BIN / "spec-mcp"), "stats", "--json"], env=env, capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)

"""The demonstration as a whole: real processes, both runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import anyio
import pytest

from spec_mcp.cli.demo.cases import draw_cases
from spec_mcp.cli.demo.runner import Target, run_cases, target
from spec_mcp.cli.demo.show import demonstrate
from spec_mcp.cli.demo.view import Lane, Timeline
from spec_mcp.errors import Failed
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.generator import generate

DEADLINE_S = 100
FAST = 0.05


@pytest.mark.slow
def test_two_runs_without_spec_mcp_differ_in_nothing():
    report = demonstrate(seed=1, cases=2, pace=FAST, quiet=True, direct=True)
    assert report.lossless
    assert report.writes_made == report.writes_off == report.writes_on > 0
    assert report.all_cases.answered == 0
    assert not report.measured


@pytest.mark.slow
def test_the_server_logs_what_the_agent_calls_and_keeps_the_shop_from_case_to_case(tmp_path):
    cases = draw_cases(generate(1), 1, 2)
    view = Timeline(time.monotonic, FAST, None)
    view.begin(Lane.OFF)
    run = anyio.run(run_cases, target(tmp_path / "run", None, 1, FAST), cases, FAST, view)
    assert {made.case for made in run.made} == {1, 2}
    assert [(entry.tool, entry.arguments) for entry in run.executed] == [
        (made.tool, made.arguments) for made in run.made
    ]
    for entry, made in zip(run.executed, run.made, strict=True):
        assert made.sent_s <= entry.start_s <= entry.end_s <= made.answered_s
        assert entry.writes == (TOOLS[made.tool].effect is Effect.WRITE)
    assert any("CREATE TABLE orders" in line for line in run.records)


def test_a_server_that_does_not_start_fails_with_its_last_words(tmp_path):
    program = "import sys; sys.exit('the shop is closed today')"
    shop = target(tmp_path / "run", None, 0, FAST)
    closed = Target((sys.executable, "-c", program), {}, shop.log, shop.database, shop.stderr)
    view = Timeline(time.monotonic, FAST, None)
    with pytest.raises(Failed, match="the shop is closed today"):
        anyio.run(run_cases, closed, draw_cases(generate(0), 0, 1), FAST, view)


@pytest.mark.slow
def test_the_command_shows_two_lossless_runs_and_touches_nothing_of_the_users(tmp_path):
    home = tmp_path / "home"
    ended = subprocess.run(
        [sys.executable, "-m", "spec_mcp", "demo", "--quick", "--cases", "3", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
        env={**os.environ, "SPEC_MCP_HOME": str(home)},
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["lossless"]
    assert report["measured"]
    assert report["speculations"] > 0, "a run in which nothing is speculated shows nothing"
    assert report["writes_made"] == report["writes_off"] == report["writes_on"] > 0
    assert not home.exists()


def test_the_command_line_is_checked():
    ended = subprocess.run(
        [sys.executable, "-m", "spec_mcp", "demo", "--cases", "0"],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert ended.returncode == 2
    assert "--cases" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1

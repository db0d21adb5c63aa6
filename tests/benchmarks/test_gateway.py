"""The gateway's benchmark measures and judges; a short load ends with every call settled and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.parity.rig import BIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("gateway-benchmarks")]
BENCH_S = 500
"""Half a minute on two cores that nobody else uses."""


def test_a_quick_round_measures_every_case_against_its_own_and_answers_nothing_from_a_held_result() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "gateway", "--quick", "--rounds", "1", "--era", "auto", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BENCH_S, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [era["era"] for era in said["eras"]] == ["auto"]
    for era in said["eras"]:
        rows = {row["case"]: row for row in era["rows"]}
        assert set(rows) == {"direct call, HTTP", "HTTP to stdio", "stdio to HTTP", "HTTP to three stdio"}
        assert rows["HTTP to three stdio"]["against"] == "HTTP to stdio"
        assert all(row["p50_us"] > 0 and row["calls_per_s"] > 0 for row in rows.values())


@pytest.mark.postgres
def test_one_and_three_replicas_are_measured_beside_one_gateway() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "scale", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BENCH_S, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["arm"]: row for row in json.loads(done.stdout)["rows"]}
    assert [*rows] == ["direct call", "one gateway, SQLite", "one replica, PostgreSQL", "three replicas, PostgreSQL"]
    assert all(row["p50_us"] > 0 and row["calls_per_s"] > 0 for row in rows.values())
    assert rows["three replicas, PostgreSQL"]["rss_mb"] > rows["one replica, PostgreSQL"]["rss_mb"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_twenty_clients_get_their_own_answers_while_servers_are_killed_and_nothing_is_left_behind() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "load", "--sessions", "20", "--seconds", "6", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BENCH_S, check=False)
    said = json.loads(done.stdout)
    failing = [verdict for verdict in said["verdicts"] if not verdict["holds"]]
    assert failing == [], f"seed {said['seed']}: {said['log']}"
    assert all(said["kills"].values()), said["kills"]
    assert done.returncode == 0, done.stderr

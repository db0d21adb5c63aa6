"""The overhead benchmark runs, counts what it promises to count, and says so."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.parity.rig import BIN


@pytest.mark.slow
def test_a_quick_round_counts_no_hit_on_the_miss_path_and_hits_on_the_hit_path() -> None:
    command = [str(BIN / "spec-mcp"), "bench", "overhead", "--quick", "--rounds", "1", "--no-fastmcp", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert [client["client"] for client in said["clients"]] == ["sdk", "lines"]
    for client in said["clients"]:
        assert client["miss_hits"] == 0
        assert client["miss_calls"] > 0
        assert client["hits_of_them"] > client["hit_calls"] / 2
        assert [row["case"] for row in client["rows"]] == ["direct", "spec-mcp", "bytes relay"]
    assert {target["name"] for target in said["targets"]} >= {"added_p50", "throughput", "hit_p50"}
    assert next(target for target in said["targets"] if target["name"] == "rss_mb")["met"]

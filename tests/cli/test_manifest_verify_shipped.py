"""The shipped manifests hold on the servers that they speak for, and their undos are proved."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from spec_mcp.manifest import find_manifest, load_manifest, shipped_folder
from tests.cli.manifests import tell
from tests.manifest.test_real_servers import COMMANDS
from tests.needs import ROOT

Capsys = pytest.CaptureFixture[str]

OURS = {
    "chess": ["--engine", shlex.join([sys.executable, str(ROOT / "tests" / "wrapped_servers" / "uci.py")])],
    "retail": [],
}
"""What those need to start that the project brings itself."""

RUNS = {"memory": 16, "retail": 4, "git": 1, "chess": 1}
"""Tries of each tool: enough to prove an undo, and few seconds. By itself the command makes many more."""

REVERSIBLE = {
    "memory": {"add_observations", "create_entities", "create_relations"},
    "retail": {"modify_pending_order_address", "modify_user_address"},
}


SLOW = {"sqlite"}
"""Each try starts it anew, which takes it three seconds; `manifest verify sqlite` was seen to find nothing."""

WITH_A_SCRATCH_STATE = sorted(
    path.stem
    for path in shipped_folder().glob("*.toml")
    if path.stem in {*OURS, *COMMANDS} - SLOW and load_manifest(path).form.verify is not None
)


@pytest.mark.parametrize("name", WITH_A_SCRATCH_STATE)
def test_a_shipped_manifest_holds_on_its_server(name: str, spec_mcp_home: Path, capsys: Capsys) -> None:
    if name in OURS:
        command = [sys.executable, "-m", f"wrapped_servers.{name}", *OURS[name]]
    else:  # without the folder of data that the other tests give
        command = [part for part in COMMANDS[name] if part != "/tmp"]

    told = tell(f"manifest verify {name} --runs {RUNS.get(name, 2)} --json", command, capsys)

    assert told.status == 0, told.out
    policy = load_manifest(find_manifest(name, spec_mcp_home)).policy
    assert {tool for tool, its in policy.tools.items() if its.proved} == REVERSIBLE.get(name, set())
    assert policy.source.startswith(str(spec_mcp_home)) == (name in REVERSIBLE), "the shipped file stays as it is"
    outside = {"fetch"}
    untried = {tool for tool, its in told.object["tools"].items() if its["state"] == "untried"}
    assert untried == outside & set(policy.tools)

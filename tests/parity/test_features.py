"""A probe of some thirty MCP features that is not ours says the same of the server itself, of `wrap` in front of it,
and of the gateway in front of it and of another.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from benchmarks.gateway.running import OVER_HTTP, gateway, server, serving
from tests.parity.rig import BIN

PROBE_S = 100

MANIFEST = """\
[manifest]
version = 1
server = "probe"
reviewed = "2026-11-22"
concurrent = true
cancel = true
open_world = false

[tools.structured]
effect = "read"
touches = []
exclusive = true

[tools.image]
effect = "read"
touches = []
exclusive = true
"""


OURS = {
    "serverInfo": "the gateway's own name",
    "instructions": "those of several servers are not one server's",
    "tools/list": "those of the other server too",
    "list_changed": "of a list that is as it was nothing is told",
}
"""What differs through the gateway, and why that is right."""

SHARED = {"isolation"}
"""What the probe looks at only over HTTP."""


def probe(tool: Path, mode: str, prefix: str, folder: Path) -> list[str]:
    """What the probe finds of its own server behind a command, without its timings."""
    return probed(tool, mode, f"it={prefix}{{probe}}", folder)


def probed(tool: Path, mode: str, case: str, folder: Path) -> list[str]:
    """What the probe finds of a case, which is written as the probe wants it."""
    done = subprocess.run(
        [sys.executable, str(tool), "probe", case, "--mode", mode],
        env={**os.environ, "PROBE_LOG": str(folder / "probe.log"), "PROBE_CRASH": "0", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=PROBE_S,
        check=True,
    )
    return [re.sub(r"\d+ ms", "<time> ms", line) for line in done.stdout.splitlines()]


@pytest.mark.shared
@pytest.mark.xdist_group("features")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_probe_of_features_finds_no_difference(mode: str, tmp_path: Path, shared: Path) -> None:
    tool = shared / "tools" / "probe_features.py"
    manifest = tmp_path / "probe.toml"
    manifest.write_text(MANIFEST)
    direct = list(_direct(tool, mode))
    assert len(direct) > 20, direct
    assert probe(tool, mode, f"{BIN / 'spec-mcp'} wrap --manifest {manifest} -- ", tmp_path) == direct


def features(lines: Sequence[str]) -> dict[str, str]:
    """What the probe says, by feature."""
    found = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in lines if line.startswith("  "))
    # the tool's name, which is longer through the gateway, stands in a text that is cut off
    return {name: re.sub(r"(returned by tool) .*", r"\1", said) for name, said in found.items()}


@cache
def _direct(tool: Path, mode: str) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        return tuple(probe(tool, mode, "", Path(folder)))


@contextmanager
def gateway_case(front: str, tool: Path, folder: Path) -> Generator[str]:
    """A gateway in front of the probe's server and another, as the probe takes it."""
    light = server("light.py")
    config = folder / "spec-mcp.toml"
    manifest = folder / "probe.toml"
    manifest.write_text(MANIFEST)
    servers = {"probe": [sys.executable, str(tool), "serve"], "light": light}
    lines: list[str] = []
    for name, command in servers.items():
        lines += [f"[servers.{name}]", f"command = {json.dumps(command[0])}", f"args = {json.dumps(command[1:])}"]
        lines += [f"manifest = {json.dumps(str(manifest))}"] if name == "probe" else []
    config.write_text("\n".join(lines))
    if front == "stdio":
        yield f"it={' '.join(gateway(config))}"
        return
    env = {**os.environ, "PROBE_LOG": str(folder / "probe.log"), "PYTHONWARNINGS": "ignore"}
    with serving(gateway(config, *OVER_HTTP), env) as program:
        yield f"it={program.url}"


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.xdist_group("features")
@pytest.mark.parametrize("front", ["stdio", "http"])
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_through_the_gateway_every_feature_works_as_with_the_server_itself(
    mode: str, front: str, tmp_path: Path, shared: Path
) -> None:
    """As in the client's era or in the other: the gateway may speak the handshake era with a server, where what a
    server asks of its client reaches it, in front of a client that speaks the stateless one."""
    tool = shared / "tools" / "probe_features.py"
    own, other = (features(_direct(tool, era)) for era in (mode, "auto" if mode == "legacy" else "legacy"))
    with gateway_case(front, tool, tmp_path) as case:
        found = features(probed(tool, mode, case, tmp_path))
    assert found.keys() - SHARED == own.keys()
    for name in own.keys() - OURS.keys():
        assert found[name] in (own[name], other.get(name)), name
    assert "list has new=True" in found["list_changed"]
    assert ("ToolListChanged" in found["list_changed"]) == ("ToolListChanged" in own["list_changed"])

"""A probe of some thirty MCP features that is not ours says the same of the server itself and of us."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def probe(tool: Path, mode: str, prefix: str, folder: Path) -> list[str]:
    """What the probe finds, without its timings."""
    done = subprocess.run(
        [sys.executable, str(tool), "probe", f"it={prefix}{{probe}}", "--mode", mode],
        env={**os.environ, "PROBE_LOG": str(folder / "probe.log"), "PROBE_CRASH": "0", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=PROBE_S,
        check=True,
    )
    return [re.sub(r"\d+ ms", "<time> ms", line) for line in done.stdout.splitlines()]


@pytest.mark.shared
@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_the_probe_of_features_finds_no_difference(mode: str, tmp_path: Path, shared: Path) -> None:
    tool = shared / "tools" / "probe_features.py"
    manifest = tmp_path / "probe.toml"
    manifest.write_text(MANIFEST)
    direct = probe(tool, mode, "", tmp_path)
    assert len(direct) > 20, direct
    assert probe(tool, mode, f"{BIN / 'spec-mcp'} wrap --manifest {manifest} -- ", tmp_path) == direct

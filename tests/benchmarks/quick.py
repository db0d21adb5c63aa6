"""A quick round of an environment's benchmark, as a user runs it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.parity.rig import BIN

ROUND_S = 280


def quick_round(*words: str) -> Any:
    """What `spec-mcp bench NAME --quick` reports; it must end well, with all arms alike."""
    command = [str(BIN / "spec-mcp"), "bench", *words, "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=ROUND_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["identical"], said["differences"]
    return said

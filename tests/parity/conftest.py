"""The rig as a fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.parity.rig import ClientKind, Rig
from tests.parity.worlds import SERVERS, WORLDS


@pytest.fixture
def rig(tmp_path: Path) -> Callable[[str, ClientKind], Rig]:
    """Make the rig of a world: `rig("git", "legacy")`."""

    def make(world: str, client: ClientKind) -> Rig:
        assert (SERVERS / "npm" / ".made-from").exists(), "the servers are not installed: run `make servers`"
        return Rig(WORLDS[world](tmp_path / "world"), client, tmp_path / "arms")

    return make

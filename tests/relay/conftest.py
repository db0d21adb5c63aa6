"""A rig for each test."""

from __future__ import annotations

import pytest

from tests.relay.rig import Rig


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Speculating, with the tools of `tests.relay.rig`."""
    return Rig(monkeypatch)

"""Which server an owner works with is known after it is gone."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from spec_mcp.store.lingering import Lingering
from spec_mcp.store.store import StoreError


@pytest.fixture
def server() -> Generator[subprocess.Popen[bytes]]:
    """A process with a group of its own, which waits for the end of its input."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True) as cat:
        yield cat


def test_a_server_lingers_until_its_group_has_ended(tmp_path: Path, server: subprocess.Popen[bytes]) -> None:
    Lingering(tmp_path / "store.db").note("owner", server.pid)
    another = Lingering(tmp_path / "store.db")
    assert another.has("owner")
    server.communicate()
    assert not another.has("owner")


def test_who_has_no_server_has_none_that_lingers(tmp_path: Path, server: subprocess.Popen[bytes]) -> None:
    lingering = Lingering(tmp_path / "store.db")
    assert not lingering.has("nobody")
    lingering.note("owner", server.pid)
    lingering.forget("owner")
    lingering.forget("owner")
    assert not lingering.has("owner")


@pytest.mark.parametrize("text", ["", "12x", "9" * 30, "-"])
def test_half_a_file_names_nobody(tmp_path: Path, text: str) -> None:
    lingering = Lingering(tmp_path / "store.db")
    lingering.folder.mkdir()
    (lingering.folder / "owner").write_text(text)
    assert not lingering.has("owner")


def test_what_has_ended_is_forgotten_when_another_is_noted(tmp_path: Path, server: subprocess.Popen[bytes]) -> None:
    lingering = Lingering(tmp_path / "store.db")
    lingering.note("living", server.pid)
    (lingering.folder / "gone").write_text("")
    lingering.note("new", server.pid)
    assert sorted(path.name for path in lingering.folder.iterdir()) == ["living", "new"]


def test_a_place_that_takes_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db.servers").write_text("in the way")
    with pytest.raises(StoreError, match="servers"):
        Lingering(tmp_path / "store.db").note("owner", 1)

"""The switch that turns everything on one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.engine.events import Mode
from spec_mcp.store.mode import ModeSwitch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "store.sqlite3"


def test_a_switch_that_nobody_turned_says_nothing(path: Path) -> None:
    assert ModeSwitch(path).read() is None


@pytest.mark.parametrize("mode", list(Mode))
def test_every_reader_sees_what_another_turned(path: Path, mode: Mode) -> None:
    reader = ModeSwitch(path)
    reader.read()
    ModeSwitch(path).turn(mode)
    assert reader.read() is mode


def test_turning_it_twice_within_one_tick_of_the_clock_is_seen(path: Path) -> None:
    reader = ModeSwitch(path)
    for mode in (Mode.ON, Mode.OFF, Mode.ON, Mode.SHADOW, Mode.ON):
        ModeSwitch(path).turn(mode)
        assert reader.read() is mode


def test_reading_again_what_has_not_changed_opens_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = ModeSwitch(path)
    reader.turn(Mode.SHADOW)
    assert reader.read() is Mode.SHADOW
    monkeypatch.setattr("builtins.open", None)
    assert reader.read() is Mode.SHADOW


@pytest.mark.parametrize("content", [b"", b"of", b"\xff\xfe"])
def test_a_switch_that_cannot_be_understood_says_off(path: Path, content: bytes) -> None:
    switch = ModeSwitch(path)
    switch.turn(Mode.ON)
    switch.path.write_bytes(content)
    assert ModeSwitch(path).read() is Mode.OFF


def test_a_folder_in_its_place_says_off(path: Path) -> None:
    ModeSwitch(path).path.mkdir(parents=True)
    assert ModeSwitch(path).read() is Mode.OFF


def test_a_home_that_cannot_be_there_says_nothing_and_cannot_be_turned(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    switch = ModeSwitch(tmp_path / "file" / "store.sqlite3")
    assert switch.read() is None
    with pytest.raises(OSError, match="file"):
        switch.turn(Mode.ON)


def test_the_switch_is_its_users_alone(path: Path) -> None:
    switch = ModeSwitch(path)
    switch.turn(Mode.ON)
    assert switch.path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [switch.path]

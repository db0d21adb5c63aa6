"""Clients' files are replaced as a whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from spec_mcp.clients import files
from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.ledger import Ledger, Piece, Record, Stretch
from spec_mcp.errors import Failed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config" / "x.json"
    path.parent.mkdir()
    path.write_bytes(b"old")
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("permissions", [0o600, 0o644, 0o664])
def test_permissions_stay(file: Path, permissions: int) -> None:
    file.chmod(permissions)
    files.replace_file(file, b"old", b"new")
    assert file.read_bytes() == b"new"
    assert mode(file) == permissions
    assert os.listdir(file.parent) == [file.name]


def test_the_owner_stays(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(file, 1234, 2345)
    files.replace_file(file, b"old", b"new")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


def test_a_link_stays_and_what_it_leads_to_is_replaced(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.json"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(file, link.parent))
    files.replace_file(link, b"old", b"new")
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    assert os.listdir(link.parent) == [link.name]


def test_what_somebody_else_wrote_meanwhile_is_left(file: Path) -> None:
    file.write_bytes(b"theirs")
    with pytest.raises(files.Changed):
        files.replace_file(file, b"old", b"new")
    assert file.read_bytes() == b"theirs"
    assert os.listdir(file.parent) == [file.name]


def test_a_folder_that_takes_no_file_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failed, match=r"x\.json: cannot be written: No space left on device: it is as it was"):
        files.replace_file(file, b"old", b"new")
    assert file.read_bytes() == b"old"


def test_what_a_crash_left_beside_is_no_hindrance(file: Path) -> None:
    file.with_name(f".x.json.spec-mcp-{os.getpid()}").write_bytes(b"half")
    files.replace_file(file, b"old", b"new")
    assert file.read_bytes() == b"new"
    assert os.listdir(file.parent) == [file.name]


def test_backups_are_private_and_few(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "backups"
    for number in range(15):
        assert files.back_up(folder, "cursor-1", ".json", str(number).encode()).read_text() == str(number)
    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert sorted(path.read_text() for path in folder.iterdir()) == sorted(map(str, range(5, 15)))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path, fault in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ClientFileError, match=fault):
            files.read_bytes(path)
    with pytest.raises(ClientFileError, match="no UTF-8 text at byte 0; save it as UTF-8"):
        files.text_of("{}".encode("utf-16"), tmp_path / "x.json")


def test_a_record_is_private_and_comes_back(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "installed")
    file = tmp_path / "x.json"
    assert ledger.of("cursor", file).pieces == ()
    piece = Piece(table=("mcpServers",), name="a", stretch="1", words=("x",))
    record = Record(client="cursor", file=str(file), pieces=(piece,), stretches={"1": Stretch(old="o", new="n")})
    ledger.keep(record)
    assert ledger.of("cursor", file) == record
    assert list(ledger.all_of("cursor")) == [record]
    assert list(ledger.all_of("claude")) == []
    (path,) = (tmp_path / "installed").iterdir()
    assert mode(path) == 0o600
    ledger.keep(Record(client="cursor", file=str(file), pieces=()))
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "no record"),
        ("[]", "no record"),
        ('{"version": 9, "client": "cursor", "file": "x", "pieces": []}', "newer"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(tmp_path: Path, text: str, fault: str) -> None:
    ledger, file = Ledger(tmp_path), tmp_path / "x.json"
    ledger.keep(Record(client="cursor", file=str(file), pieces=(Piece(table=(), name="a", stretch="1", words=()),)))
    (path,) = tmp_path.glob("cursor-*.json")
    path.write_text(text)
    with pytest.raises(ClientFileError, match=fault) as caught:
        ledger.of("cursor", file)
    assert str(path) in str(caught.value)

"""Where the store lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.errors import UserError
from spec_mcp.store.place import STORE_NAME, home, locate

FOLDER = Path("/data/home")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:", FOLDER / STORE_NAME),
        ("", FOLDER / STORE_NAME),
        ("sqlite:mine.db", FOLDER / "mine.db"),
        ("mine.db", FOLDER / "mine.db"),
        ("sub/mine.db", FOLDER / "sub/mine.db"),
        ("/var/x.db", Path("/var/x.db")),
        ("sqlite:/var/x.db", Path("/var/x.db")),
        ("sqlite:///var/x.db", Path("/var/x.db")),
        ("~/x.db", Path.home() / "x.db"),
        ("./a:b.db", FOLDER / "a:b.db"),
    ],
)
def test_an_address_names_a_file(url: str, path: Path) -> None:
    assert locate(url, FOLDER) == path


@pytest.mark.parametrize("url", ["postgresql://host/db", "mysql:x"])
def test_another_kind_of_store_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(UserError, match=r'url: .*write "sqlite:"'):
        locate(url, FOLDER)


def test_the_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEC_MCP_HOME", "/somewhere/else")
    assert home() == Path("/somewhere/else")


def test_without_a_word_the_home_is_the_platforms_folder_for_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SPEC_MCP_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home().name == "spec-mcp"
    assert home().is_relative_to(tmp_path)

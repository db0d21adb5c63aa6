"""Where the store lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.config import parse_config
from spec_mcp.errors import UserError
from spec_mcp.store.place import STORE_NAME, locate
from spec_mcp.store.settings import StoreSettings

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
    assert locate(url, folder=FOLDER) == path


@pytest.mark.parametrize("url", ["postgresql://host/db", "mysql:x"])
def test_another_kind_of_store_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(UserError, match=r'url: .*write "sqlite:"'):
        locate(url, folder=FOLDER)


def test_the_recorders_settings_are_what_the_configuration_says(tmp_path: Path) -> None:
    config = parse_config(
        {"store": {"url": "${STORE}", "retention_days": 3, "record_results": False, "redact": ["pin"]}}, Path("c.toml")
    )
    settings = StoreSettings.of(config, {"SPEC_MCP_HOME": str(tmp_path), "STORE": "mine.db"})
    assert settings == StoreSettings(tmp_path / "mine.db", 3, False, ("pin",))

"""Where the store lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.config import parse_config
from spec_mcp.errors import UserError
from spec_mcp.store.place import STORE_NAME, Place, Remote, locate
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
    assert locate(url, folder=FOLDER) == Place(path)


@pytest.mark.parametrize("url", ["mysql:x"])
def test_another_kind_of_store_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(UserError, match=r'url: .*write "sqlite:"'):
        locate(url, folder=FOLDER)


def test_the_recorders_settings_are_what_the_configuration_says(tmp_path: Path) -> None:
    config = parse_config(
        {"store": {"url": "${STORE}", "retention_days": 3, "record_results": False, "redact": ["pin"]}}, Path("c.toml")
    )
    settings = StoreSettings.of(config, {"SPEC_MCP_HOME": str(tmp_path), "STORE": "mine.db"})
    assert settings == StoreSettings(Place(tmp_path / "mine.db"), 3, False, ("pin",))


def test_an_address_of_postgresql_names_a_database_and_where_locks_lie() -> None:
    url = "postgresql://me@db.example.com/agents?sslmode=require"
    assert locate(url, folder=FOLDER) == Place(FOLDER / STORE_NAME, Remote(url))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:hidden@one:1,two:2/db?password=hidden", "postgresql://me@one:1,two:2/db"),
        ("postgres:///db", "postgres:///db"),
        ("postgresql://me:hid@den@host/db", "postgresql://me@host/db"),
    ],
)
def test_what_is_shown_of_an_address_holds_no_password(url: str, shown: str) -> None:
    place = locate(url, folder=FOLDER)
    assert str(place) == shown
    assert "hid" not in repr(place)


@pytest.mark.parametrize("url", ["postgresql://me:plain@host/db", "postgres://host/db?sslmode=require&password=plain"])
def test_a_password_that_is_written_down_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UserError, match=r"c.toml: \[store\] url: holds a password; .*PGPASSWORD") as caught:
        parse_config({"store": {"url": url}}, Path("c.toml")).store_url({})
    assert "plain" not in str(caught.value)


def test_a_password_from_the_environment_may_hold_any_sign() -> None:
    config = parse_config({"store": {"url": "postgresql://${WHO}:${WORD}@${WHERE}/db"}}, Path("c.toml"))
    given = {"WHO": "me", "WORD": "a@b:c/d?%", "WHERE": "host:5433"}
    assert config.store_url(given) == "postgresql://me:a%40b%3Ac%2Fd%3F%25@host:5433/db"


def test_a_whole_address_may_come_from_the_environment() -> None:
    config = parse_config({"store": {"url": "${DATABASE_URL}"}}, Path("c.toml"))
    assert config.store_url({"DATABASE_URL": "postgresql://me:pw@host/db"}) == "postgresql://me:pw@host/db"

"""A draft looks into recorded sessions: those of files, and those of the very server that it is about."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.records import CallEvent, Session, write_sessions
from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.rows import Scope
from spec_mcp.store.sqlite import SqliteStore
from tests.cli.manifests import greeter, tell
from tests.manifest.writing import tool
from tests.store.rows import call, session

Capsys = pytest.CaptureFixture[str]

SHOP = greeter(tool("find_orders", "name"), tool("get_order", "id"))
RULE = [{"tool": "get_order", "arguments": {"id": "result.ids[*]"}, "confidence": 0.83}]


@pytest.fixture
def recorded(spec_mcp_home: Path) -> Path:
    """A store with four sessions of the shop, behind a client that called it something of its own."""
    spec_mcp_home.mkdir(mode=0o700)
    store = SqliteStore(spec_mcp_home / STORE_NAME)
    for number in range(4):
        name, found = f"s{number}", {"content": [{"type": "text", "text": json.dumps({"ids": [f"o{number}"]})}]}
        store.write(
            [
                session(name, Scope.of("mine", SHOP)),
                call(1, name, server="mine", tool="find_orders", arguments=b"{}", result=json.dumps(found).encode()),
                call(2, name, server="mine", tool="get_order", arguments=json.dumps({"id": f"o{number}"}).encode()),
            ]
        )
    store.close()
    return spec_mcp_home


def followed_by(arguments: str, capsys: Capsys, command: list[str] = SHOP) -> Any:
    told = tell(f"manifest draft {arguments}", command, capsys)
    assert told.status == 0
    return tomllib.loads(told.out)["tools"]["find_orders"].get("followed_by")


def test_what_is_recorded_of_the_very_server_says_what_follows(recorded: Path, capsys: Capsys) -> None:
    assert followed_by("", capsys) == RULE
    assert followed_by("--no-history", capsys) is None


def test_what_is_recorded_of_another_launch_says_nothing(recorded: Path, capsys: Capsys) -> None:
    other = greeter(tool("find_orders", "name"), tool("get_order", "id"), name="other")
    assert followed_by("", capsys, other) is None


@pytest.mark.parametrize("prefix", ["", "shop__"])
def test_recorded_files_say_what_follows_also_under_a_gateways_names(
    prefix: str, tmp_path: Path, capsys: Capsys
) -> None:
    sessions = [
        Session(
            f"s{number}",
            "test",
            (
                CallEvent(f"{prefix}find_orders", {}, json.dumps({"ids": [number]})),
                CallEvent(f"{prefix}get_order", {"id": number}, {"any": "thing"}),
            ),
        )
        for number in range(4)
    ]
    file = tmp_path / "sessions.jsonl.gz"
    write_sessions(file, sessions)
    assert followed_by(f"--sessions {file}", capsys) == RULE


def test_a_file_that_holds_no_sessions_is_named(tmp_path: Path, capsys: Capsys) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{}\n")
    told = tell(f"manifest draft --sessions {file}", SHOP, capsys)
    assert (told.status, told.out) == (2, "")
    assert f"{file}:1: no recorded session" in told.err

"""A file that was edited after the installation: exactly our part goes."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from spec_mcp.clients.plans import Action, Plan
from tests.clients.putting import BIN, JOIN, PROGRAM, WISH, actions, meaning, put_in, servers, taken_out, why
from tests.clients.samples import CLAUDE_CODE, CLAUDE_DESKTOP, CODEX, CURSOR, GEMINI, VSCODE

HEADERS = {"Authorization": "Bearer old", "X-Org": "me"}
TWO = {
    "files": {"command": "npx", "args": ["-y", "files"], "env": {"A": "1"}},
    "api": {"type": "http", "url": "https://example.com/mcp", "headers": HEADERS},
}


def installed(entries: dict[str, Any], wish: Any = WISH) -> tuple[dict[str, Any], Plan]:
    """The entries after an installation, as plain data that a test may edit."""
    plan = put_in("cursor", json.dumps({"mcpServers": entries}), wish)
    return servers("cursor", plan.text), plan


def back(entries: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The entries after the uninstallation."""
    return servers("cursor", taken_out("cursor", json.dumps({"mcpServers": entries}), plan.record).text)


def test_a_renamed_entry_gets_its_own_command_back() -> None:
    now, plan = installed(TWO)
    assert back({"mine": now["files"], "theirs": now["api"]}, plan) == {"mine": TWO["files"], "theirs": TWO["api"]}


def test_an_edited_environment_stays_edited() -> None:
    now, plan = installed(TWO)
    now["files"]["env"] = {"B": "2"}
    assert back(now, plan)["files"] == {**TWO["files"], "env": {"B": "2"}}


def test_arguments_that_were_added_stay() -> None:
    now, plan = installed(TWO)
    now["files"]["args"].append("/more")
    now["files"]["timeout"] = "9"
    assert back(now, plan)["files"] == {**TWO["files"], "args": ["-y", "files", "/more"], "timeout": "9"}


def test_another_command_behind_ours_stays() -> None:
    now, plan = installed(TWO)
    now["files"]["args"] = [BIN["uvx"] if word == BIN["npx"] else word for word in now["files"]["args"]]
    assert back(now, plan)["files"]["command"] == BIN["uvx"]


def test_a_new_token_goes_back_into_the_header() -> None:
    now, plan = installed(TWO)
    now["api"]["env"]["SPEC_MCP_HEADER_AUTHORIZATION"] = "Bearer new"
    now["api"]["env"]["OTHER"] = "x"
    headers = {"Authorization": "Bearer new", "X-Org": "me"}
    assert back(now, plan)["api"] == {**TWO["api"], "headers": headers, "env": {"OTHER": "x"}}


def test_a_header_that_was_removed_stays_away() -> None:
    now, plan = installed(TWO)
    del now["api"]["env"]["SPEC_MCP_HEADER_X_ORG"]
    assert back(now, plan)["api"]["headers"] == {"Authorization": "Bearer old"}


def test_an_entry_that_was_removed_stays_away_and_new_ones_stay() -> None:
    now, plan = installed(TWO)
    del now["files"]
    now["new"] = {"command": "x"}
    assert back(now, plan) == {"api": TWO["api"], "new": {"command": "x"}}


def test_an_entry_that_was_unwrapped_by_hand_is_left() -> None:
    now, plan = installed(TWO)
    now["files"] = {"command": "node", "args": ["other.js"]}
    found = taken_out("cursor", json.dumps({"mcpServers": now}), plan.record)
    assert servers("cursor", found.text) == {**TWO, "files": now["files"]}
    assert actions(found)["files"] is Action.GONE


def test_an_entry_that_was_put_behind_us_by_hand_is_left_and_named() -> None:
    now, plan = installed(TWO)
    now["hand"] = {"command": PROGRAM[0], "args": ["wrap", "--", "npx"]}
    found = taken_out("cursor", json.dumps({"mcpServers": now}), plan.record)
    assert servers("cursor", found.text) == {**TWO, "hand": now["hand"]}
    assert "not made by `install`" in why(found, "hand")


def test_an_entry_like_ours_that_was_there_before_stays() -> None:
    now, _ = installed({"files": TWO["files"]})
    text = json.dumps({"projects": {"/a": {"mcpServers": {"files": TWO["files"]}}}, "mcpServers": now})
    plan = put_in("claude-code", text)
    assert taken_out("claude-code", plan.text, plan.record).text == text


def test_two_entries_that_became_alike_each_get_their_own_back() -> None:
    entry = {"command": BIN["npx"], "args": ["x"]}
    other = {"command": "npx", "args": ["x"]}
    text = json.dumps({"projects": {"/a": {"mcpServers": {"s": entry}}, "/b": {"mcpServers": {"s": other}}}})
    plan = put_in("claude-code", text)
    assert taken_out("claude-code", plan.text, plan.record).text == text
    later = text.replace('"/b"', '"/c": {"mcpServers": {}}, "/b"')
    again = plan.text.replace('"/b"', '"/c": {"mcpServers": {}}, "/b"')
    assert taken_out("claude-code", again, plan.record).text == later


@pytest.mark.parametrize("wish", [WISH, JOIN])
def test_a_client_that_moved_its_servers_to_a_project_keeps_them_there(wish: Any) -> None:
    plan = put_in("claude-code", json.dumps({"mcpServers": TWO, "projects": {"/a": {}}}), wish)
    moved = {"projects": {"/a": {"mcpServers": servers("claude-code", plan.text)}}}
    found = taken_out("claude-code", json.dumps(moved), plan.record).text
    assert servers("claude-code", found, "/a") == TWO


@pytest.mark.parametrize(
    ("client", "text", "before", "after"),
    [
        ("claude-desktop", CLAUDE_DESKTOP, '"globalShortcut": "Ctrl+Space"', '"globalShortcut": "Alt+Space"'),
        ("claude-code", CLAUDE_CODE, '"numStartups": 184', '"numStartups": 185, "mcpNew": [1,\t2]'),
        ("cursor", CURSOR, "  // Cursor takes comments", "  // and many comments\n\n  // Cursor takes comments"),
        ("vscode", VSCODE, '"servers": {', '"servers": {\n\t\t"new": { "command": "x" },'),
        ("gemini", GEMINI, '"theme": "GitHub"', '"theme": "Dracula"'),
        ("codex", CODEX, "notifications = true", 'notifications = false\n[mcp_servers.new]\ncommand = "x" # mine'),
    ],
)
@pytest.mark.parametrize("wish", [WISH, JOIN])
def test_edits_outside_stay_byte_for_byte(client: str, text: str, before: str, after: str, wish: Any) -> None:
    plan = put_in(client, text, wish)
    assert before in text
    found = taken_out(client, plan.text.replace(before, after), plan.record)
    wanted = text.replace(before, after)
    if client == "codex" and wish is JOIN:  # what was written between the servers of a gateway is now behind one
        assert meaning(client, found.text) == meaning(client, wanted)
    else:
        assert found.text == wanted


def test_comments_between_the_servers_of_a_gateway_stay() -> None:
    plan = put_in("cursor", CURSOR, JOIN)
    found = taken_out("cursor", plan.text.replace('"disabled": true', '"disabled": false'), plan.record)
    assert meaning("cursor", found.text) == meaning("cursor", CURSOR.replace('"disabled": true', '"disabled": false'))
    assert "/* the one at work,\n       with a key */" in found.text


def test_a_gateway_does_not_push_aside_a_server_of_the_same_name() -> None:
    now, plan = installed(TWO, JOIN)
    now["files"] = {"command": "newer"}
    found = taken_out("cursor", json.dumps({"mcpServers": now}), plan.record)
    assert servers("cursor", found.text) == {"files": {"command": "newer"}, "api": TWO["api"]}
    assert actions(found)["files"] is Action.LEFT


def test_a_gateway_that_is_gone_is_said_to_be() -> None:
    _, plan = installed(TWO, JOIN)
    found = taken_out("cursor", '{"mcpServers": {}}', plan.record)
    assert actions(found) == {"spec-mcp": Action.GONE}
    assert found.record.pieces == ()


@pytest.mark.parametrize("style", ["codex in blocks", "codex in braces"])
def test_codex_is_taken_apart_too(style: str) -> None:
    if style == "codex in blocks":
        text = (
            '[mcp_servers.a]\ncommand = "npx"\nargs = ["x"]\n\n[mcp_servers.b]\nurl = "https://e.org/mcp"\n'
            'bearer_token_env_var = "T"\n[mcp_servers.b.http_headers]\nX = "1"\n'
        )
    else:
        text = (
            '[mcp_servers]\na = { command = "npx", args = ["x"] }\n'
            'b = { url = "https://e.org/mcp", bearer_token_env_var = "T", http_headers = { X = "1" } }\n'
        )
    plan = put_in("codex", text)
    edited = plan.text.replace('"x"]', '"x", "y"]').replace('X = "1"', 'X = "2"')
    found = servers("codex", taken_out("codex", edited, plan.record).text)
    assert found == {
        "a": {"command": "npx", "args": ["x", "y"]},
        "b": {"url": "https://e.org/mcp", "bearer_token_env_var": "T", "http_headers": {"X": "2"}},
    }


@pytest.mark.parametrize("keys", list(permutations(["url", "type", "http_headers", "note"])), ids="-".join)
def test_what_went_comes_back_where_it_stood(keys: tuple[str, ...]) -> None:
    said = {"url": '"https://e.org/mcp"', "type": '"http"', "http_headers": "{}", "note": '"n"'}
    lines = "".join(f"{key} = {said[key]}\n" for key in keys)
    text = f'[mcp_servers.a]\n{lines}#\n[mcp_servers.a.env]\nA = "1"\n'
    plan = put_in("codex", text)
    new = '[mcp_servers.new]\ncommand = "npx"\n'
    assert taken_out("codex", plan.text.replace("#\n", new), plan.record).text == text.replace("#\n", new)


def test_a_gateway_of_codex_is_taken_apart_too() -> None:
    plan = put_in("codex", CODEX, JOIN)
    edited = plan.text.replace('args = ["run"', 'args = [ "run"')
    assert edited != plan.text
    assert meaning("codex", taken_out("codex", edited, plan.record).text) == meaning("codex", CODEX)

"""What entries say, what they become, and which stay as they are."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from spec_mcp.clients.entries import Reached, Unfit, ours, read
from spec_mcp.clients.plans import Action
from tests.clients.putting import BIN, PROGRAM, WISH, WRAPPING, actions, put_in, servers, why

EXAMPLE = "https://example.com/mcp"


def become(entry: Any, client: str = "claude-desktop", **wrapping: Any) -> Any:
    """What one entry becomes."""
    key = "servers" if client == "vscode" else "mcpServers"
    wish = replace(WISH, wrapping=replace(WRAPPING, **wrapping))
    return servers(client, put_in(client, json.dumps({key: {"it": entry}}), wish).text)["it"]


def wrapped(*words: str, **more: Any) -> dict[str, Any]:
    """An entry that starts us."""
    return {"command": PROGRAM[0], "args": ["wrap", "--name", "it", *words], **more}


@pytest.mark.parametrize(
    ("entry", "after"),
    [
        ({"command": "npx"}, wrapped("--", BIN["npx"])),
        ({"command": "npx", "args": []}, wrapped("--", BIN["npx"])),
        ({"command": "npx", "args": None}, wrapped("--", BIN["npx"])),
        ({"command": "npx", "args": ["-y", "x"]}, wrapped("--", BIN["npx"], "-y", "x")),
        ({"command": "nobody-knows"}, wrapped("--", "nobody-knows")),
        ({"command": "./bin/server"}, wrapped("--", "./bin/server")),
        ({"command": "${workspaceFolder}/npx"}, wrapped("--", "${workspaceFolder}/npx")),
        ({"command": "cmd", "args": ["/c", "npx"]}, wrapped("--", "cmd", "/c", "npx")),
        (
            {"type": "stdio", "command": "node", "env": {"A": "${input:a}"}, "disabled": True},
            wrapped("--", BIN["node"], type="stdio", env={"A": "${input:a}"}, disabled=True),
        ),
    ],
)
def test_a_program_keeps_its_words_behind_ours(entry: Any, after: Any) -> None:
    assert become(entry) == after


@pytest.mark.parametrize(
    ("entry", "after"),
    [
        ({"url": EXAMPLE}, wrapped("--url", EXAMPLE)),
        ({"type": "http", "url": EXAMPLE}, wrapped("--url", EXAMPLE, type="stdio")),
        ({"type": "streamable-http", "url": EXAMPLE, "headers": {}}, wrapped("--url", EXAMPLE, type="stdio", env={})),
        ({"type": "sse", "url": EXAMPLE}, wrapped("--url", EXAMPLE, "--type", "sse", type="stdio")),
        ({"url": "https://example.com/sse"}, wrapped("--url", "https://example.com/sse", "--type", "sse")),
        ({"serverUrl": EXAMPLE, "headers": None}, wrapped("--url", EXAMPLE, env={})),
        (
            {"httpUrl": EXAMPLE, "headers": {"Authorization": "Bearer x", "x-b": "y"}, "timeout": "1"},
            wrapped(
                "--url",
                EXAMPLE,
                "--header-env",
                "Authorization=SPEC_MCP_HEADER_AUTHORIZATION",
                "--header-env",
                "x-b=SPEC_MCP_HEADER_X_B",
                env={"SPEC_MCP_HEADER_AUTHORIZATION": "Bearer x", "SPEC_MCP_HEADER_X_B": "y"},
                timeout="1",
            ),
        ),
        (
            {"url": EXAMPLE, "headers": {"a-b": "1", "a_b": "2"}, "env": {"SPEC_MCP_HEADER_A_B": "taken"}},
            wrapped(
                "--url",
                EXAMPLE,
                "--header-env",
                "a-b=SPEC_MCP_HEADER_A_B_2",
                "--header-env",
                "a_b=SPEC_MCP_HEADER_A_B_3",
                env={"SPEC_MCP_HEADER_A_B": "taken", "SPEC_MCP_HEADER_A_B_2": "1", "SPEC_MCP_HEADER_A_B_3": "2"},
            ),
        ),
    ],
)
def test_a_remote_server_goes_behind_its_address(entry: Any, after: Any) -> None:
    assert become(entry) == after


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/mcp?key=hunter2",
        "https://ada:hunter2@example.com/mcp",
        "https://mcp.example.com/api/s/NmI4ZTk0YTUtZjI4Ny00/mcp",
        "${BASE_URL}/mcp",
    ],
)
def test_an_address_that_may_hold_a_secret_is_on_no_command_line(url: str) -> None:
    assert become({"url": url}) == wrapped("--url-env", "SPEC_MCP_URL", env={"SPEC_MCP_URL": url})


def test_gemini_has_a_key_for_each_transport() -> None:
    assert become({"url": EXAMPLE}, "gemini")["args"][-2:] == ["--type", "sse"]
    assert "--type" not in become({"httpUrl": EXAMPLE}, "gemini")["args"]
    assert "--type" not in become({"url": EXAMPLE, "type": "http"}, "gemini")["args"]


def test_codex_passes_on_the_variables_that_hold_its_headers() -> None:
    text = (
        f'[mcp_servers.it]\nurl = "{EXAMPLE}"\nbearer_token_env_var = "TOKEN"\n'
        'http_headers = { A = "b" }\nenv_http_headers = { "X-C" = "C" }\n'
    )
    assert servers("codex", put_in("codex", text).text)["it"] == wrapped(
        "--url",
        EXAMPLE,
        "--header-env",
        "A=SPEC_MCP_HEADER_A",
        "--header",
        "Authorization=Bearer ${TOKEN}",
        "--header-env",
        "X-C=C",
        env={"SPEC_MCP_HEADER_A": "b"},
        env_vars=["TOKEN", "C"],
    )


def test_what_this_process_was_told_is_told_to_the_entries() -> None:
    after = become({"command": "npx", "args": ["x"]}, mode="on", config="/c.toml", env={"SPEC_MCP_HOME": "/h"})
    words = ["wrap", "--name", "it", "--config", "/c.toml", "--mode", "on", "--", BIN["npx"], "x"]
    assert after == {"command": PROGRAM[0], "args": words, "env": {"SPEC_MCP_HOME": "/h"}}


def test_a_home_that_the_user_gave_a_server_stays() -> None:
    entry = {"command": "npx", "env": {"SPEC_MCP_HOME": "/mine"}}
    assert become(entry, env={"SPEC_MCP_HOME": "/h"})["env"] == {"SPEC_MCP_HOME": "/mine"}


def test_a_name_that_looks_like_an_option_is_no_option() -> None:
    text = json.dumps({"mcpServers": {"--mode": {"command": "npx"}}})
    found = ours([PROGRAM[0], *servers("cursor", put_in("cursor", text).text)["--mode"]["args"]])
    assert found is not None
    assert found.option("name") == "--mode"


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("npx", "it is no table"),
        ({}, "neither a command nor a url"),
        ({"command": "npx", "url": EXAMPLE}, "both a command and a url"),
        ({"url": EXAMPLE, "httpUrl": EXAMPLE}, "two addresses"),
        ({"command": ["npx"]}, "no texts"),
        ({"command": ""}, "no texts"),
        ({"command": "npx", "args": "x"}, "no texts"),
        ({"command": "npx", "args": ["a", 1]}, "no texts"),
        ({"command": "npx -y x"}, "holds blanks"),
        ({"command": "npx", "type": "ws"}, "type ws"),
        ({"url": EXAMPLE, "type": "ws"}, "type ws"),
        ({"url": 1}, "no text"),
        ({"url": "ws://example.com"}, "no address of HTTP"),
        ({"url": EXAMPLE, "headers": {"a": 1}}, "headers are no texts"),
        ({"url": EXAMPLE, "oauth": {"clientId": "x"}}, "logs in for it (oauth)"),
        ({"url": EXAMPLE, "headersHelper": "x"}, "logs in for it (headersHelper)"),
    ],
)
def test_what_cannot_be_put_behind_us_is_left_with_a_reason(entry: Any, reason: str) -> None:
    text = json.dumps({"mcpServers": {"it": entry}})
    plan = put_in("claude-code", text)
    assert plan.text == text
    assert actions(plan) == {"it": Action.LEFT}
    assert reason in why(plan, "it")


def test_a_list_of_tables_in_an_entry_is_left() -> None:
    text = "[mcp_servers.it]\ncommand = 'npx'\n[[mcp_servers.it.more]]\na = 1\n"
    plan = put_in("codex", text)
    assert (plan.text, actions(plan)) == (text, {"it": Action.LEFT})


def test_a_login_that_is_switched_off_is_none() -> None:
    assert isinstance(read({"url": EXAMPLE, "oauth": {"enabled": False}}, "gemini"), Reached)
    assert isinstance(read({"url": EXAMPLE, "oauth": {"enabled": True}}, "gemini"), Unfit)


def test_a_server_that_may_want_a_login_is_named_with_what_to_do() -> None:
    entries = {
        "a": {"url": EXAMPLE},
        "b": {"url": EXAMPLE, "headers": {"x": "y"}},
        "c": {"url": "http://localhost/mcp"},
    }
    plan = put_in("cursor", json.dumps({"mcpServers": entries}))
    assert why(plan, "a") == f"if it wants a login: spec-mcp login {EXAMPLE}"
    assert (why(plan, "b"), why(plan, "c")) == ("", "")


@pytest.mark.parametrize(
    ("words", "program", "server"),
    [
        ("spec-mcp wrap -- npx x", 1, ("npx", "x")),
        ("/usr/bin/python3 -P -m spec_mcp wrap --name a -- npx", 4, ("npx",)),
        ("uvx spec-mcp@1.0 wrap -- npx wrap -- x", 2, ("npx", "wrap", "--", "x")),
        ("uvx --from /x.whl spec-mcp wrap --mode=on -- npx", 4, ("npx",)),
        ("C:\\Tools\\spec-mcp.exe wrap -- npx", 1, ("npx",)),
        ("spec-mcp run --config x.toml", 1, ()),
        ("spec-mcp wrap --url https://example.com", 1, ()),
    ],
)
def test_our_own_command_lines_are_known(words: str, program: int, server: tuple[str, ...]) -> None:
    found = ours(words.split())
    assert found is not None
    assert (len(found.program), found.server) == (program, server)


@pytest.mark.parametrize(
    "words",
    ["npx spec-mcp", "spec-mcp stats", "npx x -- spec-mcp wrap -- y", "my-spec-mcp wrap -- x", "spec-mcp-x wrap", ""],
)
def test_other_command_lines_are_not_taken_for_ours(words: str) -> None:
    assert ours(words.split()) is None


def test_an_entry_that_is_ours_is_left() -> None:
    entry = {"command": "spec-mcp", "args": ["wrap", "--", "npx"]}
    text = json.dumps({"mcpServers": {"by hand": entry, "other": {"command": "npx"}}})
    plan = put_in("cursor", text)
    assert actions(plan) == {"by hand": Action.ALREADY, "other": Action.WRAPPED}
    assert servers("cursor", plan.text)["by hand"] == entry

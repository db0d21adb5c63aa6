"""The configuration of a gateway: the same servers, as `spec-mcp run` reads them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.clients.plans import Action
from spec_mcp.config import parse_config
from tests.clients.putting import BIN, GATEWAYS, JOIN, WISH, WRAPPING, actions, put_in, servers, why
from tests.clients.samples import CODEX, GEMINI, SAMPLES

EXAMPLE = "https://example.com/mcp"


def joined(client: str, **entries: Any) -> dict[str, Any]:
    """The servers in a gateway's configuration."""
    key = "servers" if client == "vscode" else "mcpServers"
    plan = put_in(client, json.dumps({key: entries}), JOIN)
    texts = list(plan.gateways.values())
    return tomllib.loads(texts[0])["servers"] if texts else {}


@pytest.mark.parametrize(("client", "text"), SAMPLES.values(), ids=SAMPLES)
def test_what_is_written_is_a_configuration(client: str, text: str) -> None:
    for config in put_in(client, text, JOIN).gateways.values():
        parse_config(tomllib.loads(config), Path("x.toml"))


def test_one_entry_starts_the_gateway_with_its_configuration() -> None:
    plan = put_in("cursor", json.dumps({"mcpServers": {"a": {"command": "npx"}, "b": {"url": EXAMPLE}}}), JOIN)
    path = GATEWAYS.path_of(("mcpServers",))
    assert servers("cursor", plan.text) == {
        "spec-mcp": {"command": WRAPPING.program[0], "args": ["run", "--config", path]}
    }
    assert tomllib.loads(plan.gateways[path])["servers"] == {
        "a": {"command": BIN["npx"]},
        "b": {"url": EXAMPLE, "type": "http"},
    }


def test_each_project_of_claude_code_has_a_gateway_of_its_own() -> None:
    entry = {"s": {"command": "npx"}}
    text = json.dumps({"mcpServers": entry, "projects": {"/a": {"mcpServers": entry}, "/b": {"mcpServers": entry}}})
    plan = put_in("claude-code", text, JOIN)
    assert len(plan.gateways) == 3
    assert list(servers("claude-code", plan.text, "/a")) == ["spec-mcp"]


def test_a_server_that_has_our_name_moves_aside_or_in() -> None:
    off = {"command": "npx", "disabled": True}
    plan = put_in("cursor", json.dumps({"mcpServers": {"spec-mcp": off, "b": {"command": "npx"}}}), JOIN)
    assert list(servers("cursor", plan.text)) == ["spec-mcp", "spec-mcp-2"]
    plan = put_in("cursor", json.dumps({"mcpServers": {"spec-mcp": {"command": "npx"}, "b": {"command": "npx"}}}), JOIN)
    assert list(servers("cursor", plan.text)) == ["spec-mcp"]


@pytest.mark.parametrize(
    ("client", "written", "read"),
    [
        ("claude-code", "${A} ${B:-c} $D", "${A} ${B:-c} $D"),
        ("cursor", "x ${env:A}", "x ${A:-}"),
        ("vscode", "${env:A}${env:B}", "${A:-}${B:-}"),
        ("gemini", "$A ${B}", "${A} ${B}"),
        ("claude-desktop", "$A", "$A"),
    ],
)
def test_variables_are_those_that_the_client_would_put_in(client: str, written: str, read: str) -> None:
    assert joined(client, it={"command": "npx", "env": {"X": written}})["it"]["env"] == {"X": read}
    headers = joined(client, it={"url": EXAMPLE, "type": "http", "headers": {"X": written}})["it"]["headers"]
    assert headers == {"X": read}


@pytest.mark.parametrize(
    ("client", "entry", "reason"),
    [
        (
            "vscode",
            {"command": "npx", "args": ["${workspaceFolder}"]},
            "only its client knows what ${workspaceFolder} is",
        ),
        ("vscode", {"url": EXAMPLE, "headers": {"a": "${input:key}"}}, "only its client knows what ${input:key} is"),
        ("cursor", {"command": "${userHome}/x"}, "only its client knows what ${userHome} is"),
        ("claude-desktop", {"command": "npx", "args": ["${HOME}"]}, "only its client knows what ${HOME} is"),
        ("cursor", {"command": "npx", "envFile": ".env"}, "only its client reads its envFile"),
        ("cursor", {"command": "npx", "disabled": True}, "it is switched off in its client"),
    ],
)
def test_what_only_the_client_understands_stays_on_its_own(client: str, entry: Any, reason: str) -> None:
    key = "servers" if client == "vscode" else "mcpServers"
    plan = put_in(client, json.dumps({key: {"it": entry, "other": {"command": "npx"}}}), JOIN)
    assert actions(plan) == {"it": Action.WRAPPED, "other": Action.JOINED}
    assert reason in why(plan, "it")
    assert servers(client, plan.text)["it"]["args"][0] == "wrap"


def test_lists_of_tools_go_along_and_what_does_not_is_named() -> None:
    plan = put_in("gemini", GEMINI, JOIN)
    (config,) = plan.gateways.values()
    found = tomllib.loads(config)["servers"]
    assert found["events"] == {"url": "http://localhost:8080/stream", "type": "sse", "allow": ["a", "b"], "deny": ["c"]}
    assert found["github"]["headers"]["Authorization"] == "Bearer ${GITHUB_TOKEN}"
    assert why(plan, "git") == "without its timeout, trust, which only its client knows"


def test_codex_passes_on_to_the_gateway_what_its_servers_need() -> None:
    plan = put_in("codex", CODEX, JOIN)
    (config,) = plan.gateways.values()
    found = tomllib.loads(config)["servers"]
    assert servers("codex", plan.text)["spec-mcp"]["env_vars"] == ["FIGMA_TOKEN", "THREE"]
    assert found["figma"]["headers"] == {"X-Figma-Region": "s3cr3t-region", "Authorization": "Bearer ${FIGMA_TOKEN}"}
    assert found["with space"]["headers"]["X-Three"] == "${THREE}"


def test_a_gateway_has_the_users_settings() -> None:
    settings = {"speculation": {"breadth": 2}, "store": {"retention_days": 1}}
    gateways = type(GATEWAYS)(GATEWAYS.path_of, settings, "/my/config.toml")
    wish = type(WISH)(WISH.wrapping, WISH.exists, gateways=gateways)
    (config,) = put_in("cursor", '{"mcpServers": {"a": {"command": "npx"}}}', wish).gateways.values()
    found = parse_config(tomllib.loads(config), Path("x.toml"))
    assert (found.speculation.breadth, found.store.retention_days) == (2, 1)
    assert "/my/config.toml" in config

"""Where each client keeps its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec_mcp.clients.places import CLIENTS, user_file

HOME = Path("/home/ada")


@pytest.mark.parametrize(
    ("client", "platform", "environ", "file"),
    [
        ("claude-desktop", "linux", {}, ".config/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {"XDG_CONFIG_HOME": "/xdg"}, "/xdg/Claude/claude_desktop_config.json"),
        ("claude-desktop", "darwin", {}, "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", {"APPDATA": "/roaming"}, "/roaming/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", {}, "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-code", "linux", {}, ".claude.json"),
        ("claude-code", "darwin", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("cursor", "win32", {}, ".cursor/mcp.json"),
        ("vscode", "linux", {}, ".config/Code/User/mcp.json"),
        ("vscode", "darwin", {}, "Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", {"APPDATA": "/roaming"}, "/roaming/Code/User/mcp.json"),
        ("gemini", "linux", {}, ".gemini/settings.json"),
        ("gemini", "linux", {"GEMINI_CLI_HOME": "/g"}, "/g/.gemini/settings.json"),
        ("codex", "linux", {"CODEX_HOME": ""}, ".codex/config.toml"),
        ("codex", "linux", {"CODEX_HOME": "/c"}, "/c/config.toml"),
    ],
)
def test_each_client_has_its_file(client: str, platform: str, environ: dict[str, str], file: str) -> None:
    assert user_file(CLIENTS[client], environ, platform, HOME) == HOME / file


def test_there_are_six_clients() -> None:
    assert list(CLIENTS) == ["claude-desktop", "claude-code", "cursor", "vscode", "gemini", "codex"]

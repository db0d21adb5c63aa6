"""The clients that are known, and where each keeps its configuration on which platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spec_mcp.clients.faults import ClientFileError
from spec_mcp.clients.jsonc import Json
from spec_mcp.clients.tomls import Toml
from spec_mcp.clients.tree import Braces, Document, Lines, Node, Scalar, Syntax, Table

MAC, WINDOWS = "darwin", "win32"
"""As `sys.platform` names them; everything else is taken for Linux."""

JSON = Json()


@dataclass(frozen=True, slots=True)
class Client:
    """One client."""

    name: str
    title: str
    key: str
    """The key of its servers."""
    project_file: str
    """The same for one project, below its folder; empty: it has none."""
    syntax: Syntax = JSON
    variables: str = ""
    """Which variables it puts in itself: empty for none, else `braces` `${A}`, `dollar` `$A` too, `env` `${env:A}`."""
    per_project: bool = False
    """Servers of projects stand in the user's own file too."""


CLIENTS = {
    client.name: client
    for client in (
        Client("claude-desktop", "Claude Desktop", "mcpServers", ""),
        Client("claude-code", "Claude Code", "mcpServers", ".mcp.json", variables="braces", per_project=True),
        Client("cursor", "Cursor", "mcpServers", ".cursor/mcp.json", variables="env"),
        Client("vscode", "VS Code", "servers", ".vscode/mcp.json", variables="env"),
        Client("gemini", "Gemini CLI", "mcpServers", ".gemini/settings.json", variables="dollar"),
        Client("codex", "Codex", "mcp_servers", ".codex/config.toml", Toml()),
    )
}


@dataclass(frozen=True, slots=True)
class Servers:
    """A table of servers in a client's file."""

    path: tuple[str, ...]
    node: Table

    @property
    def project(self) -> str:
        """The project that they are for; empty: for all."""
        return self.path[1] if len(self.path) > 2 else ""


def user_file(client: Client, environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """Where a client keeps the user's own configuration; it may not be there."""

    def named(variable: str, default: Path) -> Path:
        return Path(environ[variable]) if environ.get(variable) else default

    match client.name:
        case "claude-desktop":
            return _applications(environ, platform, home) / "Claude" / "claude_desktop_config.json"
        case "claude-code":
            return named("CLAUDE_CONFIG_DIR", home) / ".claude.json"
        case "cursor":
            return home / ".cursor" / "mcp.json"
        case "vscode":
            return _applications(environ, platform, home) / "Code" / "User" / "mcp.json"
        case "gemini":
            return named("GEMINI_CLI_HOME", home) / ".gemini" / "settings.json"
        case _:
            return named("CODEX_HOME", home / ".codex") / "config.toml"


def _applications(environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """Where graphical programs keep their settings."""
    if platform == MAC:
        return home / "Library" / "Application Support"
    if platform == WINDOWS:
        return Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config")


def servers_in(document: Document, client: Client, file: str) -> Iterator[Servers]:
    """The tables of servers in a client's file, the user's own first.

    Raises:
        ClientFileError: one of them is no table.
    """
    root = _table(document.root, (), file)
    if root is None:
        return
    paths: list[tuple[str, ...]] = [(client.key,)]
    if client.per_project and (projects := _below(root, ("projects",), file)) is not None:
        paths += [("projects", name, client.key) for name in projects.members]
    for path in paths:
        if (found := _below(root, path, file)) is not None:
            yield Servers(path, found)


def _below(table: Table, path: tuple[str, ...], file: str) -> Table | None:
    for depth, name in enumerate(path, start=1):
        one = table.members.get(name)
        found = None if one is None else _table(one.node, path[:depth], file)
        if found is None:
            return None
        table = found
    return table


def _table(node: Node, path: tuple[str, ...], file: str) -> Table | None:
    """The table that this is, None for null.

    Raises:
        ClientFileError: it is something else.
    """
    if isinstance(node, Braces | Lines):
        return node
    if isinstance(node, Scalar) and node.value is None:
        return None
    raise ClientFileError(file, ".".join(path) or "the file", "must be a table", "mend it, or restore the file")

"""How Claude Code starts its servers, by its own configuration: whose history a transcript's calls belong to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spec_mcp.clients.entries import ours
from spec_mcp.config import ConfigError, expand
from spec_mcp.relay.naming import name_of
from spec_mcp.replay.transcripts import carried_name

PROJECT_FILE = ".mcp.json"


@dataclass(frozen=True, slots=True)
class Launch:
    """A server as `spec-mcp wrap` knows it, or would."""

    name: str
    command: tuple[str, ...] = ()
    unknown: str = ""
    """Why there is no command line."""


def unlisted(server: str) -> Launch:
    """A server that stands in no configuration."""
    kind = (
        "a plugin brought it" if server.startswith("plugin_") else "it stands in none of Claude Code's configurations"
    )
    if server.startswith("claude_ai_"):
        kind = "it is a connector of claude.ai"
    return Launch(server, unknown=kind)


def launches(folder: Path, environ: Mapping[str, str]) -> dict[str, Launch]:
    """By the name that a server's tools carry: how it is started. `folder` is where Claude Code keeps its files."""
    found: dict[str, Launch] = {}
    for file, name, entry in _entries(folder):
        launch = _launch(name, entry, str(file), environ)
        known = found.get(carried_name(name))
        if known is None or (known.unknown and not launch.unknown):
            found[carried_name(name)] = launch
    return found


def _entries(folder: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """The user's own servers before those of projects."""
    projects: dict[str, None] = {}
    for file in (folder.with_name(folder.name + ".json"), folder / ".claude.json"):
        whole = _read(file)
        of_projects = _table(whole.get("projects"))
        projects.update(dict.fromkeys(of_projects))
        for holder in (whole, *map(_table, of_projects.values())):
            for name, entry in _table(holder.get("mcpServers")).items():
                yield file, name, _table(entry)
    for project in projects:
        file = Path(project) / PROJECT_FILE
        for name, entry in _table(_read(file).get("mcpServers")).items():
            yield file, name, _table(entry)


def _launch(name: str, entry: dict[str, Any], file: str, environ: Mapping[str, str]) -> Launch:
    command, arguments = entry.get("command"), entry.get("args")
    if not isinstance(command, str):
        return Launch(name, unknown="it is reached by a URL" if "url" in entry else f"{file} names no command for it")
    words = [command, *map(str, cast("list[Any]", arguments) if isinstance(arguments, list) else [])]
    try:
        words = [expand(word, environ, file, name) for word in words]
    except ConfigError as error:
        return Launch(name, unknown=str(error))
    return _unwrapped(words) or Launch(name_of(words), tuple(words))


def _unwrapped(words: list[str]) -> Launch | None:
    """What stands behind `spec-mcp wrap … --`, under the name that it has there; None where it does not."""
    found = ours(words)
    if found is None or not found.server:
        return None
    return Launch(found.option("name") or name_of(found.server), found.server)


def _read(file: Path) -> dict[str, Any]:
    try:
        return _table(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _table(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}

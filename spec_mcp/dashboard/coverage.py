"""Manifests, and how much of what the user's servers are asked for they cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spec_mcp.dashboard.place import Place
from spec_mcp.dashboard.reading import Reader
from spec_mcp.engine.effects import Effect
from spec_mcp.errors import UserError
from spec_mcp.manifest import Manifest, ManifestError, find_manifest, load_manifest, manifest_files, server_of
from spec_mcp.manifest.match import shipped_folder

ENOUGH = 0.5
"""A manifest that lists this share of a server's tools is taken to be meant for it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the record knows of a server's tools."""

    calls: Mapping[str, int]
    pins: Mapping[str, frozenset[str]]
    """The definitions at first sight: one for each way in which the server is started."""

    @property
    def tools(self) -> list[str]:
        """All that were called or listed, those that were called most first."""
        return sorted({*self.calls, *self.pins}, key=lambda tool: (-self.calls.get(tool, 0), tool))


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest on disk."""

    name: str
    path: Path
    server: str
    manifest: Manifest | None
    fault: str

    @property
    def shipped(self) -> bool:
        return self.path.parent == shipped_folder()


def seen_servers(reader: Reader) -> dict[str, Seen]:
    """By the names that servers have in the record."""
    calls: dict[str, dict[str, int]] = {}
    pins: dict[str, dict[str, set[str]]] = {}
    for row in reader.rows("SELECT server, tool, count(*) AS calls FROM calls GROUP BY server, tool"):
        calls.setdefault(row["server"], {})[row["tool"]] = row["calls"]
    for row in reader.rows("SELECT server, tool, fingerprint FROM pins"):
        pins.setdefault(row["server"], {}).setdefault(row["tool"], set()).add(row["fingerprint"])
    return {
        server: Seen(calls.get(server, {}), {tool: frozenset(known) for tool, known in pins.get(server, {}).items()})
        for server in sorted({*calls, *pins})
    }


def found_manifests(home: Path) -> dict[str, Found]:
    """All manifests by their names."""
    return {name: _found(name, path) for name, path in sorted(manifest_files(home).items())}


def overview(reader: Reader, place: Place) -> dict[str, Any]:
    """All manifests, and all servers of the record with the manifest that speaks for each."""
    manifests = found_manifests(place.home)
    servers = seen_servers(reader)
    spoken = {server: speaks_for(server, seen, manifests, place) for server, seen in servers.items()}
    used = {found.name for found, _ in spoken.values() if found is not None}
    return {
        "manifests": [_summary(found, found.name in used) for found in manifests.values()],
        "servers": [_covered(server, seen, *spoken[server]) for server, seen in servers.items()],
    }


def speaks_for(server: str, seen: Seen, manifests: Mapping[str, Found], place: Place) -> tuple[Found | None, str]:
    """The manifest of a server, and how that is known. The record lacks the name that a server gives itself, so where
    nothing names the manifest it is told by the tools."""
    configured = place.config.servers.get(server)
    if configured is not None and configured.manifest:
        base = None if place.config.file is None else place.config.file.parent
        try:
            path = find_manifest(configured.manifest, place.home, base)
        except UserError as error:
            return None, str(error)
        return _found(path.stem, path), "named in the configuration"
    for found in manifests.values():
        if server in (found.name, found.server):
            return found, "of the same name"
    listed = {found.name: _share(seen, found) for found in manifests.values()}
    best = max(manifests.values(), key=lambda found: listed[found.name], default=None)
    if best is not None and listed[best.name] >= ENOUGH:
        return best, "lists its tools"
    return None, "none"


def _share(seen: Seen, found: Found) -> float:
    tools = seen.tools
    if found.manifest is None or not tools:
        return 0.0
    return sum(tool in found.manifest.form.tools for tool in tools) / len(tools)


def _found(name: str, path: Path) -> Found:
    try:
        manifest = load_manifest(path)
    except ManifestError as error:
        return Found(name, path, server_of(path) or "", None, str(error))
    return Found(name, path, manifest.form.manifest.server, manifest, "")


def _summary(found: Found, used: bool) -> dict[str, Any]:
    tools = found.manifest.form.tools.values() if found.manifest else ()
    effects = Counter(str(tool.effect) for tool in tools)
    head = found.manifest.form.manifest if found.manifest else None
    return {
        "name": found.name,
        "server": found.server,
        "file": str(found.path),
        "shipped": found.shipped,
        "used": used,
        "reviewed": None if head is None or head.reviewed is None else str(head.reviewed),
        "effects": {str(effect): effects[str(effect)] for effect in Effect},
        "locked": sum(tool.fingerprint is not None for tool in tools),
        "tools": len(tools),
        "fault": found.fault,
    }


def _covered(server: str, seen: Seen, found: Found | None, how: str) -> dict[str, Any]:
    calls: Counter[str] = Counter()
    tools = [standing(tool, seen, found.manifest if found else None) for tool in seen.tools]
    for tool in tools:
        calls[tool["effect"]] += tool["calls"]
    return {
        "server": server,
        "manifest": None if found is None else found.name,
        "how": how,
        "calls": dict(calls),
        "tools": tools,
    }


def standing(tool: str, seen: Seen, manifest: Manifest | None) -> dict[str, Any]:
    """One tool: what the manifest says of it, and whether its definition is the one that was reviewed."""
    form = manifest.form.tools.get(tool) if manifest is not None else None
    pins = seen.pins.get(tool, frozenset())
    if form is None:
        definition = ""
    elif not pins:
        definition = "unseen"
    elif form.fingerprint is None:
        definition = "unlocked"
    else:
        definition = "reviewed" if pins == frozenset((form.fingerprint,)) else "changed"
    return {
        "tool": tool,
        "calls": seen.calls.get(tool, 0),
        "effect": "unlisted" if form is None else str(form.effect),
        "definition": definition,
    }

"""The configuration, and each server that it names: does it start, how fast, and what does its manifest allow?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spec_mcp.cli.findings import Finding, Level, of_error
from spec_mcp.config import Config, Server, find_config, home, load_config
from spec_mcp.errors import UserError

if TYPE_CHECKING:
    from spec_mcp.manifest import Manifest
    from spec_mcp.relay.meeting import Introduction

CONFIGURATION = "Configuration"

SLOW_START_S = 5.0
"""Clients tend to give up on a server after ten to thirty."""

RUNNERS = ("npx", "uvx", "docker", "bunx", "pipx")
"""Programs that look for the server, or fetch it, each time they start it."""


def configuration(explicit: Path | None) -> tuple[Config | None, list[Finding]]:
    """The configuration, None where it cannot be read."""
    try:
        path = find_config(explicit, os.environ)
        config = load_config(path)
    except UserError as error:
        return None, [of_error(CONFIGURATION, error, "until then no server is wrapped")]
    if path is None:
        text = f"there is no {home(os.environ) / 'config.toml'}, so everything is at its default"
    else:
        text = f"{path} is read"
    found = [Finding(CONFIGURATION, Level.OK, text, "", {"path": path and str(path), "servers": list(config.servers)})]
    if not config.servers:
        mend = "write [servers.NAME] with its command, or name your client's own file by --config, to have it checked"
        found.append(Finding(CONFIGURATION, Level.NOTE, "it names no servers; `spec-mcp wrap` needs none there", mend))
    return config, found


def servers(config: Config, *, start: bool) -> Iterator[Finding]:
    """Each server in the order of the configuration."""
    for name in config.servers:
        yield from _server(config, name, start=start)


def _server(config: Config, name: str, *, start: bool) -> Iterator[Finding]:
    area = f"Server {name}"
    try:
        server = config.server(name, os.environ)
    except UserError as error:
        yield of_error(area, error, "until then it is not served")
        return
    manifest: Manifest | None = None
    try:
        manifest = _named_manifest(config, server)
    except UserError as error:
        yield of_error(area, error, "until then it is not served")
    if not start:
        yield Finding(area, Level.NOTE, "not started: --no-start was given")
        return
    yield from _met(area, config, name, server, manifest)


def _met(area: str, config: Config, name: str, server: Server, manifest: Manifest | None) -> Iterator[Finding]:
    from spec_mcp.cli.manifest.asking import shown
    from spec_mcp.cli.text import count, seconds
    from spec_mcp.manifest import load_manifest, match_manifest
    from spec_mcp.relay.gateway.backs import reached_by
    from spec_mcp.relay.meeting import CannotMeet

    written = config.servers[name]  # with the names of its variables: their values may be secrets
    is_remote = server.command is None
    shown_command = written.url or "" if is_remote else shown((written.command or "", *written.args))
    try:
        found = _met_at(server)
    except CannotMeet as error:
        kind = "address" if is_remote else "command"
        yield Finding(area, Level.WRONG, f"it {error}", f"check its {kind}: {shown_command}")
        return
    text = (
        f"it {'answers' if is_remote else 'starts'} and shakes hands in {seconds(found.handshake_s)}, and lists "
        f"{count(len(found.tools), 'tool')} in {seconds(found.list_s)}; it calls itself {found.name!r} and speaks "
        f"{found.protocol}"
    )
    yield Finding(area, Level.OK, text, "", _facts(found))
    yield from _slow(area, server, found)
    if found.strays:
        text = f"{count(found.strays, 'line')} on its standard output belong to no protocol: clients may choke on them"
        yield Finding(area, Level.NOTE, text, "have it write them to standard error")
    if manifest is None and server.manifest is None and found.tools:
        path = match_manifest(found.name, home(os.environ)) if found.name else None
        if path is None:
            yield _unspoken_for(area, server, found, f"--url {shown_command}" if is_remote else f"-- {shown_command}")
            return
        try:
            manifest = load_manifest(path)
        except UserError as error:
            yield of_error(area, error, "until then the server is passed through as it is")
    if manifest is not None:
        yield from _covered(area, manifest, found)
        yield from _seen_otherwise(area, _pinned_otherwise(config, name, reached_by(server), manifest, found), manifest)


def _slow(area: str, server: Server, found: Introduction) -> Iterator[Finding]:
    """Does it take so long to come up that a client may give up on it?"""
    from spec_mcp.cli.text import seconds

    took_s = found.handshake_s + found.list_s
    if took_s < SLOW_START_S:
        return
    runner = "" if server.command is None else Path(server.command).stem
    if server.command is None:
        mend = (
            "see how far away it is: the gateway (`spec-mcp run`) keeps its connection, and answers lists from memory"
        )
    elif runner in RUNNERS:
        mend = f"install it and name its own program: {runner} looks for it at each start"
    else:
        mend = "look at what it does when it starts: it says so on its standard error"
    yield Finding(area, Level.NOTE, f"it takes {seconds(took_s)} until it can be called, at each start", mend)


def _met_at(server: Server) -> Introduction:
    """Start it or reach it, and leave it again."""
    if server.command is not None:
        from spec_mcp.relay.meeting import meet

        return meet((server.command, *server.args), server.env, server.cwd)
    from spec_mcp.relay.back.meeting import meet_remote

    return meet_remote(server, home(os.environ))


def _facts(found: Introduction) -> dict[str, Any]:
    return {
        "server": found.name,
        "version": found.version,
        "protocol": found.protocol,
        "tools": len(found.tools),
        "handshake_s": round(found.handshake_s, 4),
        "list_s": round(found.list_s, 4),
    }


def _unspoken_for(area: str, server: Server, found: Introduction, reached: str) -> Finding:
    if server.trust_annotations:
        return Finding(area, Level.OK, "no manifest speaks for it; its own annotations are trusted, as you said")
    text = f"no manifest speaks for {found.name!r}, so it is passed through as it is"
    return Finding(area, Level.NOTE, text, f"spec-mcp manifest draft --save {reached}")


def _covered(area: str, manifest: Manifest, found: Introduction) -> Iterator[Finding]:
    """What the manifest says of the tools that are really there."""
    from spec_mcp.cli.manifest.asking import Seen
    from spec_mcp.cli.manifest.check import findings, judge
    from spec_mcp.manifest import fingerprints

    there, listed = fingerprints(list(found.tools)), manifest.form.tools
    effects = Counter(listed[tool].effect.value if tool in listed else "not listed" for tool in there)
    counts = ", ".join(f"{number} {effect}" for effect, number in sorted(effects.items())) or "no tools"
    facts = {"manifest": manifest.file, "effects": dict(effects)}
    yield Finding(area, Level.OK, f"{manifest.file} speaks for it: {counts}", "", facts)
    yield from findings(judge(manifest, Seen(found.name, found.version, found.tools), found.name), area)


def _seen_otherwise(area: str, tools: Sequence[str], manifest: Manifest) -> Iterator[Finding]:
    for tool in tools:
        text = f"{tool}: its definition is not the one that was seen first, so it is unsafe"
        mend = f"review what it does now, then: spec-mcp manifest lock {Path(manifest.file).stem} -- COMMAND"
        yield Finding(area, Level.BEHIND, text, mend)


def _named_manifest(config: Config, server: Server) -> Manifest | None:
    from spec_mcp.manifest import find_manifest, load_manifest

    if server.manifest is None:
        return None
    base = None if config.file is None else config.file.parent
    return load_manifest(find_manifest(server.manifest, home(os.environ), base))


def _pinned_otherwise(
    config: Config, name: str, command: Sequence[str], manifest: Manifest, found: Introduction
) -> list[str]:
    """Tools without a fingerprint in the manifest that look different from when they were first seen."""
    from spec_mcp.manifest import fingerprints
    from spec_mcp.relay.naming import name_of
    from spec_mcp.store.opening import is_begun, open_patiently
    from spec_mcp.store.rows import Scope
    from spec_mcp.store.settings import StoreSettings

    try:
        place = StoreSettings.of(config, os.environ).place
        if not is_begun(place):
            return []
        store = open_patiently(place)
        try:
            # a client that wraps the server by its command alone has it recorded under the command's name
            pins = {**store.pins(Scope.of(name_of(command), command)), **store.pins(Scope.of(name, command))}
        finally:
            store.close()
    except UserError:  # the store has a finding of its own
        return []
    there = fingerprints(list(found.tools))
    return [
        tool
        for tool, form in manifest.form.tools.items()
        if form.fingerprint is None and tool in there and pins.get(tool, there[tool]) != there[tool]
    ]

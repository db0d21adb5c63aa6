"""The program, its home, its store and its switch."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from spec_mcp.cli.findings import Finding, Level, of_error
from spec_mcp.config import HOME_MODE, Config, home
from spec_mcp.errors import UserError

if TYPE_CHECKING:
    from spec_mcp.store.place import Remote

PROGRAM = "Installation"
HOME = "Home"
STORE = "Store"
MODE = "Mode"

_REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")

REINSTALL = "install spec-mcp again, for example: uv tool install --reinstall spec-mcp"


def program() -> Iterator[Finding]:
    """Versions, and whether what the program needs is there."""
    version, python = metadata.version("spec-mcp"), platform.python_version()
    facts = {"version": version, "python": python, "platform": platform.platform()}
    yield Finding(PROGRAM, Level.OK, f"spec-mcp {version}, Python {python}, {platform.platform(terse=True)}", "", facts)
    found: dict[str, str] = {}
    missing: list[str] = []
    for requirement in metadata.requires("spec-mcp") or []:
        match = _REQUIREMENT.match(requirement)
        if match is None or "extra ==" in requirement:
            continue
        try:
            found[match[0]] = metadata.version(match[0])
        except metadata.PackageNotFoundError:
            missing.append(match[0])
    if missing:
        yield Finding(PROGRAM, Level.WRONG, f"not installed: {', '.join(missing)}", REINSTALL, {"missing": missing})
    else:
        listed = ", ".join(f"{name} {version}" for name, version in found.items())
        yield Finding(PROGRAM, Level.OK, f"all it needs is there: {listed}", "", {"dependencies": found})


def home_folder() -> Iterator[Finding]:
    """Can it be written, and by this user alone? And are the user's own manifests good?"""
    folder = home(os.environ)
    facts = {"path": str(folder)}
    if not folder.exists():
        yield Finding(HOME, Level.NOTE, f"{folder} is not there yet: it is made at the first use", "", facts)
        nearest = next((parent for parent in folder.parents if parent.exists()), Path("/"))
        yield from _writable(nearest)
        return
    yield from _writable(folder)
    if folder.is_dir() and folder.stat().st_mode & 0o077:
        mode = folder.stat().st_mode & 0o777
        text = f"{folder} can be read by others (mode {mode:o}): it holds what tools answered"
        yield Finding(HOME, Level.NOTE, text, f"chmod {HOME_MODE:o} {folder}", facts)
    yield from _own_manifests(folder)


def store(config: Config) -> Iterator[Finding]:
    """Does it open, and what is in it?"""
    from spec_mcp.store.opening import is_begun
    from spec_mcp.store.settings import StoreSettings

    try:
        place = StoreSettings.of(config, os.environ).place
        if not is_begun(place):
            yield Finding(STORE, Level.OK, f"{place} is not there yet: it is made at the first use")
            return
        yield _opened(place.path) if place.remote is None else _reached(place.remote)
    except UserError as error:
        yield of_error(STORE, error, "until then nothing is recorded or learned; calls go through")


def mode(config: Config) -> Iterator[Finding]:
    """Which mode holds, and who says so."""
    from spec_mcp.config import resolve_mode
    from spec_mcp.engine.events import Mode
    from spec_mcp.store.mode import ModeSwitch
    from spec_mcp.store.mode import switched as switched_at
    from spec_mcp.store.settings import StoreSettings
    from spec_mcp.store.store import StoreError

    try:
        place = StoreSettings.of(config, os.environ).place
        switched = switched_at(place)
        own = resolve_mode(None, os.environ, config)
    except StoreError as error:
        yield of_error(MODE, error, "until then calls go straight through")
        return
    except UserError as error:
        yield of_error(MODE, error, "until then no server is wrapped")
        return
    facts = {"switch": switched and switched.value, "configured": own.value}
    if switched is not None and switched is not Mode.ON:
        where = ModeSwitch(place.path).path if place.remote is None else place
        text = f"{switched}: switched by hand, for everything that runs on this store ({where})"
        yield Finding(MODE, Level.NOTE, text, "`spec-mcp on` switches it on again", facts)
    elif own is not Mode.ON and (switched is None or os.environ.get("SPEC_MCP_MODE")):
        origin = "SPEC_MCP_MODE" if os.environ.get("SPEC_MCP_MODE") else "[speculation] mode"
        yield Finding(MODE, Level.NOTE, f"{own}: {origin} says so", "", facts)
    else:
        yield Finding(MODE, Level.OK, "on: calls are answered ahead of time where a manifest allows it", "", facts)


def _opened(path: Path) -> Finding:
    from spec_mcp.cli.text import count
    from spec_mcp.store.migrations import STEPS
    from spec_mcp.store.sqlite import SqliteStore

    opened = SqliteStore(path)  # which brings it to this version, as every other command does
    try:
        sessions = len(opened.session_ids())
    finally:
        opened.close()
    size_bytes = sum(file.stat().st_size for file in path.parent.glob(path.name + "*") if file.is_file())
    facts = {"path": str(path), "version": len(STEPS), "size_bytes": size_bytes, "sessions": sessions}
    size = f"{size_bytes / 2**20:.1f} MiB"
    text = f"{path} opens: version {len(STEPS)}, {size}, {count(sessions, 'session')}"
    return Finding(STORE, Level.OK, text, "", facts)


def _reached(remote: Remote) -> Finding:
    from spec_mcp.cli.text import count
    from spec_mcp.store.opening import require_driver

    require_driver(remote)
    from spec_mcp.store.postgres.store import PostgresStore

    opened = PostgresStore(remote)
    try:
        about = opened.about()
        sessions = len(opened.session_ids())
    finally:
        opened.close()
    facts = {"address": str(remote), "server": about.server, "version": about.version, "sessions": sessions}
    text = f"{remote} answers: PostgreSQL {about.server}, version {about.version}, {count(sessions, 'session')}"
    if about.version > about.ours:
        text += f"; a newer spec-mcp uses it too, this one knows version {about.ours}"
    return Finding(STORE, Level.OK, text, "", facts)


def _writable(folder: Path) -> Iterator[Finding]:
    try:
        # a real file: permissions alone do not tell of a full disk or of a file system that takes no writes
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        text = f"{folder} cannot be written: {error.strerror or error}"
        mend = (
            "make it a folder that you can write, or name another one by SPEC_MCP_HOME; until then nothing is learned"
        )
        yield Finding(HOME, Level.WRONG, text, mend, {"path": str(folder)})
    else:
        yield Finding(HOME, Level.OK, f"{folder} can be written", "", {"path": str(folder)})


def _own_manifests(folder: Path) -> Iterator[Finding]:
    from spec_mcp.manifest import manifest_faults, server_of

    speakers: dict[str, str] = {}
    files = sorted((folder / "manifests").glob("*.toml"))
    for path in files:
        for fault in manifest_faults(path):
            yield of_error(HOME, fault, "until then its server is passed through as it is")
        server = server_of(path)
        if server is not None and server in speakers:
            text = f"{path.name} and {speakers[server]} both speak for {server!r}: the first by name is taken"
            yield Finding(HOME, Level.NOTE, text, f"remove one of the two from {path.parent}")
        elif server is not None:
            speakers[server] = path.name
    if files:
        names = [path.stem for path in files]
        yield Finding(HOME, Level.OK, f"your own manifests: {', '.join(names)}", "", {"manifests": names})

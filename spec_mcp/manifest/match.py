"""Which manifest speaks for a server: a user's own before a shipped one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from spec_mcp.manifest.faults import ManifestError
from spec_mcp.tables import nearest

HEAD_BYTES = 4096
"""`server` stands in the first table; reading no more keeps forty manifests at a few milliseconds."""

_SERVER_LINE = re.compile(r"""^\s*server\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)')\s*(?:#.*)?$""", re.MULTILINE)


def shipped_folder() -> Path:
    """Where the shipped manifests lie: inside the installed package, or at the root of a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "manifests"
    return installed if installed.is_dir() else package.parent / "manifests"


def folders(home: Path) -> tuple[Path, Path]:
    """Where manifests are looked for, in order: the user's own, then the shipped ones."""
    return home / "manifests", shipped_folder()


def manifest_files(home: Path) -> dict[str, Path]:
    """Every manifest by its name, a user's own in place of a shipped one of the same name."""
    files: dict[str, Path] = {}
    for folder in folders(home):
        for path in _toml_files(folder):
            files.setdefault(path.stem, path)
    return files


def find_manifest(name_or_file: str, home: Path, base: Path | None = None) -> Path:
    """The manifest that a user named: a name such as `filesystem`, or a file (relative to `base`, else to here).

    Raises:
        ManifestError: there is none.
    """
    if name_or_file.endswith(".toml") or "/" in name_or_file or "\\" in name_or_file:
        path = (base or Path()) / Path(name_or_file).expanduser()
        if not path.is_file():
            raise ManifestError(str(path), "", "there is no such manifest", "check the path")
        return path
    files = manifest_files(home)
    if name_or_file in files:
        return files[name_or_file]
    near = nearest(name_or_file, files)
    mend = f"did you mean {near}?" if near else "`spec-mcp manifest list` shows all; a file is named by its path"
    raise ManifestError(name_or_file, "", "no manifest has this name", mend)


def match_manifest(server_name: str, home: Path) -> Path | None:
    """The manifest that speaks for the name that a server gives itself; None where there is none.

    Other manifests' faults do not matter here: only their `server` is read, and whether they are `named` alone.
    """
    for folder in folders(home):
        for path in _toml_files(folder):
            if server_of(path) == server_name and _head(path).get("named") is not True:
                return path
    return None


def server_of(path: Path) -> str | None:
    """The server that a manifest speaks for, by a scan of its head; None where it cannot be told."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return None
    match = _SERVER_LINE.search(head)
    if match is None:
        return _server_by_parsing(path)
    basic, literal = match.groups()
    if literal is not None:
        return literal
    return _server_by_parsing(path) if "\\" in basic else basic


def _server_by_parsing(path: Path) -> str | None:
    server = _head(path).get("server")
    return server if isinstance(server, str) else None


def _head(path: Path) -> dict[str, Any]:
    """The table `[manifest]`, by parsing the whole file; empty where it cannot be read."""
    try:
        head = tomllib.loads(path.read_text(encoding="utf-8")).get("manifest")
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", head) if isinstance(head, dict) else {}


def _toml_files(folder: Path) -> Iterator[Path]:
    """The folder's manifests in order of their names; none where there is no folder."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return
    for name in names:
        if name.endswith(".toml") and not name.startswith("."):
            yield folder / name

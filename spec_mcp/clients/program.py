"""How this very spec-mcp is started again, by a client that has no PATH and stands in another folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from spec_mcp.errors import Failed

PACKAGE = "spec-mcp"
SCRIPTS = ("spec-mcp", "spec-mcp.exe")

_EPHEMERAL = re.compile(r"[/\\](?:archive|builds|environments)-v\d+[/\\]")
"""Folders of uv's cache: what runs from there may be swept away at any time."""


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of the process that we are."""

    script: str
    """The first word of its command line."""
    executable: str
    prefix: str
    origin: str
    """The text of `direct_url.json`: where the package came from, if from no registry; empty: there is none."""
    environ: Mapping[str, str]
    which: Callable[[str], str | None]


def program(running: Running) -> tuple[str, ...]:
    """The command line that starts spec-mcp, its first word absolute.

    Raises:
        Failed: it runs from a folder that will not stay, and what made that is not found.
    """
    if _EPHEMERAL.search(running.prefix + os.sep):
        return (_uvx(running), *_source(running.origin), PACKAGE)
    script = Path(running.script)
    if script.name in SCRIPTS and script.is_absolute() and script.is_file():
        return (str(script),)
    # -P: a client starts us in a project's folder, whose modules must not stand in for ours
    return (os.path.abspath(running.executable), "-P", "-m", "spec_mcp")


def _uvx(running: Running) -> str:
    uv = running.environ.get("UV", "")
    beside = os.path.join(os.path.dirname(uv), "uvx.exe" if uv.lower().endswith(".exe") else "uvx")
    if os.path.isabs(uv) and os.path.isfile(beside):
        return beside
    if found := running.which("uvx"):
        return os.path.abspath(found)
    raise Failed(
        "install: spec-mcp runs from a temporary folder, and uvx is not found: `uv tool install spec-mcp` first"
    )


def _source(origin: str) -> tuple[str, ...]:
    """Where uvx is to take the package from, if not from the registry."""
    try:
        found: dict[str, Any] = json.loads(origin) if origin else {}
        url = str(found["url"])
    except (ValueError, KeyError, TypeError):
        return ()
    if url.startswith("file:"):
        return ("--from", unquote(urlsplit(url).path))
    if "vcs_info" in found:
        commit = found["vcs_info"].get("commit_id", "")
        return ("--from", f"{found['vcs_info'].get('vcs', 'git')}+{url}" + (f"@{commit}" if commit else ""))
    return ("--from", url)

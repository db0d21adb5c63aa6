"""Reading one manifest: its syntax, its keys, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.results import ROOTS
from spec_mcp.manifest import build, check
from spec_mcp.manifest.faults import ManifestError, tool_section
from spec_mcp.manifest.forms import Head, ManifestForm, ToolForm, Verify
from spec_mcp.tables import convert, known_keys, read_toml, require_table

VERSION = 1
"""Of the manifest's format."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was found good: what the author wrote, and what the engine decides by."""

    file: str
    form: ManifestForm
    policy: ServerPolicy


def load_manifest(path: Path) -> Manifest:
    """Read and judge a manifest; the server is not needed for it.

    Raises:
        ManifestError: its first fault.
    """
    return parse_manifest(read_toml(path, ManifestError), str(path))


def manifest_faults(path: Path) -> list[ManifestError]:
    """All that is wrong with a manifest, for an author who wants to see it at once; empty where it is good.

    Faults of syntax and of types hide what comes after them.
    """
    try:
        form = _form(read_toml(path, ManifestError), str(path))
    except ManifestError as error:
        return [error]
    faults = check.faults(form.tools, form.manifest.open_world)
    of_head = [*check.head_faults(form, str(path)), *check.scratch_faults(form, str(path))]
    return [*of_head, *(fault.error(str(path)) for fault in faults)]


def parse_manifest(table: dict[str, Any], file: str) -> Manifest:
    """A manifest from its decoded TOML.

    Raises:
        ManifestError: its first fault.
    """
    form = _form(table, file)
    for error in (*check.head_faults(form, file), *check.scratch_faults(form, file)):
        raise error
    for fault in check.faults(form.tools, form.manifest.open_world):
        raise fault.error(file)
    return Manifest(file, form, build.server_policy(form, file))


def _form(table: dict[str, Any], file: str) -> ManifestForm:
    known_keys(table, ("manifest", "verify", "tools"), file, "", ManifestError)
    if "manifest" not in table:
        raise ManifestError(file, "[manifest]", "missing", 'add [manifest] with version = 1 and server = "…"')
    head_table = require_table(table["manifest"], file, "[manifest]", ManifestError)
    # another version may have other keys, so it is judged before they are
    version: object = head_table.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise ManifestError(file, "[manifest] version", f"must be 1, not {version}", "write version = 1, or upgrade")
    head = convert(head_table, Head, file, "[manifest]", ManifestError)
    if not head.server:
        raise ManifestError(file, "[manifest] server", "is empty", "write the serverInfo.name that the server gives")
    tools = require_table(table.get("tools", {}), file, "[tools]", ManifestError)
    for name, tool in tools.items():
        _places_are_quoted(tool, file, tool_section(name))
    verify = convert(table["verify"], Verify, file, "[verify]", ManifestError) if "verify" in table else None
    return ManifestForm(
        manifest=head,
        verify=verify,
        tools={name: convert(tool, ToolForm, file, tool_section(name), ManifestError) for name, tool in tools.items()},
    )


def _places_are_quoted(tool: object, file: str, section: str) -> None:
    """TOML takes the dots of a bare key for tables; the key of a place in a result holds them."""
    equal = cast("dict[str, Any]", tool).get("equal") if isinstance(tool, dict) else None
    given = cast("dict[str, Any]", equal) if isinstance(equal, dict) else {}
    for root in ROOTS:
        if isinstance(given.get(root), dict):
            mend = f'write the place in quotes, such as "{root}.at" = "ignore"'
            raise ManifestError(file, f"{section} equal.{root}", "is a table", mend)

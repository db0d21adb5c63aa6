"""`spec-mcp manifest check`: what is wrong with a manifest, by itself and against its server."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spec_mcp.cli.manifest.asking import CommandArgument, NameArgument, Seen, ToolsOption, look_at
from spec_mcp.cli.opening import JsonOption
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.manifest import Manifest, ManifestError


@dataclass(slots=True)
class Verdict:
    """What a check found. Tools are named in the order in which they are listed."""

    file: str
    server: str = ""
    against: str | None = None
    """The name of the server, or the file, that it was held against; None: nothing but itself."""
    faults: list[ManifestError] = field(default_factory=list["ManifestError"])
    name_differs: bool = False
    missing: list[str] = field(default_factory=list[str])
    """Listed tools that the server lacks."""
    changed: list[str] = field(default_factory=list[str])
    """Listed tools whose definition is no longer the one that was reviewed: unsafe until it is locked again."""
    new: list[str] = field(default_factory=list[str])
    """Tools that are not listed, and so unsafe."""
    lines: list[str] = field(default_factory=list[str])
    """All of it, as it is shown."""

    @property
    def differs(self) -> bool:
        """Does the manifest lag behind its server?"""
        return self.name_differs or bool(self.missing or self.changed)


def command(
    name: NameArgument, server: CommandArgument = None, tools: ToolsOption = None, as_json: JsonOption = False
) -> None:
    """Check a manifest: the file by itself, and against its server if you name one.

    [b]spec-mcp manifest check ./my.toml -- npx -y some-mcp-server[/b]

    Exits with 0 when all is well; with 1 when the manifest lags behind the server (a tool's definition changed since
    it was reviewed, a tool is gone, or the server goes by another name), which costs speed and never safety; and with
    2 when the file is wrong, templates that name no argument of a tool included. Tools that the manifest does not list
    are shown, and are no fault: they are unsafe.
    """
    verdict = examine(name, server, tools)
    if as_json:
        typer.echo(json.dumps(_as_object(verdict), indent=2, ensure_ascii=False))
    else:
        _show(verdict)
    if verdict.faults:
        raise UserError(f"{verdict.file}: {_count(len(verdict.faults), 'fault')}: mend what is said above")
    if verdict.differs:
        raise Failed(f"{verdict.file}: the manifest lags behind the server: review what is said above")


def examine(name: str, server: list[str] | None, tools: Path | None) -> Verdict:
    """Judge the file, and hold it against what the command line names.

    Raises:
        UserError: there is no such manifest, or the command line is wrong.
        Failed: the server does not answer.
    """
    from spec_mcp.config import home
    from spec_mcp.manifest import find_manifest, load_manifest, manifest_faults

    path = find_manifest(name, home(os.environ))
    verdict = Verdict(str(path))
    verdict.faults = manifest_faults(path)
    if verdict.faults:
        verdict.lines = [str(fault) for fault in verdict.faults]
        return verdict
    manifest = load_manifest(path)
    verdict.server = manifest.form.manifest.server
    seen = look_at(server, tools)
    if seen is not None:
        verdict.against = str(tools) if seen.server is None else seen.server
        hold_against(verdict, manifest, seen)
    return verdict


def hold_against(verdict: Verdict, manifest: Manifest, seen: Seen) -> None:
    """Add what the server's own tools show."""
    from spec_mcp.manifest import ManifestError, check_against_tools, fingerprints

    comparison = check_against_tools(manifest, seen.tools)
    there, listed = fingerprints(list(seen.tools)), manifest.form.tools
    verdict.faults += comparison.errors
    verdict.missing = [tool for tool in listed if tool not in there]
    verdict.changed = [
        tool for tool, form in listed.items() if tool in there and form.fingerprint not in (None, there[tool])
    ]
    verdict.new = [tool for tool in there if tool not in listed]
    verdict.lines = [*map(str, comparison.errors), *comparison.warnings, *comparison.notes]
    if seen.server and seen.server != verdict.server:
        verdict.name_differs = True
        fault = f"speaks for {verdict.server!r}, but the server calls itself {seen.server!r}"
        mend = "write that name, or use the manifest by --manifest alone"
        verdict.lines.insert(0, str(ManifestError(manifest.file, "[manifest] server", fault, mend)))


def _show(verdict: Verdict) -> None:
    from spec_mcp.cli.text import safe

    for line in verdict.lines:
        typer.echo(safe(line))
    if verdict.faults or verdict.differs:
        return
    if verdict.against is None:
        held = "; to hold it against its server, add `-- COMMAND`"
    else:
        held = f", and fits {safe(verdict.against) or 'the server'}"
    typer.echo(f"{verdict.file}: no fault{held}")


def _as_object(verdict: Verdict) -> dict[str, Any]:
    return {
        "file": verdict.file,
        "server": verdict.server,
        "against": verdict.against,
        "ok": not verdict.faults and not verdict.differs,
        "faults": [{"key": fault.key, "fault": fault.fault, "mend": fault.mend} for fault in verdict.faults],
        "name_differs": verdict.name_differs,
        "missing": verdict.missing,
        "changed": verdict.changed,
        "new": verdict.new,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

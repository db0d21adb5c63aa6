"""`spec-mcp manifest check`: what is wrong with a manifest, by itself and against its server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from spec_mcp.cli.findings import Finding, Level, show
from spec_mcp.cli.manifest.asking import (
    CommandArgument,
    HeaderOption,
    NameArgument,
    Seen,
    ToolsOption,
    UrlOption,
    look_at,
)
from spec_mcp.cli.opening import JsonOption
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.manifest import Manifest, ManifestError


@dataclass(frozen=True, slots=True)
class Differences:
    """Where a manifest and its server do not agree. Tools are named in the order in which they are listed."""

    server: str | None = None
    """The name that the server gives itself, where it is not the one that the manifest speaks for."""
    missing: tuple[str, ...] = ()
    """Listed tools that the server lacks."""
    changed: tuple[str, ...] = ()
    """Listed tools whose definition is no longer the one that was reviewed: unsafe until it is locked again."""
    new: tuple[str, ...] = ()
    """Tools that are not listed, and so unsafe."""

    @property
    def lags(self) -> bool:
        """Does the manifest lag behind its server?"""
        return self.server is not None or bool(self.missing or self.changed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found."""

    file: str
    speaks_for: str
    against: str | None
    """The server, or the file, that it was held against; None: nothing but itself."""
    faults: tuple[ManifestError, ...]
    differences: Differences


def command(
    name: NameArgument,
    server: CommandArgument = None,
    tools: ToolsOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a manifest: the file by itself, and against its server if you name one.

    [b]spec-mcp manifest check ./my.toml -- npx -y some-mcp-server[/b]

    Exits with 0 when all is well; with 1 when the manifest lags behind the
    server (a tool's definition changed since its review, a tool is gone, or
    the server goes by another name), which costs speed and never safety; and
    with 2 when the file is wrong, templates that name no argument of a tool
    included. Tools that it does not list are shown: they are unsafe.
    """
    verdict = examine(name, lambda: look_at(server, tools, url, header), tools)
    if as_json:
        typer.echo(json.dumps(_as_object(verdict), indent=2, ensure_ascii=False))
    else:
        show(list(_all_findings(verdict)))
    if verdict.faults:
        raise UserError(f"{verdict.file}: faults: {len(verdict.faults)}: mend what is said above")
    if verdict.differences.lags:
        raise Failed(f"{verdict.file}: the manifest lags behind the server: review what is said above")


def examine(name: str, look: Callable[[], Seen | None], tools: Path | None) -> Verdict:
    """Judge the file, and hold it against what is to be seen, which is the recorded list `tools` where there is one.

    Raises:
        UserError: there is no such manifest, or the command line is wrong.
        Failed: the server does not answer.
    """
    from spec_mcp.config import home
    from spec_mcp.manifest import find_manifest, load_manifest, manifest_faults

    path = find_manifest(name, home(os.environ))
    if faults := manifest_faults(path):
        return Verdict(str(path), "", None, tuple(faults), Differences())
    manifest = load_manifest(path)
    seen = look()
    if seen is None:
        return Verdict(str(path), manifest.form.manifest.server, None, (), Differences())
    return judge(manifest, seen, str(tools) if seen.server is None else seen.server)


def judge(manifest: Manifest, seen: Seen, against: str) -> Verdict:
    """Hold a manifest that is good in itself against the tools that were seen."""
    from spec_mcp.manifest import check_against_tools

    errors = check_against_tools(manifest, seen.tools).errors
    return Verdict(manifest.file, manifest.form.manifest.server, against, errors, _differences(manifest, seen))


def _differences(manifest: Manifest, seen: Seen) -> Differences:
    from spec_mcp.manifest import fingerprints

    there, listed = fingerprints(list(seen.tools)), manifest.form.tools
    return Differences(
        server=seen.server if seen.server and seen.server != manifest.form.manifest.server else None,
        missing=() if manifest.form.manifest.varies else tuple(tool for tool in listed if tool not in there),
        changed=tuple(
            tool for tool, form in listed.items() if tool in there and form.fingerprint not in (None, there[tool])
        ),
        new=tuple(tool for tool in there if tool not in listed),
    )


def findings(verdict: Verdict, area: str) -> Iterator[Finding]:
    """What is wrong, what lags behind and what is not listed, under the heading `area`."""
    found = verdict.differences
    for fault in verdict.faults:
        yield Finding(area, Level.WRONG, ": ".join(part for part in (fault.key, fault.fault) if part), fault.mend)
    if found.server is not None:
        text = f"it speaks for {verdict.speaks_for!r}, but the server calls itself {found.server!r}"
        yield Finding(area, Level.BEHIND, text, "write that name under [manifest] server, or name it by --manifest")
    if found.changed:
        text = f"changed since the review, and so unsafe: {', '.join(found.changed)}"
        yield Finding(area, Level.BEHIND, text, "review what they do now, then run `spec-mcp manifest lock`")
    if found.missing:
        text = f"listed, but the server has no such tool: {', '.join(found.missing)}"
        yield Finding(area, Level.BEHIND, text, "remove them, if no version has them")
    if found.new:
        yield Finding(area, Level.NOTE, f"not listed, and so unsafe: {', '.join(found.new)}", "list what only reads")


def _all_findings(verdict: Verdict) -> Iterator[Finding]:
    yield from findings(verdict, verdict.file)
    if verdict.faults or verdict.differences.lags:
        return
    if verdict.against is None:
        yield Finding(verdict.file, Level.OK, "no fault", "to hold it against its server too, add: -- COMMAND")
    else:
        yield Finding(verdict.file, Level.OK, f"no fault, and it fits {verdict.against or 'the server'}")


def _as_object(verdict: Verdict) -> dict[str, Any]:
    found = verdict.differences
    return {
        "file": verdict.file,
        "server": verdict.speaks_for,
        "against": verdict.against,
        "ok": not verdict.faults and not found.lags,
        "faults": [{"key": fault.key, "fault": fault.fault, "mend": fault.mend} for fault in verdict.faults],
        "other_server": found.server,
        "missing": found.missing,
        "changed": found.changed,
        "new": found.new,
    }

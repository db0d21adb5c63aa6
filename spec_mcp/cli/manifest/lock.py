"""`spec-mcp manifest lock`: write down which definitions were reviewed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.manifest.asking import CommandArgument, HeaderOption, NameArgument, ToolsOption, UrlOption, look_at
from spec_mcp.cli.text import safe
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spec_mcp.cli.manifest.asking import Seen
    from spec_mcp.manifest import Manifest


def command(
    name: NameArgument,
    server: CommandArgument = None,
    tools: ToolsOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Lock it even though the server goes by another name.")
    ] = False,
) -> None:
    """Pin the definitions of a manifest's tools, after you reviewed them.

    [b]spec-mcp manifest lock weather -- npx -y some-weather-server[/b]

    Writes each tool's fingerprint into the manifest and leaves everything else
    in it as it is. A tool whose schemas or annotations differ from its
    fingerprint later is unsafe until it is locked again. For a shipped manifest
    a copy of your own is written, which comes before it.
    """
    from spec_mcp.config import home
    from spec_mcp.manifest import find_manifest, load_manifest, shipped_folder

    path = find_manifest(name, home(os.environ))
    manifest = load_manifest(path)
    seen = look_at(server, tools, url, header)
    if seen is None:
        raise UserError("lock: say which server, after `--`: spec-mcp manifest lock NAME -- COMMAND [ARG]…")
    pins = _pins(manifest, seen, force=force)
    by_name = path.stem == name
    _write(path, manifest, pins, copy=by_name and path.parent == shipped_folder())


def _pins(manifest: Manifest, seen: Seen, *, force: bool) -> dict[str, str]:
    """The fingerprints of the listed tools that the server has."""
    from spec_mcp.manifest import check_against_tools, fingerprints

    speaks_for = manifest.form.manifest.server
    if seen.server and seen.server != speaks_for and not force:
        raise UserError(
            f"{manifest.file}: [manifest] server: speaks for {speaks_for!r}, but the server calls itself "
            f"{seen.server!r}: name the right server, or add --force"
        )
    for error in check_against_tools(manifest, seen.tools).errors:
        raise UserError(f"{error} (`spec-mcp manifest check` shows all faults)")
    there = fingerprints(list(seen.tools))
    pins = {tool: there[tool] for tool in manifest.form.tools if tool in there}
    if not pins:
        raise Failed(f"{manifest.file}: the server has none of its tools: see `spec-mcp manifest check`")
    return pins


def _write(path: Path, manifest: Manifest, pins: Mapping[str, str], *, copy: bool) -> None:
    from spec_mcp.cli.manifest.files import own_file, write
    from spec_mcp.manifest.locking import CannotLock, locked

    before = {tool: manifest.form.tools[tool].fingerprint for tool in pins}
    if before == pins and not copy:
        typer.echo(f"{path}: all {len(pins)} fingerprints hold already, nothing to write")
        return
    try:
        # not by read_text, which would turn the line ends of another system into ours
        text = locked(path.read_bytes().decode("utf-8"), pins)
    except CannotLock as error:
        raise UserError(f"{path}: the fingerprints cannot be put in: {error}") from error
    target = own_file(path.stem) if copy else path
    write(target, text, force=not copy)
    changed = [tool for tool, pin in before.items() if pin is not None and pin != pins[tool]]
    added = sum(pin is None for pin in before.values())
    typer.echo(f"{target}: {len(pins)} tools are locked: {added} for the first time, {len(changed)} anew")
    if changed:
        typer.echo(safe(f"Their definitions had changed: {', '.join(changed)}. Review what they do now."))
    if copy:
        typer.echo("This is a copy of the shipped manifest, and comes before it.")
    if missing := [tool for tool in manifest.form.tools if tool not in pins]:
        typer.echo(safe(f"The server has no {', '.join(missing)}: left as they were."))

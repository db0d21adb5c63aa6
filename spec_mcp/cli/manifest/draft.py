"""`spec-mcp manifest draft`: a manifest to begin with, from what a server says of itself."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.manifest.asking import CommandArgument, ToolsOption, look_at
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.cli.manifest.asking import Seen


def command(
    server: CommandArgument = None,
    tools: ToolsOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the draft to this file.", show_default=False)
    ] = None,
    save: Annotated[
        bool, typer.Option("--save", help="Write it to your own manifests, where the server's name will find it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there already.")] = False,
    trust_annotations: Annotated[
        bool,
        typer.Option(
            "--trust-annotations", help="Take the server's word: what it calls readOnlyHint becomes a read at once."
        ),
    ] = False,
) -> None:
    """Draft a manifest from a live server, for you to review.

    [b]spec-mcp manifest draft --save -- npx -y some-mcp-server[/b]

    The draft trusts nothing: every tool is unsafe in it, and spec-mcp stays a
    plain proxy. What the server says of itself stands beside each tool as lines
    that are switched off, with the reason. Read what the tool really does, then
    remove the # before the lines that hold. Without --out and --save the draft
    is printed.
    """
    if out is not None and save:
        raise UserError("draft: --out and --save both say where to write: give one of them")
    if force and out is None and not save:
        raise UserError("draft: --force means nothing where no file is written: add --out FILE or --save")
    seen = look_at(server, tools)
    if seen is None:
        raise UserError("draft: say which server, after `--`: spec-mcp manifest draft -- COMMAND [ARG]…")
    if not seen.tools:
        raise Failed("the server lists no tools, so there is nothing to draft")
    text, name = _draft(seen, server or [], tools, trust_annotations)
    before = _speaks_already(seen)
    if out is None and not save:
        sys.stdout.write(text)
        path = None
    else:
        from spec_mcp.cli.manifest.files import own_file, write

        path = own_file(name) if out is None else out
        write(path, text, force=force)
        shown_as = name if out is None else path
        typer.echo(f"{path}: a draft of {len(seen.tools)} tools.")
        typer.echo(f"Review it, then: spec-mcp manifest check {shown_as} -- COMMAND")
    if before is not None and (path is None or before.resolve() != path.resolve()):
        taken = " Your draft comes before it now, and trusts less: remove the one that you do not want." if save else ""
        typer.echo(f"spec-mcp: a manifest speaks for {seen.server!r} already: {before}.{taken}", err=True)


def _draft(seen: Seen, server: list[str], tools: Path | None, trust_annotations: bool) -> tuple[str, str]:
    """The text, and a name for its file."""
    from spec_mcp.cli.manifest.files import file_name
    from spec_mcp.manifest.draft import Subject, draft
    from spec_mcp.relay.naming import name_of

    fallback = name_of(server) if server else file_name(tools.name.split(".")[0], "server") if tools else "server"
    subject = Subject(seen.server or "", seen.version, fallback)
    today = datetime.date.today()
    text = draft(subject, seen.tools, today, trust_annotations=trust_annotations)
    return text, file_name(seen.server or "", fallback)


def _speaks_already(seen: Seen) -> Path | None:
    """The manifest that holds for the server without the draft."""
    from spec_mcp.config import home
    from spec_mcp.manifest import match_manifest

    return match_manifest(seen.server, home(os.environ)) if seen.server else None

"""`spec-mcp manifest draft`: a manifest to begin with, from what a server says of itself."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spec_mcp.cli.manifest.asking import CommandArgument, HeaderOption, ToolsOption, UrlOption, look_at
from spec_mcp.cli.models import configured
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spec_mcp.cli.manifest.asking import Seen
    from spec_mcp.config import ModelPredictor
    from spec_mcp.manifest.advised import Advised
    from spec_mcp.manifest.flows import Flow


def command(
    server: CommandArgument = None,
    tools: ToolsOption = None,
    url: UrlOption = None,
    header: HeaderOption = None,
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
    sessions: Annotated[
        list[Path] | None,
        typer.Option(
            "--sessions",
            metavar="FILE",
            help="Recorded sessions: which values they carry from which results becomes followed_by. Repeatable.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Ask the model of [b][predictors.NAME][/b] once what it makes of the tools; a comment, no more.",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        bool, typer.Option("--history/--no-history", help="Look also at what is recorded here of this very server.")
    ] = True,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The configuration that names model and store. Default: SPEC_MCP_CONFIG, else config.toml in "
            "SPEC_MCP_HOME.",
            show_default=False,
        ),
    ] = None,
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
    asked = None if model is None else configured(model, config)
    seen = look_at(server, tools, url, header)
    if seen is None:
        raise UserError("draft: say which server, after `--`: spec-mcp manifest draft -- COMMAND [ARG]…")
    if not seen.tools:
        raise Failed("the server lists no tools, so there is nothing to draft")
    found = _flows(seen, sessions or [], (url or server or None) if history else None, config)
    advised = _advice(model, asked, seen)
    text, name = _draft(seen, _fallback(server or [], tools, url), trust_annotations, found, advised)
    before = _speaks_already(seen)
    if out is None and not save:
        sys.stdout.write(text)
        path = None
    else:
        from spec_mcp.cli.manifest.files import own_file, write
        from spec_mcp.manifest.schema import SCHEMA_NAME

        path = own_file(name) if out is None else out
        write(path, text, force=force)
        shown_as = name if out is None else path
        typer.echo(f"{path}: a draft of {len(seen.tools)} tools.")
        typer.echo(f"Review it, then: spec-mcp manifest check {shown_as} -- COMMAND")
        if out is not None and not path.with_name(SCHEMA_NAME).exists():
            typer.echo(f"To have it completed by your editor: spec-mcp manifest schema > {path.with_name(SCHEMA_NAME)}")
    if before is not None and (path is None or before.resolve() != path.resolve()):
        taken = " Your draft comes before it now, and trusts less: remove the one that you do not want." if save else ""
        typer.echo(f"spec-mcp: a manifest speaks for {seen.server!r} already: {before}.{taken}", err=True)


def _draft(
    seen: Seen,
    fallback: str,
    trust_annotations: bool,
    found: Mapping[str, Sequence[Flow]],
    advised: Mapping[str, Advised],
) -> tuple[str, str]:
    """The text, and a name for its file."""
    from spec_mcp.cli.manifest.files import file_name
    from spec_mcp.manifest.draft import Subject, draft

    subject = Subject(seen.server or "", seen.version, fallback)
    today = datetime.date.today()
    text = draft(subject, seen.tools, today, trust_annotations=trust_annotations, flows=found, advised=advised)
    return text, file_name(seen.server or "", fallback)


def _advice(name: str | None, model: ModelPredictor | None, seen: Seen) -> Mapping[str, Advised]:
    """What the model says that is to be asked."""
    if name is None or model is None:
        return {}
    from spec_mcp.cli.manifest.advising import advice

    return advice(name, model, seen.tools)


def _fallback(server: list[str], tools: Path | None, url: str | None) -> str:
    """What to call a server that gives itself no name."""
    from spec_mcp.cli.manifest.files import file_name
    from spec_mcp.relay.naming import name_of
    from spec_mcp.relay.remote import name_of as host_of

    if url is not None:
        return host_of(url)
    if server:
        return name_of(server)
    return file_name(tools.name.split(".")[0], "server") if tools else "server"


def _flows(
    seen: Seen, files: Sequence[Path], launched_by: str | Sequence[str] | None, config: Path | None
) -> Mapping[str, Sequence[Flow]]:
    """What follows what in recorded sessions."""
    from spec_mcp.cli.manifest.history import steps
    from spec_mcp.manifest.flows import flows

    names = [str(tool["name"]) for tool in seen.tools if isinstance(tool.get("name"), str)]
    return flows(steps(files, launched_by, names, config), names)


def _speaks_already(seen: Seen) -> Path | None:
    """The manifest that holds for the server without the draft."""
    from spec_mcp.config import home
    from spec_mcp.manifest import match_manifest

    return match_manifest(seen.server, home(os.environ)) if seen.server else None

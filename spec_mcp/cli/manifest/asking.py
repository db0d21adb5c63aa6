"""Whom the commands ask about tools: a server that they start or reach, or a tool list that was recorded."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spec_mcp.cli import completing
from spec_mcp.errors import Failed, UserError

if TYPE_CHECKING:
    from spec_mcp.config import Server
    from spec_mcp.relay.meeting import Introduction

COMMAND_CHARS = 60
"""Of a command line in a message."""

CommandArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- COMMAND [ARG]…",
        help="The server to ask, written as your client starts it. It is started, asked for its tools, and ended.",
        show_default=False,
    ),
]

ToolsOption = Annotated[
    Path | None,
    typer.Option(
        "--tools",
        metavar="FILE",
        help="A recorded tool list (JSON, as a server answers tools/list) in place of a live server.",
        show_default=False,
    ),
]

UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="A remote server to ask, in place of a command.", show_default=False),
]

HeaderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="K=V",
        help="A header for the remote server; [b]${NAME}[/b] stands for an environment variable. Repeatable.",
        show_default=False,
    ),
]

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME_OR_FILE",
        help="A manifest's name, as `manifest list` shows it, or a file.",
        autocompletion=completing.manifests,
    ),
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a server."""

    server: str | None
    """serverInfo.name, empty where it gives none; None: a recorded list, which does not tell."""
    version: str
    tools: tuple[Mapping[str, Any], ...]


def look_at(
    command: Sequence[str] | None, tools: Path | None, url: str | None = None, header: Sequence[str] | None = None
) -> Seen | None:
    """The tools of the server, or of the file, that the command line names; None where it names neither.

    Raises:
        UserError: it names several, or the file is no tool list, or the address cannot be used.
        Failed: the server does not answer.
    """
    if sum((bool(command), tools is not None, url is not None)) > 1:
        raise UserError("name one of a server's command, its --url and a recorded tool list (--tools)")
    if header and url is None:
        raise UserError("--header: is for a remote server: give its --url")
    if tools is not None:
        from spec_mcp.manifest.toollists import read_tool_list

        return Seen(None, "", tuple(read_tool_list(tools)))
    if not command and url is None:
        return None
    found = _met(command or (), url, header or ())
    return Seen(found.name, found.version, found.tools)


def _met(command: Sequence[str], url: str | None, header: Sequence[str]) -> Introduction:
    from spec_mcp.relay.meeting import CannotMeet, meet

    if url is None:
        try:
            return meet(command)
        except CannotMeet as error:
            raise Failed(f"{shown(command)}: the server {error}: check the command after `--`") from error
    from spec_mcp.config import home
    from spec_mcp.relay.back.meeting import meet_remote
    from spec_mcp.relay.remote import name_of

    host = name_of(url)
    try:
        return meet_remote(_server_at(url, header), home(os.environ))
    except CannotMeet as error:
        raise Failed(f"{host}: the server {error}: check the address after --url") from error


def _server_at(url: str, header: Sequence[str]) -> Server:
    """The server at an address, with its headers put in.

    Raises:
        UserError: a header is no `K=V`, or a variable is not set.
    """
    from spec_mcp.config import Server, expand

    headers: dict[str, str] = {}
    for text in header:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UserError(f"--header {name}: write it as K=V, such as 'Authorization=Bearer ${{TOKEN}}'")
        headers[name.strip()] = expand(value, os.environ, "--header", name.strip())
    return Server(url=expand(url, os.environ, "--url", ""), headers=headers)


def shown(command: Sequence[str]) -> str:
    """A command line for a message."""
    from spec_mcp.cli.text import shorten

    return shorten(shlex.join(command), COMMAND_CHARS)

"""Whom the commands ask about tools: a server that they start, or a tool list that was recorded."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from spec_mcp.errors import Failed, UserError

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

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILE", help="A manifest's name, as `manifest list` shows it, or a file.")
]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a server."""

    server: str | None
    """serverInfo.name, empty where it gives none; None: a recorded list, which does not tell."""
    version: str
    tools: tuple[Mapping[str, Any], ...]


def look_at(command: Sequence[str] | None, tools: Path | None) -> Seen | None:
    """The tools of the server, or of the file, that the command line names; None where it names neither.

    Raises:
        UserError: it names both, or the file is no tool list.
        Failed: the server does not answer.
    """
    if command and tools is not None:
        raise UserError("--tools: name a recorded tool list or a server's command, not both")
    if tools is not None:
        from spec_mcp.manifest.toollists import read_tool_list

        return Seen(None, "", tuple(read_tool_list(tools)))
    if not command:
        return None
    from spec_mcp.relay.meeting import CannotMeet, meet

    try:
        found = meet(command)
    except CannotMeet as error:
        raise Failed(f"{shown(command)}: the server {error}: check the command after `--`") from error
    return Seen(found.name, found.version, found.tools)


def shown(command: Sequence[str]) -> str:
    """A command line for a message."""
    from spec_mcp.cli.text import shorten

    return shorten(shlex.join(command), COMMAND_CHARS)

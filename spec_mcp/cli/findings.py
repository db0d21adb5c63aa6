"""What a command that checks something found, and how it is shown: one thing a line, with what to do about it."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import typer

from spec_mcp.errors import UserError
from spec_mcp.tables import TableError

WIDEST = 100
"""Columns: longer lines are hard to read on any terminal."""


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"
    BEHIND = "behind"
    """A manifest lags behind its server: safe, but slower than it could be."""
    WRONG = "wrong"


STYLES = {Level.OK: "green", Level.NOTE: "cyan", Level.BEHIND: "yellow", Level.WRONG: "red"}

INDENT = " " * (2 + max(map(len, Level)) + 2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    area: str
    """Such as `Store`: the heading under which it is shown."""
    level: Level
    text: str
    mend: str = ""
    """What to do; never empty for something wrong."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """The same for a program."""


def of_error(area: str, error: UserError, meanwhile: str) -> Finding:
    """A fault in a person's file; `meanwhile` says what holds until it is mended."""
    text, mend = str(error), meanwhile
    if isinstance(error, TableError) and error.mend:
        text, mend = text.removesuffix(f"; {error.mend}"), f"{error.mend}; {meanwhile}"
    return Finding(area, Level.WRONG, text, mend)


def as_object(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings in the form that programs read."""
    return {
        "ok": all(finding.level is not Level.WRONG for finding in findings),
        "findings": [
            {
                "area": finding.area,
                "level": finding.level.value,
                "text": finding.text,
                "mend": finding.mend,
                **({"facts": dict(finding.facts)} if finding.facts else {}),
            }
            for finding in findings
        ],
    }


def show(findings: Sequence[Finding]) -> None:
    """Print them under their headings."""
    from spec_mcp.cli.text import safe

    width = min(shutil.get_terminal_size().columns, WIDEST) - len(INDENT)
    area = None
    for finding in findings:
        if finding.area != area:
            typer.echo(("" if area is None else "\n") + safe(finding.area))
            area = finding.area
        first, *rest = _wrapped(safe(finding.text), width)
        mark = typer.style(finding.level.value.ljust(len(INDENT) - 2), fg=STYLES[finding.level])
        typer.echo(f"  {mark}{first}")
        if finding.mend:
            rest += _wrapped(f"-> {safe(finding.mend)}", width)
        for line in rest:
            typer.echo(INDENT + line)


def _wrapped(text: str, width: int) -> list[str]:
    # paths and names stay whole, so that they can be copied
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [""]

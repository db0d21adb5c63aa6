"""What the doctor found, and how it is shown."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import typer

WIDEST = 100
"""Columns: longer lines are hard to read on any terminal."""

MARK = "       "
"""As wide as the widest level with its spaces."""


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.WRONG: "red"}


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

    width = min(shutil.get_terminal_size().columns, WIDEST)
    area = None
    for finding in findings:
        if finding.area != area:
            typer.echo(("" if area is None else "\n") + safe(finding.area))
            area = finding.area
        first, *rest = _wrapped(safe(finding.text), width)
        mark = typer.style(finding.level.value.ljust(len(MARK) - 2), fg=STYLES[finding.level])
        typer.echo(f"  {mark}{first}")
        for line in rest:
            typer.echo(f"{MARK}{line}")
        if finding.mend:
            for line in _wrapped(f"-> {safe(finding.mend)}", width):
                typer.echo(f"{MARK}{line}")


def _wrapped(text: str, width: int) -> list[str]:
    # paths and names stay whole, so that they can be copied
    return textwrap.wrap(text, max(width - len(MARK), 20), break_long_words=False, break_on_hyphens=False) or [""]

"""Tables that fit the terminal: what matters least is left out, and no number is cut or wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spec_mcp.cli.text import safe

if TYPE_CHECKING:
    from rich.table import Table

GAP = 2
"""Blanks between columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The higher `spare`, the sooner it is left out; 0: never."""

    heading: str
    spare: int = 0
    left: bool = False


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> tuple[Table, list[str]]:
    """The table as wide as it may be, and the headings of what was left out."""
    from rich.table import Table
    from rich.text import Text

    widths = [
        max(len(column.heading), *(len(row[at]) for row in rows), 0) if rows else len(column.heading)
        for at, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    while sum(widths[at] + GAP for at in kept) - GAP > width and any(columns[at].spare for at in kept):
        kept.remove(max(kept, key=lambda at: columns[at].spare))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for at in kept:
        table.add_column(columns[at].heading, justify="left" if columns[at].left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(safe(row[at])) for at in kept))
    return table, [column.heading for at, column in enumerate(columns) if at not in kept]


def percent(share: float) -> str:
    """A share with one digit behind the point, and no minus before a nought."""
    text = f"{share:.1%}"
    return "0.0%" if text == "-0.0%" else text

"""Faults of the files that clients keep."""

from __future__ import annotations

from spec_mcp.tables import TableError


class ClientFileError(TableError):
    """A client's file that cannot be edited as it is; its text is the one line to show, and holds no values of it."""


def at_line(text: str, at: int) -> str:
    """Where in a file a person finds a character."""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"

"""How any text is kept in a database that takes no NUL characters: with an escape that nothing else needs.

This is done to whatever goes in and comes out, values in conditions too, so that equal texts stay equal.
"""

from __future__ import annotations

from enum import StrEnum

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.types.numeric import FloatLoader
from psycopg.types.string import StrDumper, TextLoader

NUL = "\x00"
ESCAPE = "\U0010ffff"
"""The last of all characters, which Unicode keeps for uses like this: no text that is meant for others has it."""

ESCAPED_NUL = ESCAPE + "0"
ESCAPED_ESCAPE = ESCAPE + "1"


def escaped(text: str) -> str:
    """A text without NUL characters, from which `unescaped` makes the same text again."""
    if NUL in text or ESCAPE in text:
        return text.replace(ESCAPE, ESCAPED_ESCAPE).replace(NUL, ESCAPED_NUL)
    return text


def unescaped(text: str) -> str:
    """What `escaped` was given."""
    if ESCAPE in text:
        return text.replace(ESCAPED_NUL, NUL).replace(ESCAPED_ESCAPE, ESCAPE)
    return text


class _Dumper(StrDumper):
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(escaped(obj))


class _Loader(TextLoader):
    def load(self, data: Buffer) -> str:
        text = super().load(data)
        assert isinstance(text, str), "the connection's encoding is set"
        return unescaped(text)


class _SumLoader(FloatLoader):
    """Sums of whole numbers are of a type of their own in SQL; in Python they are whole numbers."""

    def load(self, data: Buffer) -> float:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


def adapt(connection: Connection[object]) -> None:
    """Have a connection exchange values so."""
    connection.adapters.register_dumper(str, _Dumper)
    connection.adapters.register_dumper(StrEnum, _Dumper)
    connection.adapters.register_loader("text", _Loader)
    connection.adapters.register_loader("numeric", _SumLoader)

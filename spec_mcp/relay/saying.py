"""Words to the person who reads the log: they cost no call anything, whatever has become of standard error.

What a client, a server or the environment keeps to itself is no part of them: no argument, result, header or token.
What servers call themselves and their tools may be part of them, so nothing in a line begins another or is obeyed by a
terminal.
"""

from __future__ import annotations

import os
import select
import time
from enum import StrEnum

from spec_mcp.errors import printable

STDERR = 2

SAID_MAX_BYTES = 4000
"""Less than a pipe that takes anything takes at once."""

CUT_BYTES = 600
"""What is left of words that are too long for a line of JSON, in which one byte may take six."""


class LogFormat(StrEnum):
    """How a line is written."""

    HUMAN = "human"
    JSON = "json"


class LogLevel(StrEnum):
    """How much somebody wants to know, and how much they need to."""

    DEBUG = "debug"
    """Each session, each call, each request that was refused."""
    INFO = "info"
    WARNING = "warning"
    """Something does not work as it was meant to, and we go on."""
    ERROR = "error"
    """A fault of ours, or something that a person has to settle."""


_ORDER = list(LogLevel)


class _Log:
    """Of this process: set before anything is said."""

    format = LogFormat.HUMAN
    level = LogLevel.INFO


def log_as(format: LogFormat, level: LogLevel) -> None:  # noqa: A002  the option's own name
    """From now on say things so, and nothing that is less than this."""
    _Log.format, _Log.level = format, level


def is_structured() -> bool:
    """Is each line of the log an object?"""
    return _Log.format is LogFormat.JSON


def is_said(level: LogLevel) -> bool:
    """Is something of this level said at all?"""
    return _ORDER.index(level) >= _ORDER.index(_Log.level)


def say(line: str, level: LogLevel = LogLevel.INFO, **fields: str | float) -> None:
    """Write one line to standard error, unless nobody takes it now. Fields are `session`, `server`, `request`…"""
    if not is_said(level):
        return
    written = _as_object(line, level, fields) if is_structured() else _as_words(line, level, fields)
    poller = select.poll()
    poller.register(STDERR, select.POLLOUT)
    try:
        if any(mask & select.POLLOUT for _, mask in poller.poll(0)):
            os.write(STDERR, written + b"\n")
    except OSError:  # it is closed, or full at this moment
        pass


def _as_words(line: str, level: LogLevel, fields: dict[str, str | float]) -> bytes:
    """Only what is said in passing shows its fields: all else names what it is about."""
    more = " ".join(f"{name}={value}" for name, value in fields.items()) if level is LogLevel.DEBUG else ""
    return printable(f"spec-mcp: {line}{' ' if more else ''}{more}").encode(errors="replace")[:SAID_MAX_BYTES]


def _as_object(line: str, level: LogLevel, fields: dict[str, str | float]) -> bytes:
    import json  # `wrap` writes words

    now_s = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s)) + f".{int(now_s % 1 * 1000):03d}Z"
    found: dict[str, str | float] = {"time": at, "level": str(level), "message": line, **fields}
    text = json.dumps(found, ensure_ascii=False)
    text = (text if text.isprintable() else json.dumps(found)).encode(errors="replace")
    if len(text) > SAID_MAX_BYTES:
        cut = {name: _cut(value) if isinstance(value, str) else value for name, value in found.items()}
        text = json.dumps(cut).encode()
    return text


def _cut(text: str) -> str:
    return text.encode(errors="replace")[:CUT_BYTES].decode(errors="ignore")

"""Words to the person who reads the log: they cost no call anything, whatever has become of standard error."""

from __future__ import annotations

import os
import select

STDERR = 2

SAID_MAX_BYTES = 4000
"""Less than a pipe that takes anything takes at once."""


def say(line: str) -> None:
    """Write one line to standard error, unless nobody takes it now."""
    poller = select.poll()
    poller.register(STDERR, select.POLLOUT)
    try:
        if any(mask & select.POLLOUT for _, mask in poller.poll(0)):
            os.write(STDERR, f"spec-mcp: {line}".encode(errors="replace")[:SAID_MAX_BYTES] + b"\n")
    except OSError:  # it is closed, or full at this moment
        pass

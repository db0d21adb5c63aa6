"""Reading validators: has a local file changed?"""

from __future__ import annotations

import os
import time

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import FileValidator, ToolValidator
from spec_mcp.engine.resources import fill

RACY_S = 0.1
"""A file touched so recently may be touched again without its times changing: the kernel's clock ticks slowly."""

COARSE_RACY_S = 2.0
"""The same on file systems that keep whole seconds."""


def read_validator(validator: FileValidator | ToolValidator, arguments: Arguments) -> str | None:
    """The validator's present value; None where it cannot be trusted, and nothing may be adopted by it."""
    if not isinstance(validator, FileValidator):
        return None
    path = fill(validator.path, arguments)
    if path is None or not os.path.isabs(path) or "\0" in path:
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    newest_ns = max(found.st_mtime_ns, found.st_ctime_ns)
    coarse = found.st_mtime_ns % 10**9 == 0 and found.st_ctime_ns % 10**9 == 0
    if time.time_ns() - newest_ns < (COARSE_RACY_S if coarse else RACY_S) * 10**9:
        return None
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"

"""Writing a manifest: whole or not at all, and never over another one unasked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spec_mcp.errors import UserError

NEW_FILE_MODE = 0o644


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the file; a link stays one, and a file that is there keeps its mode.

    Raises:
        UserError: it is there already and `force` is not given, or it cannot be written.
    """
    target = path.resolve()
    try:
        there = target.exists()
        if there and not force:
            raise UserError(f"{path}: is there already: --force writes over it, or name another file")
        mode = target.stat().st_mode & 0o777 if there else NEW_FILE_MODE
        descriptor, draft = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                os.fchmod(descriptor, mode)
                file.write(text)
            os.replace(draft, target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error, "file") from error


def unwritable(path: Path, error: OSError, other: str) -> UserError:
    """What to tell the user; `other` is what to name in its place."""
    return UserError(f"{path}: cannot be written: {error.strerror or error}: put it right, or name another {other}")

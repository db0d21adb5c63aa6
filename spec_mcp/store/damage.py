"""What becomes of a damaged store: it is set aside under another name, so that a new one can begin."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from spec_mcp.store.connection import inode
from spec_mcp.store.locks import turn
from spec_mcp.store.markers import Markers
from spec_mcp.store.store import StoreError

SIDE_FILES = ("-wal", "-shm")
"""What SQLite keeps beside the file while it is open."""


def set_aside(path: Path, damaged_inode: int | None) -> Path | None:
    """Rename the store, and say to what; None where another process has done so already.

    `damaged_inode` is that of the file which was found damaged. The turn closes the gap between looking and renaming:
    without it the second of two processes would set the first one's new store aside.

    Raises:
        StoreError: it cannot be renamed, or it may hold undos: a new store would hide that they are open.
    """
    try:
        with turn(path):
            present = inode(path)
            if present is None or present != damaged_inode:
                return None
            markers = Markers(path)
            if markers.any_open():
                raise StoreError(
                    f"{path}: damaged, and early writes that were never used may be noted in it: undo them by hand, "
                    f"then delete {markers.folder}"
                )
            target = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
            os.replace(path, target)
            for ending in SIDE_FILES:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path.with_name(path.name + ending), target.with_name(target.name + ending))
            return target
    except OSError as error:
        raise StoreError(
            f"{path}: damaged, and cannot be renamed: move it away, or make its folder writable"
        ) from error


def delete_set_aside(path: Path) -> int:
    """Delete what was set aside: it holds a record too. The number of files."""
    files = list(path.parent.glob(f"{path.name}.damaged-*"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)

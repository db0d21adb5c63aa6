"""Which server instances may have an undo open: a file each, so that a start need not open the database to know.

A marker is on disk before an instance's first entry is, and goes after its last one. A marker without entries costs
a look into the journal; an entry without a marker would be seen by nobody.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from spec_mcp.store.locks import beside, write_durably

NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")
"""What instances and owners are called, since files are called so."""


class Markers:
    """The markers of one store."""

    def __init__(self, store_path: Path) -> None:
        self.folder = beside(store_path, "open")

    def has_open(self, instance: str) -> bool:
        """May it have an open entry? One look at the file system; where that cannot tell, the answer is yes."""
        return _is_there(self.folder / checked_name(instance))

    def any_open(self) -> bool:
        """May any instance have one?"""
        try:
            with os.scandir(self.folder) as files:
                return any(True for _ in files)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True

    def put(self, instance: str) -> None:
        """Mark it, for good when this returns.

        Raises:
            OSError: it is not certain to outlive a power cut.
        """
        write_durably(self.folder / checked_name(instance), b"")

    def remove(self, instance: str) -> None:
        """Take the mark away, as far as that can be done: it harms nobody."""
        with contextlib.suppress(OSError):
            os.unlink(self.folder / checked_name(instance))


def checked_name(name: str) -> str:
    """The name, if a file may be called so.

    Raises:
        ValueError: it may not.
    """
    if NAME.fullmatch(name) is None:
        raise ValueError(f"no name of an instance or an owner: {name!r}")
    return name


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True

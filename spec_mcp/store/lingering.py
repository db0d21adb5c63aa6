"""Which server an owner in the undo journal works with: it may outlive its owner, and do then what it was told before.

A server that is told to end may end first what it has begun, and one that is killed has a moment until then. Who takes
over what an owner left waits for the end of the owner's server: what is read before that need not be the last word.

An owner's file names the group of its server's processes. It need not outlive a power cut, which ends servers too.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from spec_mcp.store.locks import beside, explained
from spec_mcp.store.markers import checked_name


class Lingering:
    """The servers of the owners of one store."""

    def __init__(self, store_path: Path) -> None:
        self.folder = beside(store_path, "servers")

    def note(self, owner: str, group: int) -> None:
        """The owner is about to have this server do something that it may have to take back.

        Raises:
            StoreError: that cannot be written.
        """
        path = self.folder / checked_name(owner)
        with explained(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.clean()
            path.write_text(str(group))

    def has(self, owner: str) -> bool:
        """Does its server run? A number that is another's by now is taken for it, so wait for it with a bound."""
        return _runs(self.folder / checked_name(owner))

    def forget(self, owner: str) -> None:
        """Nothing that it did, or may yet do, is to be taken back."""
        with contextlib.suppress(OSError):  # left behind it costs others a short wait
            os.unlink(self.folder / checked_name(owner))

    def clean(self) -> None:
        """Remove the files that name what has ended."""
        for path in self.folder.glob("*"):
            if not _runs(path):
                with contextlib.suppress(OSError):
                    path.unlink()


def _runs(path: Path) -> bool:
    try:
        os.killpg(int(path.read_text()), 0)
    except (OSError, ValueError, OverflowError):  # no file or half of one; no such group, or not ours
        return False
    return True

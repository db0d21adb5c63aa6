"""The switch that `spec-mcp off`, `shadow` and `on` turn: a small file beside the store.

A file and no table, so that the relay can look once a second with one `stat`, without waiting for any database and
also while the store is locked, damaged or full.
"""

from __future__ import annotations

import os
from pathlib import Path

from spec_mcp.engine.events import Mode

MAX_SWITCH_BYTES = 64
"""More than any mode's name: a file that is longer is not ours."""


class ModeSwitch:
    """Reads and turns the switch of one store. `read` may be called from any one thread, as often as one likes."""

    def __init__(self, store_path: Path) -> None:
        self.path = store_path.with_name(store_path.name + ".mode")
        self._seen: tuple[int, int, int] | None = None
        self._mode: Mode | None = None

    def read(self) -> Mode | None:
        """What the switch says; None where nobody has turned it, and each process's own setting holds.

        A switch that cannot be read or understood says off: somebody meant something by it.
        """
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self._seen = None
            return None
        except OSError:
            self._seen = None
            return Mode.OFF
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        if signature != self._seen:
            self._mode = self._read_file()
            self._seen = signature
        return self._mode

    def turn(self, mode: Mode) -> None:
        """Set it for everything that runs on the store.

        Raises:
            OSError: the file cannot be written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # a new file each time, put in place whole: no reader sees half a word, and the inode tells that it changed
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, f"{mode}\n".encode())
        finally:
            os.close(descriptor)
        os.replace(draft, self.path)

    def _read_file(self) -> Mode:
        try:
            with open(self.path, "rb") as file:
                text = file.read(MAX_SWITCH_BYTES)
            return Mode(text.decode("ascii").strip())
        except (OSError, ValueError):
            return Mode.OFF

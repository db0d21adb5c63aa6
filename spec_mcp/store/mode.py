"""The switch that `spec-mcp off`, `shadow` and `on` turn: a small file beside the store, or a row of a database.

A file and no table of SQLite's, so that the relay can look once a second with one `stat`, without waiting for any
database and also while the store is locked, damaged or full. The switch of a PostgreSQL store is in the database, where
every machine finds it: the recorder's thread looks, and the relay reads what that saw last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol

from spec_mcp.engine.events import Mode
from spec_mcp.store.locks import explained
from spec_mcp.store.opening import open_at
from spec_mcp.store.place import Place

MAX_SWITCH_BYTES = 64
"""More than any mode's name: a file that is longer is not ours."""


HOLDS_S = 30.0
"""How long what a database's switch said is believed while it cannot be asked again."""


class Switch(Protocol):
    """What the relay looks at."""

    def read(self) -> Mode | None:
        """What the switch says, at once; None where nobody has turned it, and each process's own setting holds."""
        ...


class SeenSwitch:
    """A database's switch, as it was last seen. One thread says what it saw, and any other one reads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: tuple[Mode | None, float] | None = None

    def saw(self, mode: Mode | None) -> None:
        """The switch says so now."""
        self._seen = mode, self._clock()

    def read(self) -> Mode | None:
        """What it said. Off while it was never seen, and when that is too long ago: somebody may have said so."""
        seen = self._seen
        if seen is None or self._clock() - seen[1] > HOLDS_S:
            return Mode.OFF
        return seen[0]


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


def switched(place: Place) -> Mode | None:
    """What the switch of the store at a place says, for a command.

    Raises:
        StoreError: a database cannot be asked.
    """
    if place.remote is None:
        return ModeSwitch(place.path).read()
    with closing(open_at(place)) as store:
        return store.switched()


def turn(place: Place, mode: Mode) -> None:
    """Turn it.

    Raises:
        StoreError: it cannot be turned.
    """
    if place.remote is None:
        switch = ModeSwitch(place.path)
        with explained(switch.path):
            switch.turn(mode)
        return
    from spec_mcp.store.postgres.store import PostgresStore

    with closing(open_at(place)) as store:
        assert isinstance(store, PostgresStore), "what a database's address opens"
        store.turn(mode)

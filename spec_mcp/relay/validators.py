"""Reading validators: has a local file changed?

A file may lie on a network folder that answers slowly or never, so a thread reads. Nearly always it is done within
some tens of microseconds, and those are waited for; what takes longer is reported when it is there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import FileValidator
from spec_mcp.engine.resources import fill

RACY_S = 0.1
"""A file touched so recently may be touched again without its times changing: the kernel's clock ticks slowly."""

COARSE_RACY_S = 2.0
"""The same on file systems that keep whole seconds."""

WAITED_S = 0.002
"""How long a validator is waited for before the loop goes on without it."""

READING_MAX = 64
"""Readings that may be under way; more are not begun while a file system hangs."""

Read = Callable[["str | None"], None]
"""Told a validator's value."""


class Reading:
    """One validator's value, on its way."""

    def __init__(self, path: str, late: Read) -> None:
        self.path = path
        self.late = late
        self.is_late = False
        self.value: str | None = None
        self.done = threading.Event()
        self.lock = threading.Lock()


class Validators:
    """Reads validators on a thread of its own. `soon` has a function called on the loop's thread, and at once."""

    def __init__(
        self, soon: Callable[[Callable[[], None]], None], read_file: Callable[[str], str | None] | None = None
    ) -> None:
        self._soon = soon
        self._read_file = read_file or file_value
        self._queue: SimpleQueue[Reading | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._late = 0

    def read(self, validator: FileValidator, arguments: Arguments, told: Read) -> None:
        """Tell the validator's present value, before this returns or later; None where it cannot be trusted."""
        path = file_of(validator, arguments)
        if path is None or self._late >= READING_MAX or not self._is_running():
            told(None)
            return
        reading = Reading(path, told)
        self._queue.put(reading)
        if not self._late:
            reading.done.wait(WAITED_S)
        with reading.lock:
            reading.is_late = not reading.done.is_set()
        if reading.is_late:
            self._late += 1
        else:
            told(reading.value)

    def close(self) -> None:
        """Read no more; a reading that hangs is left behind."""
        self._queue.put(None)

    def _is_running(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="spec-mcp validators", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system has no thread left for us
                return False
            self._thread = thread
        return True

    def _work(self) -> None:
        while (reading := self._queue.get()) is not None:
            reading.value = self._read_file(reading.path)
            with reading.lock:
                reading.done.set()
                if not reading.is_late:
                    continue
            self._soon(lambda reading=reading: self._tell_late(reading))

    def _tell_late(self, reading: Reading) -> None:
        self._late -= 1
        reading.late(reading.value)


def file_of(validator: FileValidator, arguments: Arguments) -> str | None:
    """The file that a validator speaks of; None where it is none that can be named safely."""
    path = fill(validator.path, arguments)
    return None if path is None or not os.path.isabs(path) or "\0" in path else path


def file_value(path: str) -> str | None:
    """What changes when a file does; None where that cannot be told."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    newest_ns = max(found.st_mtime_ns, found.st_ctime_ns)
    coarse = found.st_mtime_ns % 10**9 == 0 and found.st_ctime_ns % 10**9 == 0
    if time.time_ns() - newest_ns < (COARSE_RACY_S if coarse else RACY_S) * 10**9:
        return None
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"

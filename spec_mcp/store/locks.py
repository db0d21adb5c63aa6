"""Locks between processes, and files that outlive a power cut: all that the store asks of the system beside SQLite.

A lock is an flock on a small file. It ends with its process, however that ends, so it tells who lives. A file that
another process removed between our opening and our locking it is opened anew: a lock on a file without a name locks
nobody out.

Several steps that must look like one (try a lock and let go of it, let go of one lock and take another) are done in the
store's turn, a lock that nobody holds for longer than some system calls take.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Generator
from pathlib import Path

from spec_mcp.store.store import StoreBusy, StoreError

TURN_WAIT_S = 1.0
"""A turn takes microseconds: whoever waits this long waits for a process that was stopped within its own."""

POLL_S = 0.005
"""How often to try again: flock knows no time-out."""


class Lock:
    """A lock that is held until `release`, or until the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def is_current(self) -> bool:
        """Is it this file that lies there? Where it is not, others may hold what we believe to be ours."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self.descriptor))
        except OSError:
            return False

    def convert(self, *, shared: bool) -> bool:
        """Make it exclusive, or shared, at once or not at all. Only within a turn: the system lets go of the one lock
        before it takes, or refuses, the other.

        Raises:
            OSError: nothing is held any more.
        """
        if _flock(self.descriptor, shared=shared):
            return True
        if not _flock(self.descriptor, shared=not shared):
            raise BlockingIOError(f"{self.path}: lost")
        return False

    def release(self, *, remove: bool = False) -> None:
        """Let go of it; `remove` takes the file away first: who was about to lock it sees so, and makes another."""
        if remove and self.is_current():
            with contextlib.suppress(OSError):  # left behind it means nothing
                os.unlink(self.path)
        os.close(self.descriptor)


def take(path: Path, *, shared: bool = False, make: bool = True) -> Lock | None:
    """The lock of this file, or None where another process, or another part of this one, holds it.

    Raises:
        FileNotFoundError: there is no such file, and `make` is false.
        OSError: the file cannot be made, opened or locked.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    if make:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        lock = Lock(path, os.open(path, flags, 0o600))
        try:
            if not _flock(lock.descriptor, shared=shared):
                lock.release()
                return None
        except BaseException:
            lock.release()
            raise
        if lock.is_current():
            return lock
        lock.release()


@contextlib.contextmanager
def turn(store_path: Path, wait_s: float = TURN_WAIT_S) -> Generator[None, None, None]:
    """The turn of this process and thread at the files beside the store.

    Raises:
        StoreBusy: another one's lasted longer than `wait_s`.
        OSError: no lock can be had there at all.
    """
    path = beside(store_path, "turn")
    until = time.monotonic() + wait_s
    while (lock := take(path)) is None:
        if time.monotonic() >= until:
            raise StoreBusy(f"{path}: held for too long: end the stopped process that holds it, or try again")
        time.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()


def beside(store_path: Path, ending: str) -> Path:
    """The file or folder of this ending beside the store."""
    return store_path.with_name(f"{store_path.name}.{ending}")


@contextlib.contextmanager
def explained(path: Path) -> Generator[None, None, None]:
    """Turn what the system refuses into a `StoreError` that names the file."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{path}: {reason}: put it right, or name another folder by SPEC_MCP_HOME") from error


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is there after a power cut; its folder is made where need be.

    Raises:
        OSError: it may not be.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        _sync(descriptor)
    finally:
        os.close(descriptor)
    sync_names(path)


def sync_names(path: Path) -> None:
    """Make the names of a file and of its folder outlive a power cut.

    Raises:
        OSError: they may not.
    """
    _sync_folder(path.parent)
    with contextlib.suppress(PermissionError):  # a home within a folder that we may pass but not read
        _sync_folder(path.parent.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS, whose fsync leaves the data in the disk's own memory
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)


def _flock(descriptor: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

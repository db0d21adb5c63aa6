"""Who may act on an entry of the undo journal: the process that holds the lock of its owner's name.

A process holds one for its life, so a lock that is free is that of a process which is gone, and so is a name without a
file. Whoever settles what it left holds that lock meanwhile: two processes never settle the same thing.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from types import TracebackType

from spec_mcp.store.locks import Lock, beside, explained, take, turn
from spec_mcp.store.markers import checked_name
from spec_mcp.store.store import StoreError


def new_token() -> str:
    """A name for a process as an owner, which no other process ever has."""
    return secrets.token_hex(8)


class Owners:
    """The owners of one store, as this process sees them. All methods may raise `StoreError`; they wait for a turn."""

    def __init__(self, store_path: Path) -> None:
        self._store_path = store_path
        self.folder = beside(store_path, "owners")
        self._held: dict[str, Lock] = {}

    def hold(self, token: str) -> None:
        """Be this owner until `let_go`, or until the process ends. Cheap where we are already.

        Raises:
            StoreError: we cannot be, or somebody removed the lock's file and others may believe us gone.
        """
        path = self.folder / checked_name(token)
        held = self._held.get(token)
        if held is not None:
            if not held.is_current():
                raise StoreError(f"{path}: removed while in use: nothing reversible is tried early until a new start")
            return
        with explained(path), turn(self._store_path):
            lock = take(path)
        if lock is None:
            raise StoreError(f"{path}: held by another process: try again once it has ended")
        self._held[token] = lock

    def is_alive(self, token: str) -> bool:
        """Does a process hold it, be it to settle what its owner left?"""
        path = self.folder / checked_name(token)
        with explained(path), turn(self._store_path):
            try:
                lock = take(path, make=False)
            except FileNotFoundError:
                return False
            if lock is not None:
                lock.release()
            return lock is None

    def seize(self, token: str) -> Seized | None:
        """Hold the lock of an owner that is gone; None where a process holds it. Release it when all is settled that
        is to be: what was not taken over by then is still the old owner's, whom others may seize again."""
        path = self.folder / checked_name(token)
        with explained(path), turn(self._store_path):
            lock = take(path)
        return None if lock is None else Seized(lock)

    def clean(self) -> int:
        """Remove the files of owners that are gone; how many. Their entries stay, and are anybody's to settle."""
        removed = 0
        with explained(self.folder), turn(self._store_path):
            for path in sorted(self.folder.glob("*")):
                lock = take(path)
                if lock is not None:
                    lock.release(remove=True)
                    removed += 1
        return removed

    def let_go(self) -> None:
        """Be no owner any more; what is still ours in the journal is anybody's to settle."""
        held, self._held = self._held, {}
        for lock in held.values():
            lock.release(remove=True)


class Seized:
    """The lock of an owner that is gone, held while its entries are settled."""

    def __init__(self, lock: Lock) -> None:
        self._lock: Lock | None = lock

    def release(self) -> None:
        """Let others have it. Again changes nothing."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release(remove=True)

    def __enter__(self) -> Seized:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

"""Server instances: what tells them apart, and whose turn it is to change one early.

An instance is what one launch of a server reaches: its command, arguments and folder, or its URL, and the values of the
environment variables that were set for it, since `MEMORY_FILE_PATH` may make of one command two stores. Its name is a
digest keyed by a secret of the store, so that no value can be guessed from it.

Every process that serves an instance shares its lock; a reversible speculation needs it alone, so while one is open
nobody else reads there. Who waits to serve says so by a second lock, and then nobody gets the first one alone any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spec_mcp.store.locks import Lock, beside, explained, take, turn, write_durably
from spec_mcp.store.markers import Markers, checked_name
from spec_mcp.store.store import StoreBusy, StoreError

KEY_BYTES = 32

SERVE_WAIT_S = 10.0
"""How long a start waits for others' reversible speculations: as long as a call does by default (`undo_wait_s`)."""

SERVE_POLL_S = 0.02
"""How often it tries: much less than what a server's start takes."""

WANTED = ".wanted"


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started or reached, as an entry of the journal keeps it: all but the variables' values."""

    command: str = ""
    args: tuple[str, ...] = ()
    cwd: str = ""
    url: str = ""
    env_names: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """For `Entry.launch`."""
        return json.dumps(
            {
                "command": self.command,
                "args": self.args,
                "cwd": self.cwd,
                "url": self.url,
                "env_names": self.env_names,
            },
            separators=(",", ":"),
        ).encode()

    @classmethod
    def of_json(cls, text: bytes) -> Launch:
        """What `to_json` made.

        Raises:
            ValueError: it is something else.
        """
        # not by the fast codec, which refuses the lone surrogates of a command line that is no UTF-8
        return msgspec.convert(json.loads(text), cls)


def instance_of(key: bytes, launch: Launch, env: Mapping[str, str]) -> str:
    """The name of the instance that this launch reaches, with the values that its environment variables have.

    Of `env` only the variables that `launch` names count. One that is not set differs from an empty one.
    """
    values = {name: env[name] for name in sorted(launch.env_names) if name in env}
    parts = [launch.command, list(launch.args), launch.cwd, launch.url, sorted(launch.env_names), values]
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()[:32]


def store_key(store_path: Path) -> bytes:
    """The secret of this store, made where there is none. It is on disk when this returns.

    Raises:
        StoreError: it cannot be read or made, or it is lost while entries may be open that were named by it.
    """
    path = beside(store_path, "key")
    with explained(path):
        key = _read_key(path)
        if key is not None:
            return key
        with turn(store_path):
            key = _read_key(path)
            if key is None:
                if Markers(store_path).any_open():
                    raise StoreError(f"{path}: lost, and undos may be open: settle them by `spec-mcp recover`")
                key = secrets.token_bytes(KEY_BYTES)
                write_durably(path, key)
            return key


def _read_key(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
        key = file.read(KEY_BYTES + 1)
    return key if len(key) == KEY_BYTES else None  # a crash may have left less


class InstanceLock:
    """This process's share in one instance. Make one for an instance and process: two would lock each other out.

    Used by one thread at a time. All methods may raise `StoreError`, where the system refuses locks altogether.
    """

    def __init__(self, store_path: Path, instance: str) -> None:
        self._store_path = store_path
        self.folder = beside(store_path, "instances")
        self.path = self.folder / checked_name(instance)
        self._wanted_path = self.folder / (instance + WANTED)
        self._lock: Lock | None = None
        self._exclusive = False

    @property
    def serving(self) -> bool:
        """Do we hold a share in it, or all of it?"""
        return self._lock is not None

    @property
    def exclusive(self) -> bool:
        """Do we hold it alone?"""
        return self._exclusive

    def serve(self, wait_s: float = SERVE_WAIT_S) -> bool:
        """Take the share that serving needs, waiting while another process has the instance alone.

        False: it still has. Its writes may be taken back, so no call that could see them may go through.
        Blocks for up to `wait_s`; with 0 it only tries. Where we serve already, it is True at once.
        """
        until = time.monotonic() + wait_s
        wanted: Lock | None = None
        try:
            with explained(self.path):
                while self._lock is None:
                    left_s = until - time.monotonic()
                    with contextlib.suppress(StoreBusy), turn(self._store_path, max(left_s, 0.0)):
                        self._lock = take(self.path, shared=True)
                        if self._lock is None and wanted is None:
                            wanted = take(self._wanted_path, shared=True)
                    if self._lock is None:
                        if left_s <= 0:
                            return False
                        time.sleep(min(SERVE_POLL_S, left_s))
            return True
        finally:
            if wanted is not None:
                wanted.release()

    def is_wanted(self) -> bool:
        """Does another process wait to serve it? Who has it alone should `downgrade` soon."""
        with explained(self.path), turn(self._store_path):
            return self._is_wanted()

    def upgrade(self) -> bool:
        """Take it alone, at once or not at all. False: another process serves it or waits to; our share is kept.

        Again it is True, as long as nobody removed the lock's file. Raises `StoreError`: we do not serve it any more.
        """
        if self._lock is None or not self._lock.is_current():
            return False
        if self._exclusive:
            return True
        try:
            with explained(self.path), turn(self._store_path, 0.0):
                self._exclusive = not self._is_wanted() and self._convert(shared=False)
        except StoreBusy:  # some other process is looking just now
            return False
        return self._exclusive

    def downgrade(self) -> None:
        """Let others serve it too. Only when all that we did early there is adopted or taken back.

        Raises:
            StoreError: we still have it alone; try again.
        """
        if self._lock is None or not self._exclusive:
            return
        with explained(self.path), turn(self._store_path):
            self._exclusive = not self._convert(shared=True)

    def release(self) -> None:
        """Serve it no more, and take away what processes that are gone left in the folder."""
        lock, self._lock, self._exclusive = self._lock, None, False
        if lock is not None:
            lock.release()
        with contextlib.suppress(StoreError), explained(self.folder), turn(self._store_path):
            for path in sorted(self.folder.glob("*")):
                free = take(path)
                if free is not None:
                    free.release(remove=True)

    def _convert(self, *, shared: bool) -> bool:
        assert self._lock is not None, "only what is held is converted"
        try:
            return self._lock.convert(shared=shared)
        except OSError:  # the system let go of it
            self._lock.release()
            self._lock, self._exclusive = None, False
            raise

    def _is_wanted(self) -> bool:
        try:
            free = take(self._wanted_path, make=False)
        except FileNotFoundError:
            return False
        if free is not None:
            free.release(remove=True)
        return free is None

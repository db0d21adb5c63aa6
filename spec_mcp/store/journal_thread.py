"""The thread that waits for the disk in the relay's place.

    event loop:  submit(operation, done)  ->  thread:  operation(journal), done(its result or a StoreError)

Operations are done in the order in which they were submitted; those that wait at the same time become durable
together. Unlike the record this waits for no quiet moment: a launch or an adoption is waiting for it.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from spec_mcp.store.journal import Journal
from spec_mcp.store.store import StoreBusy, StoreError

T = TypeVar("T")

CLOSE_BOUND_S = 2.0
"""How long the end of the program may wait for the disk: a client that closes waits about this long for us."""

GROUP_OPERATIONS = 64
"""In one transaction: some milliseconds of holding the lock."""

MAX_WAITING = 1_000
"""Far more than there are reversible speculations at once: a disk that hangs must not fill the memory."""


def open_sqlite_journal(path: Path) -> Journal:
    """Open the journal of this machine; called by the thread, since the import alone takes 0.3 s and 15 MB."""
    from spec_mcp.store.sqlite_journal import SqliteJournal

    return SqliteJournal(path)


@dataclass(frozen=True, slots=True)
class _Job:
    operation: Callable[[Journal], Any]
    done: Callable[[Any], None]


class JournalThread:
    """The journal of one process. `submit` and `close` may be called from one thread; the first `submit` begins it."""

    def __init__(self, path: Path, *, open_journal: Callable[[Path], Journal] = open_sqlite_journal) -> None:
        self._path = path
        self._open_journal = open_journal
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._journal: Journal | None = None
        self._closed = False
        # a daemon: a file system that hangs must not keep the program from ending
        self._thread = threading.Thread(target=self._run, name="spec-mcp journal", daemon=True)

    def submit(self, operation: Callable[[Journal], T], done: Callable[[T | StoreError], None]) -> None:
        """Have an operation done, and `done` called, once, with what it returned, when that is on disk.

        Where it failed, in whatever way, `done` gets a `StoreError`. It is called by the journal's thread and must be
        quick and raise nothing, like `Pump.call_at_once`; where the journal is closed or full it is called at once.
        The operation may be carried out a second time where the first was undone, so it does nothing but call the
        journal.
        """
        if self._closed:
            done(StoreError(f"{self._path}: closed"))
        elif self._jobs.qsize() >= MAX_WAITING:
            done(StoreBusy(f"{self._path}: too much waits for the disk: see whether it is failing"))
        elif self._started(done):
            self._jobs.put(_Job(operation, done))

    def close(self, timeout_s: float = CLOSE_BOUND_S) -> bool:
        """Do what is waiting, and end, within the bound; False where it took longer. Blocks."""
        self._closed = True
        if self._thread.ident is None:
            return True
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _started(self, done: Callable[[Any], None]) -> bool:
        if self._thread.ident is None:
            try:
                self._thread.start()
            except RuntimeError as error:  # the system has no thread left for us
                done(StoreError(f"{self._path}: {error}"))
                return False
        return True

    def _run(self) -> None:
        closing = False
        while not closing:
            jobs, closing = self._waiting()
            for job, result in zip(jobs, self._carried_out(jobs), strict=True):
                _answer(job, result)
            if self._journal is not None and self._jobs.empty():
                self._journal.tidy()  # after the answers, which somebody waits for
        if self._journal is not None:
            self._journal.close()

    def _waiting(self) -> tuple[list[_Job], bool]:
        """Wait for a job; the jobs that are there, and whether none will come after them."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP_OPERATIONS or self._jobs.empty():
                return jobs, False
            job = self._jobs.get()
        return jobs, True

    def _carried_out(self, jobs: Sequence[_Job]) -> list[object]:
        """What became of each of the jobs: its result, or an error."""
        try:
            if self._journal is None and jobs:
                self._journal = self._open_journal(self._path)
        except Exception as error:  # noqa: BLE001  the boundary: a fault of the store stops launching, nothing else
            return [self._told(error)] * len(jobs)
        try:
            return self._in_one_step(jobs)
        except StoreBusy as error:  # each alone would wait as long
            return [error] * len(jobs)
        except Exception as error:  # noqa: BLE001  the same
            if len(jobs) == 1:
                return [self._told(error)]
        results: list[object] = []
        for job in jobs:  # one of them is to blame
            try:
                results += self._in_one_step([job])
            except Exception as error:  # noqa: BLE001  the same
                results.append(self._told(error))
        return results

    def _in_one_step(self, jobs: Sequence[_Job]) -> list[object]:
        if not jobs:
            return []
        assert self._journal is not None, "opened before"
        with self._journal.together():
            return [job.operation(self._journal) for job in jobs]

    def _told(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        return StoreError(f"{self._path}: {type(error).__name__}: {error}: please report this")


def _answer(job: _Job, result: object) -> None:
    try:
        job.done(result)
    except Exception:  # noqa: BLE001  the boundary: a fault of whoever asked must not silence the journal for others
        threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), threading.current_thread()]))

"""What the relay records through. It never waits, never raises for the store's sake, and costs no call anything.

    event loop:  record(row), skip(...)  ->  Intake (bounded)  ->  worker thread:  clean, write in batches
    event loop:  load(scope, ...)        ->  Future            <-  worker thread:  pins and learned rows

The store is opened, and its library imported, by the worker thread. When the store fails, the recorder says so in one
line, once for each kind of trouble, keeps what its queue holds, and tries again from time to time.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from spec_mcp.errors import printable
from spec_mcp.store.intake import Intake
from spec_mcp.store.mode import ModeSwitch, SeenSwitch
from spec_mcp.store.opening import open_at
from spec_mcp.store.place import Place
from spec_mcp.store.rows import Row, Scope
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.store import Store
from spec_mcp.store.worker import RETRY_S, Counts, Loaded, LoadJob, Worker

CLOSE_BOUND_S = 2.0
"""How long the end of the program may wait for the last rows: a client that closes waits about this long for us."""


def say_on_stderr(line: str) -> None:
    """One line for the person who reads the log."""
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        sys.stderr.write(f"spec-mcp: {printable(line)}\n")
        sys.stderr.flush()


class Recorder:
    """The record of one process. `record`, `skip` and `load` may be called from one thread at any time, also before
    `start` and after `close`, and return at once."""

    def __init__(
        self,
        settings: StoreSettings,
        *,
        open_store: Callable[[Place], Store] = open_at,
        wall_clock: Callable[[], float] = time.time,
        say: Callable[[str], None] = say_on_stderr,
        retry_s: float = RETRY_S,
    ) -> None:
        self._say = say
        self._intake = Intake()
        seen = None if settings.place.remote is None else SeenSwitch()
        self.switch = ModeSwitch(settings.place.path) if seen is None else seen
        """The switch of the store."""
        self._worker = Worker(
            settings,
            self._intake,
            open_store=open_store,
            wall_clock=wall_clock,
            say=say,
            retry_s=retry_s,
            switch=seen,
        )
        # a daemon: a file system that hangs must not keep the program from ending
        self._thread = threading.Thread(target=self._worker.run, name="spec-mcp store", daemon=True)

    def start(self) -> None:
        """Begin to work. Call it once, after the server's process was started: the import takes a share of a core."""
        try:
            self._thread.start()
        except RuntimeError as error:  # the system has no thread left for us
            self._say(f"{error}: calls go on, nothing is recorded")
            self._worker.stand_down()

    def record(self, row: Row) -> None:
        """Hand over a row. It is written within about a tenth of a second; where it cannot be, it is counted."""
        self._intake.put(row)

    def skip(self, session: str, server: str, tool: str, reason: str) -> None:
        """A candidate was not launched."""
        self._intake.count_skip(session, server, tool, reason)

    def load(self, scope: Scope, principal: str) -> Future[Loaded]:
        """Ask for what the store knows of a server. The future always gets a result, never an exception, and its
        callbacks run on the worker thread: use `asyncio.wrap_future` or `loop.call_soon_threadsafe`."""
        future: Future[Loaded] = Future()
        self._worker.loads.append(LoadJob(scope, principal, future))
        self._ask()
        return future

    def flush(self, timeout_s: float = CLOSE_BOUND_S) -> bool:
        """Wait until all that was handed over is written; False where it is not by then. Not for the event loop."""
        future: Future[bool] = Future()
        self._worker.flushes.append(future)
        self._ask()
        try:
            return future.result(timeout_s)
        except FutureTimeoutError:
            return False

    def close(self, timeout_s: float = CLOSE_BOUND_S) -> bool:
        """Write what is left and end, within the bound; False where it took longer. Blocks: call it last."""
        self._worker.closing.set()
        self._intake.changed.set()
        if self._thread.ident is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def counts(self) -> Counts:
        """What became of the rows so far."""
        return self._worker.counts

    @property
    def waiting(self) -> int:
        """Rows that have not been written yet."""
        return len(self._intake)

    @property
    def dropped(self) -> int:
        """Rows that were given up: the queue was full, the store refused them, or it failed until the end."""
        return self._intake.dropped

    def _ask(self) -> None:
        self._intake.changed.set()
        if self._worker.ended:  # looked at last: whichever of the two threads sees the other one's step answers
            self._worker.stand_down()

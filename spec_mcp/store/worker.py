"""The thread that writes the record. It alone touches the store, and a fault of the store ends here.

One round: serve loads, write what the queue holds, look after the store's age and size, wait. When the store fails,
rows stay in the queue (which is bounded) and the store is opened again after a while; a damaged file is set aside and
a new one begun.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar, cast

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import NOTHING_KNOWN, Known, Mode
from spec_mcp.store.cleaning import Cleaner
from spec_mcp.store.intake import Intake
from spec_mcp.store.mode import SeenSwitch
from spec_mcp.store.place import Place
from spec_mcp.store.redaction import Redactor
from spec_mcp.store.rows import (
    CallRow,
    ComparisonRow,
    LearnedRow,
    QuestionRow,
    Row,
    Scope,
    SessionRow,
    SkipRow,
    SpeculationRow,
    TextRow,
)
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.store import Store, StoreCorrupt, StoreError, StoreNewer

T = TypeVar("T")

QUIET_WAIT_S = 5.0
"""How long rows may wait for a moment in which no others come."""

QUIET_WAIT_ROWS = 4_000
"""How many may wait: well below what the queue holds."""

BATCH_DELAY_S = 0.1
"""Rows that come within this time of each other are written together."""

BATCH_ROWS = 200
"""Rows in one transaction: some milliseconds of holding the lock."""

RETRY_S = 10.0
"""How long a store that failed is left alone. Each try may hold up this thread, never a call."""

UPKEEP_CHECK_S = 3_600.0
"""How often to ask whether a day has passed since the last upkeep, by whichever process."""

LOOK_S = 2.0
"""How often to ask a database for its switch: `spec-mcp off` must not be long in coming."""

COMPACT_ROWS = 16
"""Learned rows of one kind that are made one: reading them at each start should stay a matter of milliseconds."""

MAX_SET_ASIDE = 3
"""A file that is damaged again and again is the disk's fault: do not fill it with copies."""

MAX_OPEN_SESSIONS = 10_000
"""Sessions whose row is kept at hand; the oldest is forgotten first, and then cannot be written anew."""


class StoreState(StrEnum):
    """Whether the record works."""

    READY = "ready"
    UNAVAILABLE = "unavailable"
    """Nothing is known of pins and of what was learned; calls go on."""
    NEWER = "newer"
    """A newer version wrote the store: be a plain proxy."""


@dataclass(frozen=True, slots=True)
class Learned:
    """One learned row, decoded."""

    kind: str
    data: Json


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store knows of a server at the beginning."""

    state: StoreState
    pins: dict[str, str] = field(default_factory=dict[str, str])
    learned: tuple[Learned, ...] = ()
    known: Known = NOTHING_KNOWN
    """What comparisons have shown of its tools."""


@dataclass(slots=True)
class Counts:
    """What became of the record. Only the worker thread writes these."""

    written: int = 0
    failures: int = 0
    """Times that the store failed."""
    set_aside: int = 0
    """Damaged files."""


@dataclass(frozen=True, slots=True)
class LoadJob:
    """Somebody wants to know what the store knows."""

    scope: Scope
    principal: str
    future: Future[Loaded]


class Worker:
    """Owns the store on a thread of its own; `run` is that thread's whole life."""

    def __init__(
        self,
        settings: StoreSettings,
        intake: Intake,
        *,
        open_store: Callable[[Place], Store],
        wall_clock: Callable[[], float],
        say: Callable[[str], None],
        retry_s: float,
        switch: SeenSwitch | None = None,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._open_store = open_store
        self._wall_clock = wall_clock
        self._say = say
        self._retry_s = retry_s
        self._switch = switch
        self._look_at = 0.0
        self._cleaner = Cleaner(Redactor(settings.redact), settings.record_results)
        self._store: Store | None = None
        self._newer = False
        self._retry_at = 0.0
        self._upkeep_at = 0.0
        self._said: set[str] = set()
        self._sessions: dict[str, SessionRow] = {}
        self.loads: deque[LoadJob] = deque()
        self.flushes: deque[Future[bool]] = deque()
        self.closing = threading.Event()
        self.counts = Counts()
        self.ended = False

    def run(self) -> None:
        """Work until `closing` is set, and then write what is left."""
        while True:
            closing = self.closing.is_set()  # looked at first: what came before it is in the queue below
            self._intake.changed.clear()
            try:
                self._round(closing)
            except Exception as error:  # noqa: BLE001  the boundary: no fault of the record may cost more than it
                self._fail(f"{self._settings.place}: {type(error).__name__}: {error}: please report this")
            if closing:
                self._intake.give_up()
                self._close_store()
                self.stand_down()
                return
            self._wait()

    def stand_down(self) -> None:
        """Nobody works any more: answer those who wait. Called when the thread ends, and by who asks after that."""
        self.ended = True
        for job in _drained(self.loads):
            if job.future.set_running_or_notify_cancel():
                job.future.set_result(Loaded(StoreState.UNAVAILABLE))
        _resolve(_drained(self.flushes), False)

    def _round(self, closing: bool) -> None:
        while self.loads:
            self._load(self.loads.popleft())
        flushes = list(_drained(self.flushes))
        try:
            written = self._write_queue(closing)
        except BaseException:
            _resolve(flushes, False)
            raise
        _resolve(flushes, written)
        if not closing and self._switch is not None and time.monotonic() >= self._look_at:
            self._look(self._switch)
        if not closing and time.monotonic() >= self._upkeep_at:
            self._upkeep()

    def _wait(self) -> None:
        if self.loads or self.flushes:  # a fault came before their turn
            return
        now = time.monotonic()
        due = self._upkeep_at if self._retry_at <= now or not len(self._intake) else self._retry_at
        if self._switch is not None:
            due = min(due, max(self._look_at, self._retry_at))
        self._intake.changed.wait(min(max(due - now, 0.0), UPKEEP_CHECK_S))
        self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        """Calls come first: while rows keep coming, this thread would take the interpreter from who brings them."""
        until = time.monotonic() + QUIET_WAIT_S
        seen = -1
        while seen != self._intake.put_in_all and not self.flushes and not self.loads:
            seen = self._intake.put_in_all
            if self.closing.wait(BATCH_DELAY_S) or time.monotonic() > until or len(self._intake) > QUIET_WAIT_ROWS:
                return

    # --- the store ----------------------------------------------------------------------------------------------

    def _opened(self, at_once: bool = False) -> Store | None:
        """The store, opened where need be and where it is time for that."""
        if self._store is not None:
            if not self._store.displaced():
                return self._store
            self._close_store()  # somebody deleted the file: what goes into it now is lost
        if self._newer or (time.monotonic() < self._retry_at and not at_once):
            return None
        try:
            self._store = self._open_store(self._settings.place)
        except StoreCorrupt as error:
            self._store = self._begin_anew(error)
        except StoreError as error:
            self._trouble(error)
        return self._store

    def _begin_anew(self, error: StoreCorrupt) -> Store | None:
        """Set the damaged file aside and open a new one."""
        from spec_mcp.store.damage import set_aside

        path = self._settings.place.path
        self.counts.failures += 1
        self._close_store()
        if self.counts.set_aside >= MAX_SET_ASIDE:
            self._trouble(error)
            return None
        try:
            target = set_aside(path, error.inode)
            if target is not None:
                self.counts.set_aside += 1
                self._say(f"{path}: was damaged: a new one was begun, the old one is {target.name}")
            return self._open_store(self._settings.place)
        except StoreError as again:
            self._trouble(again)
            return None

    def _trouble(self, error: StoreError) -> None:
        """The store failed for a reason that a person can mend, or that passes."""
        if isinstance(error, StoreNewer):
            self._newer = True
            self._fail(f"{error}; until then this is a plain proxy")
        else:
            self._fail(f"{error}; calls go on unrecorded meanwhile")

    def _fail(self, line: str) -> None:
        self.counts.failures += 1
        self._close_store()
        self._retry_at = time.monotonic() + self._retry_s
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    # --- loading ------------------------------------------------------------------------------------------------

    def _load(self, job: LoadJob) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        loaded = Loaded(StoreState.UNAVAILABLE)
        rows: list[LearnedRow] = []
        try:
            store = self._opened()
            if store is not None:
                pins = store.pins(job.scope)
                rows = store.learned(job.scope, job.principal)
                loaded = Loaded(StoreState.READY, pins, _decoded(rows), store.known(job.scope))
            elif self._newer:
                loaded = Loaded(StoreState.NEWER)
        except StoreCorrupt as error:
            self._store = self._begin_anew(error)
            if self._store is not None:
                loaded = Loaded(StoreState.READY)
        except StoreError as error:
            self._trouble(error)
        finally:
            job.future.set_result(loaded)
        self._compact(job, rows)

    def _compact(self, job: LoadJob, rows: Sequence[LearnedRow]) -> None:
        for kind, merge in self._settings.merges.items():
            if self._store is None or sum(row.kind == kind for row in rows) < COMPACT_ROWS:
                continue
            try:
                self._store.compact(job.scope, job.principal, kind, merge)
            except StoreError as error:
                self._trouble(error)

    # --- writing ------------------------------------------------------------------------------------------------

    def _write_queue(self, closing: bool) -> bool:
        """Write all that is queued; False where some of it could not be."""
        while len(self._intake):
            store = self._opened(at_once=closing)
            if self._newer:
                self._intake.give_up()
            if store is None or not self._write(store, self._intake.take(BATCH_ROWS)):
                return False
        return True

    def _write(self, store: Store, rows: list[Row]) -> bool:
        cleaned = self._cleaned(rows)
        try:
            store.write([*self._sessions_of(cleaned), *cleaned])
            self.counts.written += len(cleaned)
        except ValueError:
            return self._write_singly(store, rows, cleaned)
        except StoreCorrupt as error:
            self._intake.put_back(rows)
            self._store = self._begin_anew(error)
            return self._store is not None
        except StoreError as error:
            self._intake.put_back(rows)
            self._trouble(error)
            return False
        return True

    def _write_singly(self, store: Store, rows: list[Row], cleaned: list[Row]) -> bool:
        """One of the rows can never be written: find it, and keep the others."""
        for done, row in enumerate(cleaned):
            try:
                store.write([row])
                self.counts.written += 1
            except ValueError:
                self._intake.count_dropped(1)
            except StoreError as error:
                self._intake.put_back(rows[done:])
                self._trouble(error)
                return False
        return True

    def _cleaned(self, rows: Sequence[Row]) -> list[Row]:
        cleaned: list[Row] = []
        for row in rows:
            cleaned.append(self._cleaner.clean(row))
            time.sleep(0)  # lets the event loop's thread run: it must not wait for a whole batch
        return cleaned

    def _sessions_of(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of sessions that go on. They are written with each batch, so that a store which was begun anew or
        from which a session was forgotten has them again."""
        for row in rows:
            if isinstance(row, SessionRow):
                self._sessions[row.session] = row
        while len(self._sessions) > MAX_OPEN_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        named = {
            row.session: None
            for row in rows
            if isinstance(row, CallRow | TextRow | SpeculationRow | SkipRow | ComparisonRow | QuestionRow)
        }
        known = [self._sessions[session] for session in named if session in self._sessions]
        for row in rows:
            if isinstance(row, SessionRow) and row.ended_at is not None:
                del self._sessions[row.session]
        return list[Row](known)

    # --- the switch ---------------------------------------------------------------------------------------------

    def _look(self, switch: SeenSwitch) -> None:
        self._look_at = time.monotonic() + LOOK_S
        store = self._opened()
        if self._newer:
            switch.saw(Mode.OFF)
        if store is None:
            return
        try:
            switch.saw(store.switched())
        except StoreError as error:
            self._trouble(error)

    # --- upkeep -------------------------------------------------------------------------------------------------

    def _upkeep(self) -> None:
        store = self._opened()
        if store is None:
            return
        try:
            store.upkeep(self._wall_clock(), self._settings.retention_days)
            self._upkeep_at = time.monotonic() + UPKEEP_CHECK_S
        except StoreCorrupt as error:
            self._store = self._begin_anew(error)
        except StoreError as error:
            self._trouble(error)


def _decoded(rows: Sequence[LearnedRow]) -> tuple[Learned, ...]:
    learned: list[Learned] = []
    for row in rows:
        try:
            learned.append(Learned(row.kind, cast("Json", json.loads(row.data))))
        except ValueError:
            continue  # learning is worth less than starting
    return tuple(learned)


def _drained(waiting: deque[T]) -> Iterator[T]:
    """Take all that is there; another thread may be taking as well."""
    with contextlib.suppress(IndexError):
        while True:
            yield waiting.popleft()


def _resolve(flushes: Iterable[Future[bool]], written: bool) -> None:
    for future in flushes:
        if future.set_running_or_notify_cancel():
            future.set_result(written)

"""Files of recorded sessions, each played by itself: one after the other, or several at once in processes of their own.

What is learned from other sessions first is learned once and handed over as it is, so no file knows of another and
the figures are the same however many are played at once.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from ctypes import c_bool, c_longlong
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, cast

from spec_mcp.errors import Failed, UserError
from spec_mcp.records import Session, Tool, read_sessions, read_tools, tools_beside
from spec_mcp.replay.evaluate import Evaluation, Options

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

Report = Mapping[str, object]

Meter = Callable[[int, int], None]
"""Is told how many calls were played, of how many that were found so far."""

LOOK_S = 0.1
"""How often one looks how far the processes are."""


COLLECTED_AFTER = 20_000
"""So many more objects, and cycles are looked for: a few MB."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is asked of each file."""

    options: Options
    tools: Path | None = None
    """The tool catalogue; None: the one beside the file."""
    limit: int | None = None
    """Only so many sessions of each file."""


Tell = Callable[[int, int], None]
"""Is told of so many more calls that were played, and so many more that were found."""


def play_files(
    files: Sequence[Path], training: Sequence[Path], work: Work, jobs: int, meter: Meter
) -> Iterator[tuple[Path, Report]]:
    """The figures of each file, in the order given; as many files at once as there are jobs.

    Raises:
        UserError: a file cannot be read; the figures of those before it have been given.
        Failed: a process ended before its work was done.
    """
    played = found = 0

    def tell(more_played: int, more_found: int) -> None:
        nonlocal played, found
        played, found = played + more_played, found + more_found
        meter(played, found)

    learned = _learn(training, work.options, tell) if training else None
    if min(jobs, len(files)) > 1:
        yield from _play_at_once(files, learned, work, jobs, tell)
    else:
        for path in files:
            yield path, _play(path, learned, work, tell)


def jobs_here() -> int:
    """How many processes this machine works on at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _learn(training: Sequence[Path], options: Options, tell: Tell) -> bytes:
    """An evaluation that has learned from these files, from which each file starts."""
    evaluation = Evaluation(options)
    lessons = [(list(read_sessions(path)), _catalogue(path, None)) for path in training]
    for sessions, catalogue in lessons:
        evaluation.train(sessions, catalogue, _counting(sessions, tell))
    return pickle.dumps(evaluation)


def _play(path: Path, learned: bytes | None, work: Work, tell: Tell) -> Report:
    sessions = list(islice(read_sessions(path), work.limit))
    catalogue = _catalogue(path, work.tools)
    evaluation = Evaluation(work.options) if learned is None else cast("Evaluation", pickle.loads(learned))
    with _collected_rarely():
        return evaluation.play(sessions, catalogue, _counting(sessions, tell)).report(_source(sessions, path))


@contextmanager
def _collected_rarely() -> Generator[None]:
    """What playing makes is of no more than the last few turns, and hardly any of it is a cycle: to look for cycles as
    often as usual takes a twelfth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _counting(sessions: Sequence[Session], tell: Tell) -> Callable[[], None]:
    """Tell of the calls of sessions that are found now, and are played one after the other."""
    calls = [sum(1 for _ in session.calls()) for session in sessions]
    tell(0, sum(calls))
    left = iter(calls)
    return lambda: tell(next(left), 0)


def _catalogue(path: Path, given: Path | None) -> list[Tool]:
    beside = given or tools_beside(path)
    return [] if beside is None else read_tools(beside)


def _source(sessions: Sequence[Session], path: Path) -> str:
    sources = list(dict.fromkeys(session.source for session in sessions if session.source))
    return sources[0] if len(sources) == 1 else path.name


# --- several at once --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the processes tell each other while they work."""

    played: Synchronized[int]
    found: Synchronized[int]
    stop: Synchronized[bool]
    """Nobody waits for the figures any more."""

    def tell(self, more_played: int, more_found: int) -> None:
        """In a process that plays."""
        if self.stop.value:
            raise _GivenUp
        with self.played:
            self.played.value += more_played
        with self.found:
            self.found.value += more_found


class _GivenUp(Exception):  # noqa: N818  it is no error: the work is not wanted any more
    """The work ends here."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """A user's error on its way between processes."""

    text: str


@dataclass(frozen=True, slots=True)
class _Task:
    """What a process was started for."""

    learned: bytes | None
    work: Work
    shared: _Shared


_task: _Task | None = None
"""In a process that plays, what it was started for: too much to be sent with each file."""


def _play_at_once(
    files: Sequence[Path], learned: bytes | None, work: Work, jobs: int, tell: Tell
) -> Iterator[tuple[Path, Report]]:
    context = get_context("fork" if _may_be_copied() else "spawn")
    shared = _Shared(context.Value(c_longlong, 0), context.Value(c_longlong, 0), context.Value(c_bool, False))
    pool = ProcessPoolExecutor(min(jobs, len(files)), context, _begin, (_Task(learned, work, shared),))
    try:
        with _left_alone():
            order = sorted(range(len(files)), key=lambda number: -_size_bytes(files[number]))
            running = {number: pool.submit(_play_here, files[number]) for number in order}
        following = _follow(shared, tell)
        for number, path in enumerate(files):
            yield path, _await(running[number], following)
    finally:
        shared.stop.value = True
        pool.shutdown(cancel_futures=True)


def _may_be_copied() -> bool:
    """A copy has all modules at hand, where a new process takes 0.2 s to load them. But it could hold a lock of one of
    our threads, and the libraries of other systems have threads of their own."""
    return sys.platform == "linux" and threading.active_count() == 1


def _begin(task: _Task) -> None:
    """In a process that plays, before its first file."""
    global _task
    _task = task


def _play_here(path: Path) -> Report | _Fault:
    """In a process that plays. Errors go back as text: not all of them can be made again from it."""
    assert _task is not None, "a process is told what for when it starts"
    try:
        return _play(path, _task.learned, _task.work, _task.shared.tell)
    except UserError as error:
        return _Fault(str(error))


def _await(running: Future[Report | _Fault], follow: Callable[[], None]) -> Report:
    while True:
        try:
            report = running.result(LOOK_S)
            break
        except FutureTimeoutError:
            follow()
        except BrokenProcessPool as error:
            raise Failed("replay: one of its processes ended before its work was done: try --jobs 1") from error
    follow()
    if isinstance(report, _Fault):
        raise UserError(report.text)
    return report


def _follow(shared: _Shared, tell: Tell) -> Callable[[], None]:
    """Tells what was played and found since it was called last."""
    played = found = 0

    def follow() -> None:
        nonlocal played, found
        more_played, more_found = shared.played.value - played, shared.found.value - found
        played, found = played + more_played, found + more_found
        tell(more_played, more_found)

    return follow


@contextmanager
def _left_alone() -> Generator[None]:
    """Processes that are started here do not hear Ctrl-C: we do, and tell them to stop."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _size_bytes(path: Path) -> int:
    """The largest are played first, so that none of them is left for one process at the end."""
    try:
        return path.stat().st_size
    except OSError:
        return 0

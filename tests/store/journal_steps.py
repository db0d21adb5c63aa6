"""A process that takes an entry through its life: `python -m tests.store.journal_steps PATH STEP…`.

It says each step when that is done, and then waits for a line before the next, unless the first step is `run`: then it
takes one entry after the other through the steps until it is killed; `thread` intends many at once. `kill:` before a
step has the process die in the middle of it, when its file is written but not its database, or the other way round.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from spec_mcp.store.journal_thread import JournalThread
from spec_mcp.store.markers import Markers
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.store.entries import entry

OWNER = "child"


def step_of(journal: SqliteJournal, name: str, number: int) -> bool:
    """Carry one step out."""
    entry_id = f"{OWNER}-{number}"
    steps: dict[str, Callable[[], bool]] = {
        "intend": lambda: journal.intend(entry(number, OWNER)) is None,
        "returned": lambda: journal.returned(entry_id, OWNER, "result", b'{"x":1}'),
        "left": lambda: journal.left(entry_id, OWNER, "digest"),
        "adopted": lambda: journal.claim(entry_id, OWNER, "adopted"),
        "compensating": lambda: journal.claim(entry_id, OWNER, "compensating"),
        "undo_sent": lambda: journal.undo_sent(entry_id, OWNER),
        "stuck": lambda: journal.stuck(entry_id, OWNER, "why"),
        "settled": lambda: journal.settled(entry_id, OWNER),
    }
    return steps[name]()


class Deadly(Markers):
    """The process dies once a marker was put, and before one is removed."""

    def put(self, instance: str) -> None:
        super().put(instance)
        os.kill(os.getpid(), signal.SIGKILL)

    def remove(self, instance: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def say(text: str) -> None:
    """Tell the parent."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def intend_by_thread(path: Path) -> None:
    """Submit one entry after the other and say which of them is answered, until killed."""
    thread = JournalThread(path)
    room = threading.Semaphore(50)
    for number in range(1_000_000):
        room.acquire()

        def done(result: object, number: int = number) -> None:
            assert result is None
            say(str(number))
            room.release()

        thread.submit(lambda journal, number=number: journal.intend(entry(number, OWNER)), done)


def main() -> None:
    """See the module's text."""
    journal = SqliteJournal(Path(sys.argv[1]), busy_timeout_s=30)
    names = sys.argv[2:]
    if names[0] == "thread":
        intend_by_thread(Path(sys.argv[1]))
    if names[0] == "run":
        for number in range(1_000_000):
            for name in names[1:]:
                assert step_of(journal, name, number)
                say(f"{name} {number}")
    for name in names:
        if name.startswith("kill:"):
            journal.markers = Deadly(journal.path)
        assert step_of(journal, name.removeprefix("kill:"), 1)
        say(name)
        sys.stdin.readline()


if __name__ == "__main__":
    main()

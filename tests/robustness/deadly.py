"""`spec-mcp wrap` that is killed at a chosen moment: `deadly.py PLAN [OPTION…] -- COMMAND`.

PLAN is a file of JSON. Its predictor foretells each call as `foretold` has it, right or wrong, and goes on from what
it has foretold itself. When the process has come to `point` for the `nth` time, it notes so in `marks` and dies
`delay_s` later by SIGKILL, as it would from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed
from spec_mcp.relay import disk, wrap
from spec_mcp.store.journal_thread import JournalThread, open_sqlite_journal

STEPS = ("intend", "returned", "left", "adopt", "compensate", "undo_sent", "settled", "take_over")
POINTS = (
    *(f"{when} {step}" for step in STEPS for when in ("before", "in", "after")),
    *("launch", "answer", "undo", "before reply", "reply"),
)
"""`in` a step: the journal has been told, and it is not on disk yet."""

CLAIMS = {"adopted": "adopt", "compensating": "compensate"}


class Death:
    """Dies when its moment has come."""

    def __init__(self, point: str, nth: int, delay_s: float, marks: Path) -> None:
        self._point = point
        self._left = nth
        self._delay_s = delay_s
        self._marks = marks

    def at(self, point: str) -> None:
        """The process has come to this point."""
        if not point or point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            self._marks.write_text(point)
            if self._delay_s == 0.0:
                die()
            threading.Timer(self._delay_s, die).start()

    def around(self, kind: type, name: str, before: str = "", after: str = "") -> None:
        """Have a method of the relay tell when it is called."""
        method = getattr(kind, name)

        def told(*arguments: Any) -> Any:
            self.at(before)
            result = method(*arguments)
            self.at(after)
            return result

        setattr(kind, name, told)


def die() -> None:
    """At once."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyJournal:
    """A journal that tells of each step."""

    def __init__(self, path: Path, death: Death) -> None:
        self._journal: Any = open_sqlite_journal(path)
        self._death = death
        self._done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)
        if name == "claim":
            return lambda entry, owner, into: self._step(CLAIMS[into], method, entry, owner, into)
        return partial(self._step, name, method) if name in STEPS else method

    def _step(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        self._death.at(f"before {name}")
        result = method(*arguments)
        self._death.at(f"in {name}")
        self._done.append(name)
        return result

    @contextmanager
    def together(self) -> Generator[None]:
        """All that is done within is on disk after it."""
        with self._journal.together():
            yield
        done, self._done = self._done, []
        for name in done:
            self._death.at(f"after {name}")


class Scripted:
    """Foretells what it was told to."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._foretold: list[tuple[str, Any]] = [(tool, arguments) for tool, arguments in plan["foretold"]]
        self._server = ""
        self._begun = 0

    def began(self, call: CallBegan) -> None:
        self._server = call.server
        self._begun += 1

    def ended(self, call: CallEnded) -> None:
        return

    def said(self, session: str, role: str, text: str) -> None:
        return

    def attached(self, session: str, read: Supposed) -> None:
        return

    def closed(self, session: str) -> None:
        return

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        coming = self._foretold[self._begun + len(supposed) :][:1]
        return [Candidate(self._server, tool, arguments, 0.99, "script", True) for tool, arguments in coming]

    def dump(self) -> Json:
        return None

    def load(self, learned: Json) -> None:
        return


def thinks(self: Timing, fraction: float) -> float:
    """The client is taken to think long: else nothing is worth a speculation on a server as fast as this."""
    return 30.0


def main() -> int:
    path, *options = sys.argv[1:]
    plan = json.loads(Path(path).read_text())
    death = Death(plan["point"], plan["nth"], plan["delay_s"], Path(plan["marks"]))

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Scripted:
        from spec_mcp.relay.answering import Answering
        from spec_mcp.relay.reversing import Reversing
        from spec_mcp.relay.speculating import Speculating

        death.around(Speculating, "_launch", after="launch")
        death.around(Reversing, "answered", before="answer")
        death.around(Reversing, "_send_undo", after="undo")
        death.around(Answering, "_reply", before="before reply", after="reply")
        return Scripted(plan)

    Timing.gap_s = thinks
    disk.JournalThread = partial(JournalThread, open_journal=lambda path: DeadlyJournal(path, death))  # pyright: ignore
    return wrap.serve(wrap.parse(options), make)


if __name__ == "__main__":
    sys.exit(main())

"""Replicas that are killed, cut off from their database and started anew, while clients ask each in turn.

`python -m tests.robustness.chaos --seconds 600 [--seed 1]`: the clients' answers are held against the server's own log
afterwards. Each read shows what a page held at some moment between its call and its answer, no write is done twice or
lost once it was answered, and whoever lives answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psycopg

from spec_mcp.store.place import Remote
from spec_mcp.store.postgres.connecting import Database
from tests import postgres
from tests.relay.board.replicas import Group, Pages, Replica, Wire

REPLICAS = 3
CLIENTS = 4
PAGES = 5
THINK_S = (0.05, 0.1, 0.2)
TROUBLE_S = (0.5, 2.0)
"""So long nothing goes wrong."""
CUT_S = (0.3, 1.5, 4.0)
LEASE_S = 1.0


class Wrong(AssertionError):  # noqa: N818  named for what it is
    """Something that must hold did not."""


@dataclass(slots=True)
class Done:
    """A call and its answer, by the clock that all processes share."""

    tool: str
    page: str
    text: str
    asked_s: float
    answered_s: float
    is_answered: bool


@dataclass(slots=True)
class Place:
    """One replica's place, its way to the database, and whoever stands there now."""

    wire: Wire
    replica: Replica
    is_dying: bool = False


@dataclass(slots=True)
class Campaign:
    """Clients and trouble, for some seconds."""

    group: Group
    seed: int
    seconds: float
    say: Callable[[str], None] = lambda text: None
    done: list[Done] = field(default_factory=list[Done])
    troubles: Counter[str] = field(default_factory=Counter[str])
    unanswered: list[str] = field(default_factory=list[str])
    """By replicas that lived."""
    _places: list[Place] = field(default_factory=list[Place])
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Let it go on, and then hold the answers against the log.

        Raises:
            Wrong: something does not fit.
        """
        for _ in range(REPLICAS):
            wire = Wire(self.group.url)
            self._places.append(Place(wire, self.group.add(wire.url)))
        self.group.warm_up()
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            self._trouble()
        finally:
            self._ended.set()
            for client in clients:
                client.join()
            for place in self._places:
                place.wire.close()
        check(self.done, self.group.pages.log())
        if self.unanswered:
            raise Wrong(f"not answered by a replica that lives: {self.unanswered}")

    # --- clients ----------------------------------------------------------------------------------------------------

    def _client(self, number: int) -> None:
        chance = random.Random(self.seed * 100 + number)
        turn = 0
        while not self._ended.is_set():
            book = chance.choice(["all", "all", f"own{number}"])
            for page in range(1, PAGES + 1):
                self._call(number + turn, "read_page", f"{book}-{page}", "")
                turn += 1
                if chance.random() < 0.25:
                    name = f"{book}-{chance.randint(1, PAGES)}"
                    self._call(number + turn, "write_page", name, f"{number}.{turn}")
                    turn += 1
                if self._ended.wait(chance.choice(THINK_S)):
                    return

    def _call(self, turn: int, tool: str, page: str, text: str) -> None:
        place = self._places[turn % REPLICAS]
        replica, asked_s = place.replica, time.monotonic()
        arguments = {"name": page, **({"text": text} if text else {})}
        answer: object = None
        with contextlib.suppress(httpx2.HTTPError):
            answer = replica.call(tool, arguments)
        is_answered = isinstance(answer, dict) and "name" in answer
        if not is_answered and replica is place.replica and not place.is_dying:
            self.unanswered.append(f"{tool} {page} {text}: {answer}")
        shown = str(answer["text"]) if is_answered and tool == "read_page" and isinstance(answer, dict) else text  # pyright: ignore[reportUnknownArgumentType]
        self.done.append(Done(tool, page, shown, asked_s, time.monotonic(), is_answered))

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _trouble(self) -> None:
        chance = random.Random(self.seed)
        until_s = time.monotonic() + self.seconds
        said_s = time.monotonic()
        while (now_s := time.monotonic()) < until_s:
            self._ended.wait(chance.uniform(*TROUBLE_S))
            chance.choice([self._kill, self._cut, self._cut, self._terminate])(chance)
            if now_s > said_s + 30.0:
                said_s = now_s
                self.say(f"{until_s - now_s:.0f} s to go, {len(self.done)} calls, {dict(self.troubles)}")

    def _kill(self, chance: random.Random) -> None:
        place = chance.choice(self._places)
        self.troubles["killed"] += 1
        place.is_dying = True
        dead = place.replica
        dead.gateway.process.send_signal(signal.SIGKILL)
        dead.gateway.process.wait()
        place.wire.mend()
        place.replica = self.group.add(place.wire.url)
        place.is_dying = False

    def _cut(self, chance: random.Random) -> None:
        place = chance.choice(self._places)
        self.troubles["cut off"] += 1
        place.wire.cut()
        self._ended.wait(chance.choice(CUT_S))
        place.wire.mend()

    def _terminate(self, chance: random.Random) -> None:
        self.troubles["connections cut"] += 1
        with psycopg.connect(self.group.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'spec-mcp%'"
            )


def check(done: list[Done], log: list[dict[str, object]]) -> None:
    """Hold what clients saw against what the server did.

    Raises:
        Wrong: something does not fit.
    """
    changes: defaultdict[str, list[tuple[float, str]]] = defaultdict(lambda: [(float("-inf"), "")])
    for entry in log:
        arguments = entry["arguments"]
        if entry["tool"] == "write_page" and isinstance(arguments, dict):
            changes[str(arguments["name"])].append((float(str(entry["at"])), str(arguments["text"])))  # pyright: ignore[reportUnknownArgumentType]
    written = Counter((page, text) for page, all_of_it in changes.items() for _, text in all_of_it[1:])
    for call in done:
        if call.tool == "write_page":
            times = written[call.page, call.text]
            if times > 1 or (call.is_answered and times != 1):
                raise Wrong(f"{call} was done {times} times")
        elif call.is_answered and not _was_there(changes[call.page], call):
            raise Wrong(f"{call} shows what was not there: {changes[call.page]}")


def _was_there(changes: list[tuple[float, str]], call: Done) -> bool:
    ends = [at_s for at_s, _ in changes[1:]] + [float("inf")]
    return any(
        text == call.text and at_s <= call.answered_s and end_s >= call.asked_s
        for (at_s, text), end_s in zip(changes, ends, strict=True)
    )


def campaign(seed: int, seconds: float, folder: Path, say: Callable[[str], None] = lambda text: None) -> Campaign:
    """One campaign on a database of its own."""
    pages = Pages(folder)
    try:
        with postgres.database() as url:
            Database(Remote(url)).close()
            group = Group(folder, pages, url, lease_s=LEASE_S)
            try:
                found = Campaign(group, seed, seconds, say)
                found.run()
                hits = group.query("SELECT how, count(*) FROM calls GROUP BY how")
                found.troubles.update({f"answered as {how}": count for how, count in hits})
                return found
            finally:
                group.close()
    finally:
        pages.close()


def main() -> int:
    """By hand."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(given.seed, given.seconds, Path(folder), lambda text: print(text, flush=True))  # noqa: T201
    sys.stdout.write(json.dumps({"calls": len(found.done), **found.troubles}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

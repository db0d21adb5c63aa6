"""`spec-mcp wrap` is killed again and again under a busy client: `python -m tests.robustness.kills --kills N --seed S`.

Life after life works on with the same server's files and the same store. Each life foretells the client's writes, now
right and now wrong, and ends by SIGKILL: at a moment of the journal or of the line, or whenever it happens to be. Then
`spec-mcp recover`, or the next life, settles what is left, and goes on.

A twin of the server gets the calls that were answered, and nothing else. Each answer must be the twin's. Of a write
that was under way at a kill nobody knows whether it was done: the next life's first call shows it, and must show the
one or the other.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from spec_mcp.store.place import STORE_NAME
from spec_mcp.store.sqlite_journal import SqliteJournal
from tests.pipes import Line, Missing, RawClient
from tests.robustness.deadly import POINTS
from tests.robustness.kill_worlds import WORLDS, Call, World, environment

DEADLY = Path(__file__).with_name("deadly.py")
SPEC_MCP = Path(sys.executable).parent / "spec-mcp"

CALLS = 10
"""In a life that is not killed before."""
AIMED_SHARE = 0.75
RIGHT_SHARE = 0.6
"""Of the calls that are foretold as they come."""
RECOVERED_SHARE = 0.5
"""Kills after which `spec-mcp recover` is run before the next life begins."""
RECOVERY_KILLED_SHARE = 0.25
RECOVER_BOUND_S = 60.0
THINK_MAX_S = 0.04
"""An early write, from the first reading to the last, takes about half of this."""
AT_RANDOM_MAX_S = 0.4
SHORTLY_S = 30.0
"""Its output ends before it does."""


class Wrong(AssertionError):  # noqa: N818
    """Something differs from a run without speculation; the message says when and what."""


class Killed(Exception):  # noqa: N818
    """The process is gone, as it was meant to be."""


@dataclass(frozen=True, slots=True)
class Life:
    """What will happen in a life."""

    calls: list[Call]
    foretold: list[Call]
    point: str
    """Where it is killed; empty: after `lasts_s`."""
    nth: int
    delay_s: float
    lasts_s: float


class Campaign:
    """Many lives at one world."""

    def __init__(self, world: World, folder: Path, seed: int, points: Sequence[str] = POINTS) -> None:
        self.stats: Counter[str] = Counter()
        self._world = world
        self._folder = folder
        self._home = folder / "home"
        self._random = Random(seed)
        self._points = points
        self._points_left: list[str] = []
        self._unsure: Call | None = None
        """The write that was under way when the last life ended."""
        self._ended: list[RawClient] = []
        accepted = json.dumps([f"{world.name}.{tool}" for tool in world.reversible])
        self._configuration = folder / "config.toml"
        self._configuration.write_text(
            f"[speculation]\nreversible = true\naccept_unproven = {accepted}\nwasted_call_s = 0.0\n"
        )

    def run(self, kills: int, until_s: float = float("inf")) -> None:
        """So many lives that are killed, or as many as there is time for, and a last one that is not.

        Raises:
            Wrong: what a client saw, or what is left, is not what it is without speculation.
        """
        began_s = time.monotonic()
        try:
            for number in range(kills):
                if time.monotonic() - began_s > until_s:
                    break
                self._live(number)
                self._settle()
            self._check_rest()
        finally:
            for client in self._ended:
                client.close()

    # --- one life -----------------------------------------------------------------------------------------------------

    def _plan(self) -> Life:
        random, world = self._random, self._world
        calls = [world.looks(random, self._unsure), *(world.call(random) for _ in range(CALLS))]
        foretold = [call if random.random() < RIGHT_SHARE else world.early(random) for call in calls]
        is_aimed = random.random() < AIMED_SHARE
        return Life(
            calls,
            foretold,
            self._draw_point() if is_aimed else "",
            random.choice((1, 1, 1, 2)),
            random.choice((0.0, 0.0, random.uniform(0.0, 0.01))),
            0.0 if is_aimed else random.uniform(0.0, AT_RANDOM_MAX_S),
        )

    def _draw_point(self) -> str:
        """Each of them once, before any comes again; one that a life did not come to is tried once more after them."""
        if not self._points_left:
            self._points_left = self._random.sample(self._points, len(self._points))
        return self._points_left.pop()

    def _live(self, number: int) -> None:
        life = self._plan()
        marks = self._folder / "marks"
        marks.unlink(missing_ok=True)
        client = self._start(life, marks)
        when = f"life {number}, {life.point or 'at random'} {life.nth}"
        try:
            self._hand_shake(client)
            dies_at_s = time.monotonic() + life.lasts_s if not life.point else float("inf")
            for call in life.calls:
                self._call(client, call, when)
                self._think(client, dies_at_s)
            client.process.kill()
        except Killed:
            pass
        if client.wait_exit() != -signal.SIGKILL:
            raise Wrong(f"{when}: ended by itself: {client.stderr!r}")
        self._look_at(client, number)
        self.stats["kills"] += 1
        self.stats[marks.read_text() if marks.exists() else "at random"] += 1
        if life.point and not marks.exists():
            self._points_left.insert(0, life.point)
        self._ended.append(client)

    def _start(self, life: Life, marks: Path) -> RawClient:
        plan = self._folder / "plan.json"
        plan.write_text(
            json.dumps(
                {
                    "foretold": [[call.tool, call.arguments] for call in life.foretold],
                    "point": life.point,
                    "nth": life.nth,
                    "delay_s": life.delay_s,
                    "marks": str(marks),
                }
            )
        )
        options = ["--name", self._world.name, "--manifest", str(self._world.manifest)]
        options += ["--config", str(self._configuration), "--", *self._world.command]
        return RawClient(
            [sys.executable, str(DEADLY), str(plan), *options],
            env=environment(self._world, self._home),
            cwd=self._folder,
        )

    def _hand_shake(self, client: RawClient) -> None:
        with _until_killed(client):
            client.initialize()
            client.list_tools()

    def _call(self, client: RawClient, call: Call, when: str) -> None:
        try:
            with _until_killed(client):
                answer = client.call(call.tool, call.arguments)
        except Killed:
            if self._unsure is None and self._world.writes(call):
                self._unsure = call
            raise
        self._compare(call, answer, when)

    def _compare(self, call: Call, answer: Line, when: str) -> None:
        self.stats["calls"] += 1
        expected = self._world.expects(call)
        if self._unsure is not None:
            unsure, self._unsure = self._unsure, None
            if answer.message.get("result") == expected:
                self.stats["under way: not done, or without effect"] += 1
                return
            self._world.expects(unsure)
            expected = self._world.expects(call)
            self.stats["under way: done"] += 1
            when += f", after {unsure} which may have been done"
        if answer.message.get("result") != expected:
            raise Wrong(f"{when}: {call} was answered {answer.message}, and not {expected}")

    def _think(self, client: RawClient, dies_at_s: float) -> None:
        """Work, as far as the client can tell; a process that is to be killed by then is."""
        now_s = time.monotonic()
        pause_s = self._random.uniform(0.0, THINK_MAX_S)
        time.sleep(max(0.0, min(pause_s, dies_at_s - now_s)))
        if now_s + pause_s >= dies_at_s:
            client.process.kill()
            raise Killed

    def _look_at(self, client: RawClient, number: int) -> None:
        if self._unsure is not None:  # its server may be at it yet, as it may be without us
            client.wait_silence()
        said = client.stderr.decode(errors="replace")
        if any(word in said for word in ("STUCK", "NOT TAKEN BACK", "speculation failed")):
            raise Wrong(f"life {number} said {said}")

    # --- between lives ------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        left = self._entries()
        self.stats["entries left"] += left
        self.stats["kills that left entries"] += left > 0
        if self._random.random() >= RECOVERED_SHARE:
            return
        command = [str(SPEC_MCP), "recover", "--json"]
        options: dict[str, Any] = {"env": environment(self._world, self._home), "cwd": self._folder}
        if left and self._random.random() < RECOVERY_KILLED_SHARE:
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options) as process:
                try:
                    process.wait(self._random.uniform(0.2, 1.2))
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.stats["recoveries killed"] += 1
        done = subprocess.run(command, capture_output=True, timeout=RECOVER_BOUND_S, check=False, **options)
        if done.returncode != 0 or self._entries():
            raise Wrong(f"recover: {done.stdout!r} {done.stderr!r}")
        self.stats["recovered"] += left

    def _entries(self) -> int:
        store = self._home / STORE_NAME
        if not store.exists():
            return 0
        journal = SqliteJournal(store)
        try:
            return len(journal.open_entries())
        finally:
            journal.close()

    def _check_rest(self) -> None:
        """A last life, which takes back what it did not need; then nothing is left but what was asked for."""
        calls = [self._world.looks(self._random, self._unsure)]
        client = self._start(Life(calls, calls, "", 1, 0.0, 0.0), self._folder / "marks")
        self._ended.append(client)
        self._hand_shake(client)
        self._call(client, calls[0], "at the end")
        client.close_input()
        client.wait_exit()
        self._look_at(client, -1)
        client.wait_silence()
        if self._entries():
            raise Wrong("something is left in the journal")
        if differences := self._world.differences():
            raise Wrong(f"at the end {differences}")


@contextmanager
def _until_killed(client: RawClient) -> Generator[None]:
    """Tell a process that was killed from one that does not answer."""
    try:
        yield
    except (Missing, BrokenPipeError) as missing:
        try:
            client.process.wait(SHORTLY_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"no answer: {missing}") from missing
        raise Killed from missing


def run(
    name: str, kills: int, seed: int, until_s: float = float("inf"), points: Sequence[str] = POINTS
) -> Counter[str]:
    """A campaign in a folder of its own, aimed at these points; what happened how often.

    Raises:
        Wrong: as `Campaign.run` does; the message names the seed.
    """
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        world = WORLDS[name](Path(folder))
        try:
            campaign = Campaign(world, Path(folder), seed, points)
            campaign.run(kills, until_s)
        except Wrong as wrong:
            raise Wrong(f"--world {name} --seed {seed}: {wrong}") from wrong
        finally:
            world.close()
    return campaign.stats


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="in front of each world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", choices=sorted(WORLDS), action="append", help="default: all")
    options = parser.parse_args()
    for name in options.world or sorted(WORLDS):
        began_s = time.monotonic()
        stats = run(name, options.kills, options.seed)
        sys.stdout.write(f"{name}: {time.monotonic() - began_s:.0f} s, {json.dumps(dict(stats.most_common()))}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs one test body in every arm and holds the arms against each other.

The arms: `direct`, the server itself; `off`, through `spec-mcp wrap --mode off`; `right`, speculating on a predictor
that knows what the body will call; `lying`, on one that is always wrong. In every arm a tap stands right in front of
the server, so that what a speculation did is counted where it happens, beside what our own statistics say.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio

from tests.parity.agent import Agent, NoThinker, RawAgent, SdkAgent, Thinker, Wire, raw_agent, sdk_agent
from tests.parity.transcript import (
    Normalise,
    Tapped,
    Transcript,
    call_of,
    ids_at_server,
    ids_of,
    read_tap,
    transcript_of,
)
from tests.pipes import Line, Missing

ROOT = Path(__file__).resolve().parents[2]
PARITY = Path(__file__).resolve().parent
TAP = ROOT / "tests" / "servers" / "tap.py"
BIN = Path(sys.executable).parent

ArmName = Literal["direct", "off", "right", "lying"]
ClientKind = Literal["raw", "legacy", "auto"]
CLIENTS: tuple[ClientKind, ...] = ("raw", "legacy", "auto")

LAUNCHED_S = 1.5
"""A candidate that has not been launched so long after it was named has been skipped."""

READY_S = 30.0
"""How long a speculation may take to be ready for the call after it: the test waits no longer."""
ASKED_S = 30.0
LISTED_S = 60.0
STEP_S = 0.002

# A cancelled speculation keeps its place for a while, since most servers never answer it. The bodies call many times
# faster than any agent thinks, so they need more places than an agent does. What is asked once more only to be compared
# would be counted as a speculation that nobody foretold.
CONFIGURATION = """\
[speculation]
mode = "on"
wasted_call_s = 0.0
breadth = 8
depth = 3
in_flight = 64
check_every = 0
"""

Body = Callable[[Agent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class World:
    """A server under test and the state that it works on."""

    name: str
    command: Sequence[str]
    folder: Path
    """All state lives here, at the same place in every arm."""
    prepare: Callable[[Path], None]
    snapshot: Callable[[Path], object]
    normalise: Normalise
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    wrap_options: Sequence[str] = ()
    has_roots: bool = True
    """Does the client offer roots? A client's answer about them counts as a write, which takes its time to settle."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What `spec-mcp stats --json` and the store say of one session."""

    calls: int
    hits: int
    joins: int
    misses: int
    speculations: int
    wasted: int
    ends: Mapping[str, int]
    """Speculations by the reason for which they ended unused."""
    skips: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Run:
    """One session of one arm."""

    arm: ArmName
    transcript: Transcript
    state: object
    tapped: Tapped
    wire: Wire
    statistics: Statistics | None

    @property
    def calls(self) -> list[tuple[str, Any]]:
        """The client's calls in their order."""
        return [call for line in self.wire.sent if (call := call_of(line))]

    @property
    def client_calls_at_server(self) -> list[tuple[str, Any]]:
        """Those that the server saw under the client's ids."""
        return [call for line in self.tapped.requests(ids_of(self.wire), own=True) if (call := call_of(line))]

    @property
    def speculated(self) -> list[tuple[str, Any]]:
        """Calls that the server saw under ids of ours."""
        return [call for line in self.tapped.requests(ids_of(self.wire), own=False) if (call := call_of(line))]


class ScriptThinker:
    """Waits until the predictor was asked after the last answer, and what it foretold for the next call is there."""

    def __init__(self, marks: Path, tap: Path, script: Sequence[tuple[str, Any]], wire: Wire) -> None:
        self._marks = marks
        self.tap = tap
        self._script = script
        self._wire = wire

    def wait_listed(self) -> None:
        """Wait until our own look at the tools is done: nothing is speculated before."""
        if not self._until(self._listed, LISTED_S):
            raise Missing("our own tools/list was never answered")

    def wait(self, ended: int, ready: bool) -> None:
        if not ended:
            return  # before the first call there is nothing to predict from
        answer = self._until(lambda: self._asked(ended), ASKED_S)
        if answer is None or ended >= len(self._script):
            return
        if ended in answer["reads"] and self._until(lambda: self._launched(self._script[ended]), LAUNCHED_S) and ready:
            self._until(lambda: self._ready(self._script[ended]), READY_S)

    def _until(self, look: Callable[[], Any], limit_s: float) -> Any:
        deadline_s = time.monotonic() + limit_s
        while not (found := look()) and time.monotonic() < deadline_s:
            time.sleep(STEP_S)
        return found

    def ours(self) -> list[Line]:
        """The requests that the server got from us."""
        return read_tap(self.tap).requests(ids_of(self._wire), own=False)

    def _listed(self) -> bool:
        tapped = read_tap(self.tap)
        own = [line for line in self.ours() if line.method == "tools/list"]
        answers = {line.message["id"]: line for line in tapped.from_server if line.is_answer}
        got = [answers[line.message["id"]] for line in own if line.message["id"] in answers]
        return any("nextCursor" not in line.message.get("result", {}) for line in got)

    def _asked(self, ended: int) -> Any:
        if not self._marks.exists():
            return None
        answers = [json.loads(line) for line in self._marks.read_text().splitlines() if line.endswith("}")]
        return next((answer for answer in reversed(answers) if answer["ended"] == ended), None)

    def _launched(self, call: tuple[str, Any]) -> list[Any]:
        return [line.message["id"] for line in self.ours() if call_of(line) == call]

    def _ready(self, call: tuple[str, Any]) -> bool:
        """The newest of them has its answer, or was given up: those before it may have been spoiled."""
        tapped = read_tap(self.tap)
        over = [line.message["id"] for line in tapped.from_server if line.is_answer]
        over += [
            line.message["params"]["requestId"] for line in tapped.to_server if line.method == "notifications/cancelled"
        ]
        return self._launched(call)[-1] in over


class Rig:
    """The arms of one world with one kind of client."""

    def __init__(self, world: World, client: ClientKind, scratch: Path) -> None:
        self.world = world
        self.client: ClientKind = client
        self.scratch = scratch

    def run(self, arm: ArmName, body: Body, script: Sequence[tuple[str, Any]] = ()) -> Run:
        """One session; `script` is what the predictors of the speculating arms go by."""
        here = self.scratch / arm
        here.mkdir(parents=True)
        shutil.rmtree(self.world.folder, ignore_errors=True)
        self.world.folder.mkdir(parents=True)
        self.world.prepare(self.world.folder)
        home = here / "home"
        home.mkdir()
        (home / "config.toml").write_text(CONFIGURATION)
        env = {**os.environ, **self.world.env, "SPEC_MCP_HOME": str(home)}
        wire = Wire()
        thinker: Thinker = NoThinker()
        if arm in ("right", "lying"):
            (here / "script.json").write_text(json.dumps({"calls": list(script), "lies": arm == "lying"}))
            thinker = ScriptThinker(here / "marks", here / "tap", list(script), wire)
        seen = anyio.run(partial(self._session, self._command(arm, here), env, body, thinker, wire))
        return Run(
            arm=arm,
            transcript=transcript_of(wire, seen, self.world.normalise),
            state=self.world.snapshot(self.world.folder),
            tapped=read_tap(here / "tap"),
            wire=wire,
            statistics=None if arm in ("direct", "off") else read_statistics(env),
        )

    def _command(self, arm: ArmName, here: Path) -> list[str]:
        server = [sys.executable, str(TAP), "--log", str(here / "tap"), "--", *self.world.command]
        wrap = ["--name", self.world.name, *self.world.wrap_options]
        match arm:
            case "direct":
                return server
            case "off":
                return [str(BIN / "spec-mcp"), "wrap", "--mode", "off", *wrap, "--", *server]
            case "right" | "lying":
                launcher = [sys.executable, str(PARITY / "launcher.py"), str(here / "script.json"), str(here / "marks")]
                return [*launcher, *wrap, "--", *server]

    async def _session(
        self, command: Sequence[str], env: Mapping[str, str], body: Body, thinker: Thinker, wire: Wire
    ) -> list[str]:
        folder = self.world.folder
        agents: AbstractAsyncContextManager[RawAgent | SdkAgent]
        if self.client == "raw":
            agents = raw_agent(command, env, folder, thinker, wire, self.world.has_roots)
        else:
            agents = sdk_agent(command, env, folder, thinker, wire, self.world.has_roots, self.client)
        async with agents as agent:
            await body(agent)
        return agent.seen if isinstance(agent, SdkAgent) else []

    def compare_all(self, body: Body) -> dict[ArmName, Run]:
        """All arms, held against `direct`: transcript and final state, and that no write was made twice or early."""
        direct = self.run("direct", body)
        runs: dict[ArmName, Run] = {"direct": direct}
        for arm in ("off", "right", "lying"):
            runs[arm] = run = self.run(arm, body, direct.calls)
            assert_same(direct, run)
        for is_answer in (False, True):  # when an answer is sent is a race between the client's tasks
            through, straight = (
                [line.raw for line in runs[arm].tapped.to_server if line.is_answer is is_answer]
                for arm in ("off", "direct")
            )
            assert through == straight, difference(tuple(straight), tuple(through))
        return runs


def assert_same(direct: Run, run: Run) -> None:
    """The client and the world cannot tell the arm from `direct`."""
    for name in Transcript.__slots__:
        mine, theirs = getattr(run.transcript, name), getattr(direct.transcript, name)
        assert mine == theirs, f"{run.arm}: {name} differ: {difference(theirs, mine)}"
    assert run.state == direct.state, f"{run.arm}: the final state differs"
    assert not run.transcript.late_progress, f"{run.arm}: progress outside its call"
    unanswered = Counter(map(repr, run.calls)) - Counter(map(repr, run.client_calls_at_server))
    held = Counter(map(repr, run.speculated))
    assert not unanswered - held, f"{run.arm}: answered from nothing: {unanswered - held}"
    assert_subsequence(run.client_calls_at_server, direct.client_calls_at_server, run.arm)
    assert_forwarded_byte_for_byte(run)
    if run.statistics:
        answered = len(run.calls) - len(run.client_calls_at_server)
        counted = (run.statistics.hits + run.statistics.joins, run.statistics.speculations, run.statistics.calls)
        seen = (answered, len(run.speculated), len(run.calls))
        assert counted == seen, f"{run.arm}: answered, launched, called: recorded {counted}, seen {seen}"


def assert_forwarded_byte_for_byte(run: Run) -> None:
    """Every line of the client reached the server as it was and in its order, but for calls answered for it."""
    at_server = ids_at_server(run.tapped)
    forwarded = [
        line.raw
        for line in run.wire.sent
        if line.method != "tools/call" or (type(line.message["id"]).__name__, line.message["id"]) in at_server
    ]
    assert_subsequence(forwarded, [line.raw for line in run.tapped.to_server], run.arm)


def assert_subsequence(part: Sequence[Any], whole: Sequence[Any], arm: str) -> None:
    """Every member of `part` occurs in `whole`, in this order."""
    position = iter(whole)
    for member in part:
        assert any(other == member for other in position), f"{arm}: {member} came out of order, or twice"


def difference(expected: Any, got: Any) -> str:
    """The first places where two sequences differ, shortly."""
    if not isinstance(expected, tuple) or not isinstance(got, tuple):
        return f"{str(expected)[:500]} and {str(got)[:500]}"
    pairs: list[str] = []
    for index in range(max(len(expected), len(got))):
        left = expected[index] if index < len(expected) else "nothing"
        right = got[index] if index < len(got) else "nothing"
        if left != right:
            pairs.append(f"[{index}] expected {str(left)[:600]} got {str(right)[:600]}")
    return "; ".join(pairs[:4])


def read_statistics(env: Mapping[str, str]) -> Statistics:
    """What `spec-mcp stats --json` says after the session."""
    done = subprocess.run(
        [str(BIN / "spec-mcp"), "stats", "--json"], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    stats = json.loads(done.stdout)
    names = ("calls", "hits", "joins", "misses", "speculations", "wasted")
    return Statistics(**{name: stats[name] for name in names}, ends=_ends(env), skips=stats["skips"])


def _ends(env: Mapping[str, str]) -> dict[str, int]:
    with closing(sqlite3.connect(Path(env["SPEC_MCP_HOME"]) / "spec-mcp.sqlite3")) as store:
        rows = store.execute("SELECT reason, count(*) FROM speculations WHERE state = 'discarded' GROUP BY reason")
        return dict(rows.fetchall())

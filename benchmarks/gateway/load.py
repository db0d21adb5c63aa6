"""What the gateway bears: `spec-mcp bench load`, or `python -m benchmarks.gateway.load`.

Many clients at once call three servers, over stdio (a process for each session), Streamable HTTP and SSE, each call
with an argument of its own, while servers are killed at random and come back. Every call must get its own right answer
or a clear error; after the last accident every session must reach every server again; and when the clients have left,
the gateway must hold no more than after a first, short wave: no process, descriptor, thread or memory. Nothing may run
once it has ended.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.gateway.footprint import Footprint, command_of, descendants, footprint, marked, settle
from benchmarks.gateway.load_clients import CALL_S, CONNECT_S, RECOVER_S
from benchmarks.gateway.running import OVER_HTTP, ROOT, SERVERS, NotServing, Program, gateway, server, serving

NEVER_S = float("inf")
MARK = "SPEC_MCP_LOAD_MARK"
"""In the environment of the gateway, and so of all that it starts."""

ACCIDENT_S = 0.7
"""On average, between two accidents."""
AWAY_S = (0.1, 1.5)
"""How long a server is away, beside the time that it takes to start."""
UP_S = 4.0
"""How long it serves at least: else a slow machine would see nothing but servers that are away."""
LATE_S = 60.0
"""How much longer than it was told to last a load goes on, at most, until there was an accident of each kind."""
FIRST_WAVE_S = 3.0
FORGOTTEN_S = 5.0
"""After which the gateway takes a stateless client that says nothing for gone: else its servers stay for minutes."""
SETTLED_S = 60.0
"""How long the gateway may take to let go of what its clients left."""
WAVE_S = CONNECT_S + CALL_S + 3 * RECOVER_S
"""How long clients may take beside the time that they are told to work."""

SLACK_DESCRIPTORS = 4
SLACK_THREADS = 2 + min(32, (os.cpu_count() or 1) + 4)
"""asyncio looks up names in that many threads of its own, which it starts as they are needed and keeps for ever."""
SLACK_RSS_BYTES = 24 << 20
"""Allocators keep some of what was used most: with sixty seconds of two hundred sessions a leak of a few kilobytes a
call would be several times that."""


class Flaky:
    """A server over HTTP or SSE that is killed and comes back at the same place."""

    def __init__(self, name: str, option: str) -> None:
        self.name = name
        self._option = option
        self._program = self._start("0")
        self.url = self._program.wait_url()
        self._port = str(urlsplit(self.url).port)
        self._back_s = 0.0
        self._serves_since_s = NEVER_S

    def kill(self, now_s: float, away_s: float) -> bool:
        """End it, unless it has not served for long; `come_back` brings it back when it has been away for so long."""
        if not self._program.running() or now_s < self._serves_since_s + UP_S:
            return False
        self._program.kill()
        self._back_s, self._serves_since_s = now_s + away_s, NEVER_S
        return True

    def come_back(self, now_s: float) -> None:
        """Start it again once its time away is over."""
        if self._program.url and self._serves_since_s == NEVER_S and self._program.running():
            self._serves_since_s = now_s
        if not self._program.running() and now_s >= self._back_s:
            self._program = self._start(self._port)

    def wait_back(self) -> None:
        """Serve again, at once."""
        self.come_back(self._back_s)
        self._program.wait_url()

    def end(self) -> None:
        self._program.end()

    def _start(self, port: str) -> Program:
        return Program(server("pausing.py", self._option, port), os.environ)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must hold."""

    name: str
    said: str
    holds: bool


def wave(url: str, sessions: int, seed: int, accidents: Accidents | None, seconds: float) -> dict[str, Any]:
    """Let clients work for so long, with accidents or without; what they say happened.

    Raises:
        NotServing: the clients' program failed.
    """
    module = "benchmarks.gateway.load_clients"
    command = [sys.executable, "-m", module, url, "--sessions", str(sessions), "--seed", str(seed)]
    clients = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert clients.stdin
    assert clients.stdout
    try:
        if clients.stdout.readline() != "ready\n":
            raise NotServing(f"{command} ended with {clients.wait(CALL_S)}")
        if accidents:
            accidents.happen(seconds)
        else:
            time.sleep(seconds)
        said, _ = clients.communicate("calm\n", WAVE_S)
        return json.loads(said)
    finally:
        clients.kill()
        clients.wait()


class Accidents:
    """Kills servers at random, and brings them back."""

    def __init__(self, gateway_pid: int, flaky: Sequence[Flaky], seed: int) -> None:
        self._gateway_pid = gateway_pid
        self._flaky = flaky
        self._chance = random.Random(seed)
        self.kills = {"pipe": 0, **{each.name: 0 for each in flaky}}

    def happen(self, seconds: float) -> None:
        """For so long, and until each kind has happened; then all servers are back."""
        end_s = time.monotonic() + seconds
        next_s = 0.0
        while (now_s := time.monotonic()) < end_s or (not all(self.kills.values()) and now_s < end_s + LATE_S):
            for each in self._flaky:
                each.come_back(now_s)
            if now_s >= next_s:
                self._strike(now_s)
                next_s = now_s + self._chance.expovariate(1 / ACCIDENT_S)
            time.sleep(0.02)
        for each in self._flaky:
            each.wait_back()

    def _strike(self, now_s: float) -> None:
        victim = self._chance.choice([None, *self._flaky])
        if victim is not None:
            self.kills[victim.name] += victim.kill(now_s, self._chance.uniform(*AWAY_S))
            return
        pipes = sorted(pid for pid in descendants(self._gateway_pid) if "light.py" in command_of(pid))
        if pipes:
            os.kill(self._chance.choice(pipes), signal.SIGKILL)
            self.kills["pipe"] += 1


def configuration(folder: Path, flaky: Sequence[Flaky]) -> Path:
    """The gateway's configuration: one server over stdio, and those that come and go."""
    command = server("light.py")
    manifest = json.dumps(str(SERVERS / "echo.toml"))
    lines = ["[servers.pipe]", f"command = {json.dumps(command[0])}", f"args = {json.dumps(command[1:])}"]
    lines.append(f"manifest = {manifest}")
    for each in flaky:
        kind = "sse" if each.url.endswith("/sse") else "http"
        lines += [f"[servers.{each.name}]", f'url = "{each.url}"', f'type = "{kind}"', f"manifest = {manifest}"]
    file = folder / "load.toml"
    settings = ["[speculation]", 'mode = "on"', "[listen]", f"stateless_idle_s = {FORGOTTEN_S}", ""]
    file.write_text("\n".join([*lines, *settings]))
    return file


def judge(tally: dict[str, Any], before: Footprint, after: Footprint, left: list[str]) -> list[Verdict]:
    """What must hold, and whether it does."""
    calls = (
        f"of {tally['calls']} calls {tally['right']} were answered, {sum(tally['errors'].values())} got a clear error"
    )
    grown_mb = (after.rss_bytes - before.rss_bytes) / 1e6
    return [
        Verdict("calls", calls, tally["right"] > 0),
        *(
            Verdict(name, f"{tally[f'{name}_count']} {tally[name]}", not tally[f"{name}_count"])
            for name in ("wrong", "unclear", "hanging")
        ),
        Verdict("recovery", f"never again reached: {tally['not_recovered']}", not tally["not_recovered"]),
        Verdict(
            "processes",
            f"{before.descendants} before, {after.descendants} after",
            after.descendants <= before.descendants,
        ),
        Verdict(
            "descriptors",
            f"{before.descriptors} before, {after.descriptors} after",
            after.descriptors <= before.descriptors + SLACK_DESCRIPTORS,
        ),
        Verdict(
            "threads",
            f"{before.threads} before, {after.threads} after",
            after.threads <= before.threads + SLACK_THREADS,
        ),
        Verdict("memory", f"grew by {grown_mb:.1f} MB", after.rss_bytes <= before.rss_bytes + SLACK_RSS_BYTES),
        Verdict("left behind", f"{left}", not left),
    ]


def measure(sessions: int, seconds: float, seed: int, folder: Path) -> dict[str, Any]:
    """Two waves of clients, and what the gateway holds after each.

    Raises:
        NotServing: the gateway, a server or the clients could not be started.
    """
    mark = secrets.token_hex(8)
    env = {**os.environ, "SPEC_MCP_HOME": str(folder / "home"), MARK: mark}
    with ExitStack() as stack:
        flaky = [Flaky("web", "--http"), Flaky("events", "--sse")]
        for each in flaky:
            stack.callback(each.end)
        program = stack.enter_context(serving(gateway(configuration(folder, flaky), *OVER_HTTP), env))
        idle = footprint(program.pid)
        first = wave(program.url, sessions, seed + 1, None, min(FIRST_WAVE_S, seconds))
        before = settle(program.pid, lambda now: _as_before(idle, now), SETTLED_S)
        accidents = Accidents(program.pid, flaky, seed)
        tally = wave(program.url, sessions, seed, accidents, seconds)
        after = settle(program.pid, lambda now: _as_before(before, now), SETTLED_S)
        status = program.end()
        printed = program.text()
    left = [f"{pid} {command_of(pid)}" for pid in marked(MARK, mark)]
    verdicts = judge(tally, before, after, left)
    verdicts.append(Verdict("accidents", f"killed {accidents.kills}", all(accidents.kills.values())))
    verdicts.append(
        Verdict(
            "first wave", f"{first['right']} of {first['calls']} {first['errors']}", first["right"] == first["calls"]
        )
    )
    verdicts.append(Verdict("end", f"exit status {status}", status != -signal.SIGKILL))
    found = {"seed": seed, "seconds": seconds, "kills": accidents.kills, "tally": tally}
    footprints = {"idle": asdict(idle), "before": asdict(before), "after": asdict(after)}
    said = [asdict(verdict) for verdict in verdicts]
    return {
        **found,
        **footprints,
        "verdicts": said,
        "holds": all(verdict.holds for verdict in verdicts),
        "log": printed,
    }


def _as_before(before: Footprint, now: Footprint) -> bool:
    return (
        now.descendants <= before.descendants
        and now.descriptors <= before.descriptors + SLACK_DESCRIPTORS
        and now.threads <= before.threads + SLACK_THREADS
    )


def show(found: dict[str, Any]) -> None:
    """Lines for people."""
    tally = found["tally"]
    print(f"{tally['sessions']} sessions, {found['seconds']:.0f} s, seed {found['seed']}, killed {found['kills']}")
    print(
        f"right answers after {tally['p50_ms']:.1f} ms at the median, {tally['p99_ms']:.0f} ms at the 99th of hundred"
    )
    cpu_s = found["after"]["cpu_s"] - found["before"]["cpu_s"]
    print(f"the gateway used {cpu_s:.1f} s of processor time for {tally['calls']} calls")
    for words, count in sorted(tally["errors"].items(), key=lambda each: -each[1])[:10]:
        print(f"  {count:6} {words}")
    for verdict in found["verdicts"]:
        print(f"{'holds' if verdict['holds'] else 'FAILS'}  {verdict['name']}: {verdict['said']}")
    if not found["holds"]:
        print(f"the gateway printed at the end:\n{found['log']}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(prog="spec-mcp bench load", description="See what the gateway bears.")
    parser.add_argument("--sessions", type=int, default=200, help="clients at once (200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they call (60)")
    parser.add_argument("--seed", type=int, help="which accidents happen when; printed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("spec-mcp bench load: it reads /proc, so it needs Linux", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 31)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = measure(options.sessions, options.seconds, seed, Path(folder))
        except NotServing as error:
            print(f"spec-mcp bench load: {error}", file=sys.stderr)
            return 1
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        show(found)
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())

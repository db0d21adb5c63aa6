"""What replicas cost: `spec-mcp bench scale`, or `python -m benchmarks.gateway.scale`.

One echo server over HTTP is called directly, through one gateway with its store in SQLite, through one with its store
in PostgreSQL, and through three that share a PostgreSQL store, each call to the next of them. Every round starts all
anew and lets them take turns in short blocks; ratios are taken within a round, and medians over the rounds reported.
Nothing can be foretold: what is measured is what each call pays for being known to other replicas.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

import anyio
from mcp import Client

from benchmarks.gateway.footprint import footprint
from benchmarks.gateway.overhead import Caller, configuration, timed
from benchmarks.gateway.running import OVER_HTTP, NotServing, Program, gateway, server, serving
from benchmarks.overhead import BLOCK_CALLS, IN_FLIGHT, fresh
from benchmarks.overhead_clients import at_once

DIRECT = "direct call"
SQLITE = "one gateway, SQLite"
ONE = "one replica, PostgreSQL"
THREE = "three replicas, PostgreSQL"
ARMS = (DIRECT, SQLITE, ONE, THREE)


@dataclass(slots=True)
class Arm:
    """One way to the server: clients that are asked in turn, and the processes between."""

    callers: list[Caller]
    programs: list[Program]
    latencies_s: list[float] = field(default_factory=list[float])
    calls_per_s: float = 0.0
    rss_bytes: int = 0

    async def take_turns(self, texts: Sequence[str]) -> None:
        """Call one after another, each call to the next."""
        for caller, text in zip(cycle(self.callers), texts, strict=False):
            self.latencies_s.append(await timed(caller, text))

    async def all_at_once(self, texts: Sequence[str]) -> None:
        """As many in flight as the other benchmarks have."""
        turn = cycle(self.callers)
        began_s = time.perf_counter()
        await at_once(lambda text: next(turn).echo(text), texts, IN_FLIGHT)
        self.calls_per_s = len(texts) / (time.perf_counter() - began_s)

    def weigh(self) -> None:
        """Memory of the gateways, without what they started."""
        self.rss_bytes = sum(footprint(program.pid).rss_bytes for program in self.programs)


@dataclass(frozen=True, slots=True)
class Row:
    """One arm over all rounds: medians."""

    arm: str
    p50_us: float
    added_us: float
    """Beyond the direct call's, within a round."""
    p99_us: float
    calls_per_s: float
    throughput_ratio: float
    """To that of one gateway with SQLite, within a round."""
    rss_mb: float


@asynccontextmanager
async def opened(folder: Path, store_url: str) -> AsyncGenerator[dict[str, Arm]]:
    """All arms, connected."""
    async with AsyncExitStack() as stack:
        echo = stack.enter_context(serving(server("echo.py", "--http", "0")))
        kinds = {SQLITE: ("sqlite:", 1), ONE: (store_url, 1), THREE: (store_url, 3)}
        programs: dict[str, list[Program]] = {DIRECT: []}
        for number, (arm, (url, count)) in enumerate(kinds.items()):
            home = folder / f"home-{number}"
            home.mkdir()
            config = configuration(folder, f"arm-{number}", a=echo.url)
            # a database of its own for each arm, so that one replica is one
            shared = url if url == "sqlite:" else f"{url}_{count}"
            config.write_text(f"{config.read_text()}[store]\nurl = {json.dumps(shared)}\n")
            env = {**os.environ, "SPEC_MCP_HOME": str(home)}
            command = gateway(config, *OVER_HTTP)
            programs[arm] = [stack.enter_context(serving(command, env)) for _ in range(count)]
        arms: dict[str, Arm] = {}
        for arm, own in programs.items():
            callers: list[Caller] = []
            for url in [program.url for program in own] or [echo.url]:
                client = await stack.enter_async_context(Client(url, mode="auto", cache=None))
                await client.list_tools()
                callers.append(Caller(client, "echo"))
            arms[arm] = Arm(callers, own)
        yield arms


async def one_round(calls: int, warm_up: int, folder: Path, store_url: str) -> dict[str, Arm]:
    """Start all, let them take turns, and stop them."""
    async with opened(folder, store_url) as arms:
        for arm in arms.values():
            await arm.take_turns(fresh(warm_up))
            arm.latencies_s.clear()
        for _ in range(calls // BLOCK_CALLS):
            for arm in arms.values():
                await arm.take_turns(fresh(BLOCK_CALLS))
        for arm in arms.values():
            await arm.all_at_once(fresh(calls))
            arm.weigh()
    return arms


def row_of(name: str, rounds: Sequence[dict[str, Arm]]) -> Row:
    """One arm over the rounds."""
    p50_s = [statistics.median(arms[name].latencies_s) for arms in rounds]
    direct_s = [statistics.median(arms[DIRECT].latencies_s) for arms in rounds]
    return Row(
        name,
        statistics.median(p50_s) * 1e6,
        statistics.median(own - other for own, other in zip(p50_s, direct_s, strict=True)) * 1e6,
        statistics.median(statistics.quantiles(arms[name].latencies_s, n=100)[98] for arms in rounds) * 1e6,
        statistics.median(arms[name].calls_per_s for arms in rounds),
        statistics.median(arms[name].calls_per_s / arms[SQLITE].calls_per_s for arms in rounds),
        statistics.median(arms[name].rss_bytes for arms in rounds) / 2**20,
    )


def measure(rounds: int, calls: int, warm_up: int) -> list[Row]:
    """All rounds, each with databases of its own.

    Raises:
        NotServing: something did not start.
    """
    from benchmarks.gateway.databases import databases

    done: list[dict[str, Arm]] = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        with databases(1, 3) as store_url, tempfile.TemporaryDirectory() as folder:
            done.append(anyio.run(one_round, calls, warm_up, Path(folder), store_url))
    return [row_of(name, done) for name in ARMS]


def show(rows: Sequence[Row], rounds: int, calls: int) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    title = f"medians of {rounds} rounds of {calls} calls"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for heading in ("p50 µs", "added µs", "p99 µs", f"calls/s, {IN_FLIGHT} at once", "ratio", "memory MB"):
        table.add_column(heading, justify="right")
    for row in rows:
        values = (row.p50_us, row.added_us, row.p99_us, row.calls_per_s)
        table.add_row(
            row.arm, *(f"{value:,.0f}" for value in values), f"{row.throughput_ratio:.2f}", f"{row.rss_mb:.0f}"
        )
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="spec-mcp bench scale", description="Measure what replicas cost.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls: to see that it works")
    parser.add_argument("--rounds", type=int, help="rounds (default 5, quick 1)")
    options = parser.parse_args()
    calls, warm_up = (40, 5) if options.quick else (600, 30)
    rounds = options.rounds or (1 if options.quick else 5)
    try:
        rows = measure(rounds, calls, warm_up)
    except NotServing as error:
        print(f"spec-mcp bench scale: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"rounds": rounds, "calls": calls, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        show(rows, rounds, calls)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a proxy costs: `spec-mcp bench overhead`, or `python -m benchmarks.overhead`.

Every round starts each case anew and then lets them take turns in short blocks of calls, so that a noisy moment of
the machine hits all alike. Ratios are taken within a round, against the direct call of that round, and the median over
the rounds is reported. Every call has an argument that was never used before, so that no proxy may answer it from a
held result; of ours that is counted, and a hit there voids the measurement. The hit path is measured apart, with
hits forced and counted, and against direct calls with the same pauses between them.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import anyio

from benchmarks.foretold import text_of
from benchmarks.overhead_clients import CLIENTS, EchoClient

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
SERVERS = ROOT / "tests" / "servers"
BIN = Path(sys.executable).parent
ECHO = (sys.executable, str(SERVERS / "echo.py"))
MANIFEST = str(SERVERS / "echo.toml")

DIRECT, OURS, HIT, BYTES, FASTMCP = "direct", "spec-mcp", "spec-mcp, hit", "bytes relay", "FastMCP proxy"
IN_FLIGHT = 32
BLOCK_CALLS = 25
PAUSE_S = 0.02
"""Thinking before a call of the hit path: long enough for one speculation to be back."""

FORCED = "[speculation]\nwasted_call_s = 0.0\n"
"""On the hit path even an echo of half a millisecond is worth a speculation."""

TARGETS = {
    "added_p50": ("at most", 0.25),
    "throughput": ("at least", 0.9),
    "hit_p50": ("at most", 0.5),
    "first_list": ("at most", 1.3),
    "rss_mb": ("at most", 70.0),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    calls: int
    """One after another, for each case and round; as many again with `IN_FLIGHT` in flight."""
    hits: int
    warm_up: int
    era: str
    client: str


@dataclass(slots=True)
class Sample:
    """One case in one round."""

    first_list_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list[float])
    calls_per_s: float = 0.0
    rss_bytes: int = 0

    @property
    def p50_s(self) -> float:
        return statistics.median(self.latencies_s)


@dataclass(frozen=True, slots=True)
class Row:
    """One case over all rounds: medians of values, and of ratios to the direct call of the same round."""

    case: str
    p50_us: float
    p50_ratio: float
    calls_per_s: float
    throughput_ratio: float
    first_list_ms: float
    first_list_ratio: float
    rss_mb: float


@dataclass(frozen=True, slots=True)
class Report:
    """What one client measured."""

    client: str
    era: str
    rounds: int
    calls: int
    rows: list[Row]
    hit_p50_us: float
    hit_ratio: float
    hit_calls: int
    hits_of_them: int
    miss_calls: int
    miss_hits: int
    miss_launches: int

    def measured(self) -> dict[str, float]:
        """The values that have a target."""
        ours = next(row for row in self.rows if row.case == OURS)
        return {
            "added_p50": ours.p50_ratio - 1,
            "throughput": ours.throughput_ratio,
            "hit_p50": self.hit_ratio,
            "first_list": ours.first_list_ratio,
            "rss_mb": ours.rss_mb,
        }


class Void(Exception):  # noqa: N818
    """The measurement does not say what it should; the message says why."""


def cases(with_fastmcp: bool) -> dict[str, list[str]]:
    """The command of each case."""
    proxies = str(BENCHMARKS / "overhead_servers.py")
    ours = [str(BIN / "spec-mcp"), "wrap", "--name", "echo", "--manifest", MANIFEST, "--", *ECHO]
    found = {DIRECT: [*ECHO], OURS: ours, BYTES: [sys.executable, proxies, "bytes", "--", *ECHO]}
    if with_fastmcp:
        found[FASTMCP] = [str(ROOT / ".servers" / "fastmcp" / "bin" / "python"), proxies, "fastmcp", "--", *ECHO]
    return found


async def one_round(plan: Plan, commands: Mapping[str, list[str]], folder: Path, log: TextIO) -> dict[str, Sample]:
    """Start all, let them take turns, and stop them."""
    samples = {name: Sample() for name in commands}
    async with AsyncExitStack() as stack:
        clients: dict[str, EchoClient] = {}
        for index, (name, command) in enumerate(commands.items()):
            client = CLIENTS[plan.client](command, plan.era, log, folder / f"pid-{index}")
            clients[name] = await stack.enter_async_context(client)
            samples[name].first_list_s = clients[name].first_list_s
            for text in fresh(plan.warm_up):
                await clients[name].echo(text)
        for _ in range(plan.calls // BLOCK_CALLS):
            for name, client in clients.items():
                samples[name].latencies_s += [await timed(client, text) for text in fresh(BLOCK_CALLS)]
        for name, client in clients.items():
            texts = fresh(plan.calls)
            began_s = time.perf_counter()
            await client.many(texts, IN_FLIGHT)
            samples[name].calls_per_s = len(texts) / (time.perf_counter() - began_s)
        for name, client in clients.items():
            samples[name].rss_bytes = client.rss_bytes()
    return samples


async def one_hit_round(plan: Plan, folder: Path, log: TextIO) -> tuple[float, float]:
    """Median seconds of a direct call and of a hit, each after the same pause."""
    seed = secrets.token_hex(8)
    launcher = [sys.executable, str(BENCHMARKS / "foretold.py"), seed]
    foretold = [*launcher, "--name", "echo", "--manifest", MANIFEST, "--", *ECHO]
    open_client = CLIENTS[plan.client]
    latencies: dict[str, list[float]] = {DIRECT: [], HIT: []}
    async with (
        open_client(list(ECHO), plan.era, log, folder / "pid-direct") as direct,
        open_client(foretold, plan.era, log, folder / "pid-hit") as ours,
    ):
        for number in range(plan.hits + plan.warm_up):
            for name, client in ((DIRECT, direct), (HIT, ours)):
                await anyio.sleep(PAUSE_S)
                latencies[name].append(await timed(client, text_of(seed, number)))
    return tuple(statistics.median(latencies[name][plan.warm_up :]) for name in (DIRECT, HIT))  # pyright: ignore[reportReturnType]


async def timed(client: EchoClient, text: str) -> float:
    """Seconds that one call takes."""
    began_s = time.perf_counter()
    await client.echo(text)
    return time.perf_counter() - began_s


def fresh(count: int) -> list[str]:
    """Arguments that nobody can foretell."""
    return [secrets.token_hex(16) for _ in range(count)]


async def measure(plan: Plan, commands: Mapping[str, list[str]], folder: Path, log: TextIO) -> Report:
    """All rounds of one client.

    Raises:
        Void: a call on the miss path was answered from a held result, or too few were on the hit path.
    """
    rounds: list[dict[str, Sample]] = []
    hits: list[tuple[float, float]] = []
    miss_home, hit_home = folder / "miss", folder / "hit"
    hit_home.mkdir()
    (hit_home / "config.toml").write_text(FORCED)
    for number in range(plan.rounds):
        print(f"{plan.client}: round {number + 1} of {plan.rounds}", file=sys.stderr, flush=True)
        os.environ["SPEC_MCP_HOME"] = str(miss_home)
        rounds.append(await one_round(plan, commands, folder, log))
        os.environ["SPEC_MCP_HOME"] = str(hit_home)
        hits.append(await one_hit_round(plan, folder, log))
    missed, hit = await anyio.to_thread.run_sync(read_statistics, miss_home), read_statistics(hit_home)
    if missed["hits"] or missed["joins"]:
        raise Void(f"on the miss path {missed['hits']} hits and {missed['joins']} joins were counted, none is allowed")
    hit_calls = plan.rounds * (plan.hits + plan.warm_up)
    if hit["hits"] <= hit_calls / 2:  # the median would not be that of a hit
        raise Void(f"on the hit path only {hit['hits']} of {hit_calls} calls were hits: {hit}")
    return Report(
        client=plan.client,
        era=plan.era if plan.client == "sdk" else "legacy",
        rounds=plan.rounds,
        calls=plan.calls,
        rows=[row_of(name, rounds) for name in commands],
        hit_p50_us=statistics.median(ours for _, ours in hits) * 1e6,
        hit_ratio=statistics.median(ours / direct for direct, ours in hits),
        hit_calls=hit_calls,
        hits_of_them=hit["hits"],
        miss_calls=missed["calls"],
        miss_hits=missed["hits"] + missed["joins"],
        miss_launches=missed["speculations"],
    )


def row_of(name: str, rounds: Sequence[Mapping[str, Sample]]) -> Row:
    """One case over the rounds."""

    def median(value: str) -> float:
        return statistics.median(getattr(samples[name], value) for samples in rounds)

    def ratio(value: str) -> float:
        return statistics.median(getattr(samples[name], value) / getattr(samples[DIRECT], value) for samples in rounds)

    return Row(
        case=name,
        p50_us=median("p50_s") * 1e6,
        p50_ratio=ratio("p50_s"),
        calls_per_s=median("calls_per_s"),
        throughput_ratio=ratio("calls_per_s"),
        first_list_ms=median("first_list_s") * 1e3,
        first_list_ratio=ratio("first_list_s"),
        rss_mb=median("rss_bytes") / 1e6,
    )


def read_statistics(home: Path) -> dict[str, int]:
    """What our own record says of a path."""
    done = subprocess.run(
        [str(BIN / "spec-mcp"), "stats", "--json"],
        env={**os.environ, "SPEC_MCP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def show(reports: Sequence[Report]) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for report in reports:
        title = f"client: {report.client}, era: {report.era}, medians of {report.rounds} rounds of {report.calls} calls"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("case")
        for heading in (
            "p50 µs",
            "× direct",
            f"calls/s, {IN_FLIGHT} in flight",
            "× direct",
            "first list ms",
            "× direct",
        ):
            table.add_column(heading, justify="right")
        table.add_column("RSS MB", justify="right")
        for row in report.rows:
            values = (f"{row.p50_us:,.0f}", f"{row.p50_ratio:.2f}", f"{row.calls_per_s:,.0f}")
            more = (f"{row.throughput_ratio:.2f}", f"{row.first_list_ms:,.0f}", f"{row.first_list_ratio:.2f}")
            table.add_row(row.case, *values, *more, f"{row.rss_mb:.0f}")
        table.add_row(HIT, f"{report.hit_p50_us:,.0f}", f"{report.hit_ratio:.2f}", "", "", "", "", "")
        console.print(table)
        console.print(
            f"miss path: {report.miss_calls} calls, {report.miss_launches} speculations launched, "
            f"{report.miss_hits} hits; hit path: {report.hits_of_them} hits of {report.hit_calls} calls\n"
        )
    for name, value, good in judged(reports[0]):
        bound, limit = TARGETS[name]
        console.print(f"{'meets' if good else 'MISSES'} {name}: {value:.2f}, {bound} {limit}")


def judged(report: Report) -> list[tuple[str, float, bool]]:
    """Each value with a target, and whether it is met."""
    return [
        (name, value, value <= TARGETS[name][1] if TARGETS[name][0] == "at most" else value >= TARGETS[name][1])
        for name, value in report.measured().items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="spec-mcp bench overhead", description="Measure what a proxy costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls: to see that it works")
    parser.add_argument("--rounds", type=int, help="rounds (default 7, quick 2)")
    parser.add_argument("--era", choices=("auto", "legacy"), default="auto", help="how the SDK's client begins")
    parser.add_argument("--no-fastmcp", action="store_true", help="leave out FastMCP's proxy, and its installation")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args()
    if not options.no_fastmcp:
        subprocess.run([sys.executable, str(SERVERS / "install.py"), "fastmcp"], check=True)
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        for client in ("sdk", "lines"):
            calls, hits, warm_up = (50, 30, 10) if options.quick else (500, 150, 25)
            rounds = options.rounds or (2 if options.quick else 7)
            plan = Plan(rounds, calls, hits, warm_up, options.era, client)
            place = Path(folder) / client
            place.mkdir()
            with (place / "log").open("w") as log:
                try:
                    reports.append(anyio.run(measure, plan, cases(not options.no_fastmcp), place, log))
                except Void as error:
                    print(f"spec-mcp bench: void: {error}", file=sys.stderr)
                    return 1
    targets = [{"name": name, "value": value, "met": good} for name, value, good in judged(reports[0])]
    if options.json:
        print(json.dumps({"clients": [asdict(report) for report in reports], "targets": targets}, indent=2))
    else:
        show(reports)
    return 1 if options.check and not all(target["met"] for target in targets) else 0


if __name__ == "__main__":
    sys.exit(main())

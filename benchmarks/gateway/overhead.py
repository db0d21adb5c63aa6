"""What the gateway costs: `spec-mcp bench gateway`, or `python -m benchmarks.gateway.overhead`.

The SDK's client calls one echo server directly over HTTP, through the gateway in front of it, and through the gateway
in front of three. Every round starts all anew and lets them take turns in short blocks of calls; ratios are taken
within a round, and the median over the rounds is reported. Every call has an argument of its own, so that nothing may
answer it from a held result; that is counted, and a hit voids the measurement.
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
from pathlib import Path
from typing import TextIO

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchmarks.gateway.running import OVER_HTTP, SERVERS, NotServing, gateway, server, serving
from benchmarks.overhead import BLOCK_CALLS, IN_FLIGHT, Void, fresh, read_statistics
from benchmarks.overhead_clients import EchoFault, at_once

DIRECT = "direct call, HTTP"
HTTP_STDIO = "HTTP to stdio"
STDIO_HTTP = "stdio to HTTP"
THREE = "HTTP to three stdio"

AGAINST = {DIRECT: DIRECT, HTTP_STDIO: DIRECT, STDIO_HTTP: DIRECT, THREE: HTTP_STDIO}
"""What each case is held against."""

TARGETS = {HTTP_STDIO: 1.15, STDIO_HTTP: 1.15, THREE: 1.05}
"""The largest ratio of medians that is good enough."""

FASTMCP = {HTTP_STDIO: "1.8", STDIO_HTTP: "13", THREE: "> 1.6 s a call"}
"""FastMCP 4.1.2, measured once on two cores; it starts all servers anew for each call where there are three."""

ERAS = ("auto", "legacy")
CHOSEN = "b"
"""Of three servers, the one that is called."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    era: str
    rounds: int
    calls: int
    """One after another, for each case and round; as many again with `IN_FLIGHT` in flight."""
    warm_up: int


@dataclass(slots=True)
class Sample:
    """One case in one round."""

    latencies_s: list[float] = field(default_factory=list[float])
    calls_per_s: float = 0.0

    @property
    def p50_s(self) -> float:
        return statistics.median(self.latencies_s)


@dataclass(frozen=True, slots=True)
class Row:
    """One case over all rounds: medians of values, and of ratios within a round."""

    case: str
    against: str
    p50_us: float
    ratio: float
    calls_per_s: float
    throughput_ratio: float
    target: float | None
    fastmcp: str

    @property
    def meets(self) -> bool:
        return self.target is None or self.ratio <= self.target


@dataclass(frozen=True, slots=True)
class Report:
    """What one era measured."""

    era: str
    rounds: int
    calls: int
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one tool that gives back what it is given."""

    client: Client
    tool: str

    async def echo(self, text: str) -> None:
        """Call once and check the answer.

        Raises:
            EchoFault: it is another.
        """
        result = await self.client.call_tool(self.tool, {"text": text})
        if result.is_error or getattr(result.content[0], "text", None) != text:
            raise EchoFault(f"{text!r} came back as {result}")


async def one_round(plan: Plan, folder: Path, log: TextIO) -> dict[str, Sample]:
    """Start all, let them take turns, and stop them."""
    samples = {case: Sample() for case in AGAINST}
    async with opened(plan.era, folder, log) as callers:
        for caller in callers.values():
            for text in fresh(plan.warm_up):
                await caller.echo(text)
        for _ in range(plan.calls // BLOCK_CALLS):
            for case, caller in callers.items():
                samples[case].latencies_s += [await timed(caller, text) for text in fresh(BLOCK_CALLS)]
        for case, caller in callers.items():
            texts = fresh(plan.calls)
            began_s = time.perf_counter()
            await at_once(caller.echo, texts, IN_FLIGHT)
            samples[case].calls_per_s = len(texts) / (time.perf_counter() - began_s)
    return samples


@asynccontextmanager
async def opened(era: str, folder: Path, log: TextIO) -> AsyncGenerator[dict[str, Caller]]:
    """All cases, connected."""
    stdio = server("echo.py")
    async with AsyncExitStack() as stack:
        direct = stack.enter_context(serving(server("echo.py", "--http", "0")))
        one = stack.enter_context(serving(gateway(configuration(folder, "one", a=stdio), *OVER_HTTP)))
        three = configuration(folder, "three", a=stdio, b=stdio, c=stdio)
        many = stack.enter_context(serving(gateway(three, *OVER_HTTP)))
        command = gateway(configuration(folder, "url", a=direct.url))
        front = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
        cases = {
            DIRECT: (direct.url, "echo"),
            HTTP_STDIO: (one.url, "echo"),
            STDIO_HTTP: (stdio_client(front, errlog=log), "echo"),
            THREE: (many.url, f"{CHOSEN}__echo"),
        }
        callers: dict[str, Caller] = {}
        for case, (target, tool) in cases.items():
            client = await stack.enter_async_context(Client(target, mode=era, cache=None))
            await client.list_tools()
            callers[case] = Caller(client, tool)
        yield callers


def configuration(folder: Path, name: str, **servers: list[str] | str) -> Path:
    """The gateway's configuration: a command or a URL for each server, all with the echo server's manifest."""
    lines: list[str] = []
    for server_name, where in servers.items():
        lines.append(f"[servers.{server_name}]")
        if isinstance(where, str):
            lines.append(f"url = {json.dumps(where)}")
        else:
            lines += [f"command = {json.dumps(where[0])}", f"args = {json.dumps(where[1:])}"]
        lines.append(f"manifest = {json.dumps(str(SERVERS / 'echo.toml'))}")
    file = folder / f"{name}.toml"
    file.write_text("\n".join([*lines, '[speculation]\nmode = "on"\n']))
    return file


async def timed(caller: Caller, text: str) -> float:
    """Seconds that one call takes."""
    began_s = time.perf_counter()
    await caller.echo(text)
    return time.perf_counter() - began_s


async def measure(plan: Plan, folder: Path, log: TextIO) -> Report:
    """All rounds of one era.

    Raises:
        Void: a call was answered from a held result.
    """
    rounds: list[dict[str, Sample]] = []
    for number in range(plan.rounds):
        print(f"{plan.era}: round {number + 1} of {plan.rounds}", file=sys.stderr, flush=True)
        rounds.append(await one_round(plan, folder, log))
    counted = await anyio.to_thread.run_sync(read_statistics, Path(os.environ["SPEC_MCP_HOME"]))
    if counted["hits"] or counted["joins"]:
        raise Void(f"{counted['hits']} hits and {counted['joins']} joins were counted, none is allowed")
    return Report(plan.era, plan.rounds, plan.calls, [row_of(case, rounds) for case in AGAINST])


def row_of(case: str, rounds: Sequence[dict[str, Sample]]) -> Row:
    """One case over the rounds."""
    against = AGAINST[case]
    return Row(
        case=case,
        against=against,
        p50_us=statistics.median(samples[case].p50_s for samples in rounds) * 1e6,
        ratio=statistics.median(samples[case].p50_s / samples[against].p50_s for samples in rounds),
        calls_per_s=statistics.median(samples[case].calls_per_s for samples in rounds),
        throughput_ratio=statistics.median(
            samples[case].calls_per_s / samples[against].calls_per_s for samples in rounds
        ),
        target=TARGETS.get(case),
        fastmcp=FASTMCP.get(case, ""),
    )


def show(reports: Sequence[Report]) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for report in reports:
        title = f"era: {report.era}, medians of {report.rounds} rounds of {report.calls} calls"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("case")
        for heading in ("p50 µs", "ratio", f"calls/s, {IN_FLIGHT} at once", "ratio", "FastMCP"):
            table.add_column(heading, justify="right")
        for row in report.rows:
            values = (f"{row.p50_us:,.0f}", f"{row.ratio:.2f}", f"{row.calls_per_s:,.0f}")
            table.add_row(row.case, *values, f"{row.throughput_ratio:.2f}", row.fastmcp)
        console.print(table)
        for row in report.rows:
            if row.target is not None:
                verdict = "MEETS " if row.meets else "MISSES"
                console.print(f"{verdict} {row.case}: {row.ratio:.2f} × {row.against}, at most {row.target}")
        console.print()


def main() -> int:
    parser = argparse.ArgumentParser(prog="spec-mcp bench gateway", description="Measure what the gateway costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and calls: to see that it works")
    parser.add_argument("--rounds", type=int, help="rounds (default 7, quick 2)")
    parser.add_argument("--era", choices=ERAS, help="how the SDK's client begins (default: both in turn)")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    options = parser.parse_args()
    calls, warm_up = (50, 10) if options.quick else (500, 25)
    rounds = options.rounds or (2 if options.quick else 7)
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["SPEC_MCP_HOME"] = str(place / "home")
        with (place / "log").open("w+") as log:
            try:
                for era in [options.era] if options.era else ERAS:
                    reports.append(anyio.run(measure, Plan(era, rounds, calls, warm_up), place, log))
            except (Void, NotServing) as error:
                print(f"spec-mcp bench gateway: {error}", file=sys.stderr)
                return 1
    met = all(row.meets for report in reports for row in report.rows)
    if options.json:
        rows = [
            {**asdict(report), "rows": [{**asdict(row), "meets": row.meets} for row in report.rows]}
            for report in reports
        ]
        print(json.dumps({"eras": rows, "meets": met}, indent=2))
    else:
        show(reports)
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())

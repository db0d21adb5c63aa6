"""What early writes save, and what a wrong one costs: `spec-mcp bench reversible`.

A desk that changes addresses, payments and orders among reads works through the same customers three times at once:
without speculation, with reads, and with reads and reversible calls, each time with its own shop and the same store,
which has learned from other customers at another shop. All answers and the final databases must be the same.

Then the price: every second time a write is made early that nobody wants, and the next call, which conflicts with it,
waits until it is taken back. The other times the same call is made alone.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchmarks.reversible_arms import (
    SHOP,
    Arm,
    Run,
    environment,
    prepare,
    run_arm,
    server_command,
    timed_call,
    warm_up,
)
from benchmarks.reversible_desk import MAX_THINK_S, MEDIAN_THINK_S, MIN_THINK_S, THINK_SPREAD, Case, Want, draw_cases
from spec_mcp.engine.admission import SURE
from wrapped_servers.retail.generator import generate

WRONG = Path(__file__).with_name("foretold_wrong.py")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done."""

    warm: int
    """Cases that were learned from."""
    cases: int
    rounds: int
    """Of a wrong write and of none."""
    pace: float
    """Scales thinking and latencies alike."""


FULL = Plan(warm=140, cases=14, rounds=40, pace=0.4)
QUICK = Plan(warm=140, cases=2, rounds=6, pace=0.25)


@dataclass(frozen=True, slots=True)
class Row:
    """One arm."""

    arm: str
    calls: int
    wait_s: float
    wait_ratio: float
    """Median over the cases of the wait in proportion to the same case's without speculation."""
    total_ratio: float
    write_ratio: float | None
    """Median wait for a call that an early write answered, in proportion to the same call's without speculation."""
    hits: int
    joins: int
    speculations: int
    wasted: int
    early: int
    """Writes that were made early."""
    adopted: int
    compensated: int
    stuck: int
    unsure: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a call that conflicts waits after a wrong write, and alone."""

    rounds: int
    taken_back: int
    alone_ms: float
    alone_p90_ms: float
    after_wrong_ms: float
    after_wrong_p90_ms: float
    ratio: float
    ratio_p90: float


async def all_arms(folder: Path, plan: Plan, cases: Sequence[Case]) -> dict[Arm, Run]:
    """Side by side: they wait most of the time, and what disturbs one of them disturbs all."""
    warm_folder = folder / "warm"
    warm_folder.mkdir()
    warm = warm_up(warm_folder, plan.pace, plan.warm)
    runs: dict[Arm, Run] = {}
    options = {arm: prepare(folder / arm.name.lower(), arm, plan.pace, warm) for arm in Arm}

    async def run(arm: Arm) -> None:
        runs[arm] = await run_arm(folder / arm.name.lower(), options[arm], cases, plan.pace)

    async with anyio.create_task_group() as tasks:
        for arm in Arm:
            tasks.start_soon(run, arm)
    return runs


def row_of(arm: Arm, run: Run, off: Run) -> Row:
    """One arm's figures."""
    cases = sorted({made.case for made in off.made})
    answered = [run.made[number].wait_s / off.made[number].wait_s for number in run.answered_writes]
    return Row(
        arm=arm.value,
        calls=len(run.made),
        wait_s=round(run.wait_s(), 3),
        wait_ratio=round(statistics.median(run.wait_s(case=case) / off.wait_s(case=case) for case in cases), 3),
        total_ratio=round(run.wait_s() / off.wait_s(), 3),
        write_ratio=round(statistics.median(answered), 3) if answered else None,
        hits=run.hows.count("hit"),
        joins=run.hows.count("join"),
        speculations=run.speculations,
        wasted=run.wasted,
        early=sum(run.early.values()),
        adopted=run.early.get("adopted", 0),
        compensated=run.early.get("compensated", 0),
        stuck=run.early.get("stuck", 0),
        unsure=run.unsure,
    )


def differences(runs: Mapping[Arm, Run]) -> list[str]:
    """In what an arm differs from the run without speculation; nothing is as it must be."""
    found: list[str] = []
    off = [(made.case, made.tool, made.arguments, made.answer) for made in runs[Arm.OFF].made]
    for arm, run in runs.items():
        if [(made.case, made.tool, made.arguments, made.answer) for made in run.made] != off:
            found.append(f"{arm}: answers differ")
        if run.records != runs[Arm.OFF].records:
            found.append(f"{arm}: the final database differs")
        if run.early.get("stuck"):
            found.append(f"{arm}: {run.early['stuck']} writes are stuck")
    return found


async def price_of_wrong(folder: Path, plan: Plan) -> Price:
    """Every second call comes after a write that nobody wants."""
    options = prepare(folder, Arm.BOTH, plan.pace, None)
    tables = generate(SHOP)
    order = next(order for order in tables["orders"].values() if order["status"] == "pending")
    elsewhere = next(
        user["address"] for user in tables["users"].values() if user["address"]["zip"] != order["address"]["zip"]
    )
    wrong = json.dumps({"order_id": order["order_id"], **elsewhere})
    command = [str(WRONG), "modify_pending_order_address", wrong, *options, "--", *server_command(plan.pace)]
    random = Random("price")
    waits: tuple[list[float], list[float]] = ([], [])
    with (folder / "stderr.txt").open("w") as stderr:
        parameters = StdioServerParameters(command=sys.executable, args=command, env=environment(folder), cwd=folder)
        async with Client(stdio_client(parameters, errlog=stderr)) as client:
            await client.list_tools()
            for number in range(2 * plan.rounds + 2):
                thinking_s = random.lognormvariate(math.log(MEDIAN_THINK_S), THINK_SPREAD)
                await anyio.sleep(min(MAX_THINK_S, max(MIN_THINK_S, thinking_s)) * plan.pace)
                _, wait_s = await timed_call(client, "get_order_details", {"order_id": order["order_id"]})
                if number >= 2:  # before that the tools are not known yet
                    waits[number % 2].append(wait_s)
    executed = [json.loads(line)["tool"] for line in (folder / "log.jsonl").read_text().splitlines()]
    alone, after = waits
    base_s = statistics.median(alone)
    return Price(
        rounds=plan.rounds,
        taken_back=executed.count("modify_pending_order_address") // 2,
        alone_ms=round(base_s * 1e3, 1),
        alone_p90_ms=round(_p90(alone) * 1e3, 1),
        after_wrong_ms=round(statistics.median(after) * 1e3, 1),
        after_wrong_p90_ms=round(_p90(after) * 1e3, 1),
        ratio=round(statistics.median(after) / base_s, 2),
        ratio_p90=round(_p90(after) / base_s, 2),
    )


def _p90(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.9 * len(values)))]


async def measure(plan: Plan) -> dict[str, Any]:
    """All figures."""
    drawn = draw_cases(generate(SHOP), "bench", FULL.cases)
    cases = sorted(drawn, key=lambda case: case.want is not Want.MOVE)[: plan.cases]  # those that move first
    with tempfile.TemporaryDirectory(prefix="spec-mcp-bench-") as name:
        runs = await all_arms(Path(name), plan, cases)
        price = await price_of_wrong(Path(name) / "price", plan)
    wrong = differences(runs)
    return {
        "plan": asdict(plan),
        "identical": not wrong,
        "differences": wrong,
        "arms": [asdict(row_of(arm, runs[arm], runs[Arm.OFF])) for arm in Arm],
        "price": asdict(price),
    }


def show(report: Mapping[str, Any]) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    plan, price = report["plan"], report["price"]
    title = (
        f"{plan['cases']} customers, learned from {plan['warm']} others; times of the demonstration × {plan['pace']}"
    )
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("speculated")
    for heading in ("wait", "× off", "adopted write × off", "hits", "joins", "early", "adopted", "undone", "stuck"):
        table.add_column(heading, justify="right")
    for row in report["arms"]:
        counts = (row["hits"], row["joins"], row["early"], row["adopted"], row["compensated"], row["stuck"])
        write = "–" if row["write_ratio"] is None else f"{row['write_ratio']:.2f}"
        times = (f"{row['wait_s']:.1f} s", f"{row['wait_ratio']:.2f}", write)
        table.add_row(row["arm"], *times, *map(str, counts))
    console.print(table)
    both = report["arms"][-1]
    console.print(
        f"{both['unsure']} times a write was foretold that is less likely than {SURE}: it is not made early.\n"
        f"A call that conflicts waits {price['after_wrong_ms']:.0f} ms (p90 {price['after_wrong_p90_ms']:.0f}) after a "
        f"wrong early write, and {price['alone_ms']:.0f} ms alone: × {price['ratio']:.2f} (p90 {price['ratio_p90']:.2f}"
        f"), {price['taken_back']} of {price['rounds']} were taken back."
    )
    console.print("All answers and the final database are the same in all arms." if report["identical"] else "")
    for difference in report["differences"]:
        console.print(f"[bold red]NOT THE SAME: {difference}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="spec-mcp bench reversible", description="Measure early writes.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer customers, and everything faster")
    parser.add_argument("--warm", type=int, metavar="N", help=f"customers learned from before (default {FULL.warm})")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    if options.warm is not None:
        plan = Plan(options.warm, plan.cases, plan.rounds, plan.pace)
    report = anyio.run(measure, plan)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 0 if report["identical"] else 1


if __name__ == "__main__":
    sys.exit(main())

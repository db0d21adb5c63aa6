"""The arms of `spec-mcp bench reversible`: a shop behind `spec-mcp wrap`, the desk before it, and a warm store."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from benchmarks.reversible_desk import Case, draw_cases, work
from spec_mcp.cli.demo.agent import Answer, Think
from spec_mcp.cli.demo.runner import LATENCY_S, WASTED_CALL_S, WRITE_LATENCY_S, answer_of
from spec_mcp.engine.calls import Json
from spec_mcp.records import CallEvent, Session, write_sessions
from spec_mcp.store.place import locate
from spec_mcp.store.sqlite import SqliteStore
from wrapped_servers.retail.catalogue import TOOLS
from wrapped_servers.retail.database import MEMORY, Database
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.server import Shop

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
REVERSIBLE = ("modify_pending_order_address", "modify_user_address")
WARM_SHOP, SHOP = 1, 2
"""The desk learned at another shop: the same ways, other people."""

CALL_DEADLINE_S = 30.0


class Arm(StrEnum):
    """What is speculated."""

    OFF = "off"
    READS = "reads"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Made:
    """A call of the desk, its answer, and how long the desk waited for it."""

    case: int
    tool: str
    arguments: Mapping[str, Any]
    answer: Answer
    wait_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """One arm through all cases."""

    made: list[Made]
    records: list[str]
    """All that the database held afterwards."""
    hows: list[str]
    """`hit`, `join` or `miss`, for each call."""
    speculations: int
    wasted: int
    early: Mapping[str, int]
    """Reversible speculations that were launched, by the state in which they ended."""
    unsure: int
    """Reversible candidates that were skipped, since they were not likely enough."""

    def wait_s(self, case: int | None = None) -> float:
        """In all, or in one case."""
        return sum(made.wait_s for made in self.made if case in (None, made.case))

    @property
    def answered_writes(self) -> list[int]:
        """Which calls, by their number, an early write answered."""
        found = enumerate(zip(self.made, self.hows, strict=True))
        return [number for number, (made, how) in found if made.tool in REVERSIBLE and how != "miss"]


def server_command(pace: float) -> list[str]:
    """The shop with the demonstration's latencies. It is the same in all arms, which work in folders of their own, so
    that what was learned of the one holds for the others."""
    latencies = [f"--latency={tool}={latency_s * pace:.3f}" for tool, latency_s in LATENCY_S.items()]
    default = f"--latency-default={WRITE_LATENCY_S * pace:.3f}"
    return [sys.executable, "-m", "wrapped_servers.retail", "--db=shop.db", "--log=log.jsonl", *latencies, default]


def prepare(folder: Path, arm: Arm, pace: float, warm: Path | None) -> list[str]:
    """A folder with the shop, the configuration and the store of an arm; the command of the wrapped server."""
    folder.mkdir()
    tables = generate(SHOP)
    Database(folder / "shop.db", lambda: tables).close()
    if warm is not None:
        shutil.copytree(warm, folder / "home")
    accepted = json.dumps([f"retail.{tool}" for tool in REVERSIBLE])
    (folder / "config.toml").write_text(
        f"[speculation]\nwasted_call_s = {WASTED_CALL_S * pace:.4f}\n"
        f"reversible = {str(arm is Arm.BOTH).lower()}\naccept_unproven = {accepted}\n"
    )
    return ["--name=retail", "--config=config.toml", f"--mode={'off' if arm is Arm.OFF else 'on'}"]


def environment(folder: Path) -> dict[str, str]:
    """Of a process that works in an arm's folder."""
    return {**os.environ, "SPEC_MCP_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}


def warm_up(folder: Path, pace: float, cases: int) -> Path:
    """A home in which `spec-mcp learn` has learned from so many cases at another shop."""
    tables = generate(WARM_SHOP)
    database = Database(MEMORY, lambda: tables)
    shop = Shop(database)
    drawn = draw_cases(tables, "warm", cases)
    recorded = folder / "warm.jsonl"
    write_sessions(recorded, [_recorded(shop, case) for case in drawn])
    database.close()
    if cases:
        command = [str(BIN / "spec-mcp"), "learn", str(recorded), "--server", "retail", "--", *server_command(pace)]
        subprocess.run(command, env=environment(folder), check=True, capture_output=True)
    (folder / "home").mkdir(exist_ok=True)
    return folder / "home"


def _recorded(shop: Shop, case: Case) -> Session:
    events: list[CallEvent] = []
    desk, answer = work(case), None
    while True:
        try:
            step = desk.send(answer)
        except StopIteration:
            return Session(case.seed, "desk", tuple(events))
        answer = None
        if not isinstance(step, Think):
            found = shop.call(TOOLS[step.tool], step.arguments, 0.0)
            answer = Answer(found.text, found.is_error)
            result: Json = {"content": [{"type": "text", "text": found.text}]}
            events.append(CallEvent(step.tool, step.arguments, result, found.is_error))


# --- a run ----------------------------------------------------------------------------------------------------------


async def run_arm(folder: Path, options: Sequence[str], cases: Sequence[Case], pace: float) -> Run:
    """All cases, each on a connection of its own, as agents do that begin and end with their conversation."""
    command = ["-m", "spec_mcp", "wrap", *options, "--", *server_command(pace)]
    made: list[Made] = []
    with (folder / "stderr.txt").open("w") as stderr:
        for case in cases:
            parameters = StdioServerParameters(
                command=sys.executable, args=command, env=environment(folder), cwd=folder
            )
            async with Client(stdio_client(parameters, errlog=stderr)) as client:
                await client.list_tools()
                made += await serve(client, case, pace)
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        records = list(connection.iterdump())
    return _run_of(made, records, folder / "home")


async def serve(client: Client, case: Case, pace: float) -> list[Made]:
    """One customer."""
    made: list[Made] = []
    desk, answer = work(case), None
    while True:
        try:
            step = desk.send(answer)
        except StopIteration:
            return made
        answer = None
        if isinstance(step, Think):
            await anyio.sleep(step.duration_s * pace)
        else:
            answer, wait_s = await timed_call(client, step.tool, step.arguments)
            made.append(Made(case.number, step.tool, step.arguments, answer, wait_s))


async def timed_call(client: Client, tool: str, arguments: Mapping[str, Any]) -> tuple[Answer, float]:
    """The answer to a call, and the seconds that it took."""
    began_s = time.monotonic()
    with anyio.fail_after(CALL_DEADLINE_S):
        result = await client.call_tool(tool, dict(arguments))
    return answer_of(result), time.monotonic() - began_s


def _run_of(made: list[Made], records: list[str], home: Path) -> Run:
    store = SqliteStore(locate(folder=home).path)
    try:
        traces, totals = list(store.traces()), store.totals()
    finally:
        store.close()
    hows = [call.how for trace in traces for call in trace.calls]
    launched = [row for trace in traces for row in trace.speculations if row.launched_at is not None]
    early: dict[str, int] = {}
    for row in launched:
        if row.tool in REVERSIBLE:
            early[row.state] = early.get(row.state, 0) + 1
    return Run(
        made,
        records,
        hows,
        len(launched),
        sum(row.state != "adopted" for row in launched),
        early,
        dict(totals.skips).get("unsure", 0),
    )

"""Carries the agent's steps out against a real server process, and notes what it was answered and when."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO, cast

import anyio
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from spec_mcp.cli.demo.agent import Answer, Call, Listen, Think, work
from spec_mcp.cli.demo.cases import Case
from spec_mcp.errors import Failed

LATENCY_S: Mapping[str, float] = {
    "find_user_id_by_email": 0.17,
    "find_user_id_by_name_zip": 0.17,
    "get_user_details": 0.21,
    "get_order_details": 0.24,
    "get_product_details": 0.24,
    "list_all_product_types": 0.28,
    "calculate": 0.07,
    "think": 0.0,
}
"""What a shop's services take over a network."""
WRITE_LATENCY_S = 0.2
"""A write is noted at once and worked off later."""

WASTED_CALL_S = 0.2 / 5
"""The demonstration shows about five seconds of an agent's life in one: thinking and latencies are a fifth of what they
often are, and so is what a wasted call is worth."""

CALL_DEADLINE_S = 30.0
"""No call of the demonstration takes a second: this one hangs."""
LOG_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Target:
    """A server process of its own files, and how it is reached."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    """The server's own record of what it executed."""
    database: Path
    stderr: Path


@dataclass(frozen=True, slots=True)
class Made:
    """A call that the agent made, with its answer. Times are seconds on the machine's monotonic clock."""

    case: int
    tool: str
    arguments: Mapping[str, Any]
    answer: Answer
    sent_s: float
    answered_s: float

    @property
    def wait_s(self) -> float:
        return self.answered_s - self.sent_s


@dataclass(frozen=True, slots=True)
class Executed:
    """A call that the server executed, by its own log. Times are on the same clock as the agent's."""

    tool: str
    arguments: Mapping[str, Any]
    start_s: float
    end_s: float
    writes: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One run through all cases."""

    made: tuple[Made, ...]
    executed: tuple[Executed, ...]
    records: tuple[str, ...]
    """All that the database held afterwards."""
    duration_s: float


class Watcher(Protocol):
    """Looks on while a run goes."""

    def case_began(self, case: Case, at_s: float) -> None: ...
    def case_ended(self, at_s: float) -> None: ...
    def thinking(self, at_s: float) -> None: ...
    def calling(self, call: Call, at_s: float) -> None: ...
    def answered(self, made: Made) -> None: ...
    def executed(self, entries: Sequence[Executed]) -> None: ...


def target(folder: Path, mode: str | None, seed: int, pace: float) -> Target:
    """The shop of this seed behind `spec-mcp wrap` in this mode; None: the shop itself. Its files, an empty home among
    them, lie in `folder`, which is made. `pace` scales all that is in seconds."""
    folder.mkdir()
    log, database = folder / "server.jsonl", folder / "shop.sqlite3"
    latencies = [f"--latency={tool}={latency_s * pace:.3f}" for tool, latency_s in LATENCY_S.items()]
    server = (
        *(sys.executable, "-m", "wrapped_servers.retail", f"--seed={seed}", f"--db={database}", f"--log={log}"),
        *(*latencies, f"--latency-default={WRITE_LATENCY_S * pace:.3f}"),
    )
    config = folder / "config.toml"
    config.write_text(f"[speculation]\nwasted_call_s = {WASTED_CALL_S * pace:.4f}\n", encoding="utf-8")
    wrap = (sys.executable, "-m", "spec_mcp", "wrap", f"--config={config}", f"--mode={mode}", "--")
    return Target(
        command=server if mode is None else (*wrap, *server),
        environment={"SPEC_MCP_HOME": str(folder / "home")},
        log=log,
        database=database,
        stderr=folder / "stderr.txt",
    )


async def run_cases(target: Target, cases: Sequence[Case], pace: float, watcher: Watcher) -> Run:
    """All cases, one after the other. `pace` scales the agent's thinking.

    Each customer is a conversation of its own, so each gets a connection of its own, as agents do that start for one
    conversation and end with it. What is learned passes from one to the next through the store alone.

    Raises:
        Failed: the server did not start, died or hung.
    """
    made: list[Made] = []
    began_s = time.monotonic()
    try:
        with target.stderr.open("w", encoding="utf-8") as stderr:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_follow, target.log, watcher)
                for case in cases:
                    made += await _converse(target, case, pace, watcher, stderr)
                tasks.cancel_scope.cancel()
    except (MCPError, OSError, TimeoutError, ExceptionGroup) as error:
        raise ended("demo", error, target.stderr) from error
    duration_s = time.monotonic() - began_s
    # the server has ended by now: its files are complete
    return Run(tuple(made), tuple(read_log(target.log)), _records(target.database), duration_s)


async def _converse(target: Target, case: Case, pace: float, watcher: Watcher, stderr: TextIO) -> list[Made]:
    parameters = StdioServerParameters(
        command=target.command[0], args=list(target.command[1:]), env=dict(target.environment)
    )
    async with Client(stdio_client(parameters, errlog=stderr)) as client:
        await client.list_tools()
        watcher.case_began(case, time.monotonic())
        made = await _serve(client, case, pace, watcher)
        watcher.case_ended(time.monotonic())
    return made


async def _serve(client: Client, case: Case, pace: float, watcher: Watcher) -> list[Made]:
    made: list[Made] = []
    agent = work(case)
    answer: Answer | None = None
    while True:
        try:
            step = agent.send(answer)
        except StopIteration:
            return made
        answer = None
        if isinstance(step, Think):
            watcher.thinking(time.monotonic())
            await anyio.sleep(step.duration_s * pace)
        elif not isinstance(step, Listen):
            made.append(await _call(client, case, step, watcher))
            answer = made[-1].answer


async def _call(client: Client, case: Case, call: Call, watcher: Watcher) -> Made:
    sent_s = time.monotonic()
    watcher.calling(call, sent_s)
    with anyio.fail_after(CALL_DEADLINE_S):
        result = await client.call_tool(call.tool, call.arguments)
    answered_s = time.monotonic()
    made = Made(case.number, call.tool, call.arguments, answer_of(result), sent_s, answered_s)
    watcher.answered(made)
    return made


def answer_of(result: CallToolResult) -> Answer:
    """What a result tells an agent."""
    return Answer("".join(item.text for item in result.content if isinstance(item, TextContent)), result.is_error)


async def _follow(log: Path, watcher: Watcher) -> None:
    seen = 0
    while True:
        entries = read_log(log)
        watcher.executed(entries[seen:])
        seen = len(entries)
        await anyio.sleep(LOG_POLL_S)


def read_log(log: Path) -> list[Executed]:
    """The server's log as far as it is written."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline is half a line
    entries = [json.loads(line) for line in lines]
    return [
        Executed(
            tool=entry["tool"],
            arguments=entry["arguments"],
            start_s=entry["start_s"],
            end_s=entry["end_s"],
            writes=entry["effect"] == "write",
        )
        for entry in entries
    ]


def ended(what: str, error: Exception, stderr: Path) -> Failed:
    """The server did not start, died or hung: what is said of it, with what it said itself last."""
    last = stderr.read_text(encoding="utf-8").strip().splitlines()[-3:]
    return Failed(f"{what}: {_reason(error)}: {' '.join(last)}")


def _reason(error: BaseException) -> str:
    """The innermost of grouped errors, for people."""
    if isinstance(error, BaseExceptionGroup):
        return _reason(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    return f"{type(error).__name__} {error}".strip()


def _records(database: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(database)) as connection:
        return tuple(connection.iterdump())

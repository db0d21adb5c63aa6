"""Whom `spec-mcp bench retail` serves: simulated customers, or sessions that others recorded on τ-bench's tables.

Either is a recorded session: what the customer wrote, what the assistant wrote, and each call with its result. A
session is then lived again, in real time and at a real server, by `agent`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import Path

import anyio

from benchmarks.environments.running import ROOT, Agent, AgentSession
from spec_mcp.cli.demo.agent import Answer, Call, Listen, work
from spec_mcp.cli.demo.cases import Case, draw_cases
from spec_mcp.engine.calls import Json
from spec_mcp.hints import Hints
from spec_mcp.records import CallEvent, Event, Session, TextEvent, halves, read_sessions
from wrapped_servers.retail.catalogue import TOOLS
from wrapped_servers.retail.database import MEMORY, Database
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.model import Tables
from wrapped_servers.retail.server import Shop

SHARED = Path(os.environ.get("SPEC_MCP_SHARED") or ROOT.parent / "shared")
RECORDED = SHARED / "traces" / "tau-retail-gpt4o.jsonl.gz"
TABLES = SHARED / "retail"

WORDS_PER_MINUTE = 40.0
"""How fast a customer types: the paper's figure."""
THINK_S = 3.0
"""How long the model thinks before it calls or answers."""
LATENCY_S = 1.0
"""How long a tool takes."""


@dataclass(frozen=True, slots=True)
class Customers:
    """Those that are learned from, and those that are then served."""

    title: str
    before: Sequence[Session]
    served: Sequence[Session]
    shop: Sequence[str]
    """Arguments of the server: the tables that all sessions begin with."""


def simulated(seed: int, before: int, served: int) -> Customers:
    """Customers of a made-up shop, who learned from others of it."""
    tables = generate(seed)
    cases = draw_cases(tables, seed, before + served)
    sessions = [_lived(seed, case) for case in cases]
    return Customers("simulated customers", sessions[:before], sessions[before:], [f"--seed={seed}"])


def recorded(served: int) -> Customers | None:
    """Sessions of τ-bench: the first half of the tasks to learn from, of the rest the first so many; None where there
    are none beside the checkout."""
    if not RECORDED.is_file() or not TABLES.is_dir():
        return None
    before, after = halves(list(read_sessions(RECORDED)))
    return Customers("recorded sessions of τ-bench", before, after[:served], [f"--data={TABLES}"])


def _lived(seed: int, case: Case) -> Session:
    """One case as a session in memory: each begins with the tables as they were."""
    tables: Tables = generate(seed)
    database = Database(MEMORY, lambda: tables)
    try:
        return Session(case.seed, "simulated", tuple(_events(Shop(database), case)), case.seed)
    finally:
        database.close()


def _events(shop: Shop, case: Case) -> Iterator[Event]:
    steps, answer, batch = work(case), None, 0
    while True:
        try:
            step = steps.send(answer)
        except StopIteration:
            return
        answer = None
        if isinstance(step, Listen):
            yield TextEvent("user", step.text)
        elif isinstance(step, Call):
            found = shop.call(TOOLS[step.tool], step.arguments, 0.0)
            answer = Answer(found.text, found.is_error)
            yield CallEvent(step.tool, step.arguments, found.text, found.is_error, batch=batch)
            batch += 1


@dataclass(slots=True)
class Turns:
    """What became of the turns: what the model does between two messages of the customer, where it calls at all."""

    waits_s: list[list[float]]
    """By turn and call: how long the agent waited."""
    unlike: int = 0
    """Calls whose result was not the recorded one."""


def agent(session: Session, pace: float, turns: Turns, *, tells_words: bool) -> Agent:
    """Lives a session again: types, thinks and calls as it was recorded, `pace` times as long as in life.

    `tells_words`: what was written is told at once, as a client may that wants better guesses.
    """

    async def live(at: AgentSession) -> None:
        hints = Hints()
        for written, events in groupby(session.events, key=lambda event: isinstance(event, TextEvent)):
            if written:
                for event in events:
                    assert isinstance(event, TextEvent)
                    await at.think(_writing_s(event) * pace)
                    if tells_words:
                        hints.say(event.type, event.text)
                        await hints.tell(at.client)
                continue
            turn: list[float] = []
            for _, batch in groupby((event for event in events if isinstance(event, CallEvent)), key=_batch()):
                await at.think(THINK_S * pace)
                async with anyio.create_task_group() as tasks:
                    for call in batch:
                        tasks.start_soon(_call, at, call, turn, turns)
            turns.waits_s.append(turn)

    return live


async def _call(at: AgentSession, call: CallEvent, turn: list[float], turns: Turns) -> None:
    began_s = at.now_s()
    answer = await at.call(call.tool, **call.arguments)
    turn.append(at.now_s() - began_s)
    turns.unlike += (answer.text, answer.is_error) != (_text(call.result), call.is_error)


def _writing_s(event: TextEvent) -> float:
    """A customer types; the model's message to the customer is one thought."""
    return len(event.text.split()) / WORDS_PER_MINUTE * 60.0 if event.type == "user" else THINK_S


def _batch() -> Callable[[CallEvent], int]:
    """Tells calls of one turn of the model from those of the next; one without a number is alone."""
    alone = count(-1, -1)

    def number(call: CallEvent) -> int:
        return next(alone) if call.batch is None else call.batch

    return number


def _text(result: Json) -> str:
    return result if isinstance(result, str) else ""

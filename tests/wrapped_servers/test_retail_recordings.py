"""Recorded sessions, called again on τ-bench's own tables, give the recorded results.

The sessions of gpt-4.1 were recorded several at a time on one file of tables, which each write read and wrote as a
whole. So some of their results show what another session had written, lack what another session had overwritten, or
say that the file was just being written. Each such difference is explained here by reproducing it.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from mcp import Client

from tests.wrapped_servers.retail import Till, command, till
from wrapped_servers.retail.catalogue import TOOLS, Effect
from wrapped_servers.retail.database import read_tables
from wrapped_servers.retail.model import Tables

pytestmark = pytest.mark.shared

FILES = ("tau-retail-gpt4o", "tau-retail-gpt41")
EVERY_NTH_OVER_STDIO = 12
DEADLINE_S = 60

Session = dict
Call = dict


@functools.cache
def recorded(traces: Path) -> list[Session]:
    sessions = []
    for name in FILES:
        with gzip.open(traces / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            sessions.extend(json.loads(line) for line in lines)
    return sessions


def calls_of(session: Session) -> list[Call]:
    return [event for event in session["events"] if event["type"] == "call"]


def successful_writes(session: Session) -> Iterator[Call]:
    for call in calls_of(session):
        tool = TOOLS.get(call["tool"])
        if tool is not None and tool.effect is Effect.WRITE and not call["is_error"]:
            yield call


def same(till: Till, call: Call) -> bool:
    answer = till.answer(call["tool"], call["arguments"])
    return (answer.text, answer.is_error) == (call["result"], call["is_error"])


@pytest.fixture
def tables(shared: Path) -> Tables:
    return read_tables(shared / "retail")


@pytest.fixture
def sessions(shared: Path) -> list[Session]:
    return recorded(shared / "traces")


# --- the explanations of a difference ---------------------------------------------------------------------------------


def file_was_being_written(call: Call) -> bool:
    """The recorded server could not parse its own tables."""
    return call["is_error"] and "Expecting property name" in call["result"]


def another_session_had_written(tables: Tables, before: list[Call], call: Call, others: list[Session]) -> bool:
    """Once some other recorded session's writes to what the call names are made first, the results are equal."""
    subjects = set(calls_subjects(call))
    for other in others:
        writes = list(successful_writes(other))
        related = [write for write in writes if subjects & set(calls_subjects(write))]
        for first in (related, *([write] for write in related), writes):
            if first and equal_after([*before, *first], call, tables):
                return True
    return False


def own_write_was_lost(tables: Tables, before: list[Call], call: Call) -> bool:
    """With one of the session's own earlier writes left out, the results are equal."""
    writes = [at for at, earlier in enumerate(before) if TOOLS[earlier["tool"]].effect is Effect.WRITE]
    return any(equal_after(before[:at] + before[at + 1 :], call, tables) for at in writes)


def calls_subjects(call: Call) -> Iterator[str]:
    for name in ("order_id", "user_id"):
        if name in call["arguments"]:
            yield call["arguments"][name]
    if not call["is_error"] and call["result"].startswith("{"):
        record = json.loads(call["result"])
        yield from (record[name] for name in ("order_id", "user_id") if name in record)


def equal_after(first: list[Call], call: Call, tables: Tables) -> bool:
    with till(tables) as fresh:
        for earlier in first:
            fresh.answer(earlier["tool"], earlier["arguments"])
        return same(fresh, call)


def explain(tables: Tables, before: list[Call], call: Call, others: list[Session]) -> str:
    if call["tool"] not in TOOLS:
        return "the model called a tool that does not exist"
    if file_was_being_written(call):
        return "the tables were just being written"
    if own_write_was_lost(tables, before, call):
        return "the session's own write had been overwritten"
    if another_session_had_written(tables, before, call, others):
        return "another session had written"
    return f"unexplained: {call['tool']} {call['arguments']}"


# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_recorded_sessions_give_the_recorded_results_and_every_difference_is_reproduced(tables, sessions):
    outcomes = Counter()
    for session in sessions:
        others = [other for other in sessions if other is not session]
        with till(tables) as fresh:
            before = []
            for call in calls_of(session):
                if call["tool"] in TOOLS and same(fresh, call):
                    outcomes["equal"] += 1
                else:
                    outcomes[explain(tables, before, call, others)] += 1
                if call["tool"] in TOOLS:
                    before.append(call)
    assert outcomes == {
        "equal": 941,
        "another session had written": 10,
        "the session's own write had been overwritten": 4,
        "the tables were just being written": 2,
        "the model called a tool that does not exist": 1,
    }


def test_sessions_of_the_orderly_recording_have_no_difference_at_all(tables, sessions):
    orderly = [session for session in sessions if session["model"] == "gpt-4o"]
    assert len(orderly) == 58
    for session in orderly:
        with till(tables) as fresh:
            for call in calls_of(session):
                if call["tool"] in TOOLS:
                    assert same(fresh, call), (session["session"], call["tool"], call["arguments"])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_recorded_sessions_give_the_recorded_results_over_stdio(shared, sessions, mode):
    async def replay(session: Session) -> None:
        with anyio.fail_after(DEADLINE_S):
            async with Client(command("--data", str(shared / "retail")), mode=mode) as client:
                for call in calls_of(session):
                    result = await client.call_tool(call["tool"], call["arguments"])
                    assert [item.model_dump()["text"] for item in result.content] == [call["result"]]
                    assert result.is_error == call["is_error"]

    orderly = [session for session in sessions if session["model"] == "gpt-4o"]
    for session in orderly[::EVERY_NTH_OVER_STDIO]:
        anyio.run(replay, session)

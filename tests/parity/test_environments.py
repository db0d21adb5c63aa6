"""The paper's four environments: nobody can tell the arms apart, but for a knob that may be set early where its user
allows it, and there the client has the last word."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio

from benchmarks.environments import running
from benchmarks.environments.repeating import differences
from benchmarks.environments.running import DIRECT, AgentSession, Arm, Environment, run_arm
from spec_mcp.cli.demo.agent import Answer
from tests.parity.agent import Agent
from tests.parity.rig import TAP, ArmName, Rig, Run
from tests.parity.transcript import read_tap
from tests.parity.worlds import SEED, WORLDS
from tests.pipes import eventually
from wrapped_servers.tuner.server import MAX_US, suggestion
from wrapped_servers.wiki.world import Kind, make_world

LAST_US = 777

Calls = Sequence[tuple[str, dict[str, Any]]]


def all_arms(name: str, calls: Calls, folder: Path) -> dict[ArmName, Run]:
    """These calls in every arm, which nobody can tell apart."""

    async def body(agent: Agent) -> None:
        await agent.list_tools()
        for tool, arguments in calls:
            await agent.think()
            await agent.call(tool, arguments)

    return Rig(WORLDS[name](folder / "world"), "raw", folder / "arms").compare_all(body)


def answered(run: Run) -> int:
    """How many calls a speculation answered."""
    assert run.statistics
    return run.statistics.hits + run.statistics.joins


def early(runs: dict[ArmName, Run]) -> set[str]:
    """The tools that were called ahead of time, rightly or not."""
    return {tool for arm in ("right", "lying") for tool, _ in runs[arm].speculated}


def test_a_chess_player_cannot_tell_the_arms_apart(tmp_path: Path) -> None:
    look = {"nodes": 1}
    calls: Calls = (
        ("new_game", {"moves": ["e2e4"]}),
        ("think", {"moves": ["e2e4"], **look}),
        ("play", {"game": "game-1", "move": "a7a5"}),
        ("board", {"game": "game-1"}),
        ("think", {"moves": ["e2e4", "a7a5"], **look, "min_seconds": 0.1}),
        ("glance", {"moves": ["e2e4", "a7a5"], "k": 3}),
        ("play", {"game": "game-1", "move": "a2a3"}),
        ("play", {"game": "game-1", "move": "a2a3"}),
        ("board", {"game": "game-1"}),
        ("legal_moves", {"moves": ["e2e4", "a7a5", "a2a3"]}),
        ("think", {"moves": ["e2e5"], **look}),
        ("new_game", {"moves": []}),
        ("board", {"game": "game-2"}),
        ("board", {"game": "game-3"}),
        ("board", {"game": "game-1"}),
    )
    runs = all_arms("chess", calls, tmp_path)
    assert answered(runs["right"]) >= 2
    assert early(runs) <= {"think", "glance", "legal_moves", "board"}


def test_a_shops_agent_cannot_tell_the_arms_apart(tmp_path: Path) -> None:
    user, pending, delivered = {"user_id": "ivo_hale_5394"}, {"order_id": "#W2583170"}, {"order_id": "#W4492355"}
    town = {"city": "Reno", "state": "NV", "country": "USA", "zip": "99999"}
    name = {"first_name": "Ivo", "last_name": "Hale"}
    calls: Calls = (
        ("find_user_id_by_name_zip", {**name, "zip": "12257"}),
        ("get_user_details", user),
        ("get_order_details", pending),
        ("get_order_details", delivered),
        ("modify_user_address", {**user, "address1": "1 New Road", "address2": "", **town}),
        ("get_user_details", user),
        ("find_user_id_by_name_zip", {**name, "zip": "12257"}),
        ("find_user_id_by_name_zip", {**name, "zip": "99999"}),
        ("cancel_pending_order", {**pending, "reason": "no longer needed"}),
        ("get_order_details", pending),
        ("cancel_pending_order", {**delivered, "reason": "no longer needed"}),
        ("calculate", {"expression": "218 + 70.23"}),
        ("get_order_details", {"order_id": "#W0"}),
        ("get_user_details", user),
    )
    runs = all_arms("retail", calls, tmp_path)
    assert answered(runs["right"]) >= 2
    assert not early(runs) & {"modify_user_address", "cancel_pending_order"}


def test_a_reader_cannot_tell_the_arms_apart(tmp_path: Path) -> None:
    world = make_world(SEED)
    film, other = (thing.title for thing in world[Kind.FILM][:2])
    calls: Calls = (
        ("search", {"entity": film}),
        ("search", {"entity": f"{film} x"}),
        ("search", {"entity": other.upper()}),
        ("lookup", {"title": film, "keyword": "it"}),
        ("lookup", {"title": film, "keyword": "IT", "index": 2}),
        ("lookup", {"title": "nobody", "keyword": "it"}),
        ("finish", {"answer": "one"}),
        ("search", {"entity": world[Kind.CITY][0].title}),
        ("finish", {"answer": "two"}),
        ("finish", {}),
    )
    runs = all_arms("wiki", calls, tmp_path)
    assert answered(runs["right"]) >= 2
    assert "finish" not in early(runs)


def test_without_the_users_word_no_knob_is_set_early(tmp_path: Path) -> None:
    calls: Calls = (
        ("set_slice", {"slice_us": MAX_US}),
        ("measure", {"seconds": 1}),
        ("set_slice", {"slice_us": suggestion(MAX_US)}),
        ("reset", {}),
        ("set_slice", {"slice_us": 7}),
    )
    assert early(all_arms("tuner", calls, tmp_path)) == set()


# --- an agent whose calls the manifest itself foretells ---------------------------------------------------------------


EARLY = """\
[speculation]
lossy = true
wasted_call_s = 0.001
breadth = 1
depth = 1
check_every = 0
"""
"""A guess costs little, but not so little that all are made for which next to nothing speaks."""


def tuner_in(place: Path, arm: Arm) -> running.Agent:
    """Sets the knob to what is guessed, and then to something else; where guesses come into force it waits for them."""

    async def until(look: Callable[[], bool], what: str) -> None:
        if arm.name == "on":
            await anyio.to_thread.run_sync(eventually, look, what)

    async def guessed(measured: Answer) -> int:
        guess_us = measured.data["suggestion_us"]
        await until(lambda: set_to(place) == guess_us, f"{guess_us} is in force")
        return guess_us

    async def tune(session: AgentSession) -> None:
        await until(lambda: lists(place / "tap") == 2, "our own look at the tools beside the client's is done")
        await session.call("set_slice", slice_us=MAX_US)
        await session.call("set_slice", slice_us=await guessed(await session.call("measure", seconds=1)))
        await guessed(await session.call("measure", seconds=1))
        await session.call("set_slice", slice_us=LAST_US)

    return tune


def set_to(place: Path) -> int:
    """What the knob was set to last."""
    kept = place / "slice"
    return int(kept.read_text() or 0) if kept.exists() else 0


def lists(tap: Path) -> int:
    """How often the server has told its tools."""
    tapped = read_tap(tap)
    asked = [line.message["id"] for line in tapped.to_server if line.method == "tools/list"]
    return sum(line.is_answer and line.message["id"] in asked for line in tapped.from_server)


def test_where_the_user_allows_it_a_knob_is_set_early_and_the_client_has_the_last_word(tmp_path: Path) -> None:
    command = [*WORLDS["tuner"](tmp_path).command]
    it = Environment("tuner", [sys.executable, str(TAP), "--log", "tap", "--", *command], snapshot=set_to)
    runs = {
        arm.name: [anyio.run(run_arm, it, arm, [tuner_in(tmp_path / arm.name, arm)], tmp_path / arm.name)]
        for arm in (DIRECT, Arm("off", "off"), Arm("on", config=EARLY))
    }
    assert not differences(runs, DIRECT.name)
    (tuned,) = runs["on"]
    assert tuned.state == LAST_US
    counts = tuned.totals.tools["tuner", "set_slice"]
    assert counts.speculations >= 2, "both guesses were in force"
    assert counts.lossy == 1, "one of them was what the client then set"

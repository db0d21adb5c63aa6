"""The frame of the environments: an agent goes through every arm, and whatever differs is said."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from benchmarks.environments.repeating import differences, hidden_shares, interleaved, saved_shares
from benchmarks.environments.reporting import Report, Row, spread
from benchmarks.environments.running import DIRECT, AgentSession, Arm, Environment, Run, run_arm
from spec_mcp.errors import Failed

SHOP = Environment(
    "retail",
    [sys.executable, "-m", "wrapped_servers.retail", "--seed=0", "--db=shop.db", "--latency-default=0.05"],
    snapshot=lambda folder: records(folder / "shop.db"),
)
ARMS = {arm.name: arm for arm in (DIRECT, Arm("off", "off"), Arm("on", config="[speculation]\nwasted_call_s = 0.0\n"))}


def records(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


async def agent(session: AgentSession) -> None:
    user = await session.call("find_user_id_by_name_zip", first_name="Ivo", last_name="Hale", zip="12257")
    await session.think(0.1)
    found = await session.call("get_user_details", user_id=user.text)
    for order_id in found.data["orders"]:
        await session.think(0.1)
        await session.call("get_order_details", order_id=order_id)
    await session.call("get_order_details", order_id="#W0")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Run]]:
    folder = tmp_path_factory.mktemp("arms")

    async def one(arm: str, repetition: int) -> Run:
        return await run_arm(SHOP, ARMS[arm], [agent], folder / f"{arm}-{repetition}")

    return anyio.run(partial(interleaved, "arms", list(ARMS), 1, one))


def test_every_arm_calls_and_is_answered_the_same(runs: dict[str, list[Run]]) -> None:
    assert not differences(runs, "direct")
    (run,) = runs["direct"]
    assert run.made[-1].result["isError"], "what a server refuses is in the transcript too"
    assert run.wall_s > run.wait_s > 0.05 * len(run.made)


def test_the_proxys_own_store_says_what_it_did(runs: dict[str, list[Run]]) -> None:
    (direct,), (off,), (on,) = runs.values()
    assert direct.counts.calls == 0
    assert (off.counts.calls, off.counts.speculations) == (len(off.made), 0)
    assert on.counts.calls == len(on.made)
    assert on.counts.speculations > 0
    assert on.counts.hits + on.counts.joins + on.counts.misses == on.counts.calls


@pytest.mark.parametrize("arm", ["direct", "on"])
def test_a_server_that_does_not_start_is_said_with_its_own_words(arm: str, tmp_path: Path) -> None:
    chess = Environment("chess", [sys.executable, "-m", "wrapped_servers.chess", "--engine", "no-such-engine"])
    with pytest.raises(Failed, match=rf"^chess, {arm}: .*'no-such-engine' starts no program: name a UCI engine by"):
        anyio.run(run_arm, chess, ARMS[arm], [agent], tmp_path / arm)


def test_a_call_that_was_answered_otherwise_is_found(runs: dict[str, list[Run]]) -> None:
    (right,) = runs["direct"]
    other = replace(right.made[2], result={"content": [], "isError": False})
    wrong = replace(right, made=[*right.made[:2], other, *right.made[3:]], state=[])
    found = differences({"direct": [right], "on": [wrong]}, "direct")
    assert len(found) == 2
    assert "call 3 differs" in found[0]
    assert "the final state differs" in found[1]
    short = replace(right, made=right.made[:-1])
    assert f"{len(right.made) - 1} calls instead of" in differences({"direct": [right], "on": [short]}, "direct")[0]


def test_shares_are_of_the_same_repetition(runs: dict[str, list[Run]]) -> None:
    (right,) = runs["direct"]
    quicker = replace(
        right, wall_s=right.wall_s / 2, made=[replace(made, answered_s=made.sent_s) for made in right.made]
    )
    arms = {"off": [right, right], "on": [right, quicker]}
    assert saved_shares(arms, "on", "off") == pytest.approx([0, 0.5])
    assert hidden_shares(arms, "on", "off") == pytest.approx([0, 1])


def test_a_spread_is_the_median_and_the_ends() -> None:
    found = spread([0.3, 0.1, 0.2])
    assert (found.median, found.low, found.high, found.repetitions) == (0.2, 0.1, 0.3, 3)
    assert found.text("%") == "20.0 % (10.0 to 30.0)"
    assert spread([0.5]).text("%") == "50.0 %"


def test_a_report_holds_what_it_was_made_with() -> None:
    report = Report("wiki", True, 7, 1, [Row("time saved", spread([0.1]), paper=0.3)], [])
    said = report.as_json()
    assert said["identical"]
    assert said["rows"][0]["paper"] == 0.3
    assert {"python", "spec-mcp", "mcp"} <= said["versions"].keys()
    assert said["seed"] == 7

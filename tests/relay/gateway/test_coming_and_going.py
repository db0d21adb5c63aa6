"""Clients who come and go by the hundred leave nothing behind: no task, no connection, no entry anywhere."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from spec_mcp.config import Listen
from spec_mcp.engine import spoiling
from spec_mcp.relay.front.settings import HttpSettings
from spec_mcp.relay.gateway import rounds, served, telemetry
from spec_mcp.relay.gateway.gateway import ServersGateway
from tests.relay.front.rig import call, modern_request, serving
from tests.relay.front.test_limits import Clock
from tests.relay.gateway.inside import Client, Played, gateway, until, visitor

pytestmark = pytest.mark.anyio

ROUND = 100
HTTP_ROUND = 20
PASSING = ("Intake._rows", "Worker.loads", "Rounds._from_threads")
"""What waits for the disk, and goes by itself."""
STEADY_TIMERS = 3
"""For the mode, the files and what is learned."""

CALLED_OFF = "Rounds._timers"
"""What was called off is kept up to a bound."""

CONTAINERS = (dict, list, set, deque, OrderedDict, Counter)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def entries(root: object) -> Counter[str]:
    """How many entries all containers have that can be reached from an object of ours, by where they stand.

    What stands in a window of a fixed length is not counted: it may fill late, and holds no more then. One window too
    many for each client is an entry too many where that is kept.
    """
    counted: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", root)]
    while todo:
        at, found = todo.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, deque) and found.maxlen is not None:  # pyright: ignore[reportUnknownMemberType]
            continue
        if isinstance(found, CONTAINERS):
            members: Iterable[Any] = found.items() if isinstance(found, dict) else found  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            counted[at] += len(found)  # pyright: ignore[reportUnknownArgumentType]
            todo += [(at + "[]", member) for member in members]
        elif isinstance(found, tuple):
            todo += [(at, member) for member in found]  # pyright: ignore[reportUnknownVariableType]
        elif type(found).__module__.startswith("spec_mcp"):
            name = type(found).__name__
            todo += [(f"{name}.{key}", value) for key, value in attributes(found)]
    return counted


def attributes(found: object) -> list[tuple[str, Any]]:
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
    pairs = [(name, getattr(found, name)) for name in slots if hasattr(found, name)]
    return pairs + list(getattr(found, "__dict__", {}).items())


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is kept for a while for a moment alone, and little of what is kept up to a bound."""
    monkeypatch.setattr(served, "IDLE_S", 0.05)
    monkeypatch.setattr("spec_mcp.relay.gateway.gateway.IDLE_S", 0.05)
    monkeypatch.setattr(spoiling, "NOTICE_SETTLE_S", 0.0)
    monkeypatch.setattr(telemetry, "SETTLED_MAX", 8)
    monkeypatch.setattr(rounds, "CALLED_OFF_MAX", 8)


def still_there(it: ServersGateway, played: Played) -> dict[str, int]:
    """What has not gone yet: connections, principals, what is to be learned or recorded, what waits for its time."""
    rounds = it._parts.rounds
    left = {
        "connections": len(played.open),
        "principals": len(it._tenants),
        "learners": len(rounds._busy),
        "timers": sum(timer.task is not None for _, _, timer in rounds._timers) - STEADY_TIMERS,
    }
    if not any(count > 0 for count in left.values()):  # the rest takes longer to look at
        counted = entries(it)
        left = {at: counted[at] for at in PASSING}
    return {what: count for what, count in left.items() if count > 0}


def counted_now(it: ServersGateway, root: object) -> Counter[str]:
    """All entries, without what servers were told and has settled: that goes when somebody asks for it."""
    engine = it._parts.deciding.engine
    assert engine is not None, "speculation has failed"
    engine.world.ledger.writes.are_settling(it._parts.clock())
    gc.collect()
    return entries(root)


async def comes_and_goes(it: ServersGateway, played: Played, number: int) -> None:
    """In many ways: after some calls, in the middle of one, before its handshake, in another's name."""
    client = Client(it, visitor(f"user-{number % 3}"))
    if number % 10 == 9:
        client.leaves()
        return
    if number % 10 == 8:
        client.begin("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "x"})
        client.leaves()
        return
    await client.initialize()
    for issue in (1, 2):
        await client.call("get_issue", number=issue)
        await client.call("read", path=f"file-{issue}")
    await client.ask("resources/subscribe", uri=f"x://{number}")
    if number % 2:
        client.begin("tools/call", name="wait", arguments={}, _meta={"progressToken": "mine"})
        for link in played.open[-1:]:
            link.says(id=f"q-{number}", method="elicitation/create", params={"message": "?"})
    client.leaves()


@pytest.mark.parametrize("isolation", ["per-session", "shared", "pool"])
async def test_who_has_left_is_forgotten_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    hasten(monkeypatch)
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"one": played}, f'isolation = "{isolation}"') as it:
        counted: list[Counter[str]] = []
        tasks: list[int] = []
        for round_ in range(3):
            for number in range(ROUND):
                await comes_and_goes(it, played, number)
            await until(lambda: not still_there(it, played), "nothing is left", lambda: still_there(it, played))
            played.links.clear()
            tasks.append(len(asyncio.all_tasks()))
            counted.append(counted_now(it, it))
            if round_:
                grown = counted[-1] - counted[-2]
                assert not {at: more for at, more in grown.items() if more > ROUND // 20 and at != CALLED_OFF}, grown
        assert tasks[0] == tasks[-1]
        assert it.statuses() == {"one": "no connection yet"}


async def test_of_clients_over_http_nothing_is_left_in_front_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasten(monkeypatch)
    played, clock = Played(), Clock()
    settings = HttpSettings(Listen(), forwarded=frozenset({"x-user"}))
    async with (
        gateway(tmp_path, monkeypatch, {"one": played}, 'forward_headers = ["x-user"]') as it,
        serving(it, settings=settings, steady_s=clock) as rig,
    ):
        counted: list[Counter[str]] = []
        for _ in range(3):
            for number in range(HTTP_ROUND):
                user, params = f"user-{number % 3}", {"name": "get_issue", "arguments": {"number": number}}
                session = await rig.initialize(x_user=user)
                await rig.post(call("get_issue", {"number": number}), session, x_user=user)
                body, headers = modern_request("tools/call", params, 1, {"spec-mcp/session": str(number)}, x_user=user)
                assert (await rig.post(body, **headers)).status_code == 200
                if number % 2:
                    await rig.http.delete(rig.url, headers=rig.headers(session, x_user=user))
            clock.at_s += 10_000
            rig.front.sessions.sweep_once()
            assert len(rig.front.sessions) == 0
            await until(lambda: not still_there(it, played), "nothing is left", lambda: still_there(it, played))
            played.links.clear()
            counted.append(counted_now(it, rig.front))
        grown = counted[-1] - counted[-2]
        assert not {at: more for at, more in grown.items() if more > HTTP_ROUND // 10 and at != CALLED_OFF}, grown


async def test_who_leaves_in_the_middle_of_a_write_holds_up_nobody_once_its_process_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played()
    played.tools["write"] = played.tools["wait"]
    async with gateway(tmp_path, monkeypatch, {"one": played}) as it:
        writes, reads = await Client(it).begins(played), await Client(it).begins(played)
        for number in (1, 2, 3):
            await reads.call("get_issue", number=number)
            await reads.call("read", path=f"file-{number}")
        writes.begin("tools/call", name="write", arguments={})
        await until(lambda: any(call.tool == "write" for call in played.links[0].calls), "it writes")
        writes.leaves()
        await until(lambda: not played.links[0].is_kept, "its process is gone")
        await reads.call("get_issue", number=5)
        await until(lambda: played.links[1].has_early("read", path="file-5"), "it is read early")

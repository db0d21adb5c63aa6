"""Stateless clients that come back with what they were asked for, to the conversation that asked."""

from __future__ import annotations

from typing import Any

import pytest

from spec_mcp.config import Listen
from spec_mcp.relay.front.returning import AWAITED_S
from spec_mcp.relay.front.settings import HttpSettings
from tests.relay.front.rig import Rig, Scripted, serving, until
from tests.relay.front.test_limits import Clock
from tests.relay.front.test_stateless import OTHER_TRACE, TRACE, ask, unanswered

pytestmark = pytest.mark.anyio

ASKS = {"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}, "requestState": "st\u00e4te"}


async def asked_for_input(rig: Rig, count: int, **how: Any) -> Any:
    """A call that is answered with a question; the session that it came to."""
    asked = ask(rig, "tools/call", {"name": "x", "arguments": {}}, 1, **how)
    await until(lambda: len(unanswered(rig)) == 1, "it waits for its answer")
    scripted, request_id = unanswered(rig)[0]
    scripted.answer(request_id, ASKS)
    scripted.lines.clear()
    assert (await asked.response()).json()["result"]["requestState"] == "st\u00e4te"
    assert len(rig.gateway.sessions) == count
    return scripted


async def comes_back(rig: Rig, state: str = "st\u00e4te", **how: Any) -> Any:
    """The retry; the session that it came to."""
    params = {"name": "x", "arguments": {}, "requestState": state, "inputResponses": {"q": {"roots": []}}}
    asked = ask(rig, "tools/call", params, 2, **how)
    await until(lambda: len(unanswered(rig)) == 1, "it waits for its answer")
    scripted, request_id = unanswered(rig)[0]
    scripted.answer(request_id)
    scripted.lines.clear()
    assert (await asked.response()).status_code == 200
    return scripted


async def test_a_retry_in_a_trace_of_its_own_reaches_who_gave_out_its_state() -> None:
    async with serving(Scripted()) as rig:
        first = await asked_for_input(rig, 1, meta={"traceparent": TRACE})
        assert await comes_back(rig, meta={"traceparent": OTHER_TRACE}) is first
        assert await comes_back(rig) is first, "it may get lost and be made again"
        assert await comes_back(rig, "unknown") is not first
        assert await comes_back(rig, meta={"traceparent": OTHER_TRACE, "spec-mcp/session": "mine"}) is not first


async def test_of_two_that_gave_out_the_same_state_its_own_is_come_back_to() -> None:
    async with serving(Scripted()) as rig:
        first = await asked_for_input(rig, 1, meta={"traceparent": TRACE})
        second = await asked_for_input(rig, 2, meta={"traceparent": OTHER_TRACE})
        assert await comes_back(rig, meta={"traceparent": TRACE}) is first
        assert await comes_back(rig) is second


async def test_nobody_else_comes_back_with_a_principals_state() -> None:
    settings = HttpSettings(Listen(), forwarded=frozenset({"x-user"}))
    async with serving(Scripted(), settings=settings) as rig:
        first = await asked_for_input(rig, 1, meta={"traceparent": TRACE}, x_user="ann")
        other = await comes_back(rig, meta={"traceparent": OTHER_TRACE}, x_user="bob")
        assert other is not first
        assert other.visitor.principal != first.visitor.principal


@pytest.mark.parametrize(
    "given", [{"resultType": "task", "taskId": "7"}, {"task": {"taskId": "7", "status": "working"}}]
)
async def test_who_was_given_a_task_finds_it_in_another_trace(given: Any) -> None:
    async with serving(Scripted()) as rig:
        asked = ask(rig, "tools/call", {"name": "x", "arguments": {}}, 1, meta={"traceparent": TRACE})
        await until(lambda: len(unanswered(rig)) == 1, "it waits for its answer")
        first, request_id = unanswered(rig)[0]
        first.answer(request_id, given)
        first.lines.clear()
        assert (await asked.response()).json()["result"] == given
        for task, is_first in (("7", True), ("8", False)):
            polled = ask(rig, "tasks/get", {"taskId": task}, 2, meta={"traceparent": OTHER_TRACE})
            await until(lambda: len(unanswered(rig)) == 1, "it waits for its answer")
            scripted, request_id = unanswered(rig)[0]
            scripted.answer(request_id, {"taskId": task, "status": "working"})
            scripted.lines.clear()
            assert (await polled.response()).status_code == 200
            assert (scripted is first) == is_first


async def test_a_conversation_is_kept_for_who_was_asked_for_something() -> None:
    clock = Clock()
    async with serving(Scripted(), Listen(stateless_idle_s=10, sessions_per_principal=2), steady_s=clock) as rig:
        first = await asked_for_input(rig, 1, meta={"traceparent": TRACE})
        for number in range(3):  # those to whom nothing was promised make room
            clock.at_s += 100
            rig.front.sessions.sweep_once()
            await comes_back(rig, "none", meta={"spec-mcp/session": str(number)})
            assert not first.is_closed
        assert await comes_back(rig) is first
        clock.at_s += 11
        rig.front.sessions.sweep_once()
        assert first.is_closed
        assert await comes_back(rig) is not first


async def test_who_never_comes_back_is_forgotten_in_the_end() -> None:
    clock = Clock()
    async with serving(Scripted(), Listen(stateless_idle_s=10), steady_s=clock) as rig:
        first = await asked_for_input(rig, 1)
        for _ in range(2):
            clock.at_s += AWAITED_S
            rig.front.sessions.sweep_once()
        assert first.is_closed
        assert len(rig.front.sessions) == 0
        assert rig.front.sessions._returning._given == {}

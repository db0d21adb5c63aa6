"""The SDK's own client, in every era, through the front to a real server: all that a session has works."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import mcp_types as types
import pytest
from mcp import Client

from tests.relay.front.gateways import RelayGateway
from tests.relay.front.rig import MODERN, WAIT_S, Rig, serving, until

pytestmark = pytest.mark.anyio

Mode = Literal["legacy", "auto", "2026-07-28"]
EVERY: list[Mode] = ["legacy", "auto"]


class Said:
    """What the server asked for and told."""

    def __init__(self) -> None:
        self.logs: list[Any] = []
        self.notifications: list[str] = []

    async def sample(self, context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(type="text", text="time"), model="none"
        )

    async def elicit(self, context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"colour": "blue"})

    async def log(self, params: types.LoggingMessageNotificationParams) -> None:
        self.logs.append(params.data)

    async def message(self, message: Any) -> None:
        if isinstance(message, types.ServerNotification):
            self.notifications.append(message.method)


@asynccontextmanager
async def serving_talkative(marks: Path) -> AsyncGenerator[Rig]:
    async with anyio.create_task_group() as tasks:
        async with serving(RelayGateway(tasks, env={"TALKATIVE_MARKS": str(marks)})) as rig:
            yield rig
        tasks.cancel_scope.cancel()


def client_of(rig: Rig, mode: Mode, said: Said | None = None) -> Client:
    said = said or Said()
    return Client(
        rig.url,
        mode=mode,
        sampling_callback=said.sample,
        elicitation_callback=said.elicit,
        logging_callback=said.log,
        message_handler=said.message,
        log_level="info" if mode != "legacy" else None,
        read_timeout_seconds=WAIT_S,
    )


def text_of(result: types.CallToolResult) -> str:
    assert not result.is_error, result
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


@pytest.mark.parametrize("mode", EVERY)
async def test_tools_are_listed_and_called(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as client:
        assert "echo" in [tool.name for tool in (await client.list_tools()).tools]
        for text in ("a", "\u2028\u0085\U0001f600 ä", "x" * 100_000):
            assert text_of(await client.call_tool("echo", {"text": text})) == text
        assert (await client.call_tool("nothing")).is_error
        resource = (await client.read_resource("note://one")).contents[0]
        assert isinstance(resource, types.TextResourceContents)
        assert resource.text == "one"


@pytest.mark.parametrize("mode", EVERY)
async def test_a_result_of_many_megabytes_arrives(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as client:
        assert text_of(await client.call_tool("large", {"size_bytes": 2_000_000})) == "x" * 2_000_000


@pytest.mark.parametrize("mode", EVERY)
async def test_progress_comes_before_the_result(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as client:
        steps: list[Any] = []

        async def note(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, total, message))

        assert text_of(await client.call_tool("count", {"to": 3}, progress_callback=note)) == "counted to 3"
        assert steps == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]


@pytest.mark.parametrize("mode", EVERY)
async def test_logs_sampling_and_elicitation_reach_the_client(mode: Mode, tmp_path: Path) -> None:
    said = Said()
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode, said) as client:
        assert text_of(await client.call_tool("tell", {"text": "listen"})) == "told"
        await until(lambda: said.logs == ["listen"], "the log has come")
        assert text_of(await client.call_tool("ask_model")) == "time"
        assert text_of(await client.call_tool("ask_person")) == "blue"


@pytest.mark.parametrize("mode", EVERY)
async def test_a_call_that_is_given_up_is_cancelled_at_the_server(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as client:
        with anyio.CancelScope() as giving_up:
            rig.tasks.start_soon(cancel_when, giving_up, tmp_path / "slow.begun")
            await client.call_tool("wait", {"name": "slow"})
        assert giving_up.cancelled_caught
        await until((tmp_path / "slow.cancelled").exists, "the server has heard of it")
        assert text_of(await client.call_tool("echo", {"text": "still here"})) == "still here"


async def cancel_when(scope: anyio.CancelScope, mark: Path) -> None:
    await until(mark.exists, f"{mark.name} is there")
    scope.cancel()


@pytest.mark.parametrize("mode", EVERY)
async def test_calls_overtake_each_other(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as client:
        done: list[str] = []

        async def slow() -> None:
            done.append(text_of(await client.call_tool("wait", {"name": "one"})))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            await until((tmp_path / "one.begun").exists, "the slow one is there")
            for number in range(20):
                assert text_of(await client.call_tool("echo", {"text": str(number)})) == str(number)
            assert done == []
            (tmp_path / "one.go").touch()
        assert done == ["one done"]


@pytest.mark.parametrize("mode", ["auto", MODERN])
async def test_a_listener_of_the_stateless_era_hears_of_changes(mode: Mode, tmp_path: Path) -> None:
    async with (
        serving_talkative(tmp_path) as rig,
        client_of(rig, mode) as client,
        client.listen(tools_list_changed=True, resource_subscriptions=["note://one"]) as listening,
    ):
        await client.call_tool("change")
        heard: set[str] = set()
        with anyio.fail_after(WAIT_S):
            async for event in listening:
                heard.add(type(event).__name__)
                if len(heard) == 2:
                    break
        assert heard == {"ToolsListChanged", "ResourceUpdated"}


async def test_a_client_of_the_handshake_era_hears_of_changes_on_its_own_stream(tmp_path: Path) -> None:
    said = Said()
    async with serving_talkative(tmp_path) as rig, client_of(rig, "legacy", said) as client:
        await client.call_tool("change")
        await until(lambda: "notifications/tools/list_changed" in said.notifications, "the change is heard")


async def test_a_client_that_leaves_ends_its_session(tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig:
        async with client_of(rig, "legacy") as client:
            await client.list_tools()
            assert len(rig.front.sessions) == 1
        await until(lambda: len(rig.front.sessions) == 0, "the session is over")
        assert [session.is_closed for session in rig.gateway.sessions] == [True]


@pytest.mark.parametrize("mode", EVERY)
async def test_many_clients_at_once_get_each_its_own(mode: Mode, tmp_path: Path) -> None:
    async with serving_talkative(tmp_path) as rig, client_of(rig, mode) as first, client_of(rig, mode) as second:

        async def ask(client: Client, text: str) -> None:
            assert text_of(await client.call_tool("echo", {"text": text})) == text

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(ask, first, f"first {number}")
                tasks.start_soon(ask, second, f"second {number}")
        assert len(rig.gateway.sessions) == (2 if mode == "legacy" else 1)

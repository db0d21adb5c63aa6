"""The SDK's own clients and servers, of both eras, with our translator between: all that they can do works in all four
pairings."""

from __future__ import annotations

import json
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated, ToolsListChanged

from spec_mcp.relay.gateway.eras import Era
from tests.relay.gateway.eras_pairing import Pairing
from tests.relay.gateway.eras_peers import Fixture, User, connected, said

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

BOTH = [Era.HANDSHAKE, Era.STATELESS]
PAIRINGS = [pytest.param(client, server, id=f"{client}-{server}") for client in BOTH for server in BOTH]
every_pairing = pytest.mark.parametrize(("client", "server"), PAIRINGS)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def spoken_by_server(pairing: Pairing) -> set[str]:
    """The versions in the requests that the server got."""
    lines = [json.loads(line) for line in pairing.to_server]
    return {
        str(line.get("params", {}).get("_meta", {}).get(types.PROTOCOL_VERSION_META_KEY))
        for line in lines
        if "method" in line and "id" in line
    }


# --- what needs no input --------------------------------------------------------------------------------------------


@every_pairing
async def test_lists_calls_prompts_and_resources(fixture: Fixture, client: Era, server: Era) -> None:
    async with connected(fixture, client, server) as (one, pairing):
        assert one.server_info is not None
        assert one.server_info.name == "fixture"
        assert one.instructions == "be kind"
        assert {"add", "greet"} <= {tool.name for tool in (await one.list_tools()).tools}
        result = await one.call_tool("add", {"a": 1, "b": 2})
        assert result.structured_content == {"result": 3}
        assert not result.is_error
        assert (await one.call_tool("fail", {})).is_error
        assert [prompt.name for prompt in (await one.list_prompts()).prompts] == ["letter"]
        prompt = await one.get_prompt("letter", {"to": "bob"})
        assert isinstance(prompt.messages[0].content, types.TextContent)
        assert prompt.messages[0].content.text == "dear bob, me"
        (content,) = (await one.read_resource("note://one")).contents
        assert isinstance(content, types.TextResourceContents)
        assert content.text == "the first note"
        assert len((await one.list_resources()).resources) == 1
        assert len((await one.list_resource_templates()).resource_templates) == 1
    assert spoken_by_server(pairing) == {"None" if server is Era.HANDSHAKE else "2026-07-28"}


@every_pairing
async def test_errors(fixture: Fixture, client: Era, server: Era) -> None:
    async with connected(fixture, client, server) as (one, _):
        with pytest.raises(MCPError) as missing:
            await one.read_resource("note://nothing/here")
        # the SDK's servers say -32602 in both eras; the handshake era has a number of its own
        crosses = client is Era.HANDSHAKE and server is Era.STATELESS
        assert missing.value.code == (-32002 if crosses else -32602)
        with pytest.raises(MCPError) as nameless:
            await one.get_prompt("letter", {})
        assert nameless.value.message


@every_pairing
async def test_progress(fixture: Fixture, client: Era, server: Era) -> None:
    steps: list[tuple[float, float | None, str | None]] = []

    async def step(progress: float, total: float | None = None, message: str | None = None) -> None:
        steps.append((progress, total, message))

    async with connected(fixture, client, server) as (one, _):
        assert said(await one.call_tool("work", progress_callback=step)) == "worked"
    assert steps == [(1.0, 3.0, "step 1"), (2.0, 3.0, "step 2"), (3.0, 3.0, "step 3")]


@every_pairing
async def test_messages_are_logged_from_the_level_on_that_the_client_wants(
    fixture: Fixture, client: Era, server: Era
) -> None:
    user = User()
    level = "warning" if client is Era.STATELESS else None
    async with connected(fixture, client, server, user, log_level=level) as (one, _):
        if client is Era.HANDSHAKE:
            await one.set_logging_level("warning")  # pyright: ignore[reportDeprecated]
        await one.call_tool("work")
    expected: list[tuple[str, Any]] = [("warning", "careful")]
    if client is server is Era.HANDSHAKE:  # this server leaves out nothing, whatever it was told
        expected = [("debug", "fine"), *expected]
    assert user.logged == expected
    assert [what for what in fixture.subscribed if what[0] == "level"] == (
        [("level", "warning")] if server is Era.HANDSHAKE else []
    )


@pytest.mark.parametrize("server", BOTH)
async def test_a_stateless_client_that_wants_no_messages_gets_none(fixture: Fixture, server: Era) -> None:
    user = User()
    async with connected(fixture, Era.STATELESS, server, user) as (one, _):
        await one.call_tool("work")
    assert user.logged == []


@every_pairing
async def test_a_cancelled_call_is_cancelled_at_the_server(fixture: Fixture, client: Era, server: Era) -> None:
    async with connected(fixture, client, server) as (one, _):
        async with anyio.create_task_group() as calls:
            calls.start_soon(one.call_tool, "hang")
            await fixture.started.wait()
            calls.cancel_scope.cancel()
        await fixture.cancelled.wait()
        assert said(await one.call_tool("add", {"a": 1, "b": 1})) == "2"


@every_pairing
async def test_a_client_that_makes_handshakes_can_ask_whether_anybody_is_there(
    fixture: Fixture, client: Era, server: Era
) -> None:
    async with connected(fixture, client, server) as (one, _):
        if client is Era.HANDSHAKE:
            await one.send_ping()  # pyright: ignore[reportDeprecated]
        else:
            with pytest.raises(MCPError) as refused:
                await one.send_ping()  # pyright: ignore[reportDeprecated]
            assert refused.value.code == -32601


# --- input ----------------------------------------------------------------------------------------------------------


@every_pairing
async def test_a_tool_asks_the_user(fixture: Fixture, client: Era, server: Era) -> None:
    user = User()
    async with connected(fixture, client, server, user) as (one, _):
        assert said(await one.call_tool("greet")) == "hello ann1"
        assert said(await one.call_tool("greet")) == "hello ann2"
    assert user.asked == ["Who are you?"] * 2


@every_pairing
async def test_a_tool_asks_for_a_sample_for_roots_and_the_user(fixture: Fixture, client: Era, server: Era) -> None:
    user = User()
    async with connected(fixture, client, server, user) as (one, _):
        assert said(await one.call_tool("dream")).endswith(": a dream in file:///home")
    assert sorted(user.asked) == ["Who are you?", "roots", "say something"]


@every_pairing
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_may_say_no(fixture: Fixture, client: Era, server: Era, action: Any) -> None:
    user = User()
    user.answer = lambda _: types.ElicitResult(action=action)
    async with connected(fixture, client, server, user) as (one, _):
        result = await one.call_tool("greet")
        assert result.is_error
        assert action in said(result)


@every_pairing
async def test_a_client_that_cannot_be_asked_is_not(fixture: Fixture, client: Era, server: Era) -> None:
    async with connected(fixture, client, server, elicitation_callback=None) as (one, _):
        if server is Era.STATELESS:
            with pytest.raises(MCPError) as refused:
                await one.call_tool("greet")
            assert refused.value.code == -32021  # the server itself says so, since it is told what the client can
        else:
            with pytest.raises(MCPError, match="licitation"):
                await one.call_tool("greet")
        assert said(await one.call_tool("add", {"a": 1, "b": 1})) == "2"


@every_pairing
async def test_calls_that_ask_at_once_get_each_its_own_answer(fixture: Fixture, client: Era, server: Era) -> None:
    results: dict[int, str] = {}
    async with connected(fixture, client, server) as (one, _):

        async def call(number: int) -> None:
            if number % 2:
                results[number] = said(await one.call_tool("greet"))
            else:
                results[number] = said(await one.call_tool("add", {"a": number, "b": 0}))

        async with anyio.create_task_group() as calls:
            for number in range(12):
                calls.start_soon(call, number)
    assert all(results[number] == str(number) for number in range(0, 12, 2))
    assert all(results[number].startswith("hello ann") for number in range(1, 12, 2))


@pytest.mark.parametrize("client", BOTH)
async def test_a_handshake_server_asks_again_and_again_in_the_middle_of_its_work(fixture: Fixture, client: Era) -> None:
    steps: list[float] = []

    async def step(progress: float, total: float | None = None, message: str | None = None) -> None:
        steps.append(progress)

    user = User()
    async with connected(fixture, client, Era.HANDSHAKE, user) as (one, _):
        result = await one.call_tool("interview", {"rounds": 5}, progress_callback=step)
    assert said(result) == "ann1 ann2 ann3 ann4 ann5"
    assert user.asked == [f"question {number}" for number in range(5)]
    assert steps[0] == 1.0
    assert steps == sorted(steps)


@pytest.mark.parametrize("client", BOTH)
async def test_a_stateless_server_wants_to_be_asked_again(fixture: Fixture, client: Era) -> None:
    async with connected(fixture, client, Era.STATELESS) as (one, _):
        assert said(await one.call_tool("later")) == "twice"


async def test_an_address_that_must_be_visited_first(fixture: Fixture) -> None:
    user = User()
    async with connected(fixture, Era.STATELESS, Era.HANDSHAKE, user) as (one, _):
        assert said(await one.call_tool("visit", {"times": 2})) == "visited"
        assert user.asked == ["log in", "log in"]
        fixture.visits = 0
        user.answer = lambda _: types.ElicitResult(action="decline")
        with pytest.raises(MCPError):
            await one.call_tool("visit", {"times": 2})


async def test_a_handshake_client_that_answers_with_an_error(fixture: Fixture) -> None:
    user = User()
    user.answer = lambda _: types.ErrorData(code=-1, message="leave me alone")
    async with connected(fixture, Era.HANDSHAKE, Era.STATELESS, user) as (one, _):
        with pytest.raises(MCPError, match="leave me alone"):
            await one.call_tool("greet")
        assert said(await one.call_tool("add", {"a": 1, "b": 1})) == "2"


@pytest.mark.parametrize(("client", "server"), [(Era.STATELESS, Era.HANDSHAKE), (Era.HANDSHAKE, Era.STATELESS)])
async def test_a_call_that_is_cancelled_while_the_user_is_asked(fixture: Fixture, client: Era, server: Era) -> None:
    user, asked = User(), anyio.Event()

    async def elicits(context: Any, params: Any) -> types.ElicitResult:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError

    async with connected(fixture, client, server, user, elicitation_callback=elicits) as (one, _):
        async with anyio.create_task_group() as calls:
            calls.start_soon(one.call_tool, "greet")
            await asked.wait()
            calls.cancel_scope.cancel()
        assert said(await one.call_tool("add", {"a": 1, "b": 1})) == "2"


# --- subscriptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", BOTH)
async def test_a_stateless_client_listens(fixture: Fixture, server: Era) -> None:
    async with connected(fixture, Era.STATELESS, server) as (one, _):
        async with one.listen(resource_subscriptions=["note://one"], tools_list_changed=True) as stream:
            assert stream.honored.resource_subscriptions == ["note://one"]
            await one.call_tool("change", {"uri": "note://one"})
            assert await anext(stream) == ResourceUpdated("note://one")
            if stream.honored.tools_list_changed:
                assert await anext(stream) == ToolsListChanged()
        async with one.listen(resource_subscriptions=["note://two"]) as stream:
            await one.call_tool("change", {"uri": "note://two"})
            assert await anext(stream) == ResourceUpdated("note://two")
    if server is Era.HANDSHAKE:
        assert fixture.subscribed == [
            ("subscribe", "note://one"),
            ("unsubscribe", "note://one"),
            ("subscribe", "note://two"),
        ]


@pytest.mark.parametrize("server", BOTH)
async def test_a_handshake_client_subscribes(fixture: Fixture, server: Era) -> None:
    user = User()
    async with connected(fixture, Era.HANDSHAKE, server, user) as (one, pairing):
        for uri in ("note://one", "note://two"):
            await one.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]
            await one.call_tool("change", {"uri": uri})
            await user.waits_for(lambda message, uri=uri: _uri(message) == uri)
        await user.waits_for(lambda message: isinstance(message, types.ToolListChangedNotification))
        await one.unsubscribe_resource("note://one")  # pyright: ignore[reportDeprecated]
        user.heard.clear()
        if server is Era.STATELESS:
            await one.call_tool("change", {"uri": "note://one"})
            await one.call_tool("change", {"uri": "note://two"})
            await user.waits_for(lambda message: _uri(message) == "note://two")
            assert "note://one" not in map(_uri, user.heard)
    assert not [line for line in pairing.to_client if b"subscriptionId" in line]


def _uri(message: Any) -> str | None:
    return message.params.uri if isinstance(message, types.ResourceUpdatedNotification) else None


@every_pairing
async def test_ids_of_ours_do_not_leak(fixture: Fixture, client: Era, server: Era) -> None:
    """What the server calls a request is nothing that the client ever sees, and the other way round."""
    async with connected(fixture, client, server) as (one, pairing):
        await one.call_tool("greet")
        await one.call_tool("work", progress_callback=_ignore)
    if client is server:
        return
    ours = {json.loads(line).get("id") for line in pairing.to_server if b'"method"' in line} - {None, "greeting"}
    assert all(isinstance(one, str) and len(one) > 20 for one in ours)
    assert not [line for line in pairing.to_client for one in ours if one.encode() in line]


async def _ignore(progress: float, total: float | None = None, message: str | None = None) -> None:
    return None

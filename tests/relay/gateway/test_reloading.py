"""The configuration is read anew when it is saved: sessions stay, and see what is served now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.relay.gateway.inside import Client, Played, configured, gateway

pytestmark = pytest.mark.anyio

CHANGED = "notifications/tools/list_changed"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def tools(client: Client) -> list[str]:
    listed = await client.ask("tools/list")
    return [tool["name"] for tool in listed["result"]["tools"]]


async def is_told(client: Client, shown: list[str]) -> None:
    """Wait until it has been told of a change, and sees this."""
    while await tools(client) != shown:
        await client.wait(lambda one: one.get("method") == CHANGED)


async def test_a_session_goes_on_while_servers_come_go_and_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spec_mcp.relay.gateway.gateway.LOOK_S", 0.02)
    servers = {name: Played(lists=lambda link: ["read"]) for name in "abc"}
    async with gateway(tmp_path, monkeypatch, servers, only=("a", "b")) as it:
        client = await Client(it).initialize()
        assert await tools(client) == ["a__read", "b__read"]
        stays = (await client.call("a__read", path="x"))["by"]
        configured(tmp_path, {"a": "", "c": ""})
        await is_told(client, ["a__read", "c__read"])
        assert it.names == ("a", "c")
        assert (await client.call("c__read", path="x"))["by"] == servers["c"].open[0].number
        assert (await client.call("a__read", path="y"))["by"] == stays
        gone = await client.ask("tools/call", name="b__read", arguments={"path": "x"})
        assert gone["error"]["code"] == -32602
        configured(tmp_path, {"a": 'deny = ["read"]', "c": ""})
        await is_told(client, ["c__read"])


async def test_a_file_that_is_wrong_is_named_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("spec_mcp.relay.gateway.gateway.LOOK_S", 0.02)
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}) as it:
        client = await Client(it).initialize()
        config = configured(tmp_path, {"only": "isolation = 3"})
        told = ""
        while "going on as before" not in told:
            assert (await client.call("read", path="x"))["by"] == played.links[0].number
            told += capfd.readouterr().err
        assert str(config) in told

"""What goes on in the background may fail: it is told of, and nothing else ends with it or is left undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spec_mcp.relay.gateway.connection import Connection
from spec_mcp.relay.gateway.reloading import Watch
from spec_mcp.relay.gateway.shelf import Shelf
from tests.relay.gateway.inside import Client, Played, PlayedLink, configured, gateway, until

pytestmark = pytest.mark.anyio

FAULT = "can't start new thread"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def fails(*_: object) -> Any:
    raise RuntimeError(FAULT)


async def test_what_cannot_be_kept_for_want_of_a_thread_ends_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Shelf, "write", fails)
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}) as it:
        client = await Client(it).initialize()
        said = ""
        while FAULT not in said:
            assert (await client.call("read", path="x"))["path"] == "x"
            said += capfd.readouterr().err
        assert (await (await Client(it).initialize()).call("read", path="y"))["path"] == "y"


async def test_a_connection_whose_loss_cannot_even_be_told_is_kept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = 0

    async def ends_at_once(link: PlayedLink) -> None:
        nonlocal ends
        ends += 1
        fails()

    monkeypatch.setattr("spec_mcp.relay.gateway.connection.FAILED_PAUSE_S", 0.01)
    played = Played()
    async with gateway(tmp_path, monkeypatch, {"only": played}) as it:
        with monkeypatch.context() as broken:
            broken.setattr(PlayedLink, "run", ends_at_once)
            broken.setattr(Connection, "_lost", fails)
            client = Client(it)
            asked = client.begin("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={})
            await until(lambda: ends > 2, "another try")
        assert "result" in await client.answer(asked)
        assert (await client.call("read", path="x"))["path"] == "x"


async def test_what_is_done_again_and_again_goes_on_after_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spec_mcp.relay.gateway.gateway.LOOK_S", 0.01)
    looked, faults = Watch.looked, 0

    def fails_at_first(watch: Watch) -> tuple[bool, bool]:
        nonlocal faults
        faults += 1
        return fails() if faults < 3 else looked(watch)

    monkeypatch.setattr(Watch, "looked", fails_at_first)
    async with gateway(tmp_path, monkeypatch, {name: Played() for name in "ab"}, only="a") as it:
        await until(lambda: faults > 3, "another look")
        configured(tmp_path, {"a": "", "b": ""})
        await until(lambda: it.names == ("a", "b"), "what the file says now")

"""What a call through a link costs this process, against the SDK's own client; the two take turns."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import pytest
from mcp.client.client import Client as SdkClient

from spec_mcp.relay.back.http import HttpBack
from tests.relay.back.keeping import HANDSHAKE, STATELESS, kept
from tests.relay.back.places import QUIET, Served

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ECHO = Path(__file__).resolve().parents[2] / "servers" / "echo.py"
ROUNDS = 10
CALLS = 20


@pytest.mark.parametrize("era", [HANDSHAKE, STATELESS])
async def test_a_call_costs_no_more_than_through_the_sdk_s_client(tmp_path: Path, era: str) -> None:
    served = Served(tmp_path, [sys.executable, *QUIET, str(ECHO)], "--http", era, HttpBack)
    ours: list[float] = []
    theirs: list[float] = []
    try:
        mode = "legacy" if era == HANDSHAKE else era
        async with kept(served.link, era) as client, SdkClient(served.url, mode=mode) as sdk:
            await client.hello()
            for _ in range(ROUNDS):
                client.lines.clear()  # which the test would look through again and again
                for _ in range(CALLS):
                    began = time.process_time()
                    await client.answer(client.call("echo", text="hi"))
                    ours.append(time.process_time() - began)
                for _ in range(CALLS):
                    began = time.process_time()
                    await sdk.call_tool("echo", {"text": "hi"})
                    theirs.append(time.process_time() - began)
    finally:
        served.end()
    assert statistics.median(ours) <= statistics.median(theirs)

"""What a user sets as a bound holds for what `spec-mcp wrap` asks of a real server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.parity.agent import Agent
from tests.parity.rig import CONFIGURATION, ClientKind, Rig

MakeRig = Callable[[str, ClientKind], Rig]

READS = [("read", {"key": f"k{number}"}) for number in range(5)]

BOUNDED = '\n[servers.hostile]\ncommand = "as said behind --"\nrate_per_minute = 3\n'


async def reads(agent: Agent) -> None:
    await agent.list_tools()
    for tool, arguments in READS:
        await agent.think()
        await agent.call(tool, arguments)


@pytest.mark.parametrize(("more", "most"), [("", 5), (BOUNDED, 3)])
def test_a_server_gets_as_many_speculations_in_a_minute_as_its_user_allows(rig: MakeRig, more: str, most: int) -> None:
    made = rig("hostile", "raw")
    made.scratch.mkdir()
    config = made.scratch / "config.toml"
    config.write_text(CONFIGURATION + more)
    made.world = replace(made.world, wrap_options=[*made.world.wrap_options, "--config", str(config)])
    run = made.run("right", reads, READS)
    assert run.statistics is not None
    if more:
        assert len(run.speculated) == most
        assert run.statistics.skips["rate"] > 0
    else:
        assert 3 < len(run.speculated) <= most
        assert "rate" not in run.statistics.skips

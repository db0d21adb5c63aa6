"""The arms of the parity tests through `spec-mcp run --http`: what the SDK's client makes of everything, held against
what it makes of the server itself.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import mcp_types
from mcp import Client

from benchmarks.gateway.running import OVER_HTTP, gateway, serving
from tests.parity.agent import ELICITED, ROOTS, SAMPLED, NoThinker, SdkAgent, Thinker, Wire, sdk_agent
from tests.parity.rig import (
    CONFIGURATION,
    PARITY,
    TAP,
    ArmName,
    Body,
    ScriptThinker,
    Statistics,
    World,
    assert_subsequence,
    read_statistics,
)
from tests.parity.transcript import call_of, read_tap
from tests.pipes import Line

OUR_IDS = "spec-mcp:"
OF_LISTS = ("_meta", "ttlMs", "cacheScope")
"""Members of a list that say who lists and how long that holds: the gateway's own where it lists from memory."""


class GatewayThinker(ScriptThinker):
    """Clients share a connection under other ids, and ours are known by their beginning."""

    def ours(self) -> list[Line]:
        return [line for line in requests(self.tap) if str(line.message["id"]).startswith(OUR_IDS)]


def requests(tap: Path) -> list[Line]:
    return [line for line in read_tap(tap).to_server if line.method and "id" in line.message]


@dataclass(frozen=True, slots=True)
class Run:
    """One session of one arm."""

    arm: ArmName
    seen: list[str]
    state: object
    calls: list[tuple[str, Any]]
    """That the server got in the client's name."""
    speculated: list[tuple[str, Any]]
    statistics: Statistics | None


class Through:
    """The arms of one world, for the SDK's client in one mode."""

    def __init__(self, world: World, mode: str, scratch: Path) -> None:
        self.world = world
        self.mode = mode
        self.scratch = scratch

    def compare_all(self, body: Body) -> dict[ArmName, Run]:
        """All arms, held against `direct`."""
        direct = self.run("direct", body)
        runs: dict[ArmName, Run] = {"direct": direct}
        for arm in ("off", "right", "lying"):
            runs[arm] = run = self.run(arm, body, direct.calls)
            assert run.seen == direct.seen, arm
            assert run.state == direct.state, f"{arm}: the final state differs"
            assert_subsequence(run.calls, direct.calls, arm)
            if run.statistics is None:
                assert run.calls == direct.calls
                continue
            answered = run.statistics.hits + run.statistics.joins
            assert (answered, run.statistics.calls) == (len(direct.calls) - len(run.calls), len(direct.calls)), arm
            assert run.statistics.speculations == len(run.speculated), arm
        return runs

    def run(self, arm: ArmName, body: Body, script: Sequence[tuple[str, Any]] = ()) -> Run:
        """One session; `script` is what the predictors of the speculating arms go by."""
        here = self.scratch / arm
        (here / "home").mkdir(parents=True)
        shutil.rmtree(self.world.folder, ignore_errors=True)
        self.world.folder.mkdir(parents=True)
        self.world.prepare(self.world.folder)
        env = {**os.environ, **self.world.env, "SPEC_MCP_HOME": str(here / "home")}
        server = [sys.executable, str(TAP), "--log", str(here / "tap"), "--", *self.world.command]
        if arm == "direct":
            seen = anyio.run(partial(self._direct, server, env, body))
        else:
            seen = self._behind(arm, here, server, env, body, script)
        calls = [(str(line.message["id"]), call) for line in requests(here / "tap") if (call := call_of(line))]
        return Run(
            arm,
            [self.world.normalise(text.encode()).decode() for text in seen],
            self.world.snapshot(self.world.folder),
            [call for name, call in calls if not name.startswith(OUR_IDS)],
            [call for name, call in calls if name.startswith(OUR_IDS)],
            None if arm in ("direct", "off") else read_statistics(env),
        )

    async def _direct(self, server: Sequence[str], env: Mapping[str, str], body: Body) -> list[str]:
        world = self.world
        async with sdk_agent(server, env, world.folder, NoThinker(), Wire(), world.has_roots, self.mode) as agent:
            await body(agent)
        return as_seen(agent)

    def _behind(
        self,
        arm: ArmName,
        here: Path,
        server: Sequence[str],
        env: Mapping[str, str],
        body: Body,
        script: Sequence[tuple[str, Any]],
    ) -> list[str]:
        config = here / "spec-mcp.toml"
        entry = {"command": server[0], "args": list(server[1:]), "cwd": str(self.world.folder)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        config.write_text(CONFIGURATION + f"[servers.{self.world.name}]\n" + "\n".join(lines))
        command, thinker = gateway(config, *OVER_HTTP), NoThinker()
        if arm == "off":
            command += ["--mode", "off"]
        else:
            (here / "script.json").write_text(json.dumps({"calls": list(script), "lies": arm == "lying"}))
            launcher = [sys.executable, str(PARITY / "launcher.py"), str(here / "script.json"), str(here / "marks")]
            command = [*launcher, *command[1:]]
            thinker = GatewayThinker(here / "marks", here / "tap", list(script), Wire())
        with serving(command, env) as program:
            return anyio.run(partial(self._over_http, program.url, body, thinker))

    async def _over_http(self, url: str, body: Body, thinker: Thinker) -> list[str]:
        async def sample(context: Any, params: Any) -> mcp_types.CreateMessageResult:
            return mcp_types.CreateMessageResult.model_validate(SAMPLED)

        async def elicit(context: Any, params: Any) -> mcp_types.ElicitResult:
            return mcp_types.ElicitResult.model_validate(ELICITED)

        async def roots(context: Any) -> mcp_types.ListRootsResult:
            return mcp_types.ListRootsResult.model_validate(ROOTS)

        client = Client(
            url,
            mode=self.mode,
            cache=None,
            sampling_callback=sample,
            elicitation_callback=elicit,
            list_roots_callback=roots if self.world.has_roots else None,
        )
        agent = SdkAgent(client, thinker, Wire())
        async with client:
            await body(agent)
        return as_seen(agent)


def as_seen(agent: SdkAgent) -> list[str]:
    """What the client made of everything, but for whose words a list is."""
    return [_without_source(text) for text in agent.seen]


def _without_source(text: str) -> str:
    if not text.startswith("{"):
        return text
    found = json.loads(text)
    if "tools" in found:
        found = {name: value for name, value in found.items() if name not in OF_LISTS}
    return json.dumps(found, sort_keys=True)

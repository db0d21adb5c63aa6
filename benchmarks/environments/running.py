"""One arm of an environment: agents at a server process, directly or through `spec-mcp wrap`, over stdio."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters, stdio_client

from spec_mcp.cli.demo.agent import Answer
from spec_mcp.cli.demo.runner import answer_of, ended
from spec_mcp.store.place import locate
from spec_mcp.store.sqlite import SqliteStore
from spec_mcp.store.store import ToolTotals, Totals

ROOT = Path(__file__).resolve().parents[2]
HOME, CONFIG, STDERR = "home", "config.toml", "stderr.txt"
OF_SERVER = (MCPError, OSError, TimeoutError)
"""What is raised where a server does not start, died or hangs."""
CALL_DEADLINE_S = 120.0
"""A call that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A server and the state that it works on."""

    name: str
    """What the server is called in configurations; its manifest is found by the name that it gives itself."""
    command: Sequence[str]
    """Relative paths in it are below the arm's own folder, in which it is started: so the command is the same in all
    arms, and what was learned in one holds for the others."""
    prepare: Callable[[Path], None] = lambda _: None
    """Lays the server's files into the arm's folder."""
    snapshot: Callable[[Path], object] = lambda _: None
    """The server's final state, after it has ended."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to reach the server."""

    name: str
    mode: str | None = "on"
    """`off`, `shadow` or `on`; None: the server itself, without the proxy."""
    config: str = ""
    """Of the proxy, in TOML."""
    manifest: Path | None = None
    """None: the shipped one."""
    home: Path | None = None
    """Where the proxy has learned before; a copy is used."""


DIRECT = Arm("direct", None)


@dataclass(frozen=True, slots=True)
class Made:
    """A call of the agent, its result, and when. Times are seconds since the arm began."""

    session: int
    tool: str
    arguments: Mapping[str, Any]
    result: Mapping[str, Any]
    """As it came, without `_meta`, which belongs to the transport."""
    sent_s: float
    answered_s: float

    @property
    def wait_s(self) -> float:
        return self.answered_s - self.sent_s


class AgentSession:
    """A connection, as the agent sees it: tools to call, and time that passes while it thinks.

    Calls may be made side by side; they stand in the transcript in the order in which they were sent.
    """

    def __init__(self, client: Client, number: int, began_s: float) -> None:
        self.client = client
        self.number = number
        self.began_s = began_s
        self._made: list[Made | None] = []

    async def call(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool and wait for its answer.

        Raises:
            TimeoutError: it hangs.
        """
        place = len(self._made)
        self._made.append(None)
        sent_s = self.now_s()
        with anyio.fail_after(CALL_DEADLINE_S):
            result = await self.client.call_tool(tool, arguments)
        answered_s = self.now_s()
        seen = result.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"meta"})
        self._made[place] = Made(self.number, tool, arguments, seen, sent_s, answered_s)
        return answer_of(result)

    async def think(self, duration_s: float) -> None:
        """The model writes its next step."""
        await anyio.sleep(duration_s)

    def now_s(self) -> float:
        """Seconds since the arm began."""
        return time.monotonic() - self.began_s

    @property
    def made(self) -> list[Made]:
        """The calls that were answered."""
        return [made for made in self._made if made is not None]


Agent = Callable[[AgentSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Run:
    """One arm, from its first agent to its last."""

    arm: str
    made: Sequence[Made]
    state: object
    wall_s: float
    """From each agent's first step to its last, summed; starting and ending processes is not counted."""
    totals: Totals
    """What the proxy's own store says; all zero without a proxy."""

    @property
    def wait_s(self) -> float:
        """What the agents waited for tools, in all."""
        return sum(made.wait_s for made in self.made)

    @property
    def transcript(self) -> list[tuple[int, str, str, str]]:
        """What the agents called and were answered, comparable."""
        return [
            (made.session, made.tool, json.dumps(made.arguments, sort_keys=True), json.dumps(made.result))
            for made in self.made
        ]

    @property
    def counts(self) -> ToolTotals:
        return self.totals.all


async def run_arm(environment: Environment, arm: Arm, agents: Sequence[Agent], folder: Path) -> Run:
    """Each agent on a connection of its own, one after the other, as agents do that begin and end with their task.

    `folder` is made; the arm's files and the proxy's home lie in it.

    Raises:
        Failed: the server does not start, died or hangs.
    """
    _lay_out(environment, arm, folder)
    made: list[Made] = []
    began_s = time.monotonic()
    wall_s = 0.0
    try:
        with (folder / STDERR).open("w") as stderr:
            for number, agent in enumerate(agents):
                async with Client(stdio_client(_parameters(environment, arm, folder), errlog=stderr)) as client:
                    await client.list_tools()
                    session = AgentSession(client, number, began_s)
                    first_s = session.now_s()
                    await agent(session)
                    wall_s += session.now_s() - first_s
                made += session.made
    except (*OF_SERVER, ExceptionGroup) as error:
        if isinstance(error, ExceptionGroup) and error.split(OF_SERVER)[1] is not None:
            raise
        raise ended(f"{environment.name}, {arm.name}", error, folder / STDERR) from error
    return Run(arm.name, made, environment.snapshot(folder), wall_s, _totals(folder / HOME))


def _lay_out(environment: Environment, arm: Arm, folder: Path) -> None:
    folder.mkdir(parents=True)
    if arm.home is not None:
        shutil.copytree(arm.home, folder / HOME)
    (folder / HOME).mkdir(exist_ok=True)
    environment.prepare(folder)
    (folder / CONFIG).write_text(arm.config)


def _parameters(environment: Environment, arm: Arm, folder: Path) -> StdioServerParameters:
    wrap = [sys.executable, "-m", "spec_mcp", "wrap", f"--name={environment.name}", f"--config={CONFIG}"]
    if arm.manifest is not None:
        wrap.append(f"--manifest={arm.manifest}")
    command = (
        list(environment.command) if arm.mode is None else [*wrap, f"--mode={arm.mode}", "--", *environment.command]
    )
    env = {**os.environ, **environment.env, "SPEC_MCP_HOME": str(folder / HOME), "PYTHONPATH": str(ROOT)}
    return StdioServerParameters(command=command[0], args=command[1:], env=env, cwd=folder)


def _totals(home: Path) -> Totals:
    place = locate(folder=home).path
    if not place.exists():
        return Totals()
    store = SqliteStore(place)
    try:
        return store.totals()
    finally:
        store.close()

"""What all servers and sessions of a gateway share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.abc

from spec_mcp.config import Config, Server
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.gateway.rounds import Rounds
from spec_mcp.relay.saying import LogLevel, say
from spec_mcp.relay.validators import Validators
from spec_mcp.store.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Parts:
    """Made once, before any server is met."""

    config: Config
    environ: Mapping[str, str]
    home: Path
    store_path: Path
    policies: dict[str, ServerPolicy]
    deciding: Deciding
    rounds: Rounds
    recorder: Recorder
    validators: Validators
    starts: Starts
    tasks: anyio.abc.TaskGroup
    clock: Callable[[], float]
    on_serving: Callable[[str, Server], None] = lambda name, server: None
    """Told each server that is served, as it is configured."""

    def start(self, what: str, task: Callable[[], Awaitable[None]]) -> None:
        """Have this done beside all else. Should it fail, `what` is said, and nothing else ends with it."""
        self.tasks.start_soon(_supervised, what, task)


async def _supervised(what: str, task: Callable[[], Awaitable[None]]) -> None:
    try:
        await task()
    except Exception as error:  # noqa: BLE001  one task among those of all clients: its fault is nobody else's
        say(f"{what} ({type(error).__name__}: {error})", LogLevel.ERROR)

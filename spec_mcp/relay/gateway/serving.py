"""The gateway from its making to its end, with all that its servers and sessions share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from spec_mcp.config import Config, home, resolve_mode
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.relay.back.starting import Starts
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.deciding import Deciding
from spec_mcp.relay.gateway.exporting import export
from spec_mcp.relay.gateway.gateway import LEVELS_LOOK_S, GatewayOptions, ServersGateway
from spec_mcp.relay.gateway.parts import Parts
from spec_mcp.relay.gateway.rounds import Rounds
from spec_mcp.relay.gateway.served import SETTLING_S
from spec_mcp.relay.making import (
    LEAVING_RECORD_CLOSE_S,
    RECORD_CLOSE_S,
    Modes,
    not_kept,
    settings_of,
    store_settings_of,
)
from spec_mcp.relay.saying import say
from spec_mcp.relay.validators import Validators
from spec_mcp.store.place import Remote, locate
from spec_mcp.store.recorder import Recorder

if TYPE_CHECKING:
    from spec_mcp.relay.board.opening import Shared


@asynccontextmanager
async def serving(
    config: Config, options: GatewayOptions, environ: Mapping[str, str]
) -> AsyncGenerator[ServersGateway]:
    """The gateway, for as long as it is served.

    Raises:
        UserError: the configuration cannot be used.
    """
    folder = home(environ)
    place = locate(config.store_url(environ), folder=folder)
    for key in not_kept(config, place):
        say(f"{config.file}: {key}: nothing acts on this yet; remove it, or do not rely on it")
    own_mode = resolve_mode(options.mode, environ, config)
    is_explicit = bool(options.mode or environ.get("SPEC_MCP_MODE"))
    recorder = Recorder(store_settings_of(config, place))
    modes = Modes(own_mode, is_explicit, recorder.switch)
    policies: dict[str, ServerPolicy] = {}
    engine = Engine(settings_of(config, board=place.remote is not None), policies, mode=modes.now())
    deciding = Deciding(engine, now_s)
    rounds = Rounds(deciding, now_s)
    shared = None if place.remote is None else _one_of_several(config, place.remote, folder, deciding, rounds)
    validators = Validators(rounds.call_at_once)
    exporting = export(environ, options.metrics)
    async with anyio.create_task_group() as tasks:
        parts = Parts(
            config,
            environ,
            folder,
            place.path,
            policies,
            deciding,
            rounds,
            recorder,
            validators,
            Starts(),
            tasks,
            now_s,
            *(() if shared is None else (shared.serve,)),
        )
        gateway = ServersGateway(config, options, parts, engine, modes)
        recorder.start()
        tasks.start_soon(rounds.run)
        if exporting.has_any:
            gateway.look_at_levels()
            rounds.every(LEVELS_LOOK_S, gateway.look_at_levels)
        try:
            yield gateway
        finally:
            with anyio.move_on_after(SETTLING_S, shield=True):
                await gateway.settled()
            gateway.close()
            tasks.cancel_scope.cancel()
    validators.close()
    if shared is not None:
        shared.end()
    rounds.close()
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(recorder.close, LEAVING_RECORD_CLOSE_S if modes.is_over else RECORD_CLOSE_S)
        await to_thread.run_sync(exporting.close)


def _one_of_several(config: Config, remote: Remote, folder: Path, deciding: Deciding, rounds: Rounds) -> Shared:
    from spec_mcp.relay.board.opening import Shared  # the driver is there where it is needed

    return Shared(config, remote, folder, deciding, rounds.call_at_once, rounds.later)

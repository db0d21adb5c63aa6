"""Speculators as they are configured, each with its API, or with a recording in the place of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from spec_mcp.config import ModelPredictor
from spec_mcp.errors import UserError
from spec_mcp.speculators.api import Api
from spec_mcp.speculators.exchanges import Recorded, RecordingApi, ReplayingApi, Tape
from spec_mcp.speculators.opening import NotUsable, open_api
from spec_mcp.speculators.schemas import Schemas
from spec_mcp.speculators.speculator import Speculator
from spec_mcp.speculators.taping import Taping

API_CLOSE_S = 0.3


def speculators_of(
    models: Mapping[str, ModelPredictor], environ: Mapping[str, str], taping: Taping, say: Callable[[str], None]
) -> tuple[dict[str, Speculator], Callable[[], Awaitable[None]]]:
    """Those that can be asked, by name, and what closes them; of the others a person is told why."""
    schemas = Schemas()
    found: dict[str, Speculator] = {}
    try:
        recorded = None if taping.replay is None else Recorded(taping.replay)
        tape = None if taping.record is None else Tape(taping.record)
    except UserError as error:
        say(f"{error}; no speculator is asked")
        recorded, tape, models = None, None, dict[str, ModelPredictor]()
    for name, settings in models.items():
        try:
            api: Api
            api = open_api(settings, environ) if recorded is None else ReplayingApi(name, settings, recorded)
        except NotUsable as error:
            say(f"[predictors.{name}]: {error}")
            continue
        if tape is not None:
            api = RecordingApi(name, settings, api, tape.write)
        found[name] = Speculator(name, settings, api, schemas, time.monotonic, say)

    async def close() -> None:
        for speculator in found.values():
            try:
                async with asyncio.timeout(API_CLOSE_S):
                    await speculator.api.close()
            except Exception:  # noqa: BLE001, S110  we end, and so do its connections
                pass
        if tape is not None:
            tape.close()

    return found, close

"""Parts that are made of what the user has set, and what is kept of what was learned."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spec_mcp.config import Config, Server
from spec_mcp.engine.calls import Json
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.engine import Engine
from spec_mcp.engine.events import Mode
from spec_mcp.engine.policy import Settings
from spec_mcp.engine.timing import merge_timings
from spec_mcp.errors import UserError
from spec_mcp.predict.keeper import KIND as SHARE
from spec_mcp.predict.keeper import latest
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.saying import say
from spec_mcp.relay.sharing import Sharing
from spec_mcp.store.mode import Switch
from spec_mcp.store.place import Place
from spec_mcp.store.settings import StoreSettings
from spec_mcp.store.worker import Loaded

if TYPE_CHECKING:
    from spec_mcp.predict.predictor import Predictor
    from spec_mcp.relay.advice import Advice
    from spec_mcp.relay.deciding import Deciding
    from spec_mcp.relay.wrap import MakePredictor

HISTORY = "history/1"
"""The kind of learned rows that the predictor reads."""

WAYS = "ways/1"
"""The kind of learned rows that say which ways values have taken between servers."""

SPECULATORS = "speculators/1"
"""The kind of learned rows that say how speculators did."""

TIMING = "timing/1"
"""The kind of learned rows that the measured durations are kept in."""

LEARNED_EVERY = 50
"""Calls between two writings of what was learned, so that a kill loses little."""

RECORD_CLOSE_S = 1.0
"""How long our end may wait for the last rows: clients wait about 2 s for us, in all."""

LEAVING_RECORD_CLOSE_S = 5.0
"""The same where we were told to leave in good order, and no client waits for us."""

CAUTION = {Mode.OFF: 0, Mode.SHADOW: 1, Mode.ON: 2}


class Modes:
    """Which mode holds: what this process was told, and what the switch of its store says."""

    def __init__(self, own: Mode, is_explicit: bool, switch: Switch) -> None:
        self._own = own
        self._is_explicit = is_explicit
        self._switch = switch
        self.is_over = False
        """Is the process about to end?"""

    def end(self) -> None:
        """Off from now on, whatever anybody says."""
        self.is_over = True

    def now(self) -> Mode:
        """The more cautious of both, where both are explicit."""
        if self.is_over:
            return Mode.OFF
        return holding(self._own, self._is_explicit, self._switch.read())


def holding(own: Mode, is_explicit: bool, switched: Mode | None) -> Mode:
    """The mode that holds where a process was told one and its switch says another."""
    if switched is None:
        return own
    return min(own, switched, key=CAUTION.__getitem__) if is_explicit else switched


def predictor_of(
    make_predictor: MakePredictor | None, policies: Mapping[str, ServerPolicy], config: Config
) -> Predictor:
    if make_predictor is None and not config.predictors.history:
        return Silent()
    if make_predictor is None:
        from spec_mcp.predict.default import make_predictor
    return make_predictor(policies, secrets.randbits(32))


def advice_of(
    config: Config,
    environ: Mapping[str, str],
    record: str | None,
    replay: str | None,
    deciding: Deciding,
    policies: Mapping[str, ServerPolicy],
) -> Advice | None:
    """Who asks the speculators that are configured; None where there are none, and nothing is imported for them.

    Raises:
        UserError: the files for exchanges cannot be used.
    """
    if not config.predictors.models:
        if record or replay:
            raise UserError("--record and --replay are for model speculators: configure one as [predictors.NAME]")
        return None
    from spec_mcp.relay.advice import Advice
    from spec_mcp.speculators.taping import Taping

    return Advice(config, environ, Taping.of(record, replay), deciding, policies)


def settings_of(config: Config, *, board: bool = False) -> Settings:
    """What the engine goes by; `board`: other processes share the store, and what cannot go by their board is off."""
    chosen = config.speculation
    return Settings(
        chosen.wasted_call_s,
        chosen.breadth,
        chosen.depth,
        chosen.in_flight,
        chosen.join,
        chosen.reversible and not board,
        frozenset(chosen.accept_unproven),
        chosen.lossy and not board,
        chosen.check_every,
        attach=chosen.attach and not board,
        board=board,
    )


def store_settings_of(config: Config, place: Place) -> StoreSettings:
    from spec_mcp.predict import merging, ways

    kept = config.store
    merges = {TIMING: merge_timings, HISTORY: merging.add_up, SHARE: latest, WAYS: ways.add_up}
    if config.predictors.models:
        from spec_mcp.predict import merged

        merges[SPECULATORS] = merged.add_up
    return StoreSettings(place, kept.retention_days, kept.record_results, tuple(kept.redact), merges)


def session_id() -> str:
    return time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(3)


def load_timing(engine: Engine, data: Json) -> None:
    try:
        engine.world.timing.load_json(data)
    except ValueError as error:
        say(f"the store: what was measured of latencies is left aside: {error}")


def take_learned(loaded: Loaded, learner: Learner, engine: Engine, sharing: Sharing) -> None:
    """Go on where earlier runs stood."""
    for row in loaded.learned:
        if row.kind == HISTORY:
            learner.load(row.data)
        elif row.kind == SPECULATORS:
            learner.load_speculators(row.data)
        elif row.kind == WAYS:
            learner.load_ways(row.data)
        elif row.kind == TIMING:
            load_timing(engine, row.data)
        elif row.kind == SHARE:
            sharing.load(row.data)


GATEWAY_ALONE = (
    *("allow", "deny", "forward_headers", "isolation"),
    *("waiting_bytes", "start_s", "connect_s", "answer_s"),
)
"""Keys of a server that are of no use where `wrap` serves its program alone: there it waits as its client does."""


def not_kept(config: Config, place: Place, wrapped: str | None = None) -> list[str]:
    """What the user set that this version does not act on: a bound that is silently ignored is none.

    `wrapped` is the server that `wrap` serves alone, where what concerns many servers or clients has no use.
    """
    keys: list[str] = []
    if place.remote is not None:  # see `settings_of`
        on = [key for key in ("reversible", "lossy", "attach") if getattr(config.speculation, key)]
        keys += [f"[speculation] {key}, with a PostgreSQL store" for key in on]
    own = None if wrapped is None else config.servers.get(wrapped)
    if own is not None:
        unset = Server()
        for key in GATEWAY_ALONE:
            if getattr(own, key) != getattr(unset, key):
                keys.append(f"[servers.{wrapped}] {key}")
    return keys

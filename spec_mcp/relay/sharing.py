"""`used_share`: what a wasted call is taken to cost follows what became of the last speculations, in any run."""

from __future__ import annotations

from spec_mcp.config import Speculation
from spec_mcp.engine.calls import Json
from spec_mcp.engine.engine import Engine
from spec_mcp.predict.keeper import ShareKeeper
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.saying import say


class Sharing:
    """Holds the engine to the share that the user asked for, where one is asked for."""

    def __init__(self, chosen: Speculation, engine: Engine) -> None:
        self._engine = engine
        self._keeper: ShareKeeper | None = None
        if chosen.used_share > 0.0:
            self._keeper = ShareKeeper(chosen.used_share, chosen.wasted_call_s)

    def listen(self, recording: Recording) -> None:
        """Learn what becomes of the speculations that are recorded there."""
        if self._keeper is not None:
            recording.on_speculation = self._ended

    def load(self, learned: Json) -> None:
        """Go on where an earlier run stood."""
        if self._keeper is None:
            return
        try:
            self._keeper.load(learned)
        except ValueError as error:
            say(f"the store: what was learned for `used_share` is left aside: {error}")
        self._apply(self._keeper)

    def dump(self) -> Json:
        """Where it stands, for the record; None where there is nothing to say."""
        return None if self._keeper is None else self._keeper.dump()

    def _ended(self, used: bool) -> None:
        assert self._keeper is not None, "nobody else listens"
        self._keeper.ended(used)
        self._apply(self._keeper)

    def _apply(self, keeper: ShareKeeper) -> None:
        self._engine.world.settings = keeper.apply(self._engine.world.settings)

"""A predictor that says nothing, for `[predictors] history = false`."""

from __future__ import annotations

from collections.abc import Sequence

from spec_mcp.engine.calls import Json
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.predictor import CallBegan, CallEnded, Supposed


class Silent:
    """See `Predictor`: learns nothing and guesses nothing."""

    def began(self, call: CallBegan) -> None:
        """Nothing is noted."""

    def ended(self, call: CallEnded) -> None:
        """Nothing is noted."""

    def said(self, session: str, role: str, text: str) -> None:
        """Nothing is noted."""

    def attached(self, session: str, read: Supposed) -> None:
        """Nothing is noted."""

    def closed(self, session: str) -> None:
        """Nothing is known of it."""

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        """Nothing."""
        return []

    def dump(self) -> Json:
        """Nothing."""
        return None

    def load(self, learned: Json) -> None:
        """What others learned stays where it is."""

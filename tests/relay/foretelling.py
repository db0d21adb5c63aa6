"""`spec-mcp wrap` with a predictor that always names one call: `foretelling.py TOOL ARGUMENTS [OPTION…] -- COMMAND`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.engine.timing import Timing
from spec_mcp.predict.predictor import CallBegan, Supposed
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.wrap import parse, serve


class Foretelling(Silent):
    """Names the one call, after each answer."""

    def __init__(self, tool: str, arguments: Arguments) -> None:
        self._tool = tool
        self._arguments = arguments
        self._server = ""

    def began(self, call: CallBegan) -> None:
        self._server = call.server

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        if supposed:
            return []
        return [Candidate(self._server, self._tool, self._arguments, 0.99, "foretold", True)]


def thinks(self: Timing, fraction: float) -> float:
    """Time enough for whatever is foretold."""
    return 30.0


def main() -> int:
    tool, arguments, *options = sys.argv[1:]

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Foretelling:
        return Foretelling(tool, json.loads(arguments))

    Timing.gap_s = thinks  # before the engine is made
    return serve(parse(options), make)


if __name__ == "__main__":
    sys.exit(main())

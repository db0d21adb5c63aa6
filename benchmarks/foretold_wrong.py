"""`spec-mcp wrap` that makes a write early which nobody wants, after every second call: the price of a wrong guess,
forced. `foretold_wrong.py TOOL ARGUMENTS -- COMMAND…`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from spec_mcp.engine.calls import Arguments
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.predictor import CallBegan, Supposed
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.wrap import parse, serve


class Wrong(Silent):
    """Names the one write when an odd number of calls has begun."""

    def __init__(self, tool: str, arguments: Arguments) -> None:
        self._tool = tool
        self._arguments = arguments
        self._server = ""
        self._begun = 0

    def began(self, call: CallBegan) -> None:
        self._server = call.server
        self._begun += 1

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        if supposed or self._begun % 2 == 0:
            return []
        return [Candidate(self._server, self._tool, self._arguments, 0.99, "wrong", True)]


def main() -> int:
    tool, arguments, *options = sys.argv[1:]

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Wrong:
        return Wrong(tool, json.loads(arguments))

    return serve(parse(options), make)


if __name__ == "__main__":
    sys.exit(main())

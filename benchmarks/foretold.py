"""`spec-mcp wrap` with a predictor that knows the next call: the hit path, forced. `foretold.py SEED -- COMMAND...`.

The client calls `echo` with `text_of(SEED, 0)`, `text_of(SEED, 1)` and so on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.events import Candidate
from spec_mcp.predict.predictor import CallBegan, Supposed
from spec_mcp.predict.silent import Silent
from spec_mcp.relay.wrap import parse, serve


def text_of(seed: str, number: int) -> str:
    """The argument of the call with this number."""
    return f"{seed}-{number}"


class Foretelling(Silent):
    """Names the next call, and no other."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._server = ""
        self._begun = 0

    def began(self, call: CallBegan) -> None:
        self._server = call.server
        self._begun += 1

    def predict(self, session: str, supposed: Sequence[Supposed], limit: int, now_s: float) -> list[Candidate]:
        if supposed:
            return []
        return [Candidate(self._server, "echo", {"text": text_of(self._seed, self._begun)}, 0.99, "foretold", True)]


def main() -> int:
    seed, *arguments = sys.argv[1:]

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Foretelling:
        return Foretelling(seed)

    return serve(parse(arguments), make)


if __name__ == "__main__":
    sys.exit(main())

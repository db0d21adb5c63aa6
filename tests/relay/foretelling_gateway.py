"""`spec-mcp run` with a predictor that always names one call: `foretelling_gateway.py TOOL ARGUMENTS [OPTION…]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping

from spec_mcp.__main__ import run
from spec_mcp.engine.effects import ServerPolicy
from spec_mcp.engine.timing import Timing
from spec_mcp.predict import default
from tests.relay.foretelling import Foretelling, thinks


def main() -> int:
    tool, arguments, *options = sys.argv[1:]

    def make(policies: Mapping[str, ServerPolicy], number: int) -> Foretelling:
        return Foretelling(tool, json.loads(arguments))

    Timing.gap_s = thinks  # before the engine is made
    default.make_predictor = make  # pyright: ignore[reportAttributeAccessIssue]
    return run(["run", *options])


if __name__ == "__main__":
    sys.exit(main())

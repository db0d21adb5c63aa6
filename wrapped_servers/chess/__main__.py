"""`python -m wrapped_servers.chess`: chess over stdio."""

from __future__ import annotations

import argparse
import os
import sys

GLANCE_NODES = 4_000
"""A hundredth of a second or two."""


def main() -> int:
    """Returns the exit status: 0, 1 when there is no engine, 2 on bad usage."""
    options = _parser().parse_args()
    try:
        from wrapped_servers.chess.engines import Engines, NoEngine, find_engine
        from wrapped_servers.chess.server import make_server
    except ModuleNotFoundError as error:
        if error.name != "chess":
            raise
        print("chess: the rules come from python-chess: pip install 'spec-mcp[chess]'", file=sys.stderr)  # noqa: T201
        return 1
    try:
        engine = find_engine(os.environ, options.engine)
    except NoEngine as error:
        print(f"chess: {error}", file=sys.stderr)  # noqa: T201
        return 1
    make_server(Engines(engine, options.engines), options.glance_nodes).run("stdio")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wrapped_servers.chess", description="Chess with a UCI engine as an MCP server over stdio."
    )
    parser.add_argument("--engine", metavar="COMMAND", help="a UCI engine (default: SPEC_MCP_UCI, or Stockfish)")
    parser.add_argument(
        "--engines", type=_count, default=0, metavar="N", help="engines at once (default: two for each processor)"
    )
    parser.add_argument(
        "--glance-nodes", type=_count, default=GLANCE_NODES, metavar="N", help="positions that a glance looks at"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1,000,000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

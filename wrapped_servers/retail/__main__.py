"""`python -m wrapped_servers.retail`: the shop over stdio."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import anyio

from wrapped_servers.retail.catalogue import TOOLS
from wrapped_servers.retail.database import MEMORY, Database, DatabaseError, read_tables
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.model import Tables
from wrapped_servers.retail.server import Latency, Shop, serve

MAX_LATENCY_S = 3600.0
"""A larger one is a slip of the keyboard."""


def main() -> int:
    """Returns the exit status: 0, 1 when the shop cannot be opened, 2 on bad usage."""
    options = _parser().parse_args()
    fill: Callable[[], Tables] = (
        (lambda: read_tables(options.data)) if options.data is not None else (lambda: generate(options.seed))
    )
    with ExitStack() as stack:
        try:
            # line buffering: a line is whole in the file before its call is answered
            log = stack.enter_context(options.log.open("a", buffering=1, encoding="utf-8")) if options.log else None
            database = Database(options.db or MEMORY, fill)
        except (DatabaseError, OSError) as error:
            print(f"retail: {error}", file=sys.stderr)  # noqa: T201
            return 1
        stack.callback(database.close)
        shop = Shop(database, log.write if log else None)
        anyio.run(serve, shop, Latency(options.latency_default, dict(options.latency)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wrapped_servers.retail", description="A shop's customer service as an MCP server over stdio."
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="serve the tables in DIR (users.json.gz, ...)")
    parser.add_argument("--seed", type=int, default=0, help="without --data: which made-up shop to serve (default 0)")
    parser.add_argument(
        "--db", type=Path, metavar="FILE", help="keep the shop in FILE; a shop that is there already is served as it is"
    )
    parser.add_argument(
        "--latency", type=_latency, action="append", default=[], metavar="TOOL=S", help="seconds that a tool takes"
    )
    parser.add_argument(
        "--latency-default", type=_seconds, default=0.0, metavar="S", help="seconds that the other tools take"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="append a line of JSON for each executed call")
    return parser


def _latency(text: str) -> tuple[str, float]:
    tool, _, seconds = text.partition("=")
    if tool not in TOOLS:
        raise argparse.ArgumentTypeError(f"{tool!r} is no tool of this server")
    return tool, _seconds(seconds)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 <= seconds <= MAX_LATENCY_S:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_LATENCY_S:.0f} seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())

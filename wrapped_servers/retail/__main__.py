"""`python -m wrapped_servers.retail`: the shop over stdio."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import anyio

from wrapped_servers import latency
from wrapped_servers.retail.catalogue import TOOLS
from wrapped_servers.retail.database import MEMORY, Database, DatabaseError, read_tables
from wrapped_servers.retail.generator import generate
from wrapped_servers.retail.model import Tables
from wrapped_servers.retail.server import Shop, make_server
from wrapped_servers.serving import serve


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
        anyio.run(serve, make_server(shop, latency.chosen(options)))
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
    latency.add_options(parser, TOOLS)
    parser.add_argument("--log", type=Path, metavar="FILE", help="append a line of JSON for each executed call")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`python -m wrapped_servers.tuner`: the knob over stdio."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import anyio

from wrapped_servers.serving import serve
from wrapped_servers.tuner import knob
from wrapped_servers.tuner.model import Model
from wrapped_servers.tuner.server import Tuner, make_server
from wrapped_servers.tuner.workload import RealWorkload, Workload


def main() -> int:
    """Returns the exit status: 0, 1 when there is no knob, 2 on bad usage."""
    options = _parser().parse_args()
    missing = None if options.model else knob.why_not()
    if missing is not None:
        print(f"tuner: {missing}: --model serves a simulation instead", file=sys.stderr)  # noqa: T201
        return 1
    workload: Workload = Model(options.seed) if options.model else RealWorkload(options.core)
    written: Path | None = options.state
    try:
        tuner = Tuner(workload, options.model, (lambda us: written.write_text(f"{us}\n")) if written else None)
        anyio.run(serve, make_server(tuner))
    finally:
        workload.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wrapped_servers.tuner", description="A scheduler's knob as an MCP server over stdio."
    )
    parser.add_argument("--core", type=int, default=0, metavar="N", help="the processor that the workload runs on")
    parser.add_argument("--model", action="store_true", help="a simulation in place of this kernel")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the simulation")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the slice that was set last in FILE")
    return parser


if __name__ == "__main__":
    sys.exit(main())

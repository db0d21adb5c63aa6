"""`spec-mcp wrap`: one server over stdio, the same tools under the same names.

This module imports next to nothing: the server's process is started first, and our own parts are loaded while the
server loads its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from spec_mcp.errors import UserError
from spec_mcp.relay.process import CannotStart, ServerProcess
from spec_mcp.relay.stopping import Stopping

if TYPE_CHECKING:
    from spec_mcp.engine.effects import ServerPolicy
    from spec_mcp.predict.predictor import Predictor

    MakePredictor = Callable[[Mapping[str, ServerPolicy], int], Predictor]

MODES = ("off", "shadow", "on")


@dataclass(frozen=True, slots=True)
class WrapOptions:
    """What the command line of `wrap` says."""

    command: tuple[str, ...]
    manifest: str | None = None
    name: str | None = None
    config: str | None = None
    mode: str | None = None


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as every other command does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"wrap: {message}: see `spec-mcp wrap --help`")


def parse(arguments: Sequence[str]) -> WrapOptions:
    """Read the command line after `wrap`.

    Raises:
        UserError: it is wrong.
    """
    parser = _Parser(
        prog="spec-mcp wrap",
        usage="spec-mcp wrap [options] -- COMMAND [ARG…]",
        description="Serve one MCP server over stdio: the same tools under the same names, only faster. Its reads are "
        "made ahead where a manifest allows it; without one it is passed through as it is.",
        epilog="example: spec-mcp wrap -- npx -y @modelcontextprotocol/server-filesystem ~/notes",
    )
    parser.add_argument(
        "--manifest",
        metavar="NAME_OR_FILE",
        help="the safety manifest (default: the one for the name that the server gives itself)",
    )
    parser.add_argument("--name", help="what to call the server in statistics (default: from the command)")
    parser.add_argument("--config", metavar="FILE", help="the configuration (default: config.toml in SPEC_MCP_HOME)")
    parser.add_argument("--mode", choices=MODES, help="off: pass everything through; shadow: compare only; on")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND [ARG…]", help="the server to wrap")
    found = parser.parse_args(list(arguments))
    command: list[str] = found.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise UserError("wrap: say which server, after `--`: spec-mcp wrap -- COMMAND [ARG]…")
    return WrapOptions(tuple(command), found.manifest, found.name, found.config, found.mode)


def main(arguments: Sequence[str]) -> int:
    """Run the command; `arguments` are those after `wrap`. Returns the exit status."""
    try:
        return serve(parse(arguments))
    except UserError as error:
        sys.stderr.write(f"spec-mcp: {error}\n")
        return 2
    except CannotStart as error:
        sys.stderr.write(f"spec-mcp: {error}\n")
        return 1


def serve(options: WrapOptions, make_predictor: MakePredictor | None = None) -> int:
    """Start the server and serve it on standard input and output until the client leaves.

    `make_predictor` stands in for the predictor that learns. Returns the exit status.

    Raises:
        CannotStart: there is no such command.
        UserError: a manifest or the configuration is wrong; the server has been ended again.
    """
    _have_standard_streams()
    stopping = Stopping()
    stopping.install()
    process = ServerProcess(options.command)
    try:
        from spec_mcp.relay.assembly import Assembly  # the server loads at the same time

        assembly = Assembly(options, process, make_predictor, stopping)
    except BaseException:
        process.end(polite=False)
        raise
    return assembly.run()


def _have_standard_streams() -> None:
    """Where we were started without one, its number must not become a pipe's to the server."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free

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

from spec_mcp.errors import UserError, printable
from spec_mcp.relay.process import CannotStart, ServerProcess
from spec_mcp.relay.stopping import Stopping

if TYPE_CHECKING:
    from spec_mcp.engine.effects import ServerPolicy
    from spec_mcp.predict.predictor import Predictor

    MakePredictor = Callable[[Mapping[str, ServerPolicy], int], Predictor]

MODES = ("off", "shadow", "on")
TYPES = ("http", "sse")


@dataclass(frozen=True, slots=True)
class WrapOptions:
    """What the command line of `wrap` says."""

    command: tuple[str, ...]
    """Empty where the server is remote."""
    manifest: str | None = None
    name: str | None = None
    config: str | None = None
    mode: str | None = None
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    type: str | None = None
    """The transport of a remote server; None: as the configuration says."""
    record: str | None = None
    replay: str | None = None
    """Files for exchanges with speculators."""


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
        usage="spec-mcp wrap [options] -- COMMAND [ARG…]\n       spec-mcp wrap [options] --url URL [--header K=V]…",
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
    address = parser.add_mutually_exclusive_group()
    address.add_argument("--url", help="a remote server, reached over HTTP, in the place of a command")
    address.add_argument("--url-env", metavar="NAME", help="the same; its address is in the environment variable NAME")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="K=V",
        help="a header for the remote server; ${NAME} stands for an environment variable",
    )
    parser.add_argument(
        "--header-env",
        action="append",
        default=[],
        metavar="K=NAME",
        help="a header whose value is in the environment variable NAME",
    )
    parser.add_argument("--type", choices=TYPES, help="the remote server's transport (default: http)")
    parser.add_argument("--record", metavar="FILE", help="write all exchanges with model speculators there")
    parser.add_argument("--replay", metavar="FILE", help="answer for model speculators from such a file")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND [ARG…]", help="the server to wrap")
    found = parser.parse_args(list(arguments))
    command: list[str] = found.command
    if command[:1] == ["--"]:
        command = command[1:]
    url: str | None = found.url if found.url_env is None else f"${{{found.url_env}}}"
    if found.url_env is not None and not found.url_env.isidentifier():
        raise UserError("wrap: --url-env: write the name of an environment variable")
    if url is not None and command:
        raise UserError("wrap: --url and a command are two servers: name one of them")
    if url is None and (found.header or found.header_env):
        raise UserError("wrap: --header is for a remote server: give its --url")
    if url is None and not command:
        raise UserError("wrap: say which server, after `--`: spec-mcp wrap -- COMMAND [ARG]…")
    headers = (*map(_header, found.header), *map(_header_env, found.header_env))
    options = (found.manifest, found.name, found.config, found.mode, url, headers, found.type)
    taped: tuple[str | None, str | None] = (found.record, found.replay)
    return WrapOptions(tuple(command), *options, *taped)


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UserError(f"wrap: --header {name}: write it as K=V, such as 'Authorization=Bearer ${{TOKEN}}'")
    return name, value


def _header_env(text: str) -> tuple[str, str]:
    name, separator, variable = text.partition("=")
    if not name or not separator or not variable.isidentifier():
        raise UserError(f"wrap: --header-env {name}: write it as K=NAME, such as Authorization=GITHUB_TOKEN")
    return name, f"${{{variable}}}"


def main(arguments: Sequence[str]) -> int:
    """Run the command; `arguments` are those after `wrap`. Returns the exit status."""
    try:
        options = parse(arguments)
        return serve(options) if options.url is None else serve_remote(options)
    except UserError as error:
        sys.stderr.write(f"spec-mcp: {printable(str(error))}\n")
        return 2
    except CannotStart as error:
        sys.stderr.write(f"spec-mcp: {printable(str(error))}\n")
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


def serve_remote(options: WrapOptions) -> int:
    """Serve a remote server on standard input and output until the client leaves. Returns the exit status.

    Raises:
        UserError: a manifest, the configuration, the address or a header is wrong.
    """
    _have_standard_streams()
    from spec_mcp.relay.remote import run_remote  # all that speaks HTTP

    return run_remote(options, os.environ)


def _have_standard_streams() -> None:
    """Where we were started without one, its number must not become a pipe's to the server."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free

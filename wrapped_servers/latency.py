"""How long the servers' tools take, beyond what they take anyway: set on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

MAX_LATENCY_S = 3600.0
"""A larger one is a slip of the keyboard."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls wait before they are executed, in seconds, by tool."""

    default_s: float = 0.0
    by_tool_s: Mapping[str, float] = field(default_factory=dict[str, float])

    def of(self, tool: str) -> float:
        return self.by_tool_s.get(tool, self.default_s)


def add_options(parser: argparse.ArgumentParser, tools: Container[str]) -> None:
    """`--latency TOOL=S`, any number of times, and `--latency-default S`."""
    parser.add_argument(
        "--latency", type=_of_tool(tools), action="append", default=[], metavar="TOOL=S", help="seconds a tool takes"
    )
    parser.add_argument(
        "--latency-default", type=seconds, default=0.0, metavar="S", help="seconds that the other tools take"
    )


def chosen(options: argparse.Namespace) -> Latency:
    """What was asked for."""
    return Latency(options.latency_default, dict(options.latency))


def seconds(text: str) -> float:
    """A number of seconds on a command line.

    Raises:
        ArgumentTypeError: it is none, or out of bounds.
    """
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 <= value <= MAX_LATENCY_S:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_LATENCY_S:.0f} seconds")
    return value


def _of_tool(tools: Container[str]) -> Callable[[str], tuple[str, float]]:
    def parse(text: str) -> tuple[str, float]:
        tool, _, rest = text.partition("=")
        if tool not in tools:
            raise argparse.ArgumentTypeError(f"{tool!r} is no tool of this server")
        return tool, seconds(rest)

    return parse

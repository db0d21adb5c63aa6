"""The knob over MCP: measure what requests take, set the slice, put it back."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.lowlevel.server import Server

from wrapped_servers.serving import said, server_of
from wrapped_servers.tuner.knob import KnobError
from wrapped_servers.tuner.workload import DEFAULT_US, Workload

NAME = "tuner"
VERSION = "1"
MIN_US, MAX_US = 100, 100_000
"""What the kernel takes."""
GOOD_ENOUGH_US = 1000
"""The rule of thumb goes no lower."""

WriteDown = Callable[[int], object]
"""Keeps the slice that was set."""

TOOLS: Mapping[str, types.Tool] = {
    tool.name: tool
    for tool in (
        types.Tool(
            name="measure",
            description="What requests took in the last seconds (p95 and mean, in ms), the slice in force, and what a "
            "rule of thumb would try next (null: nothing).",
            input_schema={
                "type": "object",
                "properties": {"seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 60}},
                "required": ["seconds"],
            },
            annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        ),
        types.Tool(
            name="set_slice",
            description="Set the time slice of the threads that answer requests. The last one set is in force.",
            input_schema={
                "type": "object",
                "properties": {"slice_us": {"type": "integer", "minimum": MIN_US, "maximum": MAX_US}},
                "required": ["slice_us"],
            },
            annotations=types.ToolAnnotations(read_only_hint=False, idempotent_hint=True, open_world_hint=False),
        ),
        types.Tool(
            name="reset",
            description=f"Put the slice back to {DEFAULT_US} µs.",
            input_schema={"type": "object", "properties": {}},
            annotations=types.ToolAnnotations(read_only_hint=False, idempotent_hint=True, open_world_hint=False),
        ),
    )
}


class Tuner:
    """Executes calls."""

    def __init__(self, workload: Workload, is_model: bool, write_down: WriteDown | None = None) -> None:
        self._workload = workload
        self._is_model = is_model
        self._write_down = write_down
        self.slice_us = DEFAULT_US

    def call(self, tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """What cannot be done is an error in the result."""
        match tool, dict(arguments):
            case "measure", {"seconds": int() | float() as seconds} if 0 < seconds <= 60:
                return _result(self._measure(float(seconds)))
            case "set_slice", {"slice_us": int() as slice_us} if MIN_US <= slice_us <= MAX_US:
                return self._set(slice_us)
            case "reset", {}:
                return self._set(DEFAULT_US)
            case _:
                return _result({"error": f"{tool}: these arguments are missing or out of bounds"}, is_error=True)

    def _measure(self, seconds: float) -> dict[str, Any]:
        took_ms = sorted(1e3 * took_s for took_s in self._workload.latencies_s(seconds))
        return {
            "slice_us": self.slice_us,
            "requests": len(took_ms),
            "p95_ms": round(took_ms[int(0.95 * len(took_ms))], 3) if took_ms else None,
            "mean_ms": round(statistics.mean(took_ms), 3) if took_ms else None,
            "suggestion_us": suggestion(self.slice_us),
            "model": self._is_model,
        }

    def _set(self, slice_us: int) -> types.CallToolResult:
        try:
            self._workload.set_slice(slice_us)
        except KnobError as error:
            return _result({"error": str(error)}, is_error=True)
        self.slice_us = slice_us
        if self._write_down is not None:
            self._write_down(slice_us)
        return _result({"slice_us": slice_us})


def suggestion(slice_us: int) -> int | None:
    """The rule of thumb: what waits is helped by a shorter slice, down to one that is good enough."""
    return max(GOOD_ENOUGH_US, slice_us // 16) if slice_us > GOOD_ENOUGH_US else None


def make_server(tuner: Tuner) -> Server[Any]:
    """The MCP server, for any transport and both protocol eras."""

    async def execute(tool: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        return tuner.call(tool, arguments)

    return server_of(NAME, VERSION, list(TOOLS.values()), execute)


def _result(told: Mapping[str, Any], is_error: bool = False) -> types.CallToolResult:
    return said(json.dumps(told), is_error)

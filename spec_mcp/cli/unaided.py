"""Recorded sessions as they would have gone without speculation: what a replay of one's own history starts from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from spec_mcp.store.rows import CallRow
from spec_mcp.store.store import SessionTrace


def unaided(trace: SessionTrace) -> SessionTrace:
    """The session with each call as long as it would have been, and everything after it as much later.

    A call that found its result ready took no time: left so, a replay would take its tool for one that never does.
    """
    return replace(trace, calls=tuple(_later(trace.calls)))


def _later(calls: tuple[CallRow, ...]) -> Iterator[CallRow]:
    shift_s = 0.0
    for turn in _turns(calls):
        ends = [(call.t_end, call.t_end + call.saved_s) for call in turn if call.t_end is not None]
        for call in turn:
            ended = None if call.t_end is None else call.t_end + call.saved_s + shift_s
            yield replace(call, t_start=call.t_start + shift_s, t_end=ended)
        if ends:  # calls of one turn run side by side: the client goes on after the last of them
            shift_s += max(alone for _, alone in ends) - max(end for end, _ in ends)


def _turns(calls: tuple[CallRow, ...]) -> list[list[CallRow]]:
    turns: list[list[CallRow]] = []
    for call in calls:
        if turns and call.batch is not None and call.batch == turns[-1][-1].batch:
            turns[-1].append(call)
        else:
            turns.append([call])
    return turns

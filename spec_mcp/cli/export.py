"""A session of the store in the form of the recorded sessions."""

from __future__ import annotations

from typing import cast

from spec_mcp.cli.text import decoded
from spec_mcp.engine.calls import Arguments
from spec_mcp.records import CallEvent, Event, Session, TextEvent
from spec_mcp.store.rows import CallRow
from spec_mcp.store.store import SessionTrace

DIGITS = 6
"""Times to the microsecond: what is beyond is noise."""


def as_record(trace: SessionTrace) -> Session:
    """The session with its calls; times are seconds since its start."""
    several = len({call.server for call in trace.calls}) > 1
    began_at = trace.session.started_at

    def since(at: float | None) -> float | None:
        return None if at is None else round(at - began_at, DIGITS)

    def event(call: CallRow) -> CallEvent:
        arguments = decoded(call.arguments)
        return CallEvent(
            tool=f"{call.server}__{call.tool}" if several else call.tool,
            arguments=cast("Arguments", arguments) if isinstance(arguments, dict) else {},
            result=decoded(call.result),
            is_error=call.is_error,
            kind=call.kind,
            batch=call.batch,
            t_start=since(call.t_start),
            t_end=since(call.t_end),
        )

    events: list[tuple[float, Event]] = [
        (row.at, TextEvent(type=row.role, text=row.text, t=since(row.at))) for row in trace.texts
    ]
    events += [(call.t_start, event(call)) for call in trace.calls]
    events.sort(key=lambda pair: pair[0])  # words come before the call that brought them, which bears no later time
    return Session(
        session=trace.session.session,
        source=f"spec-mcp/{trace.session.scope.server}",
        events=tuple(event for _, event in events),
    )

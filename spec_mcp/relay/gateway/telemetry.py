"""Spans and metrics of the gateway, through the API of OpenTelemetry: without its SDK they go nowhere.

A call is a span in its client's own trace, where the client names one in `_meta` (`traceparent`). A speculation is a
trace of its own, since nobody asked for it; one that was used is linked to the call that used it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.propagate import extract
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

from spec_mcp.engine import commands as do
from spec_mcp.engine.events import CallId
from spec_mcp.relay import wire
from spec_mcp.relay.account import Account
from spec_mcp.relay.asked import Asked
from spec_mcp.relay.gateway.levels import Levels
from spec_mcp.relay.learning import Learner
from spec_mcp.relay.recording import Recording
from spec_mcp.relay.saying import LogLevel, is_said, say

NAME = "spec-mcp"

OPEN_MAX = 8192
"""Calls without an answer of which the beginning is remembered."""

SETTLED_MAX = 1024
"""Calls remembered after their answer: what they used ends at once, and what is reused within seconds."""

TOOLS_MAX = 500
"""Tools that are told apart in metrics: a client may call what is none, and each name is kept for good."""

OTHER = "other"
"""What the rest of them is called there."""

Read = Callable[[Levels], int]

NOW: dict[str, tuple[str, Read]] = {
    "spec_mcp.calls.waiting": ("Requests that wait for something to be taken back", lambda now: now.waiting),
    "spec_mcp.store.waiting": ("Rows that the store has not taken yet", lambda now: now.rows_waiting),
}
SO_FAR: dict[str, tuple[str, Read]] = {
    "spec_mcp.store.written": ("Rows that the store has taken", lambda now: now.rows_written),
    "spec_mcp.store.dropped": ("Rows that were given up", lambda now: now.rows_dropped),
    "spec_mcp.store.failures": ("Times that the store failed", lambda now: now.store_failures),
}

WAIT_BUCKETS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""From a held result to a slow tool."""


@dataclass(slots=True)
class _Begun:
    at_ns: int
    context: Context | None
    is_error: bool = False


class Telemetry:
    """Of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tracer = trace.get_tracer(NAME)
        self._begun: OrderedDict[CallId, _Begun] = OrderedDict()
        self._settled: OrderedDict[CallId, SpanContext] = OrderedDict()
        self._tools: set[tuple[str, str]] = set()
        self.levels = Levels()
        """As they were when somebody looked last: whoever exports them does so on a thread of its own."""
        meter = metrics.get_meter(NAME)
        self._calls = meter.create_counter("spec_mcp.calls", "1", "Tool calls, by how they were answered")
        self._wait = meter.create_histogram(
            "spec_mcp.call.wait",
            "s",
            "How long clients waited for their calls",
            explicit_bucket_boundaries_advisory=WAIT_BUCKETS_S,
        )
        self._saved = meter.create_counter("spec_mcp.saved", "s", "How much of the waiting was spared")
        self._speculations = meter.create_counter("spec_mcp.speculations", "1", "Speculations, by how they ended")
        self._skips = meter.create_counter("spec_mcp.skips", "1", "Candidates that were not launched, by reason")
        self._sessions = meter.create_up_down_counter("spec_mcp.sessions", "1", "Clients that are served")
        self._in_flight = meter.create_up_down_counter("spec_mcp.calls.in_flight", "1", "Calls that clients wait for")
        for level in (self._sessions, self._in_flight):
            level.add(0)  # whoever scales by it has to see it from the beginning
        self._observe_levels(meter)

    def _observe_levels(self, meter: metrics.Meter) -> None:
        def speculations(options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(count, {"spec_mcp.state": state}) for state, count in self.levels.speculations.items()]

        def level(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
            return lambda options: [Observation(read(self.levels))]

        meter.create_observable_gauge("spec_mcp.speculations.live", [speculations], "1", "Speculations, by state")
        for name, (told, read) in NOW.items():
            meter.create_observable_gauge(name, [level(read)], "1", told)
        for name, (told, read) in SO_FAR.items():
            meter.create_observable_counter(name, [level(read)], "1", told)

    def _tool(self, server: str, tool: str) -> str:
        """The name under which it is counted."""
        if (server, tool) in self._tools or len(self._tools) < TOOLS_MAX:
            self._tools.add((server, tool))
            return tool
        return OTHER

    def session_opened(self) -> None:
        """A client has come."""
        self._sessions.add(1)

    def session_closed(self) -> None:
        """A client has left."""
        self._sessions.add(-1)

    def awaited(self, calls: int) -> None:
        """So many calls more are waited for, or fewer."""
        self._in_flight.add(calls)

    def call_arrived(self, call: CallId, meta: bytes) -> None:
        """A client made a call; `meta` is its raw `_meta`."""
        context = context_of(meta) if b"traceparent" in meta else None
        self._begun[call] = _Begun(time.time_ns(), context)
        if len(self._begun) > OPEN_MAX:
            self._begun.popitem(last=False)

    def calls_forgotten(self, calls: Iterable[CallId]) -> None:
        """Nobody waits for them any more."""
        for call in calls:
            self._begun.pop(call, None)

    def call_answered(self, call: CallId, is_error: bool) -> None:
        """It has its answer."""
        if (begun := self._begun.get(call)) is not None:
            begun.is_error = is_error

    def call_settled(self, command: do.CallSettled) -> None:
        """The engine has done with it."""
        by_server = {"mcp.server": command.server, "spec_mcp.how": str(command.how)}
        attributes = {**by_server, "gen_ai.tool.name": self._tool(command.server, command.tool)}
        self._calls.add(1, attributes)
        self._wait.record(command.wait_s, by_server)
        if command.saved_s > 0.0:
            self._saved.add(command.saved_s, attributes)
        begun = self._begun.pop(command.call, None)
        if begun is None:
            return
        span = self._tracer.start_span(
            f"tools/call {command.tool}",
            begun.context,
            SpanKind.SERVER,
            {
                **by_server,
                "gen_ai.tool.name": command.tool,
                "mcp.method.name": "tools/call",
                "spec_mcp.saved_s": command.saved_s,
            },
            start_time=begun.at_ns,
        )
        if begun.is_error:
            span.set_status(StatusCode.ERROR)
        span.end(begun.at_ns + round(command.wait_s * 1e9))
        self._settled[command.call] = span.get_span_context()
        if len(self._settled) > SETTLED_MAX:
            self._settled.popitem(last=False)

    def speculation_ended(self, command: do.SpeculationEnded) -> None:
        """A speculation came to an end."""
        if command.launched_at is None:
            return
        attributes = {
            "mcp.server": command.server,
            "gen_ai.tool.name": command.tool,
            "spec_mcp.state": str(command.state),
            "spec_mcp.reason": str(command.reason),
        }
        self._speculations.add(1, {**attributes, "gen_ai.tool.name": self._tool(command.server, command.tool)})
        offset_s = time.time() - self._clock()
        used_by = None if command.call is None else self._settled.get(command.call)
        span = self._tracer.start_span(
            f"speculation {command.tool}",
            Context(),
            SpanKind.CLIENT,
            {**attributes, "spec_mcp.q": command.q, "spec_mcp.source": command.source},
            [] if used_by is None else [Link(used_by)],
            start_time=round((command.launched_at + offset_s) * 1e9),
        )
        until_s = command.ended_at if command.returned_at is None else command.returned_at
        span.end(round((until_s + offset_s) * 1e9))

    def skipped(self, command: do.Skipped) -> None:
        """A candidate was not launched."""
        self._skips.add(1, {"mcp.server": command.server, "spec_mcp.reason": command.reason})


class ObservedAccount(Account):
    """An account whose calls and speculations are measured too."""

    def __init__(
        self,
        session: str,
        learner: Learner,
        recording: Recording,
        clock: Callable[[], float],
        telemetry: Telemetry,
    ) -> None:
        super().__init__(session, learner, recording, clock)
        self._telemetry = telemetry
        self._unanswered: set[CallId] = set()

    def closed(self) -> None:
        """Its client has left."""
        self._telemetry.awaited(-len(self._unanswered))
        self._telemetry.calls_forgotten(self._unanswered)
        self._unanswered = set()

    def _over(self, call: CallId) -> None:
        """Nobody waits for it any more."""
        if call in self._unanswered:
            self._unanswered.remove(call)
            self._telemetry.awaited(-1)

    def arriving(self, asked: Asked, server: str, call: wire.Call, writes: bool) -> None:
        """A call has arrived."""
        super().arriving(asked, server, call, writes)
        self._unanswered.add(asked.call)
        self._telemetry.awaited(1)
        self._telemetry.call_arrived(asked.call, call.meta)

    def answered(self, asked: Asked, answer: bytes, result: bytes, is_error: bool) -> None:
        """A call has its answer."""
        super().answered(asked, answer, result, is_error)
        self._over(asked.call)
        self._telemetry.call_answered(asked.call, is_error)

    def unanswered(self, asked: Asked) -> None:
        """A call's server is gone."""
        super().unanswered(asked)
        self._over(asked.call)
        self._telemetry.call_answered(asked.call, True)

    def settled(self, command: do.CallSettled) -> None:
        """The engine has done with a call."""
        super().settled(command)
        self._over(command.call)
        self._telemetry.call_settled(command)
        if not is_said(LogLevel.DEBUG):
            return
        say(
            "a call is answered",
            LogLevel.DEBUG,
            session=command.session,
            server=command.server,
            request=command.call,
            tool=command.tool,
            how=str(command.how),
            wait_s=round(command.wait_s, 6),
        )

    def speculation_ended(self, command: do.SpeculationEnded) -> None:
        """A speculation came to an end."""
        super().speculation_ended(command)
        self._telemetry.speculation_ended(command)

    def skipped(self, command: do.Skipped) -> None:
        """A candidate was not launched."""
        super().skipped(command)
        self._telemetry.skipped(command)


def context_of(meta: bytes) -> Context | None:
    """The trace that a client's raw `_meta` names; None where it names none that can be read."""
    found = wire.members(meta)
    names = ("traceparent", "tracestate", "baggage")
    carrier = {name: value for name in names if isinstance(value := wire.value(found.get(name, wire.NULL)), str)}
    context = extract(carrier)
    return context if trace.get_current_span(context).get_span_context().is_valid else None

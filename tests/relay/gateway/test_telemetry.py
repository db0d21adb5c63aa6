"""Spans and metrics, as the SDK of OpenTelemetry collects them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spec_mcp.engine import commands as do
from spec_mcp.engine.states import Reason, State
from spec_mcp.relay.clock import now_s
from spec_mcp.relay.gateway.exporting import export
from spec_mcp.relay.gateway.levels import Levels
from spec_mcp.relay.gateway.telemetry import OTHER, TOOLS_MAX, Telemetry, context_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
META = b'{"traceparent":"00-%s-b7ad6b7169203331-01","progressToken":1}' % TRACE.encode()


class Collected:
    """What was measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._spans = InMemorySpanExporter()
        self._measures = InMemoryMetricReader()
        tracing, metering = TracerProvider(), MeterProvider([self._measures])
        tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        monkeypatch.setattr(trace, "get_tracer", tracing.get_tracer)
        monkeypatch.setattr(metrics, "get_meter", metering.get_meter)
        self._ends = (tracing.shutdown, metering.shutdown)
        self.telemetry = Telemetry(now_s)

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self._spans.get_finished_spans() if span.name == name]
        return found

    def points(self, metric: str) -> list[Any]:
        data = self._measures.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for one in scope.metrics
            if one.name == metric
            for point in one.data.data_points
        ]

    def total(self, metric: str) -> float:
        return sum(getattr(point, "value", None) or getattr(point, "sum", 0.0) for point in self.points(metric))

    def end(self) -> None:
        for end in self._ends:
            end()


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collected]:
    found = Collected(monkeypatch)
    yield found
    found.end()


def settled(call: int, how: do.How = do.How.HIT, speculation: int | None = 7) -> do.CallSettled:
    return do.CallSettled(
        call=call,
        session="s",
        server="files",
        connection="files#s",
        tool="read",
        how=how,
        speculation=speculation,
        wait_s=0.25,
        saved_s=1.5,
    )


def ended(call: int | None, launched_at: float | None) -> do.SpeculationEnded:
    return do.SpeculationEnded(
        speculation=7,
        session="s",
        server="files",
        connection="files#s",
        tool="read",
        arguments={},
        state=State.DISCARDED if call is None else State.ADOPTED,
        reason=Reason.EXPIRED if call is None else "adopted",
        q=0.5,
        source="history",
        launched_at=launched_at,
        returned_at=None if launched_at is None else launched_at + 0.5,
        ended_at=now_s(),
        call=call,
    )


def test_a_call_is_a_span_of_its_clients_trace_and_lasts_as_long_as_the_client_waited(collected: Collected) -> None:
    collected.telemetry.call_arrived(1, META)
    collected.telemetry.call_settled(settled(1))
    span = collected.span("tools/call read")
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000


def test_a_call_without_a_trace_begins_one(collected: Collected) -> None:
    collected.telemetry.call_arrived(1, b'{"progressToken":1}')
    collected.telemetry.call_settled(settled(1))
    assert collected.span("tools/call read").parent is None


def test_a_call_that_failed_says_so(collected: Collected) -> None:
    collected.telemetry.call_arrived(1, b"")
    collected.telemetry.call_answered(1, is_error=True)
    collected.telemetry.call_settled(settled(1, do.How.MISS, None))
    assert not collected.span("tools/call read").status.is_ok


def test_a_speculation_is_a_trace_of_its_own_that_is_linked_to_the_call_which_used_it(collected: Collected) -> None:
    collected.telemetry.call_arrived(1, META)
    collected.telemetry.call_settled(settled(1))
    collected.telemetry.speculation_ended(ended(1, now_s() - 2.0))
    call, speculation = collected.span("tools/call read"), collected.span("speculation read")
    assert speculation.parent is None
    assert [link.context for link in speculation.links] == [call.context]


def test_a_speculation_that_nobody_used_has_no_link_and_one_never_launched_no_span(collected: Collected) -> None:
    collected.telemetry.speculation_ended(ended(None, None))
    collected.telemetry.speculation_ended(ended(None, now_s() - 2.0))
    assert not collected.span("speculation read").links


def test_calls_waits_savings_speculations_skips_and_sessions_are_counted(collected: Collected) -> None:
    collected.telemetry.session_opened()
    collected.telemetry.call_settled(settled(1))
    collected.telemetry.speculation_ended(ended(None, now_s() - 2.0))
    collected.telemetry.skipped(do.Skipped("s", "files", "read", "poll"))
    for metric in ("calls", "speculations", "skips", "sessions"):
        assert collected.total(f"spec_mcp.{metric}") == 1
    assert collected.total("spec_mcp.call.wait") == 0.25
    assert collected.total("spec_mcp.saved") == 1.5


def test_however_many_tools_clients_make_up_only_so_many_are_told_apart(collected: Collected) -> None:
    for number in range(TOOLS_MAX + 50):
        collected.telemetry.call_settled(replace(settled(number), tool=f"tool-{number}"))
    names = {point.attributes["gen_ai.tool.name"] for point in collected.points("spec_mcp.calls")}
    assert len(names) == TOOLS_MAX + 1
    assert OTHER in names
    assert collected.total("spec_mcp.calls") == TOOLS_MAX + 50


def test_levels_are_there_before_anything_happens_and_then_as_they_were_seen_last(collected: Collected) -> None:
    assert [point.value for point in collected.points("spec_mcp.calls.in_flight")] == [0]
    collected.telemetry.awaited(2)
    collected.telemetry.levels = Levels({"ready": 3}, waiting=1, rows_waiting=7, rows_dropped=2)
    assert collected.total("spec_mcp.calls.in_flight") == 2
    assert [(point.attributes, point.value) for point in collected.points("spec_mcp.speculations.live")] == [
        ({"spec_mcp.state": "ready"}, 3)
    ]
    levels = {"calls.waiting": 1, "store.waiting": 7, "store.dropped": 2, "store.failures": 0}
    assert {name: collected.total(f"spec_mcp.{name}") for name in levels} == levels


@pytest.mark.parametrize("meta", [b"", b"[]", b'{"traceparent":7}', b'{"traceparent":"00-xyz"}', b'{"traceparent'])
def test_a_trace_that_cannot_be_read_is_none(meta: bytes) -> None:
    assert context_of(meta) is None


def test_nothing_is_exported_where_the_environment_does_not_ask_for_it() -> None:
    before = trace.get_tracer_provider()
    exporting = export({})
    assert not exporting.has_any
    exporting.close()
    assert trace.get_tracer_provider() is before

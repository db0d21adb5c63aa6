"""Where what is measured goes: to a collector that the environment names (OTLP), and to whoever comes for it
(Prometheus), at an address of its own that is none of the clients'."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from spec_mcp.errors import Failed, UserError
from spec_mcp.relay.gateway.telemetry import NAME
from spec_mcp.relay.saying import say

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

EXPORTING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
"""Whoever sets one of these wants what we measure to go there."""


class Exporting(ExitStack):
    """What exports; `close` sends what is left, and ends it."""

    has_any = False
    """Does anybody want what is measured?"""


def export(environ: Mapping[str, str], place: tuple[str, int] | None = None) -> Exporting:
    """Send what is measured where the environment says, and have it fetched at a place, a host and a port.

    Raises:
        UserError: what it takes to serve it there is not installed.
        Failed: the place cannot be served.
    """
    exporting, readers = Exporting(), list["MetricReader"]()
    if any(environ.get(name) for name in EXPORTING):
        readers += _send(exporting, environ)
    if place is not None:
        readers.append(_serve(exporting, *place))
    if readers:
        from opentelemetry.sdk.metrics import MeterProvider

        measures = MeterProvider(readers, resource=_resource(environ))
        metrics.set_meter_provider(measures)
        exporting.callback(measures.shutdown)
        exporting.has_any = True
    return exporting


def _resource(environ: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": environ.get("OTEL_SERVICE_NAME") or NAME})


def _send(exporting: Exporting, environ: Mapping[str, str]) -> list[MetricReader]:
    try:  # an extra: several megabytes that most never need
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        say("OTEL_EXPORTER_OTLP_ENDPOINT is set, but the exporter is not installed: pip install 'spec-mcp[otel]'")
        return []
    spans = TracerProvider(resource=_resource(environ))
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    exporting.callback(spans.shutdown)
    return [PeriodicExportingMetricReader(OTLPMetricExporter())]


def _serve(exporting: Exporting, host: str, port: int) -> MetricReader:
    try:  # an extra
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    except ImportError:
        mend = "pip install 'spec-mcp[metrics]'"
        raise UserError(f"[listen] metrics: what serves them is not installed: {mend}") from None
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise Failed(f"[listen] metrics = {host}:{port}: {error.strerror or error}") from error
    for end in (thread.join, server.server_close, server.shutdown):  # the last of them first
        exporting.callback(end)
    say(f"metrics are at http://{host}:{server.server_port}/metrics")
    return reader

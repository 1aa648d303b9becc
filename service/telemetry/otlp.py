"""OpenTelemetry: sends spans and metrics to a collector by OTLP over HTTP (``PENSTOCK_OTLP_ENDPOINT``).

The libraries (extra ``otel``) are loaded only then. Threads of theirs send; a collector that does not answer costs
what was for it, which is counted, and a line in the log a minute, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

import service
from service.kit import errors
from service.telemetry import otlp_metrics
from service.telemetry.metrics import Family, Metrics
from service.telemetry.tracing import Span, Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult

_MOST_WAITING = 8_192  # spans
_SECONDS = 5.0  # that one message to the collector may take, with its repetitions
_CLOSE_SECONDS = 3.0
_QUIET_SECONDS = 60.0
_METRICS_SECONDS = 60.0

_log = structlog.get_logger("penstock.telemetry")


@asynccontextmanager
async def exporting(endpoint: str | None, metrics: Metrics, traces: Traces) -> AsyncIterator[None]:
    """Send spans, and the metrics each minute, meanwhile; nothing without an ``endpoint``.

    The libraries read their own variables: OTEL_EXPORTER_OTLP_HEADERS, OTEL_METRIC_EXPORT_INTERVAL and others.

    Raises ``errors.Invalid`` if the libraries are not installed.
    """
    if endpoint is None:
        yield
        return
    try:
        sender = await asyncio.to_thread(_Sender, endpoint.rstrip("/"), metrics)
    except ImportError as error:
        message = "PENSTOCK_OTLP_ENDPOINT needs packages that are not installed: pip install 'penstock[otel]'"
        raise errors.Invalid(message, field="PENSTOCK_OTLP_ENDPOINT") from error
    traces.sink = sender.send_span
    repeating = asyncio.create_task(_repeat(sender, metrics))
    try:
        yield
    finally:
        traces.sink = None
        repeating.cancel()
        await asyncio.gather(repeating, return_exceptions=True)
        await asyncio.to_thread(sender.close, metrics.counted())


async def _repeat(sender: _Sender, metrics: Metrics) -> None:
    while True:
        await asyncio.sleep(sender.interval)
        await asyncio.to_thread(sender.send_metrics, metrics.counted(), metrics.read)


class _Sender:
    """Exporters of both kinds. ``send_span`` belongs to the event loop, the others block."""

    def __init__(self, endpoint: str, metrics: Metrics) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what fails is counted here
        sender = self

        class Counting(SpanExporter):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                result = sender._spans.export(spans)
                sender._done += len(spans)
                sender._note("traces", len(spans), sent=result.name == "SUCCESS")
                return result

            def shutdown(self) -> None:
                sender._spans.shutdown()  # type: ignore[no-untyped-call]

        class Given(IdGenerator):
            """The ids of the span that is being sent: other processes know them already."""

            def generate_trace_id(self) -> int:
                return int(sender._sending.trace_id, 16)

            def generate_span_id(self) -> int:
                return int(sender._sending.span_id, 16)

        self._metrics = metrics
        self._resource = Resource.create({"service.name": "penstock", "service.version": service.__version__})
        self._spans = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_SECONDS)
        self._numbers = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=_SECONDS)
        self._processor = BatchSpanProcessor(Counting(), max_queue_size=2 * _MOST_WAITING, schedule_delay_millis=1000)
        provider = TracerProvider(id_generator=Given(), resource=self._resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("penstock", service.__version__)
        self.interval = _interval()
        self._began, self._given, self._done = time.time_ns(), 0, 0
        self._silent = False  # whether the last message failed
        self._lost: dict[str, int] = {}
        self._told = -_QUIET_SECONDS
        self._sending: Span

    def send_span(self, span: Span) -> None:
        """Queue a span for its exporter."""
        from opentelemetry import context, trace

        if self._given - self._done >= _MOST_WAITING:
            self._note("traces", 1, sent=False)
            return
        self._given += 1
        self._sending = span
        parent = None
        if span.parent_id is not None:
            ids = int(span.trace_id, 16), int(span.parent_id, 16)
            above = trace.SpanContext(*ids, is_remote=True, trace_flags=trace.TraceFlags(1))
            parent = trace.set_span_in_context(trace.NonRecordingSpan(above))
        made = self._tracer.start_span(
            span.name, parent or context.Context(), trace.SpanKind[span.kind.upper()], span.attributes,
            start_time=span.start,
        )  # fmt: skip
        if span.error is not None:
            made.set_status(trace.Status(trace.StatusCode.ERROR, span.error))
        made.end(span.end)

    def send_metrics(self, counted: Sequence[Family], read: Callable[[], Sequence[Family]]) -> None:
        """Send the values that were counted, and those that are read now."""
        data = otlp_metrics.data([*counted, *read()], self._resource, self._began, time.time_ns())
        result = self._numbers.export(data, timeout_millis=_SECONDS * 1000)
        self._note("metrics", 1, sent=result.name == "SUCCESS")

    def close(self, last: Sequence[Family]) -> None:
        """Send what waits, if the collector answers; return within some seconds."""

        def end() -> None:
            if self._silent:  # what waits is lost at once, also what is being repeated
                self._spans.shutdown()  # type: ignore[no-untyped-call]
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            if not self._silent:
                self.send_metrics(last, self._metrics.read)
            self._numbers.shutdown()

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        thread.join(_CLOSE_SECONDS)

    def _note(self, signal: str, number: int, *, sent: bool) -> None:
        self._silent = not sent
        if sent or not number:
            return
        self._metrics.telemetry_lost.add(number, signal)
        self._lost[signal] = self._lost.get(signal, 0) + number
        if time.monotonic() - self._told >= _QUIET_SECONDS:
            self._told = time.monotonic()
            lost, self._lost = self._lost, {}
            _log.warning("telemetry.not_sent", **lost, hint="the collector of PENSTOCK_OTLP_ENDPOINT does not answer")


def _interval() -> float:
    """Seconds between two sets of metrics, by the standard's variable, which has milliseconds."""
    text = os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "")
    return max(int(text) / 1000, 0.1) if text.isdecimal() else _METRICS_SECONDS

"""The metrics in OpenTelemetry's form. Names are those of ``GET /metrics``, those of counters without ``_total``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import service
from service.telemetry.metrics import Family

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData
    from opentelemetry.sdk.resources import Resource


def data(families: Sequence[Family], resource: Resource, since: int, now: int) -> MetricsData:
    """The values of all families; times are nanoseconds since 1970, ``since`` that of the zero of counters."""
    from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    metrics = [_metric(family, since, now) for family in families if family.values or family.spreads]
    scope = ScopeMetrics(InstrumentationScope("penstock", service.__version__), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _metric(family: Family, since: int, now: int) -> Metric:
    from opentelemetry.sdk.metrics import export

    cumulative = export.AggregationTemporality.CUMULATIVE
    if family.kind == "histogram":
        spreads = [
            export.HistogramDataPoint(
                dict(zip(family.labels, labels, strict=True)), since, now, sum(spread.counts), spread.total,
                spread.counts, family.bounds, None, None,  # type: ignore[arg-type]  # least and greatest: unknown
            )
            for labels, spread in family.spreads.items()
        ]  # fmt: skip
        return export.Metric(family.name, family.text, "s", export.Histogram(spreads, cumulative))
    points = [
        export.NumberDataPoint(dict(zip(family.labels, labels, strict=True)), since, now, float(value))
        for labels, value in family.values.items()
    ]
    if family.kind == "counter":
        return export.Metric(family.name.removesuffix("_total"), family.text, "1", export.Sum(points, cumulative, True))
    return export.Metric(family.name, family.text, "1", export.Gauge(points))

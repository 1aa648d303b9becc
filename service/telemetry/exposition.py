"""Metrics as text for Prometheus, with those of the process itself (memory, processor time, open files).

The library is loaded with the first request for it, since that takes longer than a start may spend on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from service.telemetry.metrics import Family, Metrics

if TYPE_CHECKING:
    from prometheus_client.core import Metric

MEDIA_TYPE = "text/plain; version=0.0.4"
"""The framework adds the character set."""


async def of(metrics: Metrics) -> bytes:
    """The present values of ``metrics``, as ``text``. Belongs to the event loop."""
    counted = metrics.counted()
    return await asyncio.to_thread(lambda: text([*counted, *metrics.read()]))


def text(families: Sequence[Family]) -> bytes:
    """The metrics in Prometheus' text format. Blocks."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    class Families(Collector):
        def collect(self) -> Iterable[Metric]:
            return map(_metric, families)

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Families())
    return generate_latest(registry)


def _metric(family: Family) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.text, labels=family.labels)
        for labels, spread in sorted(family.spreads.items()):
            histogram.add_metric(labels, [*_buckets(family.bounds, spread.counts)], spread.total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.text, labels=family.labels)
    for labels, value in sorted(family.values.items()):
        metric.add_metric(labels, value)
    return metric


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Each bound with the number of observations up to it."""
    sofar = 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        sofar += count
        yield bound, sofar

"""What is counted comes out as Prometheus' text, as its own parser reads it, at little cost."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.telemetry import exposition
from service.telemetry.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = exposition.text([*metrics.counted(), *metrics.read()]).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**named: str) -> frozenset[tuple[str, str]]:
    return frozenset(named.items())


def test_requests_are_counted_by_route_and_their_time_by_bounds() -> None:
    metrics = Metrics()
    for seconds in (0.004, 0.005, 0.02, 99.0):
        metrics.count_request("GET", "/health", 200, seconds)
    found = samples(metrics)
    assert found["penstock_requests_total", labels(method="GET", route="/health", status="200")] == 4
    where, name = {"method": "GET", "route": "/health"}, "penstock_request_seconds"
    bounds = ("0.005", "0.01", "0.025", "30.0", "+Inf")
    assert [found[f"{name}_bucket", labels(**where, le=bound)] for bound in bounds] == [2, 2, 3, 3, 4]
    assert found[f"{name}_count", labels(**where)] == 4
    assert found[f"{name}_sum", labels(**where)] == pytest.approx(99.029)


def test_a_method_that_a_caller_makes_up_gets_no_label() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.count_request(f"M{number}", "(no route)", 405, 0.001)
    counted = [key for key in samples(metrics) if key[0] == "penstock_requests_total"]
    assert counted == [("penstock_requests_total", labels(method="other", route="(no route)", status="405"))]


def test_labels_with_odd_characters_are_escaped() -> None:
    metrics = Metrics()
    metrics.gauge("penstock_odd", 'A "text"\nwith \\ lines.', lambda: {('a"b\\c\nd',): 1.5}, ("odd",), blocks=True)
    assert samples(metrics)["penstock_odd", labels(odd='a"b\\c\nd')] == 1.5


def test_gauges_are_read_each_time() -> None:
    metrics, values = Metrics(), iter([1.0, 2.0])
    metrics.gauge("penstock_present", "Something.", lambda: next(values))
    assert [samples(metrics)["penstock_present", labels()] for _ in range(2)] == [1.0, 2.0]


def test_what_alerts_look_at_is_there_before_it_happens() -> None:
    found = samples(Metrics())
    assert found["penstock_run_seconds_count", labels(status="failed")] == 0
    assert found["penstock_limits_hit_total", labels(limit="requests", status="429")] == 0
    assert found["penstock_rows_stored_total", labels()] == 0


def test_the_process_tells_its_memory() -> None:
    assert samples(Metrics())["process_resident_memory_bytes", labels()] > 1_000_000

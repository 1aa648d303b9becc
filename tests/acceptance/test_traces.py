"""Traces and metrics by OpenTelemetry: one trace from a request to what its run's collectors ask for."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.otlp_collector import Collector, attributes, collecting
from tests.acceptance.served import PASSWORD, Served, serving
from tests.acceptance.service import free_port

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def settings(endpoint: str) -> dict[str, str]:
    return {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_OTLP_ENDPOINT": endpoint,
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1", "PENSTOCK_SECRET_KEY": "a secret of the path",
        "NO_PROXY": "*",
    }  # fmt: skip


def executed(served: Served, name: str, url: str, **headers: str) -> dict[str, Any]:
    document = {"name": name, "collectors": [{"type": "api", "endpoint": url, "retry": {"max_attempts": 1}}]}
    served.json("POST", "/pipeline/create", status=201, json=document)
    answer = served.http.post(f"/pipeline/{name}/execute?wait=60", headers=headers)
    assert answer.status_code == 200, answer.text
    run: dict[str, Any] = answer.json()
    return run


def ended(collector: Collector) -> list[Any]:
    """The points of the metric of ended runs that are not zero."""
    metric = collector.metrics.get("penstock_run_seconds")
    return [point for point in metric.histogram.data_points if point.count] if metric is not None else []


def test_a_request_its_run_its_steps_and_their_requests_are_one_trace(tmp_path: Path) -> None:
    with collecting() as (collector, address):
        with serving(tmp_path / "data", **settings(address), OTEL_METRIC_EXPORT_INTERVAL="500") as served:
            served.login()
            traceparent = f"00-{TRACE}-{ABOVE}-01"
            run = executed(served, "rows", f"{address}/rows?key=${{KEY}}", traceparent=traceparent)
            assert run["status"] == "completed", run
            failed = executed(served, "broken", f"{address}/nothing")
            assert failed["status"] == "failed"
            served.http.get("/pipeline", headers={"traceparent": f"00-{'1' * 32}-{ABOVE}-00"})  # not to be recorded
            collector.until(lambda: len(collector.named("run")) == 2 and len(ended(collector)) == 2)
            logged = served.log()
        trace = [span for span in collector.spans if span.trace_id.hex() == TRACE]
        by_name = {span.name: span for span in trace}
        request = by_name["POST /api/v1/pipeline/{name}/execute"]
        assert request.parent_span_id.hex() == ABOVE
        assert request.kind == request.SPAN_KIND_SERVER
        assert attributes(request)["http.response.status_code"] == 200
        spans = [request, by_name["run"], by_name["collectors[0]"], by_name["GET"]]
        for above, below in itertools.pairwise(spans):
            assert below.parent_span_id == above.span_id, below.name
            assert below.start_time_unix_nano >= above.start_time_unix_nano - 2_000_000  # steps have microseconds
        assert by_name["storage[0]"].parent_span_id == by_name["run"].span_id
        told = attributes(by_name["run"])
        assert (told["penstock.run_id"], told["penstock.status"]) == (run["run_id"], "completed")
        asked = attributes(by_name["GET"])
        assert (asked["url.full"], asked["http.response.status_code"]) == (f"{address}/rows", 200)
        assert "a secret of the path" not in str(collector.spans)
        assert collector.traceparents[0] is None  # other people's servers are not told of our traces
        assert len({span.span_id for span in collector.spans}) == len(collector.spans)
        (broken,) = [span for span in collector.named("run") if attributes(span)["penstock.pipeline"] == "broken"]
        assert broken.status.code == broken.status.STATUS_CODE_ERROR
        step = next(s for s in collector.named("GET") if s.trace_id == broken.trace_id)
        assert step.status.code == step.status.STATUS_CODE_ERROR
        assert not [span for span in collector.spans if span.trace_id.hex() == "1" * 32]
        assert collector.resources[0]["service.name"] == "penstock"
        assert "penstock_requests" in collector.metrics
        for point in ended(collector):
            assert (point.count, sum(point.bucket_counts)) == (1, 1)
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        finished = [line for line in logged if line["event"] == "request.finished"]
        assert TRACE in {line["trace_id"] for line in finished}


@pytest.mark.slow
def test_a_collector_that_is_not_there_loses_its_own_and_nothing_else(tmp_path: Path) -> None:
    with collecting() as (_, source):
        nobody = f"http://127.0.0.1:{free_port()}"
        with serving(tmp_path / "data", **settings(nobody)) as served:
            served.login()
            assert executed(served, "rows", f"{source}/rows")["status"] == "completed"
            lines = served.until_logged(lambda line: line["event"] == "telemetry.not_sent")
            lost = next(line for line in lines if line["event"] == "telemetry.not_sent")
            assert lost["traces"] >= 1
            text = served.http.get(f"{served.address}/metrics").text
            counts = [line for line in text.splitlines() if line.startswith("penstock_telemetry_lost_total")]
            assert any(float(line.rpartition(" ")[2]) >= 1 for line in counts if "traces" in line)
            logged = served.log()
        assert [line["event"] for line in logged].count("telemetry.not_sent") <= 2
        assert not [line for line in logged if line.get("level") == "error"]


def test_without_an_endpoint_no_library_is_loaded(plain: Served) -> None:
    maps = Path(f"/proc/{plain.process.pid}/maps").read_text()
    assert "opentelemetry" not in maps
    assert "_upb" not in maps  # protobuf's own library

"""What a running service tells about itself to those who watch it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.served import CSV, PASSWORD, Served, serving
from tests.unit.telemetry import deploy


def scraped(served: Served) -> dict[tuple[Any, ...], float]:
    """The present value of each metric, by name and labels in order."""
    answer = served.http.get(f"{served.address}/metrics", headers={"authorization": ""})
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _counted(served: Served) -> tuple[dict[tuple[Any, ...], float], dict[tuple[Any, ...], float]]:
    """The metrics before and after some runs and queries."""
    before = scraped(served)
    assert served.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
    document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
    served.json("POST", "/pipeline/create", status=201, json=document)
    broken = {"name": "broken", "collectors": [{"type": "csv", "file_path": "missing.csv"}]}
    served.json("POST", "/pipeline/create", status=201, json=broken)
    assert served.json("POST", "/pipeline/cities/execute?wait=60")["status"] == "completed"
    assert served.json("POST", "/pipeline/cities/execute?wait=60")["unchanged"]
    assert served.json("POST", "/pipeline/broken/execute?wait=60")["status"] == "failed"
    served.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})
    served.json("POST", "/query", json={"sql": "SELECT nothing FROM cities"}, status=400)
    return before, scraped(served)


def test_runs_queries_and_what_is_stored_are_counted(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        before, after = _counted(served)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert grown("penstock_run_seconds_count", "completed") == 2
    assert grown("penstock_run_seconds_count", "failed") == 1
    assert grown("penstock_rows_stored_total") == 3
    assert grown("penstock_bytes_stored_total") > 0
    assert grown("penstock_query_seconds_count", "sql", "ok") == 1
    assert grown("penstock_query_seconds_count", "sql", "INVALID_SQL") == 1
    assert grown("penstock_requests_total", "POST", "/api/v1/pipeline/{name}/execute", "200") == 3
    assert (grown("penstock_pipelines"), grown("penstock_stored_versions")) == (2, 1)
    assert after["penstock_stored_rows",] == 3
    assert after["penstock_workers", "query", "busy"] == 0
    assert after["penstock_workers", "query", "kept"] >= 1
    assert after["penstock_queue_length", "runs"] == 0
    assert after["penstock_catalog_healthy",] == 1
    assert 0 < after["penstock_disk_free_bytes",] < after["penstock_disk_size_bytes",]
    assert not any("cities" in str(key) for key in after)  # no name of a pipeline is a label


def test_each_line_of_a_run_names_the_run_and_the_request_that_started_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        assert served.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        document["processors"] = [{"type": "cleaner", "config": {"cast": {"city": "int64"}, "max_lost_share": 1}}]
        served.json("POST", "/pipeline/create", status=201, json=document)
        runs = {}
        for name in ("first", "second"):  # the second works in a process that the first has left
            answer = served.http.post("/pipeline/cities/execute?wait=60", headers={"x-request-id": f"my-{name}"})
            run = answer.json()
            assert (run["status"], run["request_id"]) == ("completed", f"my-{name}")
            runs[run["run_id"]] = f"my-{name}"
        for run_id, request in runs.items():
            lines = [json.loads(line) for line in served.http.get(f"/runs/{run_id}/logs").text.splitlines()]
            assert len(lines) >= 2
            assert {(line["run_id"], line["request_id"]) for line in lines} == {(run_id, request)}
        logged = served.log()
    for line in logged:
        if line.get("run_id") in runs:
            assert line["request_id"] == runs[line["run_id"]], line
        if line["event"].startswith("run."):
            assert line["run_id"] in runs
        if line["event"].startswith(("spare.", "server.", "lease.")):
            assert not {"run_id", "request_id"} & line.keys()  # work of nobody's


@pytest.mark.slow
def test_a_run_that_waits_keeps_its_request_over_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_MAX_CONCURRENT_RUNS="0") as served:
        served.login()
        assert served.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
        served.json("POST", "/pipeline/create", status=201, json=document)
        answer = served.http.post("/pipeline/cities/execute", headers={"x-request-id": "my-own"})
        run_id = answer.json()["run_id"]
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        lines = served.until_logged(lambda line: line["event"] == "run.published")
        of_run = [line for line in lines if line.get("run_id") == run_id]
        assert {line["request_id"] for line in of_run} == {"my-own"}


def test_the_dashboard_and_the_alerts_name_metrics_that_exist(plain: Served) -> None:
    plain.json("POST", "/query", json={"sql": "SELECT 1 AS one"})
    found = {str(name) for name, *_ in scraped(plain)}
    families = plain.http.get(f"{plain.address}/metrics").text
    named = deploy.named()
    assert len(named) > 20
    for name in named - found:  # a gauge by label has no sample while there is nothing of its kind
        assert f"# TYPE {name} gauge" in families, name
    told = {name for name in found if name.startswith("penstock_") and not name.endswith(("_sum", "_created"))}
    assert told <= named | {name.removesuffix("_bucket") + "_count" for name in named} | {"penstock_build_info"}

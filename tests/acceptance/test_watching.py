"""What a running service tells about itself to those who watch it."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.served import CSV, Served


def scraped(served: Served) -> dict[tuple[Any, ...], float]:
    """The present value of each metric, by name and labels in order."""
    answer = served.http.get(f"{served.address}/metrics", headers={"authorization": ""})
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_runs_queries_and_what_is_stored_are_counted(empty: Served) -> None:
    before = scraped(empty)
    assert empty.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
    document = {"name": "cities", "collectors": [{"type": "csv", "file_path": "cities.csv"}]}
    empty.json("POST", "/pipeline/create", status=201, json=document)
    broken = {"name": "broken", "collectors": [{"type": "csv", "file_path": "missing.csv"}]}
    empty.json("POST", "/pipeline/create", status=201, json=broken)
    assert empty.json("POST", "/pipeline/cities/execute?wait=60")["status"] == "completed"
    assert empty.json("POST", "/pipeline/cities/execute?wait=60")["unchanged"]
    assert empty.json("POST", "/pipeline/broken/execute?wait=60")["status"] == "failed"
    empty.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})
    empty.json("POST", "/query", json={"sql": "SELECT nothing FROM cities"}, status=400)
    after = scraped(empty)

    def grown(*key: str) -> float:
        return after[key] - before.get(key, 0.0)

    assert grown("penstock_run_seconds_count", "completed") == 2
    assert grown("penstock_run_seconds_count", "failed") == 1
    assert grown("penstock_rows_stored_total") == 3
    assert grown("penstock_bytes_stored_total") > 0
    assert grown("penstock_query_seconds_count", "sql", "ok") == 1
    assert grown("penstock_query_seconds_count", "sql", "INVALID_SQL") == 1
    assert grown("penstock_requests_total", "POST", "/api/v1/pipeline/{name}/execute", "200") == 3
    assert (after["penstock_pipelines",], after["penstock_stored_versions",]) == (2, 1)
    assert after["penstock_stored_rows",] == 3
    assert after["penstock_workers", "query", "busy"] == 0
    assert after["penstock_workers", "query", "kept"] >= 1
    assert after["penstock_queue_length", "runs"] == 0
    assert after["penstock_catalog_healthy",] == 1
    assert 0 < after["penstock_disk_free_bytes",] < after["penstock_disk_size_bytes",]
    assert not any("cities" in str(key) for key in after)  # no name of a pipeline is a label

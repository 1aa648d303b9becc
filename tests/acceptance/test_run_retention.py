"""A real service deletes runs that are over for long, with their logs, and counts them on."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.acceptance.served import CSV, PASSWORD, serving, upload_and_create


@pytest.mark.slow
def test_old_runs_and_their_logs_go_and_the_statistics_stay(tmp_path: Path) -> None:
    data, failed = tmp_path / "data", []
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "parquet"}])
        first = served.json("POST", "/pipeline/cities/execute?wait=30")
        served.http.delete("/files/cities.csv")
        for _ in range(2):
            failed.append(served.json("POST", "/pipeline/cities/execute?wait=30")["run_id"])
        served.http.put("/files/cities.csv", content=f"{CSV}4,Oslo\n".encode())
        newest = served.json("POST", "/pipeline/cities/execute?wait=30")
        before = served.json("GET", "/pipeline/cities/stats")
        served.log()
    with duckdb.connect(str(data / "catalog.duckdb")) as catalog:
        catalog.execute("UPDATE runs SET start_time = start_time - to_days(91), end_time = end_time - to_days(91)")
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        lines = served.until_logged(lambda line: line.get("event") == "run.deleted")
        line = next(line for line in lines if line.get("event") == "run.deleted")
        assert (line["pipeline"], line["runs"], line["by"]) == ("cities", 1, "retention")
        left = [run["run_id"] for run in served.json("GET", "/pipeline/cities/runs")["items"]]
        assert left == [newest["run_id"], failed[1], first["run_id"]]
        served.json("GET", f"/runs/{failed[0]}", status=404)
        assert {file.name.partition(".")[0] for file in (data / "logs").iterdir()} == set(left)
        after = served.json("GET", "/pipeline/cities/stats")
    assert after == before

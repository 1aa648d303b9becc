"""Events of a real service at an OpenLineage server on loopback: facts, order, failures of the server, kills."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.openlineage import LineageServer, lineage_server
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create

PARQUET = [{"type": "parquet"}]
KEY = "a key of the lineage service"


@pytest.fixture
def server() -> Iterator[LineageServer]:
    with lineage_server() as server:
        yield server


def start(tmp_path: Path, server: LineageServer, **environment: str) -> AbstractContextManager[Served]:
    return serving(
        tmp_path / "data", PENSTOCK_ADMIN_PASSWORD=PASSWORD, PENSTOCK_OPENLINEAGE_URL=server.address,
        PENSTOCK_OPENLINEAGE_API_KEY=KEY, **environment,
    )  # fmt: skip


def output(event: dict[str, Any]) -> dict[str, Any]:
    (dataset,) = event["outputs"]
    return dict(dataset)


def test_runs_become_events_with_datasets_columns_and_parents(tmp_path: Path, server: LineageServer) -> None:
    towns = {
        "name": "towns", "description": "Towns in capitals.", "trigger": {"after": ["cities"]}, "storage": PARQUET,
        "collectors": [{"type": "pipeline", "name": "cities"}],
        "processors": [{"type": "transformer", "config": {"derive": {"town": "upper(city)"}}}],
    }  # fmt: skip
    with start(tmp_path, server, PENSTOCK_OPENLINEAGE_NAMESPACE="prod") as served:
        served.login()
        upload_and_create(served, storage=PARQUET)
        served.json("POST", "/pipeline/create", status=201, json=towns)
        run = served.json("POST", "/pipeline/cities/execute?wait=30")
        done = [("START", "cities"), ("COMPLETE", "cities"), ("START", "towns"), ("COMPLETE", "towns")]
        events = server.until(*done)
        served.http.delete("/files/cities.csv")
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "failed"
        failed = server.until(*done, ("START", "cities"), ("FAIL", "cities"))[-1]
        lines = served.log()
    begun, complete, _, triggered = events
    assert {path for path, _ in server.requests} == {"/api/v1/lineage"}
    assert {key for _, key in server.requests} == {f"Bearer {KEY}"}
    assert not any(KEY in json.dumps(line) for line in lines)
    assert begun["run"]["runId"] == complete["run"]["runId"] != failed["run"]["runId"]
    assert (begun["eventTime"], complete["eventTime"]) == (run["start_time"], run["end_time"])

    (source,) = complete["inputs"]
    assert (source["namespace"], source["name"]) == ("file", str(tmp_path / "data" / "uploads" / "cities.csv"))
    assert source["facets"]["schema"]["fields"][0] == {"name": "id", "type": "int64"}
    assert source["inputFacets"]["inputStatistics"]["rowCount"] == 3
    cities = output(complete)
    assert (cities["namespace"], cities["name"]) == ("prod", "cities")
    assert cities["facets"]["version"]["datasetVersion"] == "1"
    assert cities["facets"]["dataSource"]["uri"] == f"file://{tmp_path / 'data' / 'warehouse' / 'cities'}"
    statistics = cities["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"], statistics["fileCount"]) == (3, run["storage"][0]["bytes"], 1)
    assert cities["facets"]["columnLineage"]["fields"]["city"]["inputFields"] == [
        {"namespace": "file", "name": source["name"], "field": "city"}
    ]

    parent = triggered["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (complete["run"]["runId"], "cities")
    assert triggered["job"]["facets"]["documentation"]["description"] == "Towns in capitals."
    (read,) = triggered["inputs"]
    assert (read["namespace"], read["name"], read["facets"]["version"]["datasetVersion"]) == ("prod", "cities", "1")
    assert output(triggered)["facets"]["columnLineage"]["fields"]["town"]["inputFields"] == [
        {"namespace": "prod", "name": "cities", "field": "city"}
    ]
    assert "no file 'cities.csv'" in failed["run"]["facets"]["errorMessage"]["message"]
    assert output(failed)["facets"] == {}


def test_an_accepted_version_completes_the_lineage_of_its_run(tmp_path: Path, server: LineageServer) -> None:
    with start(tmp_path, server) as served:
        served.login()
        upload_and_create(served, storage=PARQUET, publish_if={"max_row_drop_share": 0.2})
        served.json("POST", "/pipeline/cities/execute?wait=30")
        served.http.put("/files/cities.csv", content=b"id,city\n1,Bern\n")
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "held"
        served.json("POST", "/pipeline/cities/versions/2/accept")
        held, accepted = server.until(*[("START", "cities"), ("COMPLETE", "cities")] * 2, ("COMPLETE", "cities"))[-2:]
    assert (held["outputs"], held["run"]["runId"]) == ([], accepted["run"]["runId"])
    assert output(accepted)["facets"]["version"]["datasetVersion"] == "2"
    assert output(accepted)["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert accepted["eventTime"] > held["eventTime"]


@pytest.mark.slow
def test_events_wait_for_the_server_over_a_kill_and_one_that_it_refuses_is_logged(
    tmp_path: Path, server: LineageServer
) -> None:
    server.answers = [503, 422]
    with start(tmp_path, server) as served:
        served.login()
        upload_and_create(served, storage=PARQUET)
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["status"] == "completed"
        server.asked(1)
        served.process.send_signal(signal.SIGKILL)
        served.ended()
    assert server.got == []
    with start(tmp_path, server) as served:
        server.until(("COMPLETE", "cities"))
        lines = served.until_logged(lambda line: line.get("event") == "openlineage.refused")
    refused = next(line for line in lines if line.get("event") == "openlineage.refused")
    assert (refused["type"], "422" in refused["reason"]) == ("START", True)

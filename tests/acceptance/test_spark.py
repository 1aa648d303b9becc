"""The Spark engine on a running service: the same pipeline makes the same version on Polars and on a Sail server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from service.files.object_store import ObjectStore
from tests import object_stores, sail
from tests.acceptance import spark_runs
from tests.acceptance.served import Served
from tests.acceptance.spark_runs import Gate

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def sail_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sail.server(tmp_path_factory.mktemp("sail"), path=spark_runs.PATH) as url:
        yield url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sail_url: str) -> Iterator[Served]:
    with spark_runs.service(tmp_path_factory.mktemp("spark") / "data", sail_url) as served:
        spark_runs.upload(served)
        yield served


def test_the_same_version_comes_from_both_engines(served: Served) -> None:
    warnings = []
    for name in ("polars", "spark"):
        spark_runs.create(served, spark_runs.document(name, name))
        warnings.append(spark_runs.completed(served, name)["warnings"])
    assert warnings[1] == warnings[0] != []
    assert spark_runs.rows_of(served, "polars").height > 600
    spark_runs.assert_same_version(served, "polars", "spark")


def test_what_a_killed_worker_left_is_interrupted(served: Served, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    spark_runs.create(served, spark_runs.document("killed", "spark", gate, max_attempts=2, retry_delay_seconds=0))
    run = spark_runs.begin(served, "killed")
    gate.until_waiting()
    os.kill(spark_runs.worker_of(served), signal.SIGKILL)
    served.until_logged(lambda line: line["event"] == "spark.interrupted" and run in str(line))
    gate.open()
    ended = spark_runs.end_of(served, run)
    assert (ended["status"], ended["attempt"]) == ("completed", 2), ended["error"]


def test_what_a_killed_service_left_is_interrupted_by_the_next_one(sail_url: str, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    with spark_runs.service(tmp_path / "data", sail_url) as served:
        spark_runs.upload(served, files=1)
        spark_runs.create(served, spark_runs.document("killed", "spark", gate))
        run = spark_runs.begin(served, "killed")
        gate.until_waiting()
        served.process.kill()
        served.process.wait()
    with spark_runs.service(tmp_path / "data", sail_url) as served:
        served.until_logged(lambda line: line["event"] == "spark.interrupted" and run in str(line))
        assert served.json("GET", f"/runs/{run}")["status"] == "interrupted"
        gate.open()


def test_objects_in_a_bucket_are_read_on_both_engines(sail_url: str, tmp_path: Path) -> None:
    folder = f"gs://{object_stores.BUCKET}/orders"
    with object_stores.google() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        store = ObjectStore(folder, seconds=10)
        for number in range(3):
            store.put(f"orders-{number}.csv", spark_runs.csv(number * 1000, 300).encode())
        store.close()
        with spark_runs.service(tmp_path / "data", sail_url, PENSTOCK_FILE_ROOTS=folder, **environment) as served:
            for name in ("polars", "spark"):
                document = spark_runs.document(name, name)
                document["collectors"][0]["file_path"] = f"{folder}/*.csv"
                spark_runs.create(served, document)
                spark_runs.completed(served, name)
            spark_runs.assert_same_version(served, "polars", "spark")


MODES: dict[str, dict[str, Any]] = {
    "appended": {"mode": "append"},
    "merged": {"mode": "merge", "key": "id", "full": True, "on_delete": "remove"},
    "arranged": {"partition_by": ["quarter"], "cluster_by": "price"},
}


@pytest.mark.parametrize("how", MODES)
def test_versions_that_continue_others_are_alike(served: Served, how: str) -> None:
    made = []
    for engine in ("polars", "spark"):
        name = f"{how}-{engine}"
        body = spark_runs.document(name, engine) | {"storage": [{"type": "parquet", **MODES[how]}]}
        body["collectors"][0] |= {"file_path": "growing.csv"}
        body["publish_if"] = {"max_row_drop_share": 0.5}
        served.http.put("/files/growing.csv", content=spark_runs.csv(0, 300).encode()).raise_for_status()
        spark_runs.create(served, body)
        statuses = []
        for first, rows in ((0, 300), (200, 300), (0, 20)):  # the last one is held, where it is all there is
            served.http.put("/files/growing.csv", content=spark_runs.csv(first, rows).encode()).raise_for_status()
            statuses.append(spark_runs.end_of(served, spark_runs.begin(served, name))["status"])
        folders = sorted((served.data / "warehouse" / name).glob("v*"))
        files = [
            {str(part.relative_to(folder)): part.read_bytes() for part in folder.rglob("part-*.parquet")}
            for folder in folders
        ]
        profile = served.json("GET", f"/pipeline/{name}/profile")["profiles"]
        made.append((statuses, files, spark_runs.approximate(profile)))
    assert made[1][0] == made[0][0]
    assert "completed" in made[0][0]
    assert made[1][2] == made[0][2]
    stored = [[{n: pl.read_parquet(data) for n, data in version.items()} for version in one[1]] for one in made]
    for local, remote in zip(*stored, strict=True):
        assert list(remote) == list(local)
        for part in local:
            assert_frame_equal(remote[part], local[part], rel_tol=1e-9, abs_tol=1e-12)


def test_what_spark_cannot_do_is_refused_by_validate(served: Served) -> None:
    step = {"type": "sql", "config": {"query": "SELECT 1 AS one FROM input"}}
    body = {**spark_runs.document("refused", "spark"), "processors": [step]}
    found = served.json("POST", "/pipeline/validate", status=400, json=body)["error"]
    assert [e["field"] for e in found["details"]["errors"]] == ["processors[0].type"]
    assert "needs all rows in one place" in found["message"]

"""Processes of two releases side by side; and what readiness answers while the catalog is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.catalog.migrations import SCHEMA_VERSION
from tests.acceptance.installation import Installation, installed
from tests.acceptance.served import CSV, PATIENCE, Served
from tests.postgresql import Cluster

pytestmark = pytest.mark.services

NEWER = f"""
    ALTER TABLE penstock.runs ADD COLUMN priority INTEGER DEFAULT 0;
    ALTER TABLE penstock.versions ADD COLUMN colour VARCHAR;
    CREATE TABLE penstock.widgets (id VARCHAR PRIMARY KEY);
    UPDATE penstock.properties SET value = '{SCHEMA_VERSION + 1}' WHERE name = 'schema_version';
"""
"""What the migration of a newer release adds."""


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    with installed(cluster, tmp_path) as start:
        yield start


def run(served: Served, name: str, **more: Any) -> dict[str, Any]:
    """The run of a new pipeline at its end."""
    served.http.put("/files/cities.csv", content=CSV.encode())
    collector = {"type": "csv", "file_path": "cities.csv"}
    document = {"name": name, "collectors": [collector], "storage": [{"type": "parquet"}], **more}
    served.json("POST", "/pipeline/create", status=201, json=document)
    found: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    return found


def ready(served: Served, status: int) -> dict[str, str]:
    """What readiness answers when it has that status."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = served.http.get(f"{served.address}/health/ready")
        if answer.status_code == status:
            return dict(answer.json()["checks"])
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def test_a_release_works_beside_a_newer_one_that_has_added_to_the_catalog(start: Installation, tmp_path: Path) -> None:
    lease = {"PENSTOCK_LEASE_SECONDS": "15"}  # no busy machine loses one
    running = start("running", 1, **lease)
    assert run(running, "before")["status"] == "completed"
    with psycopg.connect(start.environment["PENSTOCK_CATALOG_URL"]) as newer:
        newer.execute(NEWER)
    started = start("started", 1, **lease)
    for number, served in enumerate((running, started)):
        assert run(served, f"after{number}")["status"] == "completed"
        answer = served.json("POST", "/query", json={"sql": f"SELECT count(*) AS n FROM after{number}"})
        assert answer["data"] == [{"n": 3}]
    refused = started.json("POST", "/admin/backup", status=409, json={"directory": str(tmp_path / "backup")})
    assert "newer penstock has added" in refused["error"]["message"]
    assert not (tmp_path / "backup").exists()


def test_readiness_names_a_catalog_that_is_away_and_recovers(start: Installation, cluster: Cluster) -> None:
    processes = [start(f"p{number}", 0, PENSTOCK_LEASE_SECONDS="15") for number in range(2)]
    assert ready(processes[0], 200) == {"catalog": "ok", "disk": "ok", "workers": "ok", "store": "ok", "lease": "ok"}
    cluster.stop("immediate")
    try:
        for served in processes:
            assert ready(served, 503)["catalog"] != "ok"
    finally:
        cluster.start()
    for served in processes:
        assert ready(served, 200)["catalog"] == "ok"

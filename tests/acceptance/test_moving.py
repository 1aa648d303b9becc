"""The guide's page on outgrowing one machine: its commands as written move an installation there and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import object_stores
from tests.acceptance import documents, service
from tests.acceptance.served import PASSWORD, Served, serving, upload_and_create
from tests.postgresql import Cluster

pytestmark = pytest.mark.services

PAGE = documents.ROOT / "service/docs/outgrow.md"
THERE, COPY, CLUSTER, BACK = documents.blocks(PAGE)
PARTS = ("/data", "/schema", "/profile", "/quarantine")
SECONDS = "300"


def filled(served: Served) -> None:
    """Pipelines of several kinds: replaced and appended versions, native tables, rows in quarantine, a tag, uploads."""
    upload_and_create(served, storage=[{"type": "duckdb", "mode": "append"}])
    rules = {"rules": [{"column": "city", "check": "not_null"}], "on_fail": "quarantine"}
    served.json("POST", "/pipeline/create", status=201, json={
        "name": "checked", "collectors": [{"type": "csv", "file_path": "cities.csv"}],
        "processors": [{"type": "validator", "config": rules}, {"type": "analyzer"}],
        "storage": [{"type": "parquet"}],
    })  # fmt: skip
    for name, runs in (("cities", 3), ("checked", 2)):
        for number in range(1, runs + 1):
            rows = "".join(f"{n},City {number}\n" for n in range(number * 3))
            served.http.put("/files/cities.csv", content=f"id,city\n{rows}9,\n".encode())
            run = served.json("POST", f"/pipeline/{name}/execute?wait=60")
            assert (run["status"], run["version"]) == ("completed", number)
    served.json("POST", "/pipeline/cities/versions/2/tag", json={"tag": "kept"})


def held(served: Served) -> dict[str, Any]:
    """Every version with its checksums and all that can be read of it, and what a deep verification finds."""
    served.login()
    found = served.json("POST", "/admin/verify", json={"deep": True})
    answer: dict[str, Any] = {"findings": found["findings"], "versions": found["versions"]}
    for name in ("cities", "checked"):
        for version in served.json("GET", f"/pipeline/{name}/versions")["items"]:
            number = version["version"]
            read = [served.http.get(f"/pipeline/{name}{part}?version={number}").json() for part in PARTS]
            answer[f"{name}@{number}"] = {"version": version, "read": read}
    answer["files"] = [(one["path"], one["bytes"]) for one in served.json("GET", "/files")["items"]]
    answer["sql"] = served.json("POST", "/query", json={"sql": 'SELECT count(*) AS n FROM "cities@kept"'})["data"]
    return answer


def run(script: str, folder: Path, environment: dict[str, str]) -> None:
    """Blocks of the page, typed into one shell."""
    whole = "set -emuo pipefail\ntrap 'kill %1 2>/dev/null || true; wait' EXIT\n" + script
    ended = subprocess.run(
        ["timeout", SECONDS, "bash", "-c", whole], cwd=folder, env=environment, capture_output=True, text=True
    )
    logs = "".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:] + logs


def test_the_commands_move_an_installation_there_and_back(tmp_path: Path, cluster: Cluster) -> None:
    program = tmp_path / "penstock"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{documents.ROOT}" exec "{sys.executable}" -m service "$@"\n')
    program.chmod(0o755)
    port = str(service.free_port())
    admin = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
    with serving(tmp_path / "penstock-data", **admin) as served:
        served.login()
        filled(served)
        before = held(served)
        served.log()
    with object_stores.s3() as store, cluster.database() as url:
        places = {
            "postgresql://penstock@db.example.org/penstock": url, "/backups/": f"{tmp_path}/backups/", "8000": port,
            "s3://penstock/": f"s3://{object_stores.BUCKET}/", "penstock serve": f"penstock serve --port {port}",
        }  # fmt: skip
        (tmp_path / "backups").mkdir()
        environment = service.clean_environment(**admin, **object_stores.environment(store.port))
        environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
        there, back = "\n".join((THERE, COPY, CLUSTER)), BACK
        for text, place in places.items():
            there, back = there.replace(text, place), back.replace(text, place)
        run(there + "kill %1; wait\n", tmp_path, environment)
        moved = {"PENSTOCK_CATALOG_URL": url, "PENSTOCK_WAREHOUSE_URL": "s3://penstock/warehouse"}
        cluster_of = {**admin, **object_stores.environment(store.port), **moved}
        with serving(tmp_path / "elsewhere", **cluster_of) as served:  # yet another host, where nothing is cached
            assert held(served) == before
            assert served.json("POST", "/pipeline/cities/execute?wait=60")["version"] == 4
            after = held(served)
            served.log()
        # The page goes on with a service at work.
        started = CLUSTER.replace("8000", port).replace("penstock serve", f"penstock serve --port {port}")
        serve = "\n".join(line for line in started.splitlines() if line.startswith(("penstock serve", "until")))
        run(f"{serve}\n{back}kill %1; wait\n", tmp_path, environment | moved)
    with serving(tmp_path / "one-machine", **admin) as served:
        assert held(served) == after
        assert served.json("POST", "/pipeline/cities/execute?wait=60")["version"] == 5

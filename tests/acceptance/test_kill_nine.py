"""SIGKILL of the service at each point of the commit protocol; the next start finds all of a version, or none."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.acceptance.dying import POINTS
from tests.acceptance.test_serve import CSV, PASSWORD, Served, serving, upload_and_create

COMMITTED = {"after the commit", "before the native table is noted", "after the native table is noted"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one version of one pipeline."""
    data = tmp_path_factory.mktemp("kill") / "data"
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        upload_and_create(served, storage=[{"type": "duckdb", "primary_key": "id"}])
        assert served.json("POST", "/pipeline/cities/execute?wait=30")["version"] == 1
        assert _loaded(served)
        served.log()
    return data


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at(point: str, prepared: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(prepared, data)
    with serving(data, module=("tests.acceptance.dying", point), PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        served.http.put("/files/cities.csv", content=(CSV + "4,Oslo\n").encode())
        try:
            run_id = served.json("POST", "/pipeline/cities/execute?wait=0", status=202)["run_id"]
        except httpx.HTTPError:  # it was quicker than its answer
            run_id = None
        assert served.process.wait(30) == -signal.SIGKILL
    with serving(data, PENSTOCK_ADMIN_PASSWORD=PASSWORD) as served:
        served.login()
        run = served.json("GET", "/pipeline/cities/runs?limit=1")["items"][0]
        assert run_id in (None, run["run_id"])
        committed = point in COMMITTED
        assert (run["status"], run["version"]) == (("completed", 2) if committed else ("interrupted", None))
        answer = served.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM cities"})
        assert answer["data"] == [{"n": 4 if committed else 3}]
        folders = {p.name for p in (data / "warehouse" / "cities").iterdir()}
        assert folders == ({"v000001", "v000002"} if committed else {"v000001"})
        assert not any((data / "warehouse" / ".staging").iterdir())
        newest = data / "warehouse" / "cities" / ("v000002" if committed else "v000001") / "cities.duckdb"
        assert _loaded(served)
        assert newest.exists()
        again = served.json("POST", "/pipeline/cities/execute?wait=30")
        assert (again["status"], again["version"], again["rows_stored"]) == ("completed", 3 if committed else 2, 4)


def _loaded(served: Served) -> bool:
    """Whether the newest version is there in all its forms, within 20 s."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        newest = served.json("GET", "/pipeline/cities/runs?status=completed&limit=1")["items"][0]
        if [stored["state"] for stored in newest["storage"]] == ["ready", "ready"]:
            return True
    return False

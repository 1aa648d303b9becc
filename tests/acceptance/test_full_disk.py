"""A disk that is full: every step says STORAGE_FULL and what to do, runs end, and space makes it work again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance import documents, hostile_runs, service, small_disk
from tests.acceptance.served import PASSWORD, Served, listening, serving

MIB = 1 << 20
DOCUMENT = {
    "name": "rows",
    "collectors": [{"type": "csv", "file_path": "rows.csv"}],
    "storage": [{"type": "parquet", "compression": "none"}],
}
SETTINGS = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_QUERY_MEMORY_LIMIT": "384MiB"}
MODULE = "tests.acceptance.small_disk"
ROWS = "id,text\n" + "".join(f"{n},some text of row {n}\n" for n in range(100_000))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "data", module=MODULE, SMALL_DISK=str(24 * MIB), **SETTINGS) as served:
        served.login()
        assert served.http.put("/files/rows.csv", content=ROWS.encode()).status_code == 201
        served.json("POST", "/pipeline/create", status=201, json=DOCUMENT)
        yield served


def fill(served: Served, least: int) -> list[str]:
    """Upload files until not even ``least`` bytes fit; their names."""
    names: list[str] = []
    size = 8 * MIB
    while size >= least:
        name = f"fill-{len(names)}"
        answer = served.http.put(f"/files/{name}", content=bytes(size))
        if answer.status_code == 201:
            names.append(name)
            continue
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "STORAGE_FULL"), answer.text
        assert "free space" in answer.json()["error"]["message"]
        size //= 2
    return names


@pytest.mark.parametrize("least", [2 * MIB, 4096])
def test_requirement_25_a_run_on_a_full_disk_says_so_and_ends(served: Served, least: int) -> None:
    names = fill(served, least)
    answer = served.http.post("/pipeline/rows/execute?wait=60")
    found = answer.json()
    if answer.status_code == 507:  # not even the run could be stored
        assert found["error"]["code"] == "STORAGE_FULL"
    else:
        assert (found["status"], found["error"]["code"]) == ("failed", "STORAGE_FULL"), found
        assert "PENSTOCK_DATA_DIR" in found["error"]["message"]
    if least < MIB:
        preview = served.http.post("/pipeline/preview", json=DOCUMENT)
        assert preview.status_code in (200, 507), preview.text
    for name in names:
        assert served.http.delete(f"/files/{name}").status_code in (200, 204)
    run = served.json("POST", "/pipeline/rows/execute?wait=60")
    assert (run["status"], run["rows_stored"]) == ("completed", 100_000)


def test_a_service_on_a_full_disk_stops(served: Served) -> None:
    fill(served, 4096)
    served.http.post("/pipeline/rows/execute?wait=0")
    served.process.terminate()
    assert served.ended() == 0


def test_readiness_names_the_full_disk(served: Served) -> None:
    names = fill(served, 1)
    ready = served.json("GET", f"{served.address}/health/ready", status=503)
    assert ready["checks"].pop("disk").startswith("full: ")
    assert set(ready["checks"].values()) == {"ok"}
    for name in names[:2]:
        assert served.http.delete(f"/files/{name}").status_code in (200, 204)
    assert served.json("GET", f"{served.address}/health/ready")["status"] == "ready"


def used(served: Served) -> Served:
    """Three versions, one of them pinned, and a full disk on which so much was written that it took the reserve."""
    for number in (1, 2, 3):
        changed = f"{ROWS}{100_000 + number},new\n".encode()
        assert served.http.put("/files/rows.csv", content=changed).status_code in (200, 201)
        assert served.json("POST", "/pipeline/rows/execute?wait=60")["version"] == number
    served.json("POST", "/pipeline/rows/versions/1/pin")
    token = served.login()["refresh_token"]
    for _ in range(2):  # the second time others have filled what the reserve gave up
        fill(served, 1)
        for _ in range(20):
            token = served.json("POST", "/auth/refresh", json={"refresh_token": token})["refresh_token"]
    served.until_logged(lambda line: line["event"] == "disk.reserve_used")
    return served


def make_room(served: Served) -> None:
    """Log in, delete all versions but the newest, and run again."""
    served.http.headers.pop("authorization", None)
    served.login()
    assert [item["version"] for item in served.json("GET", "/pipeline/rows/versions")["items"]] == [3, 2, 1]
    served.json("POST", "/pipeline/rows/versions/1/unpin")
    for number in (1, 2):
        assert served.http.delete(f"/pipeline/rows/versions/{number}").status_code == 204
    assert served.json("POST", "/pipeline/rows/execute?wait=60&full_refresh=true")["status"] == "completed"
    ready = served.http.get(f"{served.address}/health/ready").json()
    assert ready["status"] == "ready", ready


def test_a_full_disk_lets_users_in_and_lets_them_delete(served: Served) -> None:
    make_room(used(served))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_a_restart_on_a_full_disk_does_so_too(served: Served, how: signal.Signals) -> None:
    used(served)
    with small_disk.kept(served.process.pid) as disk:
        served.process.send_signal(how)
        served.ended()
        with listening(served.data, module=MODULE, SMALL_DISK_OF=disk, **SETTINGS) as again:
            make_room(again)


SORTED = "SELECT *, md5(id::VARCHAR) AS h, repeat(md5(id::VARCHAR), 8) AS more FROM {} ORDER BY h"


def test_a_query_that_finds_no_room_to_spill_says_so(served: Served) -> None:
    """The worker that it ended is replaced, and what it wrote is gone."""
    names = fill(served, MIB)
    sql = f"SELECT max(h) FROM (SELECT *, row_number() OVER () FROM ({SORTED.format('range(3_000_000) r(id)')}))"
    for path in ("/query", "/query?format=csv"):
        answer = served.http.post(path, json={"sql": sql})
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "STORAGE_FULL"), answer.text
        assert int(answer.headers["retry-after"]) > 0
    assert served.json("POST", "/query", json={"sql": "SELECT 1 AS one"})["data"] == [{"one": 1}]
    assert served.http.delete(f"/files/{names[-1]}").status_code == 200
    assert served.http.put(f"/files/{names[-1]}", content=bytes(MIB)).status_code == 201


def test_a_sql_step_that_finds_no_room_says_so(served: Served) -> None:
    step = {"type": "sql", "config": {"query": SORTED.format("input")}}
    served.json("POST", "/pipeline/create", status=201, json={**DOCUMENT, "name": "sorted", "processors": [step]})
    names = fill(served, MIB)
    run = served.json("POST", "/pipeline/sorted/execute?wait=60")
    assert (run["status"], run["error"]["code"]) == ("failed", "STORAGE_FULL"), run
    assert served.http.delete(f"/files/{names[-1]}").status_code == 200
    assert served.http.put(f"/files/{names[-1]}", content=bytes(MIB)).status_code == 201


@pytest.mark.slow
def test_a_sort_that_finds_no_room_to_spill_says_so(tmp_path: Path) -> None:
    """The engine goes on in memory, which the disk and not the data then uses up."""
    row = pl.int_range(4_000_000, eager=True)
    texts = pl.format("{} some text, {} another text of a row", row.hash() % 1_000_003, row % 977)
    (files := tmp_path / "files").mkdir()
    pl.LazyFrame({"id": row}).with_columns(text=texts).sink_csv(files / "rows.csv")
    sort = {"type": "transformer", "config": {"sort": ["text", "-id"]}}
    source = {"type": "csv", "file_path": str(files / "rows.csv")}
    settings = SETTINGS | {"PENSTOCK_FILE_ROOTS": str(files), "PENSTOCK_RUN_MEMORY_LIMIT": "512MiB"}
    with serving(tmp_path / "data", module=MODULE, SMALL_DISK=str(40 * MIB), **settings) as served:
        served.login()
        document = {**DOCUMENT, "collectors": [source], "processors": [sort]}
        served.json("POST", "/pipeline/create", status=201, json=document)
        names = fill(served, 8 * MIB)
        run = hostile_runs.ended(served, hostile_runs.start(served, "rows"), 300)
        assert (run["status"], run["error"]["code"]) == ("failed", "STORAGE_FULL"), run
        assert served.http.delete(f"/files/{names[-1]}").status_code == 200
        assert served.http.put(f"/files/{names[-1]}", content=bytes(8 * MIB)).status_code == 201


def test_a_checkpoint_without_room_waits_for_it(tmp_path: Path) -> None:
    """One that finds the disk full would end the catalog for this process, and hold up the next start."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.full_catalog", str(tmp_path / "disk")], capture_output=True, text=True,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT)), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "log is long": True, "reserve": 4 * MIB, "urgent": True, "not urgent": False, "reserve used": True,
        "healthy": True, "opened again": True, "log is short": True, "whole again": 4 * MIB, "rows": 100,
    }  # fmt: skip

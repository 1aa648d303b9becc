"""Spare workers wait for runs: a lost one costs no run, none outlives the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import documents, service
from tests.acceptance.hostile_runs import EXTENSION, create, ended, start
from tests.acceptance.served import PASSWORD, PATIENCE, Served, children_of, serving, upload_and_create
from tests.examples import mostly_slow

WORKERS = "2"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("warm")
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_MAX_CONCURRENT_RUNS": WORKERS,
        "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
    }
    with serving(folder / "data", path=f"{documents.ROOT}:{EXTENSION}", **settings) as served:
        served.login()
        create(served, "forever", "loop")
        upload_and_create(served)
        query = {"type": "sql", "config": {"query": "SELECT * FROM input"}}
        upload_and_create(served, "queried", processors=[query])  # its worker is not kept
        yield served


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def forkserver(served: Served) -> int:
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [p for p in children_of(served.process.pid) if is_forkserver(p)]
        return bool(found)

    until(is_there)
    return found[0]


def is_forkserver(pid: int) -> bool:
    """Its command line is that of its children, too: it is the one that has some."""
    try:
        return b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes() and bool(children_of(pid))
    except OSError:
        return False


def waiting(served: Served) -> set[int]:
    """The children of one thread: spares, and workers that loop. The query worker that waits has threads of DuckDB."""
    return {pid for pid in children_of(forkserver(served)) if threads(pid) == 1}


def threads(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


def settled(served: Served) -> set[int]:
    """``waiting``, when as many wait as after a start."""
    until(lambda: len(waiting(served)) == int(WORKERS))
    return waiting(served)


def test_a_spare_is_used_once_and_replaced(served: Served) -> None:
    before = settled(served)
    run_id = start(served, "forever")
    until(lambda: bool(served.json("GET", f"/runs/{run_id}")["phase"]))
    until(lambda: len(waiting(served) - before) == 1)  # one was forked in place of the one that works
    served.json("POST", f"/runs/{run_id}/cancel", status=202)
    after = settled(served)
    assert len(before & after) == int(WORKERS) - 1


@pytest.mark.parametrize("number", mostly_slow([signal.SIGKILL, signal.SIGSTOP], [signal.SIGKILL]))
def test_a_run_does_without_spares_that_are_lost(served: Served, number: signal.Signals) -> None:
    lost = settled(served)
    for pid in lost:
        os.kill(pid, number)
    run = served.json("POST", "/pipeline/queried/execute?wait=60")
    assert run["status"] == "completed", run["error"]
    until(lambda: len(waiting(served) - lost) >= int(WORKERS))


def test_a_run_after_the_forkserver_was_killed(served: Served) -> None:
    before = forkserver(served)
    os.kill(before, signal.SIGKILL)
    run = served.json("POST", "/pipeline/cities/execute?wait=60")
    assert run["status"] == "completed", run["error"]
    assert forkserver(served) != before


def test_a_run_that_is_cancelled_at_once(served: Served) -> None:
    for _ in range(3):
        run_id = start(served, "forever")
        served.json("POST", f"/runs/{run_id}/cancel", status=202)
        assert ended(served, run_id)["status"] == "cancelled"


def test_the_native_table_of_a_small_version_is_committed_with_it(served: Served) -> None:
    served.http.put("/files/cities.csv", content=b"id,city\n7,Oslo\n").raise_for_status()
    run = served.json("POST", "/pipeline/cities/execute?wait=60")
    assert [(form["type"], form["state"]) for form in run["storage"]] == [("parquet", "ready"), ("duckdb", "ready")]
    assert (served.data / run["storage_location"] / "cities.duckdb").is_file()
    with_native = list((served.data / "warehouse" / "cities").glob("v*/cities.duckdb"))
    assert len(with_native) == 1, "the version before keeps its Parquet only"
    versions = served.json("GET", "/pipeline/cities/versions")["items"]
    assert len(versions) > 1


def test_no_process_is_left_at_the_end(served: Served) -> None:
    """The last one: it stops the service."""
    run_id = start(served, "forever")
    until(lambda: bool(served.json("GET", f"/runs/{run_id}")["phase"]))
    below = children_of(served.process.pid)
    assert len(below) > int(WORKERS)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(PATIENCE) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in below))


@pytest.mark.slow
def test_a_service_without_runs_accepts_them_for_the_next(tmp_path: Path) -> None:
    """``PENSTOCK_MAX_CONCURRENT_RUNS=0``: it serves, and its queue outlives it. A command that runs a file does so."""
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD}
    with serving(tmp_path / "data", PENSTOCK_MAX_CONCURRENT_RUNS="0", **settings) as served:
        served.login()
        upload_and_create(served)
        upload_and_create(served, "towns")
        run = served.json("POST", "/pipeline/cities/execute?wait=0.2", status=202)
        assert (run["status"], run["attempts"]) == ("queued", [])
        other = served.json("POST", "/pipeline/towns/execute?wait=0", status=202)["run_id"]
        assert served.json("POST", f"/runs/{other}/cancel", status=202)["run_id"] == other
        assert served.json("GET", f"/runs/{other}")["status"] == "cancelled"
        assert served.json("POST", "/query", json={"sql": "SELECT 1 AS one"})["data"] == [{"one": 1}]
        served.log()
    with serving(tmp_path / "data", PENSTOCK_MAX_CONCURRENT_RUNS="1", **settings) as served:
        served.login()
        until(lambda: served.json("GET", f"/runs/{run['run_id']}")["status"] == "completed")
        served.log()
    environment = service.clean_environment(PYTHONPATH=str(documents.ROOT), PENSTOCK_MAX_CONCURRENT_RUNS="0")
    (tmp_path / "towns.csv").write_text("id\n1\n")
    (tmp_path / "towns.yaml").write_text("name: towns\ncollectors: [{type: csv, file_path: towns.csv}]\n")
    command = [sys.executable, "-m", "service", "run", "towns.yaml", "--data-dir", str(tmp_path / "data")]
    answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert answer.returncode == 0, answer.stderr

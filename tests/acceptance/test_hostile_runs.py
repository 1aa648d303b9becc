"""Runs that crash, hang or eat, in one real service: each ends with its own error and touches nothing else."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance import documents
from tests.acceptance.hostile_runs import EXTENSION, create, ended, start
from tests.acceptance.served import PASSWORD, PATIENCE, Served, children_of, least, serving

ENDS = {
    "segv": "SIGSEGV",
    "kill": "SIGKILL",
    "abort": "SIGABRT",
    "exit": "exit code 3",
    "leave": "exit code 0",
    "memory": "memory",
    "polars": "memory",
    "bug": "RuntimeError",
    "disk": "Permission",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile")
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_RUN_MEMORY_LIMIT": "768MiB",
        "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
        "PENSTOCK_MAX_CONCURRENT_RUNS": "2",
    }
    with serving(folder / "data", path=f"{documents.ROOT}:{EXTENSION}", **settings) as served:
        served.login()
        create(served, "healthy", "nothing")
        yield served


@pytest.mark.parametrize("how", ENDS)
def test_requirement_13_a_worker_that_dies_ends_its_own_run_only(served: Served, how: str) -> None:
    create(served, how, how)
    doomed = start(served, how)
    healthy = served.json("POST", "/pipeline/healthy/execute?wait=20")
    assert (healthy["status"], healthy["rows_stored"]) == ("completed", 3)
    run = ended(served, doomed)
    status = "interrupted" if how == "kill" else "failed"  # a lost worker is no fault of the configuration
    assert (run["status"], run["version"], run["progress"] < 100) == (status, None, True)
    assert ENDS[how] in run["error"]["message"], run["error"]
    assert run["error"]["details"]["step"] == "collectors[0]"
    assert "/a/secret/path" not in json.dumps(run)
    assert served.json("GET", f"/pipeline/{how}/data", status=404)["error"]["code"] == "NO_DATA"
    assert not Path(served.data, "warehouse", "elsewhere").exists()


@pytest.mark.parametrize(
    ("how", "code"),
    [("segv", "REQUEST_CRASHED"), ("memory", "REQUEST_OUT_OF_MEMORY"), ("bug", "VALIDATION_ERROR")],
)
def test_a_preview_that_dies_leaves_nothing(served: Served, how: str, code: str) -> None:
    document = {"name": "look", "collectors": [{"type": "hostile", "how": how}]}
    answer = served.http.post("/pipeline/preview", json=document)
    assert answer.json()["error"]["code"] == code, answer.text
    assert "/a/secret/path" not in answer.text
    assert not any(Path(served.data, "warehouse", ".staging").iterdir())
    assert served.http.get("/pipeline/look/config").status_code == 404


def test_a_loop_ends_at_its_deadline(served: Served) -> None:
    create(served, "endless", "loop", execution={"timeout_seconds": 1})

    def seconds() -> float:
        began = time.monotonic()
        run = ended(served, start(served, "endless"))
        assert (run["status"], run["error"]["code"]) == ("failed", "RUN_TIMEOUT")
        assert "timeout_seconds" in run["error"]["message"]
        return time.monotonic() - began

    assert least(seconds, 6) < 6


def test_requirement_15_a_loop_is_cancelled_within_two_seconds(served: Served) -> None:
    create(served, "forever", "loop")
    run_id = start(served, "forever")
    again = served.json("POST", "/pipeline/forever/execute", status=409)["error"]
    assert (again["code"], again["details"]["run_id"]) == ("PIPELINE_RUNNING", run_id)
    assert served.json("DELETE", "/pipeline/forever", status=409)["error"]["code"] == "PIPELINE_RUNNING"
    waiting = [run_id]

    def seconds() -> float:
        run_id = waiting.pop() if waiting else start(served, "forever")
        began = time.monotonic()
        served.json("POST", f"/runs/{run_id}/cancel", status=202)
        run = ended(served, run_id)
        assert (run["status"], run["version"], run["error"]) == ("cancelled", None, None)
        return time.monotonic() - began

    assert least(seconds, 2) < 2
    assert served.json("GET", "/pipeline/forever/data", status=404)["error"]["code"] == "NO_DATA"


def test_requirement_15_a_run_may_be_cancelled_while_its_worker_starts(served: Served) -> None:
    """At once, and some requests later: before there is a worker, while it is forked, and when it works."""
    create(served, "early", "loop")
    for requests in range(12):
        run_id = start(served, "early")
        for _ in range(requests):
            served.json("GET", "/pipeline/early/status")
        served.json("POST", f"/runs/{run_id}/cancel", status=202)
        assert ended(served, run_id)["status"] == "cancelled"


@pytest.mark.parametrize("stage", ["applied", "stored"])
def test_requirement_15_a_run_is_cancelled_in_each_stage(served: Served, stage: str) -> None:
    """Those of the collector are above. Nothing of it is left, of its parts neither."""
    document = {"type": "endless", "config": {"stage": stage}}
    create(served, stage, "nothing", processors=[document], storage=[{"type": "parquet"}])
    run_id, staging = start(served, stage), Path(served.data, "warehouse", ".staging")
    deadline = time.monotonic() + PATIENCE
    while not any(staging.rglob("here")):
        assert served.json("GET", f"/runs/{run_id}")["status"] in ("queued", "running")
        assert time.monotonic() < deadline
    served.json("POST", f"/runs/{run_id}/cancel", status=202)
    run = ended(served, run_id)
    assert (run["status"], run["version"]) == ("cancelled", None)
    assert served.json("GET", f"/pipeline/{stage}/data", status=404)["error"]["code"] == "NO_DATA"
    assert not any(staging.rglob("here"))
    assert not Path(served.data, "warehouse", stage).exists()


MIX = {"nothing": 20, "segv": 10, "memory": 10, "exit": 10, "bug": 10, "loop": 4}


@pytest.mark.slow
def test_requirement_13_of_64_runs_at_once_each_ends_as_it_must(served: Served) -> None:
    hows = [how for how, count in MIX.items() for _ in range(count)]
    random.Random(13).shuffle(hows)
    runs = []
    for number, how in enumerate(hows):
        create(served, f"mix_{number}", how, execution={"timeout_seconds": 1} if how == "loop" else {})
        runs.append(start(served, f"mix_{number}"))
    said = {**ENDS, "loop": "timeout_seconds"}
    for run_id, how in zip(runs, hows, strict=True):
        run = ended(served, run_id)
        if how == "nothing":
            assert (run["status"], run["rows_stored"], run["version"]) == ("completed", 3, 1)
        else:
            assert (run["status"], run["version"]) == ("failed", None)
            assert said[how] in run["error"]["message"], (how, run["error"])


def test_nobody_is_left_behind(served: Served) -> None:
    """After everything above: the forkserver, its tracker, one spare query worker and a spare run worker a core."""
    most = 3 + len(os.sched_getaffinity(0))
    served.json("POST", "/pipeline/healthy/execute?wait=20")
    deadline = time.monotonic() + PATIENCE
    staging = Path(served.data, "warehouse", ".staging")
    while (len(children_of(served.process.pid)) > most or any(staging.iterdir())) and time.monotonic() < deadline:
        served.http.get("/pipeline/healthy/status")
    assert len(children_of(served.process.pid)) <= most
    assert not any(staging.iterdir())
    assert served.json("GET", "/pipeline/healthy/stats")["failed_executions"] == 0

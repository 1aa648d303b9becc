"""Workers execute the runs that processes with the API queue, on any host, and say how they are."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.gated_source import Source
from tests.acceptance.installation import Installation, create, ended, execute, installed
from tests.acceptance.served import PATIENCE, spawned
from tests.postgresql import Cluster

pytestmark = pytest.mark.services

READY = ("catalog", "disk", "workers", "store", "lease")


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    with installed(cluster, tmp_path, lease="30") as found:
        yield found


@pytest.fixture
def start_killed(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    """For tests that kill, and wait for the end of a lease."""
    with installed(cluster, tmp_path) as found:
        yield found


def test_a_worker_executes_what_an_api_process_queued(start: Installation, source: Source) -> None:
    api = start("api", 0)
    create(api, "orders", source)
    waiting = execute(api, "orders")
    assert waiting["status"] == "queued"
    worker = start.worker("worker", runs=2)
    assert ended(api, waiting["run_id"])["status"] == "completed"
    answer = api.json("POST", "/query", json={"sql": "SELECT count(*) AS n FROM orders"})
    assert answer["data"] == [{"n": 1}]
    shown = {process["kind"]: process for process in api.json("GET", "/processes")["items"]}
    assert {kind: process["concurrency"] for kind, process in shown.items()} == {"serve": 0, "worker": 2}
    assert shown["worker"]["pid"] == worker.process.pid
    with httpx.Client(base_url=worker.address, trust_env=False) as health:
        assert health.get("/health").json()["status"] == "healthy"
        ready = health.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]) == (200, dict.fromkeys(READY, "ok"))
        metrics = health.get("/metrics").text
        assert 'penstock_run_seconds_count{status="completed"} 1.0' in metrics
        assert health.get("/api/v1/pipeline").json()["error"]["code"] == "NOT_FOUND"
        assert health.post("/health").status_code == 404
    assert worker.log()[-1]["event"] == "worker.stopped"
    assert worker.process.returncode == 0
    assert [process["kind"] for process in api.json("GET", "/processes")["items"]] == ["serve"]


def test_another_worker_goes_on_after_one_was_killed(start_killed: Installation, source: Source) -> None:
    start = start_killed
    source.open.clear()
    api, lost = start("api", 0), start.worker("lost")
    create(api, "slow", source, attempts=9)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    lost.process.send_signal(signal.SIGKILL)
    lost.ended()
    start.worker("other")
    source.open.set()
    found = ended(api, run)
    assert (found["status"], found["version"]) == ("completed", 1)
    assert found["attempt"] > 1
    assert api.json("GET", "/pipeline/slow/versions")["total"] == 1


def test_workers_alone_end_runs_and_do_what_starts_by_itself(start_killed: Installation, source: Source) -> None:
    """The process with the API is killed before anything has begun."""
    start = start_killed
    api = start("api", 0)
    create(api, "up", source)
    create(api, "down", source, trigger={"after": ["up"]})
    execute(api, "up")
    api.process.send_signal(signal.SIGKILL)
    api.ended()
    worker = start.worker("worker")
    worker.until_logged(lambda line: (line["event"], line.get("pipeline")) == ("run.published", "down"))


def test_a_run_with_a_label_waits_for_a_worker_that_has_it_and_says_so(start: Installation, source: Source) -> None:
    api = start("api", 0)
    start.worker("plain")
    create(api, "trained", source, execution={"label": "gpu"})
    create(api, "orders", source)
    document = api.json("GET", "/pipeline/trained/config")
    (warning,) = api.json("POST", "/pipeline/validate", json=document)["warnings"]
    assert (warning["code"], warning["details"]) == ("no_process", {"label": "gpu"})
    run = execute(api, "trained")
    assert (run["status"], run["label"]) == ("queued", "gpu")
    assert "no living process has the label 'gpu'; start 'penstock worker --label gpu'" in run["waiting_for"]
    assert ended(api, execute(api, "orders")["run_id"])["status"] == "completed"  # later ones go on
    assert api.json("GET", f"/runs/{run['run_id']}")["waiting_for"] == run["waiting_for"]
    start.worker("gpu", "--label", "gpu", "--only-labelled")
    found = ended(api, run["run_id"])
    assert (found["status"], found["waiting_for"], found["warnings"]) == ("completed", None, [])


def test_a_run_that_nobody_is_left_for_says_so(start_killed: Installation, source: Source) -> None:
    start = start_killed
    api, worker = start("api", 0), start.worker("worker")
    create(api, "orders", source)
    worker.process.send_signal(signal.SIGKILL)
    worker.ended()
    run = execute(api, "orders")["run_id"]  # its row has it when the lease of the worker is over
    deadline = time.monotonic() + PATIENCE
    with api.http.stream("GET", f"/runs/{run}/events", timeout=PATIENCE) as events:
        for line in events.iter_lines():  # one without an event comes each few seconds
            if "executes runs without a label" in line:
                break
            assert time.monotonic() < deadline


def test_an_api_process_cancels_a_run_of_a_worker(start: Installation, source: Source) -> None:
    source.open.clear()
    api, worker = start("api", 0), start.worker("worker")
    create(api, "slow", source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    assert api.json("POST", f"/runs/{run}/cancel", status=202)["status"] == "cancelled"
    worker.until_logged(lambda line: line["event"] == "run.superseded" and line["run_id"] == run)
    source.open.set()
    assert api.json("GET", "/pipeline/slow/versions")["total"] == 0


def is_draining(line: dict[str, Any]) -> bool:
    return bool(line["event"] == "server.draining")


@pytest.mark.parametrize("kind", ["worker", "serve"])
def test_a_process_that_is_asked_to_stop_ends_its_runs_and_begins_none(
    start: Installation, source: Source, kind: str
) -> None:
    source.open.clear()
    api = start("api", 0)
    going = (start.worker if kind == "worker" else start)("going", runs=1, PENSTOCK_DRAIN_SECONDS="600")
    for name in ("slow", "next"):
        create(api, name, source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    going.process.send_signal(signal.SIGTERM)
    going.until_logged(is_draining)
    waiting = execute(api, "next")
    shown = {process["pid"]: process for process in api.json("GET", "/processes")["items"]}[going.process.pid]
    assert shown["running"] == 1
    ready = httpx.get(f"{going.address}/health/ready", timeout=PATIENCE, trust_env=False)
    assert (ready.status_code, "stopping" in ready.json()["checks"]) == (503, True)
    source.open.set()
    found = ended(api, run)
    assert (found["status"], found["attempt"]) == ("completed", 1)
    assert going.ended() == 0
    assert api.json("GET", f"/runs/{waiting['run_id']}")["status"] == "queued"
    start.worker("other")
    assert ended(api, waiting["run_id"])["status"] == "completed"


def test_a_second_signal_hands_runs_over_at_once(start: Installation, source: Source) -> None:
    """Also where the pipeline allows one attempt: that it was handed over is no fault of the run's."""
    source.open.clear()
    api, going = start("api", 0), start.worker("going", PENSTOCK_DRAIN_SECONDS="600")
    create(api, "slow", source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    going.process.send_signal(signal.SIGTERM)
    going.until_logged(is_draining)
    going.process.send_signal(signal.SIGTERM)
    assert going.ended() == 0
    waiting = api.json("GET", f"/runs/{run}")
    assert (waiting["status"], waiting["max_attempts"]) == ("retrying", 2)
    start.worker("other")
    source.open.set()
    found = ended(api, run)
    assert (found["status"], found["attempt"], found["version"]) == ("completed", 2, 1)


def test_a_worker_without_a_catalog_that_answers_ends_and_says_so(tmp_path: Path) -> None:
    nobody = {
        "PENSTOCK_CATALOG_URL": "postgresql://penstock@127.0.0.1:1/penstock",
        "PENSTOCK_WAREHOUSE_URL": f"file://{tmp_path}/store",
    }
    process = spawned(tmp_path / "worker", command=("worker",), **nobody)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 8
    assert "PostgreSQL at 127.0.0.1:1 does not answer" in said
    assert "Traceback" not in said


def test_a_worker_goes_on_when_its_catalog_is_back(cluster: Cluster, start: Installation, source: Source) -> None:
    api, worker = start("api", 0), start.worker("worker")
    create(api, "orders", source)
    cluster.stop()
    try:
        worker.until_logged(lambda line: line["event"] == "queue.not_read")
        ready = httpx.get(f"{worker.address}/health/ready", timeout=PATIENCE, trust_env=False)
        assert ready.status_code == 503
        assert ready.json()["checks"]["catalog"] != "ok"
    finally:
        cluster.start()
    assert ended(api, execute(api, "orders")["run_id"])["status"] == "completed"

"""Workers of runs that reach the same things are kept, one after the other; all others are used once."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.processes import watch
from tests.acceptance import documents
from tests.acceptance.hostile_runs import EXTENSION
from tests.acceptance.served import PASSWORD, PATIENCE, Served, children_of, serving, upload_and_create
from tests.examples import mostly_slow

SETTINGS = {
    "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
    "PENSTOCK_MAX_CONCURRENT_RUNS": "2",
    "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
}
MARGIN = 4 << 20  # bytes
CITIES = {"type": "csv", "file_path": "cities.csv"}
OTHERS: dict[str, dict[str, Any]] = {
    "queried": {"collectors": [CITIES], "processors": [{"type": "sql", "config": {"query": "SELECT * FROM input"}}]},
    "chained": {"collectors": [{"type": "pipeline", "name": "cities"}]},
    "growing": {"collectors": [CITIES], "storage": [{"type": "parquet", "mode": "append"}]},
    "foreign": {"collectors": [{"type": "hostile", "how": "nothing"}]},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("kept") / "data"
    with serving(data, path=f"{documents.ROOT}:{EXTENSION}", **SETTINGS) as served:
        served.login()
        upload_and_create(served)
        upload_and_create(served, "towns")
        run(served, "cities")
        yield served


def run(served: Served, name: str) -> dict[str, Any]:
    ended: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    return ended


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(served: Served) -> set[int]:
    """The workers with a private folder; their standard error is in it."""
    found = set()
    for pid in children_of(served.process.pid):
        try:
            if Path(f"/proc/{pid}/fd/2").readlink().is_relative_to(served.data / "warehouse" / ".staging"):
                found.add(pid)
        except OSError:
            continue
    return found


def kept_after(served: Served, name: str) -> int:
    """The worker that waits after a run of the pipeline."""
    assert run(served, name)["status"] == "completed"
    until(lambda: len(kept(served)) == 1)
    return kept(served).pop()


def rewrite(served: Served, rows: int) -> None:
    """Other rows than before, so that a run makes a version."""
    content = "id,city\n" + "".join(f"{number},{time.time_ns()}\n" for number in range(rows))
    served.http.put("/files/cities.csv", content=content.encode()).raise_for_status()


def test_runs_of_several_pipelines_share_a_worker(served: Served) -> None:
    first = kept_after(served, "cities")
    for number in range(3):
        rewrite(served, 10 + number)
        for name in ("cities", "towns"):
            assert kept_after(served, name) == first
            rows = served.json("GET", f"/pipeline/{name}/data?limit=100")["data"]
            assert [row["id"] for row in rows] == list(range(10 + number))
            native = served.json("POST", "/query", json={"sql": f"SELECT count(*) AS n FROM {name}"})["data"]
            assert native == [{"n": 10 + number}]
            newest = served.json("GET", f"/pipeline/{name}/runs?limit=1")["items"][0]
            assert [form["state"] for form in newest["storage"]] == ["ready", "ready"]
    left = [path.name for path in (served.data / "warehouse" / ".staging").glob("worker_*/**/*") if path.is_file()]
    assert left == [".stderr"]


def test_a_worker_does_not_grow_with_small_runs(served: Served) -> None:
    first = kept_after(served, "cities")
    for number in range(12):
        rewrite(served, 1_000 + number)
        assert kept_after(served, "cities") == first


@pytest.mark.parametrize("name", list(OTHERS))
def test_other_runs_have_a_worker_of_their_own(name: str, served: Served) -> None:
    served.json("POST", "/pipeline/create", status=201, json={"name": name, **OTHERS[name]})
    before = kept_after(served, "cities")
    ended = run(served, name)
    assert ended["status"] == "completed", ended["error"]
    until(lambda: not kept(served))
    assert kept_after(served, "cities") != before, "it made room"


def test_the_worker_of_a_run_that_failed_is_ended(served: Served) -> None:
    served.json(
        "POST", "/pipeline/create", status=201,
        json={"name": "broken", "collectors": [{**CITIES, "schema": {"city": "Int64"}, "on_error": "fail"}]},
    )  # fmt: skip
    served.http.put("/files/cities.csv", content=b"id,city\n1,Bern\n").raise_for_status()
    kept_after(served, "cities")
    ended = run(served, "broken")
    assert ended["status"] == "failed"
    until(lambda: not kept(served))


@pytest.mark.parametrize("number", mostly_slow([signal.SIGKILL, signal.SIGSTOP], [signal.SIGKILL]))
def test_a_worker_that_is_lost_while_it_waits_costs_no_run(number: signal.Signals, served: Served) -> None:
    lost = kept_after(served, "cities")
    os.kill(lost, number)
    ended = run(served, "cities")
    assert (ended["status"], len(ended["attempts"])) == ("completed", 1)
    until(lambda: lost not in kept(served))


def test_a_kept_worker_that_lacks_memory_costs_no_run(served: Served) -> None:
    worked = kept_after(served, "cities")
    rewrite(served, 100_000)
    held, _ = watch.held(worked)
    resource.prlimit(
        worked, resource.RLIMIT_DATA, (held + MARGIN, held + MARGIN)
    )  # as if earlier runs had left no more
    ended = run(served, "cities")
    assert (ended["status"], ended["rows_stored"], len(ended["attempts"])) == ("completed", 100_000, 1)
    assert worked not in kept(served)
    served.until_logged(lambda line: line["event"] == "worker.replaced" and line["run_id"] == ended["run_id"])


@pytest.mark.slow
def test_requirement_17_the_folder_of_a_worker_that_was_killed_with_the_service_is_removed(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **SETTINGS) as served:
        served.login()
        upload_and_create(served)
        pid = kept_after(served, "cities")
        served.process.kill()
        served.process.wait()
        until(lambda: not Path(f"/proc/{pid}").exists())
        assert list((served.data / "warehouse" / ".staging").glob("worker_*"))
    with serving(tmp_path / "data", **SETTINGS) as served:
        assert not list((served.data / "warehouse" / ".staging").iterdir())
        served.login()
        assert kept_after(served, "cities"), "the same program wrote the newest version"
        assert served.json("GET", "/pipeline/cities/runs?limit=1")["items"][0]["unchanged"]


def test_a_worker_that_loads_a_large_native_table_ends_without_an_error(served: Served) -> None:
    rewrite(served, 500_001)
    ended = run(served, "towns")
    assert ended["status"] == "completed"
    about = {"loaded": "native.loaded", "failed": "native.failed"}
    served.until_logged(lambda line: line["event"] == about["loaded"] and line.get("run_id") == ended["run_id"])
    rewrite(served, 2)
    run(served, "towns")  # what is logged about the load is logged by now
    kept_after(served, "towns")
    assert not [line for line in map(json.loads, served.err.said) if line["event"] == about["failed"]]


def test_a_large_native_table_is_loaded_beside_runs_that_do_not_wait_for_it(served: Served) -> None:
    rewrite(served, 500_001)
    large = run(served, "towns")["run_id"]
    rows = itertools.count(10)

    def is_loaded() -> bool:
        rewrite(served, next(rows))
        assert run(served, "cities")["status"] == "completed"  # one after another, so that there always is a run
        return all(form["state"] == "ready" for form in served.json("GET", f"/runs/{large}")["storage"])

    until(is_loaded)


def test_requirement_16_no_worker_outlives_the_service(served: Served) -> None:
    """The last one: it stops the service."""
    pid = kept_after(served, "cities")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(PATIENCE) == 0
    until(lambda: not Path(f"/proc/{pid}").exists())
    assert not list((served.data / "warehouse" / ".staging").iterdir())

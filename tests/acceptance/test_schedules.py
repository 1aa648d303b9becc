"""A real service whose clock runs sixty times as fast: schedules, kills at the moment of a fire, triggers, commands."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance import documents, service
from tests.acceptance.hurried import POINTS
from tests.acceptance.served import CSV, PASSWORD, Served, serving

EVERY_MINUTE = {"cron": "* * * * *"}
PARQUET = [{"type": "parquet"}]


class House:
    """One data directory under one service after another; their clock runs on while none is up."""

    def __init__(self, data: Path) -> None:
        self.data, self.order = data, data.parent / "die"
        self._around = ExitStack()
        self.served = self.start()

    def start(self) -> Served:
        environment = {
            "PENSTOCK_ADMIN_PASSWORD": PASSWORD, "DIE": str(self.order), "HURRIED_FACTOR": "60",
            "HURRIED_CLOCK": str(self.data.parent / "clock"), "PENSTOCK_MAX_CONCURRENT_RUNS": "2",
            "PENSTOCK_ACCESS_TOKEN_HOURS": "24", "PENSTOCK_RATE_LIMIT_PER_MINUTE": "100000",
        }  # fmt: skip
        self.served = self._around.enter_context(serving(self.data, module="tests.acceptance.hurried", **environment))
        self.served.login()
        return self.served

    def stop(self) -> None:
        self._around.close()
        self.order.unlink(missing_ok=True)

    def create(self, name: str, **more: Any) -> None:
        document = {
            "name": name,
            "collectors": [{"type": "csv", "file_path": "cities.csv"}],
            "storage": PARQUET,
            **more,
        }
        self.served.json("POST", "/pipeline/create", status=201, json=document)

    def fired(self, name: str, count: int) -> list[dict[str, Any]]:
        """What was logged of the first ``count`` fires of a pipeline by this service."""
        left = count

        def enough(line: dict[str, Any]) -> bool:
            nonlocal left
            left -= line.get("event") == "schedule.fired" and line.get("pipeline") == name
            return left <= 0

        lines = self.served.until_logged(enough)
        return [line for line in lines if line.get("event") == "schedule.fired" and line.get("pipeline") == name]

    def runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a pipeline, oldest first."""
        found: list[dict[str, Any]] = self.served.json("GET", f"/pipeline/{name}/runs?limit=1000")["items"]
        return found[::-1]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "data")
    try:
        assert house.served.http.put("/files/cities.csv", content=CSV.encode()).status_code == 201
        yield house
    finally:
        house.stop()


@pytest.mark.slow
def test_a_schedule_runs_by_itself_and_misses_nothing_over_kills(house: House) -> None:
    house.create("cities", schedule=EVERY_MINUTE)
    house.fired("cities", 3)
    for point in POINTS:
        house.order.write_text(f"{point} of cities")
        assert house.served.ended() == -signal.SIGKILL
        house.stop()
        house.start()
        house.fired("cities", 2)
    house.served.json("POST", "/pipeline/cities/schedule/pause")
    runs = house.runs("cities")
    assert {run["requested_by"] for run in runs} == {"schedule"}
    assert {run["status"] for run in runs[:2]} == {"completed"}
    assert all(run["status"] in ("completed", "interrupted") for run in runs[:-1])
    house.stop()
    fires = fires_of(house.data)
    assert [fire["run_id"] for fire in fires] == [run["run_id"] for run in runs], "each fire has one run, each run one"
    moments = [fire["due"] for fire in fires]
    assert sorted(set(moments)) == moments
    for before, after in itertools.pairwise(fires):  # a time has a fire, alone or with others
        assert after["since"] - before["due"] == timedelta(minutes=1)


def fires_of(data: Path) -> list[dict[str, Any]]:
    """The fires in the catalog of a service that has ended."""
    import duckdb

    with duckdb.connect(str(data / "catalog.duckdb"), read_only=True) as catalog:
        cursor = catalog.execute("SELECT due, since, run_id FROM schedule_fires ORDER BY due")
        return [dict(zip(("due", "since", "run_id"), row, strict=True)) for row in cursor.fetchall()]


def test_triggers_start_pipelines_and_unfinished_ones_fire_after_a_kill(house: House) -> None:
    house.create("customers")
    house.create("products")
    house.create("orders", trigger={"after": ["customers", "products"]})
    house.create("report", trigger={"after": ["orders"]})
    served = house.served
    served.json("POST", "/pipeline/customers/execute?wait=30")
    state = served.json("GET", "/pipeline/orders/status")
    assert (state["status"], state["trigger_state"]) == ("idle", {"committed": ["customers"], "awaited": ["products"]})
    served.json("POST", "/pipeline/products/execute?wait=30")
    served.until_logged(lambda line: line.get("event") == "run.published" and line.get("pipeline") == "report")
    assert [run["requested_by"] for run in house.runs("orders") + house.runs("report")] == ["trigger", "trigger"]
    served.http.put("/files/cities.csv", content=(CSV + "9,Oslo\n").encode())  # equal rows would fire nothing
    served.json("POST", "/pipeline/customers/execute?wait=30")
    house.order.write_text(f"{POINTS[0]} of orders")
    with contextlib.suppress(httpx.HTTPError):  # it may be quicker than its answer
        served.json("POST", "/pipeline/products/execute?wait=30")
    assert served.ended() == -signal.SIGKILL
    house.stop()
    house.start()
    house.served.until_logged(lambda line: line.get("event") == "run.published" and line.get("pipeline") == "report")
    assert [run["status"] for run in house.runs("orders")] == ["completed", "completed"]


def penstock(*words: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=60,
        env=service.clean_environment(PYTHONPATH=str(documents.ROOT), **environment),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done.stdout


@pytest.mark.slow
def test_the_command_line_pauses_and_resumes(house: House) -> None:
    house.create("cities", schedule={"cron": "0 6 * * *", "timezone": "Europe/Berlin"})
    token = house.served.http.headers["authorization"].removeprefix("Bearer ")
    there = ("--url", house.served.address)
    (listed,) = penstock("schedule", "list", "--json", *there, PENSTOCK_TOKEN=token)
    assert (listed["name"], listed["cron"], listed["paused"]) == ("cities", "0 6 * * *", False)
    assert penstock("schedule", "pause", "cities", *there, PENSTOCK_TOKEN=token) == (
        "paused the schedule of 'cities' (0 6 * * *)\n"
    )
    assert house.served.json("GET", "/pipeline/cities/status")["next_run"] is None
    house.stop()
    here = ("--data-dir", str(house.data))
    (listed,) = penstock("schedule", "list", "--json", *here)
    assert (listed["paused"], listed["next_fire"]) == (True, None)
    resumed = penstock("schedule", "resume", "cities", "--json", *here)
    assert (resumed["paused"], resumed["next_fire"] is None) == (False, False)
    assert "cities" in penstock("schedule", "list", *here)

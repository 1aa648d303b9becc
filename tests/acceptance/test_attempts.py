"""Attempts of runs over restarts of a real service, and idempotency keys after it was killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.gated_source import Source, a_source
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving

SETTINGS = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}


def create(served: Served, source: Source, **execution: Any) -> None:
    collector = {"type": "api", "endpoint": source.address, "retry": {"max_attempts": 1}}
    document = {"name": "slow", "collectors": [collector], "storage": [{"type": "parquet"}], "execution": execution}
    served.json("POST", "/pipeline/create", status=201, json=document)


def end_of(served: Served, run_id: str) -> Any:
    with served.http.stream("GET", f"/runs/{run_id}/events") as events:
        for line in events.iter_lines():
            if line == "event: end":
                break
    return served.json("GET", f"/runs/{run_id}")


def test_transient_errors_are_tried_again(tmp_path: Path) -> None:
    with a_source() as source, serving(tmp_path / "data", **SETTINGS) as served:
        served.login()
        create(served, source, max_attempts=3, retry_delay_seconds=0)
        source.status = 503
        run = end_of(served, served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"])
        assert (run["status"], run["attempt"]) == ("failed", 3)
        assert [a["number"] for a in run["attempts"]] == [1, 2, 3]
        assert all(a["error"]["message"] and a["end_time"] >= a["start_time"] for a in run["attempts"])
        source.status = 404
        run = end_of(served, served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"])
        assert (run["status"], len(run["attempts"])) == ("failed", 1)


@pytest.mark.slow
def test_requirement_19_runs_survive_the_death_of_the_service(tmp_path: Path) -> None:
    """SIGKILL during an attempt, then SIGTERM while the run waits, then cancelled while it waits."""
    data = tmp_path / "data"
    with a_source() as source:
        source.open.clear()
        with serving(data, **SETTINGS) as served:
            served.login()
            create(served, source, max_attempts=3, retry_delay_seconds=3600)
            key = {"Idempotency-Key": "once"}
            with (
                contextlib.suppress(httpx.HTTPError),
                httpx.Client(
                    base_url=served.http.base_url,
                    headers={**served.http.headers, **key},
                    timeout=PATIENCE,
                    trust_env=False,
                ) as impatient,
            ):
                waiting = threading.Thread(target=_ask, args=(impatient,), daemon=True)
                waiting.start()
                source.wait_for_a_request()
                os.kill(served.process.pid, signal.SIGKILL)
                served.ended()
                waiting.join(PATIENCE)
        with serving(data, **SETTINGS) as served:
            served.login()
            source.wait_for_a_request()  # the second attempt began by itself
            again = served.http.post("/pipeline/slow/execute?wait=0", headers=key)
            assert again.status_code == 202
            run_id = again.json()["run_id"]
            (known,) = served.json("GET", "/pipeline/slow/runs")["items"]
            assert (known["run_id"], known["status"], known["attempt"]) == (run_id, "running", 2)
            assert known["attempts"][0]["error"]["code"] == "RUN_INTERRUPTED"
            source.status = 503
            source.open.set()
            served.until_logged(lambda line: line["event"] == "run.retrying")
            assert served.json("GET", f"/runs/{run_id}")["status"] == "retrying"
            os.kill(served.process.pid, signal.SIGTERM)
            assert served.ended() == 0
        with serving(data, **SETTINGS) as served:
            served.login()
            assert served.json("GET", f"/runs/{run_id}")["status"] == "retrying"
            run = served.json("POST", f"/runs/{run_id}/cancel", status=202)
            assert (run["status"], len(run["attempts"]), run["version"]) == ("cancelled", 2, None)
            assert not list((data / "warehouse" / ".staging").iterdir())


def _ask(client: httpx.Client) -> None:
    with contextlib.suppress(httpx.HTTPError):
        client.post("/pipeline/slow/execute?wait=0")


@pytest.mark.slow
def test_a_service_that_was_stopped_past_its_lease_still_owns_its_run(tmp_path: Path) -> None:
    """Nobody else can have taken it: its attempt goes on and commits."""
    with a_source() as source, serving(tmp_path / "data", **SETTINGS, PENSTOCK_LEASE_SECONDS="0.5") as served:
        served.login()
        create(served, source)
        source.open.clear()
        run_id = served.json("POST", "/pipeline/slow/execute?wait=0", status=202)["run_id"]
        source.wait_for_a_request()
        served.process.send_signal(signal.SIGSTOP)
        time.sleep(1)  # twice the lease, while nothing of the service happens
        served.process.send_signal(signal.SIGCONT)
        source.open.set()
        run = end_of(served, run_id)
        assert (run["status"], run["attempt"], run["version"]) == ("completed", 1, 1)
        assert served.json("GET", "/pipeline/slow/versions")["items"][0]["run_id"] == run_id

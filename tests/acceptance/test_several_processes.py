"""Several processes serve one installation: runs queued by one are executed by any, once, whoever is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.gated_source import Source
from tests.acceptance.installation import Installation, create, ended, execute
from tests.acceptance.served import PASSWORD, PATIENCE, spawned

pytestmark = pytest.mark.services


def test_a_run_is_queued_by_one_process_and_executed_by_another(start: Installation, source: Source) -> None:
    api, worker = start("api", 0), start("worker", 1)
    names = ["one", "two", "three"]
    for name in names:
        create(api, name, source)
    runs = [execute(api, name)["run_id"] for name in names]
    assert [ended(api, run_id)["status"] for run_id in runs] == ["completed"] * 3
    for served in (api, worker):  # the token of one is accepted by the other, and both answer from the store
        answer = served.json("POST", "/query", json={"sql": "SELECT (SELECT count(*) FROM one) AS n"})
        assert answer["data"] == [{"n": 1}]
    worker.http.headers["authorization"] = api.http.headers["authorization"]
    assert worker.json("GET", f"/runs/{runs[0]}")["status"] == "completed"


def test_one_pipeline_has_one_active_run_whichever_process_is_asked(start: Installation, source: Source) -> None:
    source.open.clear()
    api, worker = start("api", 0), start("worker", 1)
    create(api, "slow", source)
    run = execute(api, "slow")
    source.wait_for_a_request()
    for served in (api, worker):
        answer = served.json("POST", "/pipeline/slow/execute?wait=0", status=409)
        assert answer["error"]["code"] == "PIPELINE_RUNNING"
        assert served.json("DELETE", "/pipeline/slow", status=409)["error"]["code"] == "PIPELINE_RUNNING"
    source.open.set()
    assert ended(worker, run["run_id"])["status"] == "completed"


def test_accounts_and_log_ins_are_the_same_at_every_process(start: Installation) -> None:
    first, second = start("first", 0), start("second", 0)
    account = {"username": "vera", "password": PASSWORD, "role": "viewer"}
    first.json("POST", "/users", status=201, json=account)
    del account["role"]
    tokens = second.json("POST", "/auth/token", json=account)  # at once, where the account was not made
    vera = {"authorization": f"Bearer {tokens['access_token']}"}
    assert first.json("GET", "/auth/me", headers=vera)["username"] == "vera"
    first.json("POST", "/auth/logout", headers=vera, status=200)
    second.json("GET", "/auth/me", headers=vera, status=401)
    again = first.json("POST", "/auth/token", json=account)
    vera = {"authorization": f"Bearer {again['access_token']}"}
    second.json("PATCH", "/users/vera", json={"disabled": True})
    first.json("GET", "/auth/me", headers=vera, status=401)


def test_any_process_cancels_a_run_and_its_owner_stops_it(start: Installation, source: Source) -> None:
    source.open.clear()
    api, worker = start("api", 0), start("worker", 1)
    create(api, "slow", source)
    create(api, "next", source)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    with api.http.stream("GET", f"/runs/{run}/events", timeout=PATIENCE) as events:  # how far it is shows elsewhere
        assert any('"step":"collectors[0]"' in line for line in events.iter_lines())
    waiting = execute(api, "next")["run_id"]
    assert api.json("GET", f"/runs/{waiting}")["status"] == "queued"
    assert api.json("POST", f"/runs/{run}/cancel", status=202)["status"] == "cancelled"
    worker.until_logged(lambda line: line["event"] == "run.superseded" and line["run_id"] == run)
    source.open.set()
    assert ended(api, waiting)["status"] == "completed"  # the slot is free again
    assert worker.json("GET", f"/runs/{run}")["status"] == "cancelled"
    assert worker.json("GET", "/pipeline/slow/versions")["total"] == 0


def test_the_run_of_a_killed_process_is_taken_over_when_its_lease_is_over(start: Installation, source: Source) -> None:
    source.open.clear()
    api, lost = start("api", 0), start("lost", 1)
    create(api, "slow", source, attempts=2)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    lost.process.send_signal(signal.SIGKILL)
    lost.ended()
    start("other", 1)
    source.open.set()
    found = ended(api, run)
    assert (found["status"], found["attempt"], found["version"]) == ("completed", 2, 1)
    assert api.json("GET", "/pipeline/slow/versions")["total"] == 1


def test_a_process_that_is_drained_leaves_its_run_to_another_one(start: Installation, source: Source) -> None:
    source.open.clear()
    api, drained = start("api", 0), start("drained", 1)
    create(api, "slow", source, attempts=2)
    run = execute(api, "slow")["run_id"]
    source.wait_for_a_request()
    start("other", 1)
    assert drained.log()[-1]["event"] == "server.stopped"
    source.open.set()
    found = ended(api, run)
    assert (found["status"], found["attempt"], found["version"]) == ("completed", 2, 1)


def test_a_data_directory_belongs_to_one_process(start: Installation, tmp_path: Path) -> None:
    start("api", 0)
    second = spawned(tmp_path / "api", **start.environment)
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode != 0
    assert "each process needs a data directory of its own" in said


def test_triggers_fire_once_after_runs_of_another_process_whoever_leads(start: Installation, source: Source) -> None:
    """The first process leads; when it is killed another one does so."""
    first = start("first", 0)
    first.until_logged(lambda line: line["event"] == "leadership.taken")
    worker = start("worker", 1)
    create(worker, "up", source)
    create(worker, "down", source, trigger={"after": ["up"]})
    for fired in range(1, 3):
        source.body = b'[{"id": %d}]' % fired  # a run that changes nothing fires nothing
        assert ended(worker, execute(worker, "up")["run_id"])["status"] == "completed"
        worker.until_logged(down_has(fired))
        if fired == 1:
            first.process.send_signal(signal.SIGKILL)
            first.ended()
    assert worker.json("GET", "/pipeline/down/runs")["total"] == 2


def down_has(version: int) -> Callable[[dict[str, Any]], bool]:
    """Whether a line is about that version of the pipeline ``down``."""
    return lambda line: line["event"] == "run.published" and (line["pipeline"], line["version"]) == ("down", version)


@pytest.mark.slow
def test_whoever_is_killed_or_frozen_every_run_ends_and_every_version_is_there_once(
    start: Installation, source: Source
) -> None:
    api = start("api", 0)
    workers = [start(f"worker{number}", 1) for number in range(3)]
    names = [f"p{number}" for number in range(6)]
    for name in names:
        create(api, name, source, attempts=5)
    statuses: dict[str, list[str]] = {name: [] for name in names}
    for turn in range(3):
        source.body = b'[{"id": %d}]' % turn
        source.open.clear()
        runs = {name: execute(api, name)["run_id"] for name in names}
        source.wait_for_a_request()
        if turn == 0:
            workers[0].process.send_signal(signal.SIGKILL)
        if turn == 1:
            workers[1].process.send_signal(signal.SIGSTOP)
        source.open.set()
        for name, run in runs.items():
            statuses[name].append(ended(api, run)["status"])
        workers[1].process.send_signal(signal.SIGCONT)
    assert statuses == {name: ["completed"] * 3 for name in names}
    for name in names:
        found = api.json("GET", f"/pipeline/{name}/versions")
        assert sorted(version["version"] for version in found["items"]) == [1, 2, 3]
        answer = api.json("POST", "/query", json={"sql": f"SELECT id FROM {name}"})
        assert answer["data"] == [{"id": 2}]

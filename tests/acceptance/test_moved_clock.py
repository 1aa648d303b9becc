"""A system clock that is put back: order follows the sequence of events, and nothing waits for the old time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.moved_clock import move
from tests.acceptance.served import CSV, PASSWORD, serving, upload_and_create

HOUR = 3600


def test_a_clock_that_is_put_back(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    move(clock, 0)
    settings = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "MOVED_CLOCK": str(clock)}
    with serving(tmp_path / "data", module="tests.acceptance.moved_clock", **settings) as served:
        served.login()
        half_an_hour = datetime.now(UTC) + timedelta(minutes=30)  # nothing is due while the test runs
        upload_and_create(served, schedule={"cron": f"{half_an_hour.minute} * * * *"})
        key = {"Idempotency-Key": "k"}
        first = served.json("POST", "/pipeline/cities/execute?wait=30", headers=key)
        move(clock, -HOUR)
        served.login()
        assert served.json("GET", "/auth/me")["username"] == "admin"
        replayed = served.http.post("/pipeline/cities/execute?wait=30", headers=key)
        assert (replayed.headers["idempotency-replayed"], replayed.json()) == ("true", first)
        served.http.put("/files/cities.csv", content=f"{CSV}4,Oslo\n".encode())
        second = served.json("POST", "/pipeline/cities/execute?wait=30")
        assert second["start_time"] < first["start_time"]
        assert 0 <= second["duration"] < HOUR
        assert served.json("GET", "/pipeline/cities/status")["run_id"] == second["run_id"]
        runs = [run["run_id"] for run in served.json("GET", "/pipeline/cities/runs")["items"]]
        assert runs == [second["run_id"], first["run_id"]]
        assert [v["version"] for v in served.json("GET", "/pipeline/cities/versions")["items"]] == [2, 1]
        assert served.json("GET", "/pipeline/cities/data")["total_rows"] == 4
        stats = served.json("GET", "/pipeline/cities/stats")
        assert stats["last_execution"]["run_id"] == second["run_id"]
        served.json("POST", "/pipeline/cities/schedule/pause")
        due = served.json("POST", "/pipeline/cities/schedule/resume")["next_fire"]
        now = datetime.fromisoformat(second["end_time"])
        assert timedelta() < datetime.fromisoformat(due) - now <= timedelta(hours=1)
        assert served.json(
            "POST", "/users", status=201, json={"username": "ann", "password": PASSWORD, "role": "viewer"}
        )
        pair = served.json("POST", "/auth/token", json={"username": "ann", "password": PASSWORD})
        held = {"authorization": f"Bearer {pair['access_token']}"}
        assert served.json("GET", "/auth/me", headers=held)["username"] == "ann"
        assert served.json("POST", "/auth/refresh", json={"refresh_token": pair["refresh_token"]})["access_token"]

"""A run that breaks ``publish_if`` is held: nobody sees its version who does not name it, until a person decides."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.hooks import receiving
from tests.acceptance.served import PASSWORD, PATIENCE, Served, serving
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

SETTINGS = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}
BOUNDS = {"max_row_drop_share": 0.2, "max_row_growth_share": 5.0, "no_schema_break": True, "max_drift": {"id": 2.0}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("held") / "data", **SETTINGS) as served:
        served.login()
        yield served


class Shop:
    """One pipeline over one file, and what reads it."""

    def __init__(self, served: Served, name: str, **more: Any) -> None:
        self.served, self.name = served, name
        self.put(10)
        document = {
            "name": name, "collectors": [{"type": "csv", "file_path": f"{name}.csv"}],
            "processors": [{"type": "analyzer", "config": {}}], "publish_if": BOUNDS, **more,
        }  # fmt: skip
        served.json("POST", "/pipeline/create", status=201, json=document)

    def put(self, rows: int, city: str = "city", first: int = 0) -> None:
        text = f"id,{city}\n" + "".join(f"{n},Bern\n" for n in range(first, first + rows))
        assert self.served.http.put(f"/files/{self.name}.csv", content=text.encode()).status_code in (200, 201)

    def run(self, rows: int, city: str = "city", first: int = 0) -> dict[str, Any]:
        self.put(rows, city, first)
        run: dict[str, Any] = self.served.json("POST", f"/pipeline/{self.name}/execute?wait=60")
        return run

    def held(self, rows: int, city: str = "city", first: int = 0) -> int:
        """The number of a version that is held."""
        run = self.run(rows, city, first)
        assert run["status"] == "held", run
        return int(run["version"])

    def published(self, rows: int, city: str = "city", first: int = 0) -> int:
        run = self.run(rows, city, first)
        assert run["status"] == "completed", run
        return int(run["version"])

    def get(self, path: str, status: int = 200) -> Any:
        return self.served.json("GET", f"/pipeline/{self.name}/{path}", status=status)

    def decide(self, version: int, how: str, status: int = 200, key: str | None = None) -> Any:
        headers = {"Idempotency-Key": key} if key is not None else {}
        path = f"/pipeline/{self.name}/versions/{version}/{how}"
        return self.served.json("POST", path, status=status, headers=headers)

    def reject(self, version: int) -> int:
        return self.served.http.post(f"/pipeline/{self.name}/versions/{version}/reject").status_code

    def count(self, table: str) -> int:
        answer = self.served.json("POST", "/query", json={"sql": f'SELECT count(*) AS n FROM "{table}"'})
        return int(answer["data"][0]["n"])

    @property
    def current(self) -> str:
        return (self.served.data / "warehouse" / self.name / "current").readlink().name

    def states(self) -> list[tuple[int, str]]:
        return [(v["version"], v["state"]) for v in self.get("versions")["items"]]


def until(there: Any) -> Any:
    """The first true answer of ``there``; each call is a request, so that nothing spins."""
    deadline = time.monotonic() + PATIENCE
    while not (found := there()):
        assert time.monotonic() < deadline
    return found


def test_only_who_names_a_held_version_sees_it(served: Served) -> None:
    shop = Shop(served, "shops")
    assert shop.published(10) == 1
    run = shop.run(4, "town")
    assert (run["status"], run["version"], run["progress"], run["error"]) == ("held", 2, 100.0, None)
    assert [(b["measure"], b["column"], b["bound"]) for b in run["held_because"]] == [
        ("row_drop_share", None, 0.2), ("schema_break", None, 0.0),
    ]  # fmt: skip
    assert run["held_because"][0]["value"] == pytest.approx(0.6)
    assert "'city' was removed" in run["held_because"][1]["message"]
    assert [stored["type"] for stored in run["storage"]] == ["parquet"]
    assert shop.get("status")["status"] == "held"
    stats = shop.get("stats")
    assert (stats["held_executions"], stats["success_rate"], stats["failed_executions"]) == (1, 1.0, 0)
    assert shop.states() == [(2, "held"), (1, "published")]
    listed = shop.get("versions")["items"][0]
    assert listed["held_because"] == run["held_because"] == shop.get("versions/2")["held_because"]
    assert [c["change"] for c in listed["schema_changes"]] == ["added", "removed"]

    assert (shop.count("shops"), shop.count("shops@1"), shop.count("shops@2"), shop.current) == (10, 10, 4, "v000001")
    assert (shop.get("data")["version"], shop.get("data?version=2")["row_count"]) == (1, 4)
    for part in ("schema", "profile"):
        assert (shop.get(part)["version"], shop.get(f"{part}?version=2")["version"]) == (1, 2)
    assert served.json("GET", "/tables/shops")["version"] == 1
    assert next(p for p in served.json("GET", "/pipeline")["items"] if p["name"] == "shops")["version"] == 1
    diff = shop.get("versions/2/diff?key=id")
    assert (diff["against"], diff["rows"]["removed"], diff["rows"]["before"]) == (1, 6, 10)
    assert shop.decide(2, "restore", 409)["error"]["code"] == "CONFLICT"
    shop.decide(2, "pin")
    assert shop.reject(2) == 409
    shop.decide(2, "unpin")
    again = shop.run(10)
    assert (again["status"], again["version"], again["unchanged"]) == ("completed", 1, True)


def test_an_accepted_version_is_the_newest(served: Served) -> None:
    shop = Shop(served, "accepted")
    follower = {
        "name": "follower", "collectors": [{"type": "pipeline", "name": "accepted"}],
        "storage": [{"type": "parquet"}], "trigger": {"after": ["accepted"]},
    }  # fmt: skip
    shop.published(10)
    served.json("POST", "/pipeline/create", status=201, json=follower)
    version = shop.held(4)
    shop.published(10)  # equal rows: the run leaves the newest version as it is, which fires nothing
    assert served.json("GET", "/pipeline/follower/status")["trigger_state"]["awaited"] == ["accepted"]
    before = served.http.get("/pipeline/accepted/versions/2").headers["etag"]
    assert shop.decide(1, "accept", 409)["error"]["code"] == "CONFLICT"

    answer = shop.decide(version, "accept", key="once")
    assert (answer["version"], answer["state"], len(answer["held_because"])) == (2, "published", 1)
    assert shop.decide(version, "accept", key="once") == answer
    assert shop.decide(version, "accept", 409)["error"]["code"] == "CONFLICT"
    assert (shop.count("accepted"), shop.current, shop.get("data")["version"]) == (4, "v000002", 2)
    assert served.http.get("/pipeline/accepted/versions/2").headers["etag"] != before
    manifest = json.loads((served.data / "warehouse" / "accepted" / "v000002" / "manifest.json").read_text())
    assert (manifest["held"], len(manifest["held_because"])) == (False, 1)
    run = until(lambda: served.json("GET", "/pipeline/follower/runs?status=completed")["items"])[0]
    assert (run["requested_by"], run["rows_stored"]) == ("trigger", 4)
    made = served.json("GET", f"/runs/{answer['run_id']}")
    assert made["status"] == "held"
    until(lambda: served.json("GET", f"/runs/{answer['run_id']}")["storage"][-1]["state"] == "ready")
    assert (served.data / "warehouse" / "accepted" / "v000002" / "accepted.duckdb").exists()
    assert shop.published(5) == 3
    assert shop.get("versions/3")["state"] == "published"


def test_what_was_published_since_is_not_taken_back(served: Served) -> None:
    shop = Shop(served, "superseded", storage=[{"type": "parquet"}])
    shop.published(10)
    assert (shop.held(4), shop.held(3), shop.published(11), shop.held(2)) == (2, 3, 4, 5)
    refused = shop.decide(2, "accept", 409)["error"]
    assert (refused["code"], refused["details"]["newest"]) == ("VERSION_SUPERSEDED", 4)
    assert "version 4 was published since" in refused["message"]
    assert [shop.reject(number) for number in (2, 2, 4, 9)] == [204, 404, 409, 404]
    assert shop.states() == [(5, "held"), (4, "published"), (3, "held"), (1, "published")]
    assert not (served.data / "warehouse" / "superseded" / "v000002").exists()
    shop.served.json("POST", "/query", status=400, json={"sql": 'SELECT * FROM "superseded@2"'})
    assert served.http.delete("/pipeline/superseded/versions/5").status_code == 204
    assert (shop.published(12), shop.current) == (6, "v000006")  # a number is not used again
    assert shop.get("versions/4/diff?against=3&key=id")["rows"]["added"] == 8


def test_appended_rows_start_from_the_newest_published_version(served: Served) -> None:
    storage = [{"type": "parquet", "mode": "append"}, {"type": "duckdb"}]
    shop = Shop(served, "added", storage=storage, publish_if={"max_row_growth_share": 0.5})
    assert shop.published(10) == 1
    assert (shop.held(20, first=100), shop.held(10, first=200), shop.published(5, first=300)) == (2, 3, 4)
    assert (shop.count("added"), shop.count("added@2"), shop.count("added@3")) == (15, 30, 20)
    assert shop.decide(3, "accept", 409)["error"]["code"] == "VERSION_SUPERSEDED"
    assert (shop.held(15, first=400), shop.held(16, first=500)) == (5, 6)
    assert shop.decide(5, "accept")["rows"] == 30
    refused = shop.decide(6, "accept", 409)["error"]  # it lacks the rows of version 5
    assert (refused["code"], refused["details"]["newest"]) == ("VERSION_SUPERSEDED", 5)
    assert shop.published(1, first=600) == 7
    assert shop.count("added") == 31


def test_collectors_forget_what_a_held_run_saw_until_it_is_accepted(served: Served) -> None:
    orders = [{"id": n, "at": f"2024-05-01T00:{n:02}:00Z"} for n in range(4)]

    def answer(hit: Hit) -> Reply:
        since = hit.query.get("since", "")
        return Reply.json([o for o in orders if str(o["at"]) >= since] if hit.query.get("page", "1") == "1" else [])

    def run() -> dict[str, Any]:
        ended: dict[str, Any] = served.json("POST", "/pipeline/remembers/execute?wait=60")
        return ended

    with site.serving(answer) as there:
        incremental = {"cursor_field": "at", "param": "since", "primary_key": "id"}
        document = {
            "name": "remembers", "storage": [{"type": "parquet"}], "publish_if": {"max_row_growth_share": 0.5},
            "collectors": [
                {"type": "api", "endpoint": there.address, "pagination": "page", "incremental": incremental}
            ],
        }  # fmt: skip
        served.json("POST", "/pipeline/create", status=201, json=document)
        assert run()["status"] == "completed"
        orders += [{"id": n, "at": f"2024-05-01T00:{n:02}:00Z"} for n in range(4, 12)]
        held = run()
        assert (held["status"], held["version"], held["rows_stored"]) == ("held", 2, 12)
        there.hits.clear()
        held = run()
        assert (held["status"], held["version"], held["rows_stored"]) == ("held", 3, 12)
        assert there.hits[0].query["since"] == "2024-05-01T00:03:00Z"
        assert served.json("POST", "/pipeline/remembers/versions/3/accept")["version"] == 3
        there.hits.clear()
        assert run()["unchanged"] is True
        assert there.hits[0].query["since"] == "2024-05-01T00:11:00Z"


def test_a_held_replay_continues_the_version_that_it_was_made_from(served: Served) -> None:
    rules = [{"column": "id", "check": "in_range", "max": 99}]
    checked = [{"type": "validator", "config": {"rules": rules, "on_fail": "quarantine"}}]
    bounds, storage = {"max_row_growth_share": 0.5}, [{"type": "parquet"}]
    shop = Shop(served, "again", processors=checked, publish_if=bounds, storage=storage)
    assert shop.run(100, first=50)["rows_rejected"] == 50
    rules[0]["max"] = 1_000
    served.json("PUT", "/pipeline/again/config", json={**shop.get("config"), "processors": checked})
    replay = "/pipeline/again/quarantine/replay?wait=60"
    assert (run := served.json("POST", replay))["status"] == "held", run
    assert (run["version"], run["rows_stored"], run["replay_of"]) == (2, 100, 1)
    assert served.json("POST", replay)["version"] == 3  # what is held was not replayed yet
    assert shop.decide(3, "accept")["replay_of"] == 1
    assert shop.decide(2, "accept", 409)["error"]["code"] == "VERSION_SUPERSEDED"
    refused = served.json("POST", f"{replay}&version=1", status=400)
    assert "were replayed into version 3" in refused["error"]["message"]
    assert (shop.count("again"), shop.count("again__quarantine")) == (100, 0)


def test_a_held_run_is_an_event_of_its_own(served: Served) -> None:
    with receiving() as receiver:
        notify = [{"url": receiver.address, "events": ["held"]}, {"url": receiver.address, "events": ["completed"]}]
        shop = Shop(served, "noted", notify=notify, storage=[{"type": "parquet"}])
        shop.published(10)
        shop.held(1)
        receiver.until(2)
        (event,) = [event for event in receiver.events() if event["event"] == "held"]
    assert event["run"]["held_because"][0]["measure"] == "row_drop_share"
    assert (event["run"]["status"], event["run"]["version"]) == ("held", 2)


def test_drift_is_a_reason(served: Served) -> None:
    shop = Shop(served, "drifting", storage=[{"type": "parquet"}])
    shop.published(100)
    run = shop.run(100, first=1_000)
    assert run["status"] == "held", run
    (breach,) = run["held_because"]
    assert (breach["measure"], breach["column"], breach["bound"]) == ("drift", "id", 2.0)
    assert breach["value"] > 2
    document = {**shop.get("config"), "publish_if": {"max_drift": {"price": 0.2}}, "processors": []}
    refused = served.json("PUT", "/pipeline/drifting/config", status=400, json=document)
    assert refused["error"]["details"]["field"] == "publish_if.max_drift.price"


@pytest.mark.slow
def test_held_versions_survive_and_retention_counts_them_by_themselves(tmp_path: Path) -> None:
    with serving(tmp_path / "data", **SETTINGS) as served:
        served.login()
        shop = Shop(served, "kept", storage=[{"type": "parquet"}], retention={"versions": 2})
        assert [shop.published(10), shop.held(1), shop.held(2), shop.held(3)] == [1, 2, 3, 4]
        lines = served.until_logged(lambda line: line["event"] == "version.deleted")
        assert [lines[-1][key] for key in ("version", "held", "by")] == [2, True, "retention"]
        assert shop.states() == [(4, "held"), (3, "held"), (1, "published")]
        served.log()
    with serving(tmp_path / "data", **SETTINGS) as served:
        served.login()
        shop.served = served
        assert (shop.states()[0], shop.current, shop.count("kept@4")) == ((4, "held"), "v000001", 3)
        assert shop.decide(4, "accept")["state"] == "published"
        assert (shop.current, shop.published(4)) == ("v000004", 5)
        assert served.log()

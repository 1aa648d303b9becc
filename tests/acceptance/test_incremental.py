"""Incremental runs and lists a parent at a time through a real service: state moves with the version, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import PASSWORD, Served, serving
from tests.unit.network import site
from tests.unit.network.site import Hit, Reply

SETTINGS = {"PENSTOCK_ADMIN_PASSWORD": PASSWORD, "PENSTOCK_ALLOWED_PRIVATE_HOSTS": "127.0.0.1"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("incremental") / "data", **SETTINGS) as served:
        served.login()
        yield served


class Shop:
    """Users, each with orders that have a time; ``broken`` makes it fail."""

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []
        self.broken = False

    def add(self, user: int, at: int, **more: Any) -> None:
        self.orders.append({"id": len(self.orders), "user": user, "at": f"2024-05-01T00:{at:02}:00Z", **more})

    def __call__(self, hit: Hit) -> Reply:
        if self.broken and hit.query.get("page") == "2":
            return Reply(status=404 if "late" in hit.query else 500)
        if hit.path == "/users":
            return Reply.json([{"id": n, "name": f"user {n}"} for n in sorted({o["user"] for o in self.orders})])
        user = int(hit.path.split("/")[2]) if hit.path.count("/") == 3 else None
        since, page = hit.query.get("since", ""), int(hit.query.get("page", 1))
        found = [o for o in self.orders if user in (None, o["user"]) and o["at"] >= since]
        return Reply.json(sorted(found, key=lambda o: str(o["at"]))[(page - 1) * 2 : page * 2])


def created(served: Served, name: str, *collectors: dict[str, Any], **more: Any) -> None:
    document = {"name": name, "collectors": list(collectors), "storage": [{"type": "parquet"}], **more}
    served.json("POST", "/pipeline/create", status=201, json=document)


def run(served: Served, name: str, query: str = "") -> dict[str, Any]:
    ended: dict[str, Any] = served.json("POST", f"/pipeline/{name}/execute?wait=60{query}", timeout=70)
    return ended


def evidence(served: Served, name: str, version: int, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = served.json("GET", f"/pipeline/{name}/versions/{version}")["sources"][place]["evidence"]
    return found


def orders(address: str, **more: Any) -> dict[str, Any]:
    incremental = {"cursor_field": "at", "param": "since", "primary_key": "id"}
    return {
        "type": "api", "endpoint": f"{address}/orders", "pagination": "page", "incremental": incremental,
        "retry": {"max_attempts": 1}, **more,
    }  # fmt: skip


def test_versions_grow_and_a_run_that_fails_moves_nothing(served: Served) -> None:
    shop = Shop()
    for at in range(5):
        shop.add(1, at)
    with site.serving(shop) as there:
        created(
            served, "growing", orders(there.address),
            processors=[{"type": "sql", "config": {"query": "SELECT *, count(*) OVER () AS all_rows FROM input"}}],
        )  # fmt: skip
        first = run(served, "growing")
        assert (first["status"], first["rows_stored"]) == ("completed", 5), first["error"]
        shop.add(1, 9)
        shop.add(1, 10)
        shop.broken = True
        assert run(served, "growing")["status"] == "failed"
        shop.broken = False
        there.hits.clear()
        second = run(served, "growing")
        assert (second["version"], second["rows_collected"], second["rows_stored"]) == (2, 3, 7), second["error"]
        assert {h.query["since"] for h in there.hits} == {"2024-05-01T00:04:00Z"}
        shop.orders[0] |= {"at": "2024-05-01T00:30:00Z"}
        third = run(served, "growing")
    assert third["rows_stored"] == 7
    assert evidence(served, "growing", 3) | {"requests": 0} == evidence(served, "growing", 3) | {
        "requests": 0, "cursor_before": "2024-05-01T00:10:00Z", "cursor_after": "2024-05-01T00:30:00Z",
        "known_rows": 7, "added_rows": 0, "changed_rows": 1, "rows": 2,
    }  # fmt: skip
    data = served.json("GET", "/pipeline/growing/data")["data"]
    assert sorted(row["id"] for row in data) == list(range(7))
    assert {row["all_rows"] for row in data} == {7}  # a step sees the rows of all runs
    manifest = json.loads(Path(served.data, "warehouse", "growing", "v000003", "manifest.json").read_text())
    for file in manifest["state"]:
        assert Path(served.data, "warehouse", "growing", "v000003", file["name"]).stat().st_size == file["bytes"]


def test_a_full_refresh_forgets(served: Served) -> None:
    shop = Shop()
    shop.add(1, 1)
    shop.add(1, 2)
    with site.serving(shop) as there:
        created(served, "afresh", orders(there.address))
        run(served, "afresh")
        del shop.orders[1]
        assert run(served, "afresh")["rows_stored"] == 2
        there.hits.clear()
        ended = run(served, "afresh", "&full_refresh=true")
        assert "since" not in there.hits[0].query
        assert (ended["rows_stored"], ended["unchanged"]) == (1, False)
        again = run(served, "afresh", "&full_refresh=true")
        assert (again["version"], again["unchanged"]) == (ended["version"], True)
        shop.add(1, 3)
        later = run(served, "afresh")  # it goes on from the state of the run that was unchanged
    assert (later["rows_collected"], later["rows_stored"]) == (2, 2)


def test_a_changed_pipeline_needs_no_second_fetch(served: Served) -> None:
    """The records are kept as they came: another processor, or a replay of quarantine, sees all of them."""
    shop = Shop()
    for at in range(4):
        shop.add(1, at, price="12,5" if at == 2 else "3.5")
    strict = {"rules": [{"column": "price", "check": "regex", "pattern": r"^\d+\.\d+$"}], "on_fail": "quarantine"}
    with site.serving(shop) as there:
        created(served, "mended", orders(there.address), processors=[{"type": "validator", "config": strict}])
        assert run(served, "mended")["rows_stored"] == 3
        dynamic_columns = {"rules": [{"column": "price", "check": "not_null"}], "on_fail": "quarantine"}
        changed = {
            "name": "mended", "collectors": [orders(there.address)], "storage": [{"type": "parquet"}],
            "processors": [{"type": "validator", "config": dynamic_columns}],
        }  # fmt: skip
        served.json("PUT", "/pipeline/mended/config", json=changed)
        replayed = served.json("POST", "/pipeline/mended/quarantine/replay?wait=60", timeout=70)
        assert (replayed["status"], replayed["rows_stored"]) == ("completed", 4), replayed["error"]
        there.hits.clear()
        again = run(served, "mended")
        assert (again["rows_stored"], again["rows_collected"]) == (4, 1)
        assert there.hits[0].query["since"] == "2024-05-01T00:03:00Z"


def test_lists_of_parents_with_a_cursor_each(served: Served) -> None:
    shop = Shop()
    for user, at in ((1, 1), (1, 2), (1, 3), (2, 50)):
        shop.add(user, at)
    with site.serving(shop) as there:
        users = {"type": "api", "id": "users", "endpoint": f"{there.address}/users"}
        children = {
            **orders(there.address), "endpoint": "/users/{id}/orders", "concurrency": 2,
            "for_each": {"collector": "users", "fields": {"id": "id"}, "include": ["name"]},
        }  # fmt: skip
        created(served, "family", users, children)
        first = run(served, "family")
        assert (first["status"], first["rows_stored"]) == ("completed", 4), first["error"]
        shop.add(1, 4)
        shop.add(3, 7)
        there.hits.clear()
        second = run(served, "family")
        asked = {h.path: h.query.get("since") for h in there.hits}
        shop.orders = []  # no users, so that nothing says what columns they have
        third = run(served, "family")
        assert (third["status"], third["rows_stored"]) == ("completed", 6), third["error"]
        assert (third["version"], third["unchanged"]) == (2, True)
        assert third["steps"][1]["evidence"]["stop_reason"] == "no_parents"
        created(served, "orphans", users, {**children, "incremental": None})
        empty = run(served, "orphans")
        assert "nothing to store: there are no columns, because no source brought" in empty["error"]["message"]
        cast = {"type": "cleaner", "config": {"cast": {"id": "int64"}}}
        created(served, "cast_orphans", users, processors=[cast])
        empty = run(served, "cast_orphans")
        assert "nothing to process: there are no columns, because no source" in empty["error"]["message"]
    assert second["rows_stored"] == 6
    assert asked == {
        "/users": None, "/users/1/orders": "2024-05-01T00:03:00Z", "/users/2/orders": "2024-05-01T00:50:00Z",
        "/users/3/orders": None,
    }  # fmt: skip
    data = served.json("GET", "/pipeline/family/data?sort=id")["data"]
    assert [row["users_name"] for row in data] == ["user 1"] * 3 + ["user 2", "user 1", "user 3"]
    assert evidence(served, "family", 2, 1)["parents"] == 3


def test_parents_can_be_data_too(served: Served) -> None:
    shop = Shop()
    shop.add(1, 1)
    shop.add(2, 2)
    with site.serving(shop) as there:
        users = {"type": "api", "id": "users", "endpoint": f"{there.address}/users"}
        children = {
            "type": "api", "endpoint": "users/{id}/orders", "pagination": "page",
            "for_each": {"collector": "users", "fields": {"id": "id"}, "keep_parents": True},
        }  # fmt: skip
        created(served, "joined", users, children, combine={"how": "concat"})
        ended = run(served, "joined")
    assert (ended["status"], ended["rows_stored"]) == ("completed", 4), ended["error"]


def test_parents_that_there_are_not(served: Served) -> None:
    wrong = {"collector": "user", "fields": {"id": "idd"}}
    child: dict[str, Any] = {"type": "api", "endpoint": "/{id}", "for_each": wrong}
    users = {"type": "csv", "id": "users", "file_path": "users.csv", "columns": ["id"]}
    answer = served.json("POST", "/pipeline/validate", status=400, json={"name": "x", "collectors": [users, child]})
    assert answer["error"]["details"]["field"] == "collectors[1].for_each.collector"
    assert "did you mean 'users'" in answer["error"]["message"]
    child["for_each"] = {**wrong, "collector": "users"}
    answer = served.json("POST", "/pipeline/validate", status=400, json={"name": "x", "collectors": [users, child]})
    assert {e["field"] for e in answer["error"]["details"]["errors"]} == {
        "collectors[1].endpoint", "collectors[1].for_each.fields.id",
    }  # fmt: skip
    alone = {"type": "api", "id": "a", "endpoint": "http://x.example/{id}", "for_each": {**wrong, "collector": "a"}}
    pair = [{**alone, "for_each": {**wrong, "collector": "b"}}, {**alone, "id": "b"}]
    for circle in ([alone], pair):
        answer = served.json("POST", "/pipeline/validate", status=400, json={"name": "x", "collectors": circle})
        assert "makes its requests from the rows of this collector" in answer["error"]["message"]


def test_a_plan_knows_what_children_bring_without_asking_for_their_parents(served: Served) -> None:
    child = {
        "type": "api", "endpoint": "http://x.example/{id}", "columns": ["n"], "schema": {"n": "int64"},
        "for_each": {"collector": "users", "fields": {"id": "id"}},
    }  # fmt: skip
    users = {"type": "api", "id": "users", "endpoint": "http://x.example/users"}
    cast = {"type": "cleaner", "config": {"cast": {"m": "string"}}}
    document = {"name": "planned", "collectors": [users, child]}
    plan = served.json("POST", "/pipeline/plan", json=document)
    assert (plan["known"], [c["name"] for c in plan["columns"]]) == ("settings", ["n"])
    answer = served.json("POST", "/pipeline/validate", status=400, json={**document, "processors": [cast]})
    assert answer["error"]["details"]["field"] == "processors[0].config.cast.m"

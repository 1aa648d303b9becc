"""Dirty data on a running service: into quarantine, read why, mend the configuration, replay, and find the rows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.served import Served

ORDERS = """id,customer,price,city
1,1,9.5,Bern
2,1,-4,Bern
3,9,3.25,Rome
4,2
5,2,7.5,Zurch
6,2,8,Ro"me
7,,1.5,Rome
"""
CUSTOMERS = "id,name\n1,Ann\n2,Bob\n"
P = "/pipeline/orders"


@pytest.fixture(scope="module")
def served(plain: Served) -> Served:
    return plain


def validator(least: float = 0, **more: Any) -> dict[str, Any]:
    rules = [
        {"column": "price", "check": "in_range", "min": least},
        {"column": "city", "check": "in_set", "values": ["Bern", "Rome"]},
        {"column": "customer", "check": "foreign_key", "pipeline": "customers", "to": "id"},
    ]
    return {"type": "validator", "config": {"rules": rules, "on_fail": "quarantine", **more}}


def orders(*processors: dict[str, Any], **settings: Any) -> dict[str, Any]:
    source = {"type": "csv", "file_path": "orders.csv", "on_malformed": "quarantine", "id": "shop", **settings}
    return {"name": "orders", "collectors": [source], "processors": list(processors)}


def sql(served: Served, statement: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = served.json("POST", "/query", json={"sql": statement})["data"]
    return rows


def test_from_dirty_to_mended(served: Served) -> None:
    upload(served, "orders.csv", ORDERS)
    upload(served, "customers.csv", CUSTOMERS)
    served.json("POST", "/pipeline/create", status=201, json=orders(validator()))
    missing = served.json("POST", f"{P}/execute")
    assert missing["error"]["details"]["field"] == "processors[0].config.rules[2].pipeline"
    assert "no stored version of a pipeline 'customers'" in missing["error"]["message"]
    assert served.http.get(f"{P}/quarantine").json()["error"]["code"] == "NO_DATA"

    customers = {"name": "customers", "collectors": [{"type": "csv", "file_path": "customers.csv"}]}
    served.json("POST", "/pipeline/create", status=201, json=customers)
    assert served.json("POST", "/pipeline/customers/execute")["status"] == "completed"
    assert served.json("GET", "/pipeline/customers/quarantine")["data"] == []
    assert sql(served, "SELECT count(*) AS n FROM customers__quarantine") == [{"n": 0}]

    first = served.json("POST", f"{P}/execute")
    assert (first["status"], first["rows_stored"], first["rows_rejected"]) == ("completed", 2, 5)
    why = served.json("GET", f"{P}/quarantine")
    assert (why["version"], why["total_rows"], why["row_count"]) == (1, 5, 5)
    assert {(r["step"], r["rule"], r["column"], r["rows"]) for r in why["rules"]} == {
        ("collectors[0]", "malformed", None, 2),
        ("processors[0]", "price_in_range", "price", 1),
        ("processors[0]", "city_in_set", "city", 1),
        ("processors[0]", "customer_foreign_key", "customer", 1),
    }
    told = {row["_text"] or row["id"]: row for row in why["data"]}
    assert told["4,2"]["_rules"][0]["message"] == "2 fields where 4 are expected"
    assert (told["4,2"]["_source"], told["4,2"]["_file"], told["4,2"]["_line"]) == ("shop", "orders.csv", 5)
    assert told[2]["_rules"] == [
        {"rule": "price_in_range", "column": "price", "value": "-4.0", "message": "is less than 0"}
    ]
    assert told[3]["_rules"][0]["message"] == "is not in 'id' of customers"
    assert (told[5]["city"], told[5]["_row"], told[5]["_step"]) == ("Zurch", 4, "processors[0]")
    page = served.json("GET", f"{P}/quarantine?limit=2&offset=1")
    assert (page["data"], page["next_offset"]) == (why["data"][1:3], 3)
    csv = served.http.get(f"{P}/quarantine?format=csv").text.splitlines()
    assert (csv[0].split(",")[:3], len(csv)) == (["_rules", "_step", "_source"], 6)
    for form in ("ndjson", "arrow", "parquet"):
        assert served.http.get(f"{P}/quarantine?format={form}&limit=4").status_code == 200
    assert {"name": "orders__quarantine"} in sql(served, "SHOW TABLES")
    assert sql(served, "SELECT id FROM orders__quarantine WHERE _rules[1].rule = 'city_in_set'") == [{"id": 5}]

    # the configuration is mended: a cleaner before the validator, another bound, quotes that are plain text
    replace = {"city": {"Zurch": "Bern", 'Ro"me': "Rome"}}
    mended = orders({"type": "cleaner", "config": {"replace": replace}}, validator(-5), quote_char=None)
    served.json("PUT", f"{P}/config", json=mended)
    replayed = served.json("POST", f"{P}/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["replay_of"], replayed["version"]) == ("completed", 1, 2), replayed
    assert (replayed["rows_collected"], replayed["rows_stored"], replayed["rows_rejected"]) == (5, 5, 2)
    rows = served.json("GET", f"{P}/data?sort=id")["data"]
    assert [(r["id"], r["price"], r["city"]) for r in rows] == [
        (1, 9.5, "Bern"), (2, -4.0, "Bern"), (5, 7.5, "Bern"), (6, 8.0, "Rome"), (7, 1.5, "Rome"),
    ]  # fmt: skip
    assert [r["id"] for r in served.json("GET", f"{P}/data")["data"]][:2] == [1, 7]  # those that were there come first
    assert sql(served, "SELECT id, _text, _line, _step FROM orders__quarantine ORDER BY id") == [
        {"id": 3, "_text": None, "_line": None, "_step": "processors[1]"},
        {"id": None, "_text": "4,2", "_line": 5, "_step": "collectors[0]"},
    ]
    assert sql(served, 'SELECT count(*) AS n FROM "orders__quarantine@1"') == [{"n": 5}]
    version = served.json("GET", f"{P}/versions/2")
    assert (version["replay_of"], version["rows_quarantined"]) == (1, 2)
    assert version["sources"] == [
        {"id": "quarantine@1", "type": "replay", "rows": 3, "evidence": {"version": 1, "rows": 5}, "columns": []}
    ]
    events = served.http.get(f"/runs/{replayed['run_id']}/events").text
    assert "event: end" in events

    again = served.http.post(f"{P}/quarantine/replay", json={"version": 1})
    assert (again.status_code, again.json()["error"]["details"]["field"]) == (400, "version")
    nothing = served.json("POST", f"{P}/quarantine/replay?wait=60")
    assert (nothing["status"], nothing["error"]["code"]) == ("failed", "NOTHING_PASSED")
    assert served.json("GET", f"{P}/versions")["total"] == 2

    upload(served, "customers.csv", CUSTOMERS + "9,Eve\n")
    assert served.json("POST", "/pipeline/customers/execute")["version"] == 2
    last = served.json("POST", f"{P}/quarantine/replay?wait=60", json={"version": 2})
    assert (last["status"], last["rows_stored"], last["rows_rejected"]) == ("completed", 6, 1)
    tables = {t["name"]: t for t in served.json("GET", "/tables")["items"]}
    assert list(tables) == ["customers", "orders", "orders__quarantine"]
    assert (tables["orders__quarantine"]["version"], tables["orders__quarantine"]["row_count"]) == (3, 1)
    assert served.json("GET", "/tables/orders__quarantine@1")["row_count"] == 5
    assert served.json("GET", f"{P}/schema")["row_count"] == 6
    records = [{"id": 8, "customer": 77, "price": 1.0, "city": "Bern"}]
    applied = served.json("POST", f"{P}/apply", json={"records": records})
    assert (applied["data"], applied["dropped"]) == (records, [])
    assert [s["step"] for s in applied["skipped"]] == ["processors[1]"]


def test_numbers_that_were_fitted_are_used_again_and_no_others(served: Served) -> None:
    upload(served, "scaled.csv", "a\n1\n3\n-2\n-7\n")
    rule = {"column": "a", "check": "in_range", "min": 0}
    scale = {"type": "transformer", "config": {"normalize": {"a": "minmax"}}}

    def document(least: int, *steps: dict[str, Any]) -> dict[str, Any]:
        judge = {"type": "validator", "config": {"rules": [{**rule, "min": least}], "on_fail": "quarantine"}}
        return {
            "name": "scaled", "collectors": [{"type": "csv", "file_path": "scaled.csv"}], "processors": [judge, *steps],
        }  # fmt: skip

    served.json("POST", "/pipeline/create", status=201, json=document(0, scale))
    assert served.json("POST", "/pipeline/scaled/execute")["status"] == "completed"
    other = {"type": "transformer", "config": {"normalize": {"a": "standard"}}}
    served.json("PUT", "/pipeline/scaled/config", json=document(-5, other))
    failed = served.json("POST", "/pipeline/scaled/quarantine/replay?wait=60")
    assert failed["error"]["code"] == "NEEDS_ALL_ROWS"
    assert served.json("GET", "/pipeline/scaled/data")["version"] == 1
    served.json("PUT", "/pipeline/scaled/config", json=document(-5, scale))
    assert served.json("POST", "/pipeline/scaled/quarantine/replay?wait=60")["status"] == "completed"
    assert [r["a"] for r in served.json("GET", "/pipeline/scaled/data")["data"]] == [0.0, 1.0, -1.5]
    applied = served.json("POST", "/pipeline/scaled/apply", json={"records": [{"a": 2}, {"a": -6}]})
    assert (applied["version"], [r["a"] for r in applied["data"]]) == (2, [0.5])


def test_nothing_in_quarantine_is_nothing_to_replay(served: Served) -> None:
    upload(served, "clean.csv", "a\n1\n")
    document = {"name": "clean", "collectors": [{"type": "csv", "file_path": "clean.csv"}]}
    served.json("POST", "/pipeline/create", status=201, json=document)
    for expected in ("has no data yet", "has no rows in quarantine"):
        answer = served.http.post("/pipeline/clean/quarantine/replay").json()
        assert answer["error"]["code"] == "NO_DATA"
        assert expected in answer["error"]["message"]
        served.json("POST", "/pipeline/clean/execute")


def upload(served: Served, name: str, text: str) -> None:
    assert served.http.put(f"/files/{name}", content=text.encode()).status_code in (200, 201)

"""Values that a setting loses, on a running service: warnings, bounds, quarantine, mending and replay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.served import Served

PRICES = 'id,price\n1,"1,299.00"\n2,12.5\n3,"2,100.50"\n4,7\n5,8\n6,9\n'
COMMAS = 'id,price\n1,"6,5"\n2,12.5\n3,-4\n4,7\n'


@pytest.fixture(scope="module")
def served(plain: Served) -> Served:
    for name, content in (("prices.csv", PRICES), ("commas.csv", COMMAS)):
        plain.json("PUT", f"/files/{name}", status=201, content=content.encode())
    return plain


def pipeline(name: str, file: str, *processors: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    source = {"type": "csv", "file_path": file, "schema": {"price": "string"}}
    steps = [{"type": kind, "config": config} for kind, config in processors]
    return {"name": name, "collectors": [source], "processors": steps}


def lost(warnings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [w for w in warnings if w["code"] == "values_lost"]


def test_a_run_a_preview_and_a_plan_say_what_a_cast_loses(served: Served) -> None:
    document = pipeline("prices", "prices.csv", ("cleaner", {"cast": {"price": "float64"}}))
    served.json("POST", "/pipeline/create", status=201, json=document)
    run = served.json("POST", "/pipeline/prices/execute?wait=60")
    assert run["status"] == "completed"
    for answer in (run, *(served.json("POST", f"/pipeline/{r}", json=document) for r in ("preview", "plan"))):
        (warning,) = lost(answer["warnings"])
        assert warning["step"] == "processors[0]"
        details = warning["details"]
        assert (details["setting"], details["column"], details["count"], details["known"]) == ("cast", "price", 2, 6)
        assert details["share"] == pytest.approx(1 / 3)
        assert (details["samples"], details["rows"]) == (["1,299.00", "2,100.50"], [1, 3])
        assert "thousands: ','" in warning["message"]
    version = served.json("GET", "/pipeline/prices/versions/1/fitted")
    kept = version["fitted"]["processors[0]"]["parameters"]["lost_values"]["cast.price"]
    assert (kept["count"], kept["samples"]) == (2, ["1,299.00", "2,100.50"])


def test_too_many_lost_values_fail_the_run_and_say_what_to_write(served: Served) -> None:
    cast = {"price": {"type": "float64", "on_error": "null"}}
    document = pipeline("bounded", "prices.csv", ("cleaner", {"cast": cast, "max_lost_share": 0.3}))
    served.json("POST", "/pipeline/create", status=201, json=document)
    run = served.json("POST", "/pipeline/bounded/execute?wait=60")
    assert run["status"] == "failed"
    error = run["error"]
    assert error["details"]["field"] == "processors[0].config.cast.price"
    for part in ("2 of 6", "33.3%", "'1,299.00'", "float64", "thousands: ','", "max_lost_share"):
        assert part in error["message"]
    mended = pipeline("bounded", "prices.csv", ("cleaner", {"cast": {"price": {"type": "float64", "thousands": ","}}}))
    served.json("PUT", "/pipeline/bounded/config", json=mended)
    run = served.json("POST", "/pipeline/bounded/execute?wait=60")
    assert (run["status"], lost(run["warnings"])) == ("completed", [])
    rows = served.json("GET", "/pipeline/bounded/data?sort=id")["data"]
    assert [r["price"] for r in rows] == [1299.0, 12.5, 2100.5, 7.0, 8.0, 9.0]


def test_a_failed_cast_goes_to_quarantine_as_it_came_and_is_mended(served: Served) -> None:
    def document(**more: Any) -> dict[str, Any]:
        cast = {"amount": {"type": "float64", "on_error": "quarantine", **more}}
        config = {"rename_columns": {"price": "amount"}, "strip_strings": True, "cast": cast}
        return pipeline("failed", "prices.csv", ("cleaner", config), ("analyzer", {}))

    served.json("POST", "/pipeline/create", status=201, json=document())
    run = served.json("POST", "/pipeline/failed/execute?wait=60")
    assert (run["status"], run["rows_stored"], run["rows_rejected"]) == ("completed", 4, 2), run
    quarantine = served.json("GET", "/pipeline/failed/quarantine")["data"]
    assert [(r["id"], r["price"], r["_step"], r["_row"]) for r in quarantine] == [
        (1, "1,299.00", "processors[0]", 1), (3, "2,100.50", "processors[0]", 3),
    ]  # fmt: skip
    assert quarantine[0]["_rules"] == [
        {"rule": "cast", "column": "amount", "value": "1,299.00", "message": "is not float64"}
    ]
    served.json("PUT", "/pipeline/failed/config", json=document(thousands=","))
    replayed = served.json("POST", "/pipeline/failed/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["rows_stored"], replayed["rows_rejected"]) == ("completed", 6, 0), replayed
    rows = served.json("GET", "/pipeline/failed/data?sort=id")["data"]
    assert [r["amount"] for r in rows] == [1299.0, 12.5, 2100.5, 7.0, 8.0, 9.0]


def test_a_collector_says_what_its_schema_loses(served: Served) -> None:
    source = {"type": "csv", "file_path": "prices.csv", "schema": {"price": "float64"}, "on_error": "null"}
    document = {"name": "typed", "collectors": [source]}
    served.json("POST", "/pipeline/create", status=201, json=document)
    run = served.json("POST", "/pipeline/typed/execute?wait=60")
    assert run["status"] == "completed", run
    for answer in (run, *(served.json("POST", f"/pipeline/{r}", json=document) for r in ("preview", "plan"))):
        (warning,) = lost(answer["warnings"])
        details = warning["details"]
        assert (warning["step"], details["setting"], details["column"]) == ("collectors[0]", "schema", "price")
        assert (details["count"], details["known"], details["samples"]) == (2, 6, ["1,299.00", "2,100.50"])
    (kept,) = served.json("GET", "/pipeline/typed/versions/1")["sources"]
    assert kept["evidence"]["lost_values"]["schema.price"]["count"] == 2
    bounded = {"name": "typed", "collectors": [{**source, "max_lost_share": 0.3}]}
    served.json("PUT", "/pipeline/typed/config", json=bounded)
    error = served.json("POST", "/pipeline/typed/execute?wait=60")["error"]
    assert error["details"]["field"] == "collectors[0].schema.price"
    assert "2 of 6" in error["message"]
    (warning,) = lost(served.json("POST", "/pipeline/plan", json=bounded)["warnings"])
    assert warning["details"]["count"] == 2


RULES = {
    "rules": [{"column": "price", "check": "not_null"}, {"column": "price", "check": "in_range", "min": 0}],
    "on_fail": "quarantine",
}


@pytest.mark.parametrize(
    "between",
    [
        [],
        [("analyzer", {})],
        [("cleaner", {"strip_strings": True, "normalize_names": True}), ("cleaner", {"cast": {"id": "int32"}})],
        [("validator", {"rules": [{"column": "id", "check": "unique"}], "on_fail": "warn"}), ("analyzer", {})],
        [("validator", {"rules": [{"column": "id", "check": "not_null"}], "on_fail": "quarantine"})],
    ],
    ids=["next", "analyzer", "cleaners", "warn", "quarantine"],
)
def test_a_validator_shows_the_value_that_a_cleaner_before_it_lost(
    served: Served, between: list[tuple[str, dict[str, Any]]], request: pytest.FixtureRequest
) -> None:
    name = f"commas-{request.node.callspec.id}"
    cast = ("cleaner", {"cast": {"price": "float64"}})
    document = pipeline(name, "commas.csv", cast, *between, ("validator", RULES))
    served.json("POST", "/pipeline/create", status=201, json=document)
    run = served.json("POST", f"/pipeline/{name}/execute?wait=60")
    assert (run["status"], run["rows_stored"], run["rows_rejected"]) == ("completed", 2, 2), run
    assert served.json("GET", f"/pipeline/{name}/schema")["columns"][1]["type"] == "DOUBLE"
    quarantine = {r["id"]: r for r in served.json("GET", f"/pipeline/{name}/quarantine")["data"]}
    assert (quarantine[1]["price"], quarantine[3]["price"]) == ("6,5", "-4.0")
    assert quarantine[1]["_rules"][0]["value"] == "6,5"
    assert set(quarantine[1]) == {"_rules", "_step", "_source", "_file", "_line", "_row", "_text", "id", "price"}

    replace = {"price": {"6,5": "6.5", "-4.0": "4"}}
    mended = {"replace": replace, "cast": {"price": "float64"}}
    served.json(
        "PUT",
        f"/pipeline/{name}/config",
        json=pipeline(name, "commas.csv", ("cleaner", mended), *between, ("validator", RULES)),
    )
    replayed = served.json("POST", f"/pipeline/{name}/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["rows_stored"], replayed["rows_rejected"]) == ("completed", 4, 0), replayed
    rows = served.json("GET", f"/pipeline/{name}/data?sort=id")["data"]
    assert [r["price"] for r in rows] == [6.5, 12.5, 4.0, 7.0]


def test_a_value_is_shown_under_its_new_name_and_cast_again(served: Served) -> None:
    cast, rename = ("cleaner", {"cast": {"price": "float64"}}), ("cleaner", {"rename_columns": {"price": "amount"}})
    rules = ("validator", {"rules": [{"column": "amount", "check": "not_null"}], "on_fail": "quarantine"})
    document = pipeline("renamed", "commas.csv", cast, rename, rules)
    served.json("POST", "/pipeline/create", status=201, json=document)
    assert served.json("POST", "/pipeline/renamed/execute?wait=60")["rows_rejected"] == 1
    (row,) = served.json("GET", "/pipeline/renamed/quarantine")["data"]
    assert (row["amount"], row["_rules"][0]["value"]) == ("6,5", "6,5")
    comma = ("cleaner", {"cast": {"price": {"type": "float64", "decimal_comma": True}}})
    served.json("PUT", "/pipeline/renamed/config", json=pipeline("renamed", "commas.csv", comma, rename, rules))
    replayed = served.json("POST", "/pipeline/renamed/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["rows_rejected"]) == ("completed", 0), replayed
    rows = served.json("GET", "/pipeline/renamed/data?sort=id")["data"]
    assert [r["amount"] for r in rows] == [6.5, 12.5, -4.0, 7.0]


def test_a_value_is_shown_past_a_transformer_and_its_row_stays(served: Served) -> None:
    """The row cannot go back: the transformer would derive its columns a second time."""
    derive = ("transformer", {"rename_columns": {"price": "amount"}, "derive": {"double": "amount * 2"}})
    rules = ("validator", {"rules": [{"column": "amount", "check": "not_null"}], "on_fail": "quarantine"})
    document = pipeline("derived", "commas.csv", ("cleaner", {"cast": {"price": "float64"}}), derive, rules)
    served.json("POST", "/pipeline/create", status=201, json=document)
    assert served.json("POST", "/pipeline/derived/execute?wait=60")["rows_rejected"] == 1
    (row,) = served.json("GET", "/pipeline/derived/quarantine")["data"]
    assert (row["amount"], row["double"], row["_rules"][0]["value"]) == ("6,5", None, "6,5")
    columns = served.json("GET", "/pipeline/derived/schema")["columns"]
    assert [c["name"] for c in columns] == ["id", "amount", "double"]
    replayed = served.json("POST", "/pipeline/derived/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["error"]["code"]) == ("failed", "NOTHING_PASSED"), replayed
    (warning,) = [w for w in replayed["warnings"] if w["code"] == "not_replayed"]
    assert "processors[0] could not cast" in warning["message"]


def test_a_cleaner_that_did_not_change_casts_quarantined_text_again(served: Served) -> None:
    cleaner = ("cleaner", {"cast": {"price": "float64"}})
    served.json(
        "POST", "/pipeline/create", status=201, json=pipeline("again", "commas.csv", cleaner, ("validator", RULES))
    )
    assert served.json("POST", "/pipeline/again/execute?wait=60")["rows_rejected"] == 2
    weaker = {"rules": [{"column": "price", "check": "in_range", "min": 0}], "on_fail": "quarantine"}
    served.json("PUT", "/pipeline/again/config", json=pipeline("again", "commas.csv", cleaner, ("validator", weaker)))
    replayed = served.json("POST", "/pipeline/again/quarantine/replay?wait=60")
    assert (replayed["status"], replayed["rows_stored"], replayed["rows_rejected"]) == ("completed", 3, 1), replayed
    left = served.json("GET", "/pipeline/again/quarantine")["data"]
    assert [(r["id"], r["price"]) for r in left] == [(3, -4.0)]


@pytest.mark.parametrize(
    ("name", "source", "between", "step", "where"),
    [
        ("traced", {}, [], "", ""),
        ("queried", {}, [("sql", {"query": "FROM input"})], "processors[0]", "after processors[1]"),
        ("collected", {"schema": {"price": "float64"}, "on_error": "null"}, [], "collectors[0]", "here"),
    ],
)
def test_a_row_in_quarantine_says_that_its_value_is_not_known(
    served: Served, name: str, source: dict[str, Any], between: list[tuple[str, dict[str, Any]]], step: str, where: str
) -> None:
    rules = {"rules": [{"column": "price", "check": "not_null"}], "on_fail": "quarantine"}
    document = pipeline(name, "prices.csv", ("cleaner", {"cast": {"price": "float64"}}), *between, ("validator", rules))
    document["collectors"][0] |= source
    served.json("POST", "/pipeline/create", status=201, json=document)
    assert served.json("POST", f"/pipeline/{name}/execute?wait=60")["rows_rejected"] == 2
    sql = f'SELECT price, _rules[1].message AS said FROM "{name}__quarantine" ORDER BY id'
    rows = served.json("POST", "/query", json={"sql": sql})["data"]
    assert [row["price"] for row in rows] == ([None] * 2 if step else ["1,299.00", "2,100.50"])
    unknown = f"; it may have been lost in {step}: a value that was lost there is not known {where}"
    assert {row["said"] for row in rows} == {"is missing" + (unknown if step else "")}

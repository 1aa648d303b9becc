"""Preview, plan and the check before a run, against a real service, files and a loopback API that counts requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.served import PASSWORD, Served, serving
from tests.unit.network.site import Hit, Reply, Site
from tests.unit.network.site import serving as answering

SECRET = "s3cret-value-of-a-source"
PER_PAGE, PAGES = 100, 50
ORDERS = "id,city,price,day\n" + "".join(
    f"{i},{('Bern', ' Rome', 'Oslo')[i % 3]},{i % 40}.5,2026-01-{i % 28 + 1:02d}\n" for i in range(5000)
)
FILL = {"price": {"strategy": "mean"}}
CLEAN: dict[str, Any] = {
    "type": "cleaner",
    "config": {"strip_strings": True, "cast": {"day": "date"}, "filter": "price >= 1", "fill_na": FILL},
}


def answers(hit: Hit) -> Reply:
    if hit.path == "/page":
        items = "".join(f"<li><b>{hit.query['n']}-{i}</b></li>" for i in range(20))
        return Reply(f"<html><ul>{items}</ul></html>".encode(), headers={"content-type": "text/html"})
    if hit.path == "/robots.txt":
        return Reply(status=404)
    page = int(hit.query.get("page", "1"))
    first = (page - 1) * PER_PAGE
    rows = [{"id": first + i, "who": f"u{i}", "token": SECRET} for i in range(PER_PAGE if page <= PAGES else 0)]
    return Reply.json({"items": rows, "total": PER_PAGE * PAGES})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with answering(answers) as site:
        yield site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Served]:
    settings = {
        "PENSTOCK_ADMIN_PASSWORD": PASSWORD,
        "PENSTOCK_ALLOWED_PRIVATE_HOSTS": f"127.0.0.1:{site.port}",
        "PENSTOCK_SECRET_TOKEN": SECRET,
    }
    with serving(tmp_path_factory.mktemp("planning") / "data", **settings) as served:
        served.login()
        served.json("PUT", "/files/shop/orders.csv", status=201, content=ORDERS.encode())
        yield served


def api(site: Site, **more: Any) -> dict[str, Any]:
    auth = {"type": "bearer", "token": "${TOKEN}"}
    paged = {"type": "page", "total_path": "total"}
    return {"type": "api", "endpoint": f"{site.address}/users", "auth": auth, "pagination": paged, **more}


def document(*collectors: dict[str, Any], name: str = "orders", **more: Any) -> dict[str, Any]:
    return {"name": name, "collectors": list(collectors), **more}


CSV = {"type": "csv", "file_path": "shop/orders.csv"}


def stored(served: Served) -> list[str]:
    """Everything that lies in the warehouse, and whatever a job may have left."""
    return sorted(str(p) for p in Path(served.data, "warehouse").rglob("*"))


def test_a_preview_fetches_what_it_needs_and_stores_nothing(served: Served, site: Site) -> None:
    before, asked = stored(served), len(site.hits)
    joined = document(
        api(site, concurrency=4, completeness="strict"), CSV, combine={"how": "join", "on": ["id"]}, processors=[CLEAN]
    )
    found = served.json("POST", "/pipeline/preview?rows=150", json=joined)
    assert [h.query["page"] for h in site.hits[asked:]] == ["1", "2"]
    assert [c["name"] for c in found["columns"]] == ["id", "who", "token", "city", "price", "day"]
    assert {"name": "day", "type": "DATE", "polars_type": "Date"} in found["columns"]
    assert [s["rows"] for s in found["sources"]] == [150, 150]
    steps = {s["step"]: (s["rows_in"], s["rows_out"]) for s in found["steps"]}
    assert steps["combine"] == (300, 150)
    assert steps["processors[0]"] == (150, found["total_rows"]) == (150, 146)
    assert found["row_count"] == len(found["data"]) == 146
    assert found["data"][0] == {
        "id": 1, "who": "u1", "token": "***", "city": "Rome", "price": 1.5, "day": "2026-01-02"
    }  # fmt: skip
    assert found["profile"]["row_count"] == 146
    assert "Csv SCAN [" in found["plan"]
    assert str(served.data) not in json.dumps(found)
    assert SECRET not in json.dumps(found)
    assert served.json("GET", "/pipeline")["total"] == 0
    assert served.json("GET", "/tables")["total"] == 0
    assert stored(served) == before


def test_a_preview_reads_the_beginning_of_a_file_only(served: Served) -> None:
    """The file's end would fail a run."""
    broken = ORDERS.encode() + b'9,"Bern\n'
    served.json("PUT", "/files/torn.csv", status=201, content=broken)
    found = served.json(
        "POST", "/pipeline/preview?rows=5", json=document({"type": "csv", "file_path": "torn.csv"}, name="torn")
    )
    assert [row["id"] for row in found["data"]] == [0, 1, 2, 3, 4]
    served.json(
        "POST", "/pipeline/create", status=201, json=document({"type": "csv", "file_path": "torn.csv"}, name="torn")
    )
    assert served.json("POST", "/pipeline/torn/execute?wait=30")["status"] == "failed"
    served.json("DELETE", "/pipeline/torn")


def test_a_preview_shows_rows_after_each_step_if_asked(served: Served) -> None:
    few = document(CSV, processors=[CLEAN, {"type": "cleaner", "config": {"drop_columns": ["price"]}}], name="few")
    assert served.json("POST", "/pipeline/preview?rows=4", json=few)["after_steps"] == []
    found = served.json("POST", "/pipeline/preview?rows=4&each_step=true", json=few)
    assert [(s["step"], s["row_count"], s["total_rows"]) for s in found["after_steps"]] == [
        ("collectors", 4, 4), ("processors[0]", 3, 3), ("processors[1]", 3, 3),
    ]  # fmt: skip
    assert [s["data"][0]["city"] for s in found["after_steps"]] == ["Bern", "Rome", "Rome"]
    assert "price" not in found["after_steps"][2]["data"][0]
    assert found["after_steps"][2]["data"] == found["data"]


def test_a_preview_of_large_rows_shows_some_after_each_step(served: Served) -> None:
    served.http.put("/files/large.csv", content="id,text\n" + f"1,{'x' * 50_000}\n" * 300).raise_for_status()
    trims = [{"type": "cleaner", "config": {"strip_strings": ["text"]}}] * 40
    large = document({"type": "csv", "file_path": "large.csv"}, processors=trims, name="large")
    found = served.json("POST", "/pipeline/preview?rows=1000&each_step=true", json=large)
    counts = {(step["total_rows"], step["row_count"] == len(step["data"])) for step in found["after_steps"]}
    assert counts == {(300, True)}
    assert 0 < max(step["row_count"] for step in found["after_steps"]) < 20
    assert len(json.dumps(found["after_steps"])) < 24 << 20


def test_a_step_that_fails_in_a_preview_names_itself(served: Served) -> None:
    wrong = {"type": "transformer", "config": {"derive": {"total": "prize * 2"}}}
    failed = served.json("POST", "/pipeline/preview", status=400, json=document(CSV, processors=[CLEAN, wrong]))[
        "error"
    ]
    assert failed["code"] == "VALIDATION_ERROR"
    assert failed["details"]["step"] == "processors[1]"
    assert failed["details"]["field"] == "processors[1].config.derive.total"
    assert "did you mean 'price'?" in failed["message"]
    strict = {"type": "cleaner", "config": {"cast": {"city": {"type": "int64", "on_error": "fail"}}}}
    failed = served.json("POST", "/pipeline/preview", status=400, json=document(CSV, processors=[strict]))["error"]
    assert failed["details"] == {"step": "processors[0]", "field": "processors[0].config.cast.city"}
    missing = document({"type": "csv", "file_path": "none.csv"})
    failed = served.json("POST", "/pipeline/preview", status=400, json=missing)["error"]
    assert failed["details"] == {"step": "collectors[0]", "field": "collectors[0].file_path"}


def test_a_plan_says_what_a_run_then_stores(served: Served, site: Site) -> None:
    processors = [
        CLEAN,
        {"type": "validator", "config": {"rules": [{"row_count": {"min": 10}}, {"column": "id", "check": "unique"}]}},
        {"type": "analyzer"},
        {
            "type": "transformer",
            "config": {
                "derive": {"total": "price * 2"},
                "datetime": {"day": {"parts": ["month", "is_weekend"]}},
                "encode": {"city": "ordinal"},
                "normalize": {"price": "standard"},
                "lag": {"total": {"by": ["city"], "order_by": ["day"]}},
                "sort": ["-total"],
            },
        },
    ]
    planned = document(CSV, processors=processors)
    before = stored(served)
    plan = served.json("POST", "/pipeline/plan", json=planned)
    assert stored(served) == before
    assert (plan["problems"], plan["known"], plan["compared_with"]) == ([], "read", None)
    source = plan["sources"][0]
    assert source["fetch"]["files"] == [{"name": "shop/orders.csv", "bytes": len(ORDERS)}]
    assert (source["rows"], source["known"]) == (5000, "read")
    assert plan["configuration"]["collectors"][0]["infer_rows"] == 10_000
    assert plan["configuration"]["processors"][0]["config"]["missing_columns"] == "error"
    cleaner, validator, analyzer, transformer = plan["steps"]
    assert (cleaner["row_local"], cleaner["fitted"]) == (True, {"fill_na": ["price"]})
    assert validator["operations"] == ["per_group"]
    assert (analyzer["row_local"], analyzer["measured"]) == (True, True)
    assert transformer["operations"] == ["per_group", "sort"]
    assert transformer["fitted"] == {"normalize": ["price"], "encode": ["city"]}
    assert {"name": "day", "type": "date"} in cleaner["output"]
    assert str(served.data) not in json.dumps(plan)
    assert "shop/orders.csv" in plan["plan"]
    served.json("POST", "/pipeline/create", status=201, json=planned)
    run = served.json("POST", "/pipeline/orders/execute?wait=30")
    assert run["status"] == "completed", run["error"]
    version = served.json("GET", "/pipeline/orders/versions/1")
    assert plan["columns"] == version["columns"]
    planned["processors"].append(
        {"type": "sql", "config": {"query": "SELECT id, CAST(total AS VARCHAR) AS total FROM input"}}
    )
    again = served.json("POST", "/pipeline/plan", json=planned)
    assert again["compared_with"] == 1
    assert {(c["column"], c["change"]) for c in again["changes"]} > {("total", "retyped"), ("price", "removed")}
    served.json(
        "POST", "/pipeline/create", status=201, json=document({"type": "pipeline", "name": "orders"}, name="next")
    )
    chained = document({"type": "pipeline", "name": "orders"}, name="next")
    plan = served.json("POST", "/pipeline/plan", json=chained)
    assert plan["columns"] == version["columns"]
    assert plan["sources"][0]["fetch"]["version"] == 1


def test_a_plan_asks_no_server(served: Served, site: Site) -> None:
    asked = len(site.hits)
    unknown = served.json("POST", "/pipeline/plan", json=document(api(site), name="users", processors=[CLEAN]))
    assert (unknown["known"], unknown["columns"], unknown["changes"]) == ("unknown", None, None)
    assert unknown["sources"][0]["fetch"]["auth"] == "bearer"
    assert unknown["sources"][0]["fetch"]["pagination"]["type"] == "page"
    assert "columns" in unknown["sources"][0]["why"]
    told = api(site, columns=["id", "who"], schema={"id": "int32", "who": "string"})
    known = served.json("POST", "/pipeline/plan", json=document(told, name="users"))
    assert (known["known"], known["columns"]) == (
        "settings", [{"name": "id", "type": "int32"}, {"name": "who", "type": "string"}]
    )  # fmt: skip
    assert len(site.hits) == asked
    served.json("POST", "/pipeline/create", status=201, json=document(told, name="users"))
    assert served.json("POST", "/pipeline/users/execute?wait=30")["status"] == "completed"
    assert served.json("GET", "/pipeline/users/versions/1")["columns"] == known["columns"]
    dynamic_columns = api(site, pagination={"type": "page", "max_pages": 1})
    served.json("POST", "/pipeline/create", status=201, json=document(dynamic_columns, name="open"))
    served.json("POST", "/pipeline/open/execute?wait=30")
    asked = len(site.hits)
    remembered = served.json("POST", "/pipeline/plan", json=document(dynamic_columns, name="open"))
    assert remembered["known"] == "version"
    assert [c["name"] for c in remembered["columns"]] == ["id", "who", "token"]
    assert remembered["changes"] == []
    assert len(site.hits) == asked


def test_a_plan_says_what_would_end_a_run(served: Served) -> None:
    wrong = {"type": "cleaner", "config": {"drop_columns": ["citi"]}}
    plan = served.json("POST", "/pipeline/plan", json=document(CSV, processors=[CLEAN, wrong, {"type": "analyzer"}]))
    (problem,) = plan["problems"]
    assert problem["field"] == "processors[1].config.drop_columns"
    assert "did you mean 'city'?" in problem["message"]
    cleaner, failing, last = plan["steps"]
    assert failing["input"] == cleaner["output"]
    assert (failing["output"], last["input"], plan["columns"], plan["plan"]) == (None, None, None, None)
    plan = served.json("POST", "/pipeline/plan", json=document({"type": "csv", "file_path": "none.csv"}))
    assert plan["problems"][0]["field"] == "collectors[0].file_path"
    (served.data / "uploads" / "twins.csv").write_text("a,A\n1,2\n")
    plan = served.json("POST", "/pipeline/plan", json=document({"type": "csv", "file_path": "twins.csv"}))
    assert "differ only in case" in plan["problems"][0]["message"]
    onehot = {"type": "transformer", "config": {"encode": {"city": "onehot"}}}
    plan = served.json("POST", "/pipeline/plan", json=document(CSV, processors=[onehot]))
    assert (plan["problems"], plan["columns"]) == ([], None)
    assert "only when rows were seen" in plan["steps"][0]["why"]


def test_a_validation_knows_the_columns_of_stored_versions(served: Served) -> None:
    wrong = {"type": "transformer", "config": {"derive": {"double": "prise * 2"}}}
    chained = document({"type": "pipeline", "name": "source"}, name="chained", processors=[wrong])
    (warning,) = served.json("POST", "/pipeline/validate", json=chained)["warnings"]
    assert (warning["code"], warning["details"]["field"]) == ("not_stored", "collectors[0].name")
    served.json("POST", "/pipeline/create", status=201, json=document(CSV, name="source"))
    assert served.json("POST", "/pipeline/source/execute?wait=30")["status"] == "completed"
    refused = served.json("POST", "/pipeline/validate", status=400, json=chained)["error"]
    assert refused["details"] == {"step": "processors[0]", "field": "processors[0].config.derive.double"}
    assert "did you mean 'price'?" in refused["message"]
    lenient = {"type": "cleaner", "config": {"drop_columns": ["citi"], "missing_columns": "ignore"}}
    chained["processors"] = [lenient]
    for route in ("validate", "plan"):
        (warning,) = served.json("POST", f"/pipeline/{route}", json=chained)["warnings"]
        assert (warning["step"], warning["code"]) == ("processors[0]", "missing_column")
    chained["processors"] = [wrong]
    wrong["config"] = {"derive": {"double": "id * 2"}}
    assert served.json("POST", "/pipeline/validate", json=chained) == {"valid": True, "warnings": []}


def test_a_misspelt_column_ends_a_run_before_the_first_request(served: Served, site: Site) -> None:
    pages = [f"{site.address}/page?n={n}" for n in range(3)]
    web = {"type": "web", "url": pages, "css_selectors": {"container": "li", "title": "b"}}
    told = api(site, columns=["title", "who"], schema={"title": "string", "who": "string"})
    filed = {**CSV, "columns": ["id", "price"]}
    ten = [web] * 5 + [told] * 4 + [filed]
    wrong = {"type": "cleaner", "config": {"cast": {"titel": "string"}}}
    many = document(*ten, name="many", processors=[{"type": "analyzer"}, wrong])
    asked = len(site.hits)
    refused = served.json("POST", "/pipeline/validate", status=400, json=many)["error"]
    assert refused["details"]["field"] == "processors[1].config.cast.titel"
    assert "did you mean 'title'?" in refused["message"]
    served.json("POST", "/pipeline/create", status=201, json=many)
    run = served.json("POST", "/pipeline/many/execute?wait=30")
    assert run["status"] == "failed"
    assert run["error"]["details"]["field"] == "processors[1].config.cast.titel"
    assert run["error"]["details"]["step"] == "processors[1]"
    assert site.hits[asked:] == []
    many["processors"][1]["config"]["cast"] = {"title": "string"}
    served.json("PUT", "/pipeline/many/config", json=many)
    assert served.json("POST", "/pipeline/validate", json=many) == {"valid": True, "warnings": []}
    run = served.json("POST", "/pipeline/many/execute?wait=60")
    assert run["status"] == "completed", run["error"]
    assert len(site.hits) > asked


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_requirement_33_addresses_and_ways_out_are_no_files(served: Served, kind: str) -> None:
    with answering(lambda hit: Reply(b"a\n1\n")) as there:
        for path in (
            f"{there.address}/x.csv", f"{there.address}/*.csv", "s3://bucket/x", "gs://bucket/x", "file:///etc/passwd",
            "~/x.csv", "../x.csv", "a/../../x", "/etc/passwd", "/etc/*",
        ):  # fmt: skip
            document = {"name": "out", "collectors": [{"type": kind, "file_path": path}]}
            for asked in ("create", "validate", "plan", "preview"):
                error = served.json("POST", f"/pipeline/{asked}", status=400, json=document)["error"]
                assert (error["code"], error["details"]["field"]) == ("VALIDATION_ERROR", "collectors[0].file_path")
        assert there.hits == []


def test_requirement_33_a_link_that_leads_out_is_refused_everywhere_and_a_missing_file_is_a_warning(
    served: Served,
) -> None:
    secret = served.data.parent / "secret.csv"
    secret.write_text("a\n1\n")
    (served.data / "uploads" / "link.csv").symlink_to(secret)

    def reading(name: str) -> dict[str, Any]:
        return {"name": "linked", "collectors": [{"type": "csv", "file_path": name}]}

    served.json("POST", "/pipeline/create", status=201, json=reading("later.csv"))
    for method, path in (
        ("POST", "validate"), ("POST", "create"), ("POST", "plan"), ("POST", "preview"), ("PUT", "linked/config"),
    ):  # fmt: skip
        error = served.json(method, f"/pipeline/{path}", status=400, json=reading("link.csv"))["error"]
        assert (error["code"], error["details"]["field"]) == ("VALIDATION_ERROR", "collectors[0].file_path")
        assert "a symbolic link leads out" in error["message"]
    (served.data / "uploads" / "later.csv").symlink_to(secret)
    error = served.json("POST", "/pipeline/linked/execute?wait=30")["error"]
    assert (error["details"]["field"], "a symbolic link leads out" in error["message"]) == (
        "collectors[0].file_path",
        True,
    )
    (warning,) = served.json("POST", "/pipeline/validate", json=reading("gone.csv"))["warnings"]
    assert (warning["code"], warning["details"]["field"]) == ("no_file", "file_path")
    assert served.json("POST", "/pipeline/validate", json=reading("shop/*.csv"))["warnings"] == []

"""Columns traced through steps to the columns of their sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from service.jobs import child_log
from service.jobs.job import Job
from service.jobs.messages import Grants
from service.jobs.tasks import lineage
from service.jobs.tasks.task import Tracing
from service.model.lineage import TracedColumns
from service.model.version import Column

ORDERS = {"id": "int64", "price": "float64", "quantity": "int64", "city": "string", "day": "date", "ok": "boolean"}


def trace(tmp_path: Path, *processors: Any, sources: Any = (ORDERS,), **more: Any) -> TracedColumns:
    document = {
        "name": "orders", "processors": list(processors), **more,
        "collectors": [{"type": "csv", "id": f"c{i}", "file_path": f"{i}.csv"} for i in range(len(sources))],
    }  # fmt: skip
    columns = [[Column(name, dtype) for name, dtype in source.items()] for source in sources]
    job = Job(Grants(folder=str(tmp_path), memory_bytes=1 << 29), child_log.logger(lambda _: None))
    return msgspec.json.decode(lineage.trace(Tracing(document=document, sources=columns), job), type=TracedColumns)


def origins(found: TracedColumns, collector: str = "collectors[0]") -> dict[str, list[str]]:
    assert found.columns is not None, found.why
    return {c.name: next((o.columns for o in c.origins if o.collector == collector), []) for c in found.columns}


def cleaner(**config: Any) -> dict[str, Any]:
    return {"type": "cleaner", "config": config}


def transformer(**config: Any) -> dict[str, Any]:
    return {"type": "transformer", "config": config}


def test_renames_drops_and_filters(tmp_path: Path) -> None:
    found = trace(
        tmp_path,
        cleaner(
            rename_columns={"city": "town"}, drop_columns=["day"], filter="ok AND price > 1", drop_duplicates=["id"]
        ),
        cleaner(drop_na=["town"], cast={"quantity": "float64"}, fill_na={"price": {"strategy": "mean"}}),
        {"type": "analyzer"},
    )
    assert origins(found) == {
        "id": ["id"], "price": ["price"], "quantity": ["quantity"], "town": ["city"], "ok": ["ok"],
    }  # fmt: skip
    assert found.why is None


def test_derived_columns_and_aggregates(tmp_path: Path) -> None:
    found = trace(
        tmp_path,
        transformer(derive={"total": "price * quantity", "one": "1"}, datetime={"day": {"parts": ["year"]}}),
        transformer(aggregate={"by": ["city"], "metrics": {"sum": "sum(total)", "years": "max(day_year)"}}),
    )
    assert origins(found) == {"city": ["city"], "sum": ["price", "quantity"], "years": ["day"]}
    constant = trace(tmp_path, transformer(derive={"one": "1"}))
    assert origins(constant)["one"] == []


def test_sql_is_traced_by_its_text(tmp_path: Path) -> None:
    query = (
        "WITH a AS (SELECT city, price * quantity AS total FROM input WHERE ok) "
        "SELECT city AS town, sum(total) AS t FROM a GROUP BY city"
    )
    found = trace(tmp_path, {"type": "sql", "config": {"query": query}}, transformer(derive={"double": "t * 2"}))
    assert origins(found) == {"town": ["city"], "t": ["price", "quantity"], "double": ["price", "quantity"]}


def test_sql_that_cannot_be_followed_comes_from_every_column(tmp_path: Path) -> None:
    query = (
        "SELECT id, EXISTS (SELECT 1 FROM input i WHERE i.price = input.quantity) AS known, "
        "lag(price) OVER w AS earlier, input AS whole FROM input WINDOW w AS (PARTITION BY city ORDER BY day)"
    )
    found = trace(tmp_path, {"type": "sql", "config": {"query": query}})
    every = list(ORDERS)
    assert origins(found) == {"id": ["id"], "known": every, "earlier": every, "whole": every}


def test_constants_and_counts_have_no_origin(tmp_path: Path) -> None:
    query = "SELECT city, count(*) AS n, 1 AS one FROM input GROUP BY city"
    counted = trace(tmp_path, {"type": "sql", "config": {"query": query}}, transformer(derive={"twice": "n * 2"}))
    assert origins(counted) == {"city": ["city"], "n": [], "one": [], "twice": []}
    grouped = trace(tmp_path, transformer(aggregate={"by": ["city"], "metrics": {"n": "count(*)"}}))
    assert origins(grouped) == {"city": ["city"], "n": []}
    both = {"how": "join", "on": ["city"], "type": "full"}
    cities = {"city": "string", "country": "string"}
    joined = trace(tmp_path, transformer(derive={"one": "1"}), sources=(ORDERS, cities), combine=both)
    assert (origins(joined)["one"], origins(joined, "collectors[1]")["one"]) == ([], [])
    looked_up = trace(tmp_path, sources=(ORDERS, cities), combine=both | {"type": "left"})
    assert {name for name, made in origins(looked_up, "collectors[1]").items() if made} == {"country"}
    known = trace(tmp_path, sources=(ORDERS, {"city": "string"}), combine=both | {"type": "inner"})
    assert set(map(tuple, origins(known, "collectors[1]").values())) == {()}


def test_values_that_are_looked_up_come_from_their_column(tmp_path: Path) -> None:
    target = {"method": "target", "target": "price", "into": "mean_price"}
    found = trace(tmp_path, transformer(encode={"city": target}), transformer(encode={"city": "frequency"}))
    assert (origins(found)["mean_price"], origins(found)["city"]) == (["city"], ["city"])


def test_sources_that_are_joined_or_united(tmp_path: Path) -> None:
    cities = {"city": "string", "country": "string", "price": "float64"}
    joined = trace(tmp_path, sources=(ORDERS, cities), combine={"how": "join", "on": ["city"], "type": "left"})
    assert origins(joined)["quantity"] == ["quantity"]
    assert origins(joined, "collectors[1]")["country"] == ["country"]
    assert origins(joined, "collectors[1]")["price_right"] == ["price"]
    assert (origins(joined)["city"], origins(joined, "collectors[1]")["city"]) == (["city"], [])
    full = trace(tmp_path, sources=(ORDERS, cities), combine={"how": "join", "on": ["city"], "type": "full"})
    assert (origins(full)["city"], origins(full, "collectors[1]")["city"]) == (["city"], ["city"])
    assert (origins(full)["price"], origins(full, "collectors[1]")["price"]) == (["price"], [])
    united = trace(tmp_path, sources=(ORDERS, cities))
    assert (origins(united)["price"], origins(united, "collectors[1]")["price"]) == (["price"], ["price"])
    assert (origins(united)["country"], origins(united, "collectors[1]")["country"]) == ([], ["country"])


def test_what_cannot_be_traced_says_why(tmp_path: Path) -> None:
    unknown = trace(tmp_path, sources=({},))
    assert (unknown.columns, unknown.why) == (None, "the columns of a source are not known; execute the pipeline")
    failed = trace(tmp_path, cleaner(drop_columns=["nope"]))
    assert failed.columns is None
    assert failed.why is not None
    assert "nope" in failed.why

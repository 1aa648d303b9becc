"""What Polars executes for each processor: no node that holds all rows in memory, but those that are explained here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from service.engine.polars_frame import PolarsFrame
from service.steps.context import ProcessContext
from tests.unit.processors.table import decode

STREAMING = {
    "multi-scan", "select", "with-columns", "filter", "is-first-distinct", "semi-join", "multiplexer", "with-row-index",
    "group-by", "sort", "in-memory-source", "parquet-source", "simple-projection", "window",
    "map",  # the node that counts lost values
    "zip-strict",  # a bit for each row, whether it is kept
}  # fmt: skip
ROWS = """id,Price,city,quantity,day
3,1.5, x ,4,2024-01-31
1,,y,-1,2024-02-01
2,2,,3,2024-02-01
1,3,x,100,
"""


def cleaner(**config: Any) -> tuple[str, dict[str, Any]]:
    return "cleaner", config


def transformer(**config: Any) -> tuple[str, dict[str, Any]]:
    return "transformer", config


def validator(on_fail: str) -> tuple[str, dict[str, Any]]:
    rules = [{"column": "Price", "check": "not_null"}, {"column": "id", "check": "unique"}]
    return "validator", {"rules": rules, "on_fail": on_fail}


FORWARD = {"strategy": "forward", "order_by": ["id"]}
STREAMED = {
    "fill by group": cleaner(fill_na={"Price": {**FORWARD, "group_by": ["city"]}}),
    "mean by group": cleaner(fill_na={"Price": {"strategy": "mean", "group_by": ["city"]}}),
    "first": cleaner(drop_duplicates=["id"]),
    "last": cleaner(drop_duplicates={"columns": ["id"], "keep": "last"}),
    "none": cleaner(drop_duplicates={"columns": ["id"], "keep": "none"}),
    "newest": cleaner(drop_duplicates={"columns": ["id"], "keep": "last", "order_by": ["day"]}),
    "groups": transformer(aggregate={"by": ["city"], "metrics": {"s": "sum(quantity)", "m": "avg(Price)"}}),
    "lag": transformer(lag={"quantity": {"by": ["city"], "order_by": ["id"]}}),
    "rolling": transformer(rolling={"quantity": {"by": ["city"], "order_by": ["id"], "window": 2, "function": "mean"}}),
    "sort": transformer(sort=["-id"]),
    "split": transformer(split={"column": "part", "shares": {"train": 0.8, "test": 0.2}, "key": "id"}),
    "dropped": validator("drop"),
    "quarantined": validator("quarantine"),
}
EXPLAINED = {
    "fill": (cleaner(fill_na={"Price": FORWARD}), "a value depends on the one before it: one column is in memory"),
    "medians": (
        transformer(aggregate={"by": ["city"], "metrics": {"m": "median(Price)"}}),
        "Polars computes quantiles of groups in memory, over the columns that the aggregate reads",
    ),
}


def nodes(lf: pl.LazyFrame) -> set[str]:
    graph = lf.show_graph(engine="streaming", plan_stage="physical", raw_output=True)
    assert graph is not None
    return set(re.findall(r'label="([\w-]+)', graph))


def planned(tmp_path: Path, tag: str, config: dict[str, Any]) -> set[str]:
    source = tmp_path / "orders.csv"
    source.write_text(ROWS)
    frame = decode(tag, config).apply(PolarsFrame(pl.scan_csv(source), tmp_path), ProcessContext("p", tmp_path))
    assert isinstance(frame, PolarsFrame)
    return nodes(frame.lazy)


@pytest.mark.parametrize("name", STREAMED)
def test_the_plan_streams(tmp_path: Path, name: str) -> None:
    assert planned(tmp_path, *STREAMED[name]) <= STREAMING


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_is_in_memory_is_explained(tmp_path: Path, name: str) -> None:
    """Fails when a newer Polars streams it: then it belongs above."""
    (tag, config), why = EXPLAINED[name]
    assert why
    assert "in-memory-map" in planned(tmp_path, tag, config)

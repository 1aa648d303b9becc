"""What answers cost, counted and not timed: statements of DuckDB a request, and memory of Python a streamed row."""

from __future__ import annotations

import collections
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from service.query.child import encode
from service.query.messages import DataQuery, LookupQuery, SchemaQuery
from tests.unit.query.child.asking import NATIVE, ORDERS, Api, sql


class Counting:
    """A connection that counts the statements that are executed, its cursors' as well."""

    def __init__(self, connection: Any, counts: collections.Counter[str]) -> None:
        self._connection, self.counts = connection, counts

    def cursor(self) -> Counting:
        return Counting(self._connection.cursor(), self.counts)

    def execute(self, *given: Any) -> Any:
        self.counts["statements"] += 1
        return self._connection.execute(*given)

    def sql(self, *given: Any, **named: Any) -> Any:
        self.counts["statements"] += 1
        return self._connection.sql(*given, **named)

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.fixture
def counted(started: Callable[..., Api]) -> Callable[[Any], int]:
    """Answers a query by a worker that has answered one like it; how many statements the second one took."""
    api = started()
    counts: collections.Counter[str] = collections.Counter()
    api.worker._connection = Counting(api.worker._connection, counts)  # type: ignore[assignment]

    def ask(query: Any) -> int:
        api.ask(query)
        counts.clear()
        document, free = api.ask(query)
        assert free
        assert "error" not in document
        return counts["statements"]

    return ask


QUERIES = {
    "sql": (sql("SELECT v FROM orders WHERE id = ?", [ORDERS], parameters=[1]), 2),
    "page": (DataQuery(ORDERS, "json", 1, 1, 1 << 20, 5.0), 2),
    "page of a table": (DataQuery(NATIVE, "json", 1, 1, 1 << 20, 5.0), 2),
    "row": (LookupQuery(ORDERS, ["id"], ["integer"], [["1"]], "json", 1 << 20, 5.0), 2),
    "schema": (SchemaQuery(ORDERS, 5.0), 8),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_request_takes_few_statements(counted: Callable[[Any], int], name: str) -> None:
    query, most = QUERIES[name]
    assert counted(query) <= most


@pytest.mark.parametrize("form", ["ndjson", "csv", "arrow"])
def test_the_memory_of_a_stream_does_not_grow_with_its_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / "part.parquet"
    pl.select(id=pl.int_range(600_000)).with_columns(text=pl.format("n{}", "id")).write_parquet(path)

    def most(rows: int) -> int:
        with duckdb.connect() as connection:
            read = encode.Rows.of(connection, f"FROM read_parquet('{path}') LIMIT {rows}")
            tracemalloc.start()
            try:
                size = sum(len(chunk) for chunk in encode.stream(read, form, None, escape_formulas=True))
                assert size > rows
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    most(1_000)  # imports
    few, many = most(100_000), most(600_000)
    assert many < few + (256 << 10)

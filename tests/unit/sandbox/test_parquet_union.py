"""Quarantine files as one relation: columns by name, types that cannot meet as text, no file as an empty table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from service.files import quarantine
from service.sandbox import parquet_union


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as opened:
        yield opened


def write(name: str, **columns: list[Any]) -> str:
    frame = pl.LazyFrame(columns).with_row_index("number", 1)
    made = {"_step": pl.lit(name), "_row": pl.col("number")}
    quarantine.arrange(frame, list(columns), made).collect().write_parquet(f"{name}.parquet")
    return f"{name}.parquet"


def rows(connection: duckdb.DuckDBPyConnection, files: list[str], columns: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {columns} FROM {parquet_union.relation(connection, files)} ORDER BY {', '.join(parquet_union.ORDER)}"
    ).fetchall()
    return found


def test_columns_meet_by_name_and_are_null_where_they_are_not(connection: duckdb.DuckDBPyConnection) -> None:
    files = [write("one", a=[1, 2], b=["x", "y"]), write("two", A=[3], c=[dt.date(2024, 2, 29)])]
    assert rows(connection, files, "_step, _row, a, b, c") == [
        ("one", 1, 1, "x", None), ("one", 2, 2, "y", None), ("two", 1, 3, None, dt.date(2024, 2, 29)),
    ]  # fmt: skip


def test_rows_are_in_the_order_of_where_they_came_from(connection: duckdb.DuckDBPyConnection) -> None:
    places = [("s2", None, None, 1), ("s1", "b", 1, None), ("s1", "a", 2, None), ("s1", "a", 1, None),
              ("s0", None, None, 2), ("s0", None, None, 1)]  # fmt: skip
    frame = pl.DataFrame(places, schema=["step", "file", "line", "row"], orient="row").lazy()
    made = {f"_{name}": pl.col(name) for name in ("step", "file", "line", "row")}
    quarantine.arrange(frame, [], made).collect().write_parquet("mixed.parquet")
    assert rows(connection, ["mixed.parquet"], "_step, _file, _line, _row") == [
        ("s0", None, None, 1), ("s0", None, None, 2), ("s1", "a", 1, None), ("s1", "a", 2, None), ("s1", "b", 1, None),
        ("s2", None, None, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        ([1], [1.5], ["1", "1.5"]),
        ([1], ["x"], ["1", "x"]),
        ([{"k": 1}], [2], ['{"k":1}', "2"]),
        ([[1, 2]], [dt.date(2024, 2, 29)], ["[1,2]", "2024-02-29"]),
        ([{"k": 1}], [{"l": 1}], ['{"k":1}', '{"l":1}']),
        ([True], [None], ["true", None]),
    ],
)
def test_types_that_differ_become_text(
    first: list[Any], second: list[Any], texts: list[str], connection: duckdb.DuckDBPyConnection
) -> None:
    files = [write("one", a=first), write("two", a=second)]
    assert [a for (a,) in rows(connection, files, "a")] == texts


def test_strange_names(connection: duckdb.DuckDBPyConnection) -> None:
    files = [write("it's", **{'a "quoted" name': [1], "x": [1], "X": [2]}), write("two", **{'a "quoted" name': [2]})]
    assert [a for (a,) in rows(connection, files, '"a ""quoted"" name"')] == [1, 2]


def test_without_files_there_are_no_rows_in_the_same_layout(connection: duckdb.DuckDBPyConnection) -> None:
    def described(files: list[str]) -> list[tuple[str, str]]:
        found = connection.execute(f"DESCRIBE FROM {parquet_union.relation(connection, files)}").fetchall()
        return [(name, kind) for name, kind, *_ in found]

    assert rows(connection, [], "*") == []
    assert described([]) == described([write("one")])

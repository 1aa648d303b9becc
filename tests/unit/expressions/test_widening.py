"""Small whole numbers in SQL: they count in 64 bits, and columns that go through as they are keep their type."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest

from service.expressions import scalar, select

SMALL = [pl.Int8(), pl.UInt8(), pl.Int16(), pl.UInt16(), pl.Int32(), pl.UInt32()]


def table(dtype: pl.DataType) -> pl.LazyFrame:
    return pl.LazyFrame({"a": pl.Series([12, 100, None], dtype=dtype), "b": pl.Series([11, 120, 3], dtype=dtype)})


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a * 100", [1200, 10_000, None]),
        ("a - b", [1, -20, None]),
        ("-b", [-11, -120, -3]),
        ("a * a * a * a * a", [12**5, 10**10, None]),
        ("CASE WHEN a > 12 THEN 100000 ELSE 0 END * 100000", [0, 10**10, 0]),
    ],
)
def test_an_expression_does_not_wrap_around(dtype: pl.DataType, text: str, wanted: list[Any]) -> None:
    lf = table(dtype)
    found, result = scalar.typed(text, lf.collect_schema())
    made = scalar.derive(lf, "n", found).collect()
    assert made["n"].to_list() == wanted
    assert made.schema == {"a": dtype, "b": dtype, "n": result}
    assert select.run(lf, select.typed(f"SELECT ({text}) AS n FROM input", lf.collect_schema())).collect()[
        "n"
    ].to_list() == wanted  # fmt: skip


def test_a_condition_does_not_wrap_around_and_leaves_the_columns_as_they_are() -> None:
    lf = table(pl.Int8())
    found, _ = scalar.typed("a * 100 > 9000", lf.collect_schema())
    assert scalar.where(lf, found).collect().equals(lf.collect()[1:2])


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("SELECT a, a * 100 AS m, b AS c FROM input", {"a": 8, "m": 64, "c": 8}),
        ("SELECT * FROM input WHERE a * 100 > 9000", {"a": 8, "b": 8}),
        ("SELECT i.* FROM input i", {"a": 8, "b": 8}),
        ("SELECT * REPLACE (a * 100 AS a) FROM input", {"a": 64, "b": 8}),
        ("SELECT * EXCLUDE (a), a * 100 AS a FROM input", {"b": 8, "a": 64}),
        ("SELECT * RENAME (a AS z) FROM input", {"z": 64, "b": 8}),
        ("SELECT b AS a, a * 100 AS b FROM input", {"a": 8, "b": 64}),
        ("SELECT x.a, y.b * 100 AS n FROM input x JOIN input y ON x.a = y.a", {"a": 8, "n": 64}),
        ("SELECT a, sum(b) AS s, count(*) AS n FROM input GROUP BY a", {"a": 8, "s": 64, "n": 64}),
        ("WITH t AS (SELECT a * 100 AS a FROM input) SELECT a FROM t", {"a": 64}),
        ("SELECT a FROM (SELECT a * 100 AS a FROM input) t", {"a": 64}),
        ("SELECT a FROM input UNION ALL SELECT a * 100 FROM input", {"a": 64}),
    ],
)
def test_columns_of_a_query_that_go_through_as_they_are_keep_their_type(query: str, types: dict[str, int]) -> None:
    lf = table(pl.Int8())
    made = select.run(lf, select.typed(query, lf.collect_schema())).collect()
    assert dict(made.schema) == {name: pl.Int8() if bits == 8 else pl.Int64() for name, bits in types.items()}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("month(d) * 100 + day(d)", 1231),
        ("extract(month FROM d) * 100", 1200),
        ("date_part('month', d) * 100", 1200),
        ("length(t) - 10", -8),
        ("octet_length(t) - 10", -7),
        ("strpos(t, 'b') - length(upper(t))", -1),
        ("length(t) * 1000000000 * 5", 10**10),
    ],
)
def test_counts_and_parts_of_dates_do_not_wrap_around(text: str, wanted: int) -> None:
    lf = pl.LazyFrame({"d": [dt.date(2024, 12, 31)], "t": ["bü"]})
    query = select.typed(f"SELECT {text} AS n FROM input", lf.collect_schema())
    assert select.run(lf, query).collect()["n"].to_list() == [wanted]
    found, _ = scalar.typed(text, lf.collect_schema())
    assert scalar.derive(lf, "n", found).collect()["n"].to_list() == [wanted]


def test_a_sum_of_small_numbers_may_be_great() -> None:
    lf = pl.LazyFrame({"a": pl.Series([2_000_000_000] * 3, dtype=pl.Int32)})
    made = select.run(lf, select.typed("SELECT sum(a) AS s FROM input", lf.collect_schema())).collect()
    assert made["s"].to_list() == [6_000_000_000]

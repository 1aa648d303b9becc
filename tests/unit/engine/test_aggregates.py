"""Every row of the table of aggregates against DuckDB, over edge values of every kind that it takes."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from service.engine import aggregates, duckdb_types, group_sql, polars_frame
from service.kit import errors
from service.processors.features import aggregate as step
from service.steps.context import ProcessContext

NAN, INF = float("nan"), float("inf")
VALUES: dict[str, pl.Series] = {
    "int8": pl.Series([-128, 127, 0, None, 5, 5], dtype=pl.Int8),
    "int64": pl.Series([2**62, -(2**63), 2**53 + 1, None, 7, 7], dtype=pl.Int64),
    "uint64": pl.Series([2**62, 0, 1, None, 9, 9], dtype=pl.UInt64),
    "float32": pl.Series([16777217.0, 1e10, -0.0, None, 0.1, 0.1], dtype=pl.Float32),
    "float64": pl.Series([1e308, -1e-308, -0.0, None, 0.1, 0.1], dtype=pl.Float64),
    "special": pl.Series([NAN, INF, -INF, None, 1.0, NAN], dtype=pl.Float64),
    "decimal": pl.Series([Decimal("99999.99"), Decimal("-0.01"), None, None, Decimal(1), Decimal(1)],
                         dtype=pl.Decimal(10, 2)),
    "boolean": pl.Series([True, False, None, None, True, True]),
    "text": pl.Series(["", "Z", "a", None, "é", "e\u0301"]),
    "category": pl.Series(["z", "a", None, None, "z", "m"], dtype=pl.Enum(["z", "m", "a"])),
    "date": pl.Series([dt.date(1, 1, 1), dt.date(9999, 12, 31), None, None, dt.date(2024, 2, 29), dt.date(1970, 1, 1)]),
    "datetime": pl.Series([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59), None, None,
                           dt.datetime(2024, 2, 29, 1, 2, 3, 4), dt.datetime(1970, 1, 1)], dtype=pl.Datetime("us")),
    "time": pl.Series([dt.time(0), dt.time(23, 59, 59, 999999), None, None, dt.time(1), dt.time(1)]),
    "duration": pl.Series([dt.timedelta(0), dt.timedelta(days=-9, seconds=5), None, None, dt.timedelta(1),
                           dt.timedelta(1)], dtype=pl.Duration("us")),
}  # fmt: skip
GROUPS = pl.Series("g", ["one", "one", "one", "none", "twice", "twice"])
CASES = [
    (name, kind)
    for name, rows in aggregates.TABLE.items()
    for kind, values in VALUES.items()
    if any(aggregates.kind_of(values.dtype) in row.kinds for row in rows)
]
_LOOSE = ("min", "max", "avg", "stddev", "stddev_pop", "variance", "var_pop", "sum")
"""Within 1e-14: the two engines add floats in another order. Of distinct zeros either may be the least."""


def ours(frame: pl.DataFrame, text: str, folder: Path) -> pl.DataFrame:
    aggregated = step.aggregate(
        polars_frame.PolarsFrame(frame.lazy(), folder),
        step.Aggregate(by=["g"], metrics={"x": text}),
        ProcessContext("processors[0]", folder),
    )
    assert isinstance(aggregated, polars_frame.PolarsFrame)
    return aggregated.lazy.collect()


def duckdbs(frame: pl.DataFrame, text: str) -> list[Any]:
    handed = frame.select(duckdb_types.handed_over(n, t).alias(n) for n, t in frame.schema.items())
    read = ", ".join(duckdb_types.reading(n, n, t) for n, t in frame.schema.items())
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("batch", handed.to_arrow())
        connection.execute(f"CREATE VIEW input AS SELECT {read} FROM batch")
        rows = connection.execute(
            f"SELECT any_value(g), {text} FROM (SELECT *, row_number() OVER () AS n FROM input) "
            "GROUP BY g ORDER BY min(n)"
        )
        return [value for _, value in rows.fetchall()]


def same(one: Any, other: Any, *, loose: bool) -> bool:
    if isinstance(one, float) and isinstance(other, float) and not math.isnan(one) and loose:
        return one == other or math.isclose(one, other, rel_tol=1e-14)
    return repr(one) == repr(other) or (one == other and type(one) is type(other) and not isinstance(one, float))


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("distinct", ["", "DISTINCT "])
def test_an_aggregate_answers_what_duckdb_answers(name: str, kind: str, distinct: str, tmp_path: Path) -> None:
    if distinct and name in ("first", "last", "any_value", "bool_and", "bool_or", "count_if"):
        distinct = ""
    frame = pl.DataFrame([GROUPS, VALUES[kind].alias("v")])
    text = f"{name}({distinct}v)"
    spread = name.startswith(("stddev", "var")) and kind in ("special", "float64")
    if spread:  # DuckDB refuses what is not finite, here it is NaN or infinite
        frame = frame[4:] if kind == "float64" else frame[3:4]
    wanted = duckdbs(frame, text)
    found = ours(frame, text, tmp_path)
    assert found["x"].dtype == group_sql.compiled(text, frame.schema, "_a").dtype
    pairs = list(zip(found["x"].to_list(), wanted, strict=True))
    assert all(same(a, b, loose=name in _LOOSE) for a, b in pairs), pairs


@pytest.mark.parametrize("text", ["count(*)", "count(*) FILTER (WHERE v > 0)", "sum(v) FILTER (WHERE v > 0)",
    "sum(v * 2) / count(*)", "max(v) - min(v)", "coalesce(sum(v), -1)", "round(avg(v), 2)", "sum(abs(v)) > 3",
    "CASE WHEN count(v) > 1 THEN 'many' ELSE 'few' END"])  # fmt: skip
def test_expressions_inside_and_around_an_aggregate(text: str, tmp_path: Path) -> None:
    frame = pl.DataFrame([GROUPS, pl.Series("v", [1, -2, 3, None, 5, 5])])
    assert ours(frame, text, tmp_path)["x"].to_list() == duckdbs(frame, text)


def test_a_sum_that_does_not_fit_64_bits_is_an_error_that_names_it(tmp_path: Path) -> None:
    frame = pl.DataFrame({"g": ["a", "a"], "v": [2**63 - 1, 1]})
    with pytest.raises(
        pl.exceptions.ComputeError, match=r"aggregate\.metrics\.x: sum\(v\): the sum 9223372036854775808"
    ):
        ours(frame, "sum(v)", tmp_path)
    assert ours(frame, "sum(CAST(v AS DECIMAL(38, 0)))", tmp_path)["x"].to_list() == [Decimal(2**63)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sum(t)", "sum of string values is not supported"),
        ("median(v, v)", "takes one argument|number of provided arguments"),
        ("sum(v ORDER BY v)", "ORDER BY inside"),
        ("sum(zz)", "no column 'zz'"),
        ("avg(v) + v", "outside of an aggregate"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, message: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"g": ["a"], "v": [1], "t": ["x"]})
    with pytest.raises(errors.Permanent, match=message):
        ours(frame, text, tmp_path)


@pytest.mark.parametrize(
    ("name", "dtype", "instead"),
    [
        ("median", pl.Decimal(10, 2), "write median(CAST(x AS DOUBLE))"),
        ("avg", pl.String(), "write avg(CAST(x AS DOUBLE)) if the texts are numbers"),
        ("stddev", pl.Boolean(), "write stddev(CAST(x AS INTEGER))"),
        ("min", pl.List(pl.Int64()), "use a sql step: SELECT key, min(x) AS y FROM input GROUP BY key"),
        ("sum", pl.Duration(), "use a sql step"),
    ],
)
def test_a_refusal_says_what_to_write(name: str, dtype: pl.DataType, instead: str) -> None:
    with pytest.raises(ValueError, match="is not supported here") as error:
        aggregates.find(name, dtype)
    assert instead in str(error.value)

"""Places in a table and values by a table, for every type, in the streaming engine."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from service.values import lookup

NAN = float("nan")


@pytest.mark.parametrize(
    ("known", "values", "places"),
    [
        (pl.Series(["b", "", "ü"]), ["", "ü", None, "x", "b"], [1, 2, None, None, 0]),
        (pl.Series([10, 2]), [2, 10, None, 3], [1, 0, None, None]),
        (pl.Series([0.0, 1.5, NAN]), [-0.0, 1.5, NAN, None, 2.0], [0, 1, 2, None, None]),
        (pl.Series([True]), [True, False, None], [0, None, None]),
        (pl.Series([dt.date(2024, 2, 29)]), [dt.date(2024, 2, 29), None], [0, None]),
        (
            pl.Series([dt.datetime(2024, 1, 1)]).dt.replace_time_zone("UTC"),
            [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
            [0],
        ),
        (pl.Series([dt.time(1)]), [dt.time(1), dt.time(2)], [0, None]),
        (pl.Series([Decimal("1.10")]), [Decimal("1.10"), Decimal("1.11")], [0, None]),
        (pl.Series([], dtype=pl.String), ["x", None], [None, None]),
        (pl.Series(["only"]), ["only", "x"], [0, None]),
    ],
)
def test_places_and_values(known: pl.Series, values: list[Any], places: list[Any]) -> None:
    frame = pl.LazyFrame({"v": pl.Series(values, dtype=known.dtype)})
    into = pl.Series([f"new {i}" for i in range(len(known))], dtype=pl.String)
    made = frame.select(
        place=lookup.index_of(pl.col("v"), known.dtype, known),
        value=lookup.replace(pl.col("v"), known.dtype, known, into),
    ).collect(engine="streaming")
    assert made["place"].to_list() == places
    assert made["value"].to_list() == [None if p is None else f"new {p}" for p in places]


def test_many_rows_in_many_pieces() -> None:
    rows = 300_000
    known, into = pl.Series(["a", "b", "c"]), pl.Series([1.5, None, 3.5])
    lf = pl.LazyFrame({"v": pl.Series(["a", "b", "c", "d"]).sample(rows, with_replacement=True, seed=1)})
    made = lf.select("v", x=lookup.replace(pl.col("v"), pl.String(), known, into)).collect(engine="streaming")
    assert made.unique().sort("v").rows() == [("a", 1.5), ("b", None), ("c", 3.5), ("d", None)]

"""Random tables with keys of every kind of value, each of few values, so that they repeat."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import strategies as st

NAN = float("nan")
ZONED = pl.Datetime("us", "Europe/Berlin")
VALUES: dict[str, tuple[Any, list[Any]]] = {
    "i": (pl.Int64, [0, 1, -1, 2**62, None]),
    "u": (pl.UInt8, [0, 255, None]),
    "wide": (pl.Int128, [0, 2**100, None]),
    "f": (pl.Float64, [0.0, -0.0, NAN, -NAN, 1.5, None]),
    "f32": (pl.Float32, [0.0, -0.0, NAN, None]),
    "s": (pl.String, ["", "a", "a longer text than twelve bytes", None]),
    "b": (pl.Boolean, [True, False, None]),
    "d": (pl.Date, [dt.date(2024, 2, 29), dt.date(1970, 1, 1), None]),
    "t": (ZONED, [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None]),
    "dec": (pl.Decimal(10, 2), [Decimal("1.10"), Decimal("-1.10"), None]),
    "cat": (pl.Categorical, ["x", "y", None]),
    "en": (pl.Enum(["b", "a"]), ["a", "b", None]),
    "bin": (pl.Binary, [b"", b"x", None]),
    "l": (pl.List(pl.Float64), [[], [0.0], [-0.0], [NAN], [None], None]),
    "st": (pl.Struct({"a": pl.Float64, "b": pl.String}), [{"a": 0.0, "b": "x"}, {"a": -0.0, "b": "x"}, None]),
    "n": (pl.Null, [None]),
}


def keyed_table(draw: st.DrawFn, key: Sequence[str], most: int, number: str) -> pl.DataFrame:
    """Up to ``most`` rows: columns of these kinds, named by them, and the number of each row."""
    rows = draw(st.integers(0, most))
    columns = [
        pl.Series(name, draw(st.lists(st.sampled_from(VALUES[name][1]), min_size=rows, max_size=rows)), VALUES[name][0])
        for name in key
    ]
    return pl.DataFrame([*columns, pl.int_range(rows, eager=True).alias(number)])

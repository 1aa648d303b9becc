"""A table with a column of every type, each with a null."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl

EVERY_KIND = pl.DataFrame(
    {
        "i": pl.Series([1, None], dtype=pl.Int8),
        "u": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
        "f": pl.Series([float("nan"), None], dtype=pl.Float32),
        "s": ["ü", None],
        "b": [True, None],
        "d": [dt.date(2024, 2, 29), None],
        "t": pl.Series([dt.datetime(2024, 1, 1), None]).dt.replace_time_zone("Europe/Berlin"),
        "tm": [dt.time(1), None],
        "dec": pl.Series([Decimal("1.10"), None], dtype=pl.Decimal(10, 2)),
        "cat": pl.Series(["x", None], dtype=pl.Categorical),
        "en": pl.Series(["b", None], dtype=pl.Enum(["b", "a"])),
        "l": [[1], None],
        "st": [{"a": 1}, None],
        "n": [None, None],
        "bin": [b"x", None],
        "du": [dt.timedelta(1), None],
    }
)

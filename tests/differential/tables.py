"""Random tables: a unique key, and columns of the usual types with nulls and awkward values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from random import Random
from typing import Any

import polars as pl

WORDS = [
    "", "a", "B", "ab", "Ünder", "naïve", "日本語", "x y", " pad ", "12", "-7.5", "2024-01-31", "a,b", "%", "e\u0301",
]  # fmt: skip
EDGES = [2**62, -(2**62), 2**53 + 1, 2**31, -(2**31)]
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "k": pl.Int64, "i": pl.Int64, "j": pl.Int32, "f": pl.Float64, "s": pl.String, "c": pl.String, "b": pl.Boolean,
    "d": pl.Date, "t": pl.Datetime("us"), "u": pl.UInt8, "m": pl.Decimal(10, 2), "h": pl.Time, "l": pl.List(pl.Int64),
    "g": pl.Float32,
}  # fmt: skip


def table(random: Random, *, plain: bool = False) -> pl.DataFrame:
    """Up to 30 rows. ``plain`` tables have no NaN, infinity or number at the end of its type."""
    height = random.choice([0, 1, 2, 5, 13, 30])
    edges = not plain and random.random() < 0.2

    def cell(kind: str) -> Any:
        if random.random() < 0.15:
            return None
        match kind:
            case "i":
                return random.choice(EDGES) if edges and random.random() < 0.3 else random.randint(-20, 20)
            case "j":
                return random.randint(-9, 9)
            case "f":
                odd = [float("nan"), float("inf"), float("-inf"), -0.0, 1e300]
                return random.choice(odd) if edges and random.random() < 0.3 else random.randint(-4000, 4000) / 64
            case "s":
                return random.choice(WORDS)
            case "c":
                return random.choice("xyz")
            case "b":
                return random.random() < 0.5
            case "d":
                return dt.date(2024, 1, 1) + dt.timedelta(days=random.randint(-800, 800))
            case "u":
                return random.choice([0, 1, 200, 255])
            case "m":
                return Decimal(random.randint(-99999, 99999)).scaleb(-2)
            case "h":
                return dt.time(random.randint(0, 23), random.randint(0, 59), 30, random.choice([0, 500_000]))
            case "l":
                return [random.choice([1, 2, -3, None]) for _ in range(random.randint(0, 3))]
            case "g":
                return random.randint(-40, 40) / 8
            case _:
                return dt.datetime(2024, 1, 31, 23, 59, 59) + dt.timedelta(seconds=random.randint(-(10**7), 10**7))

    rows = [{"k": k, **{name: cell(name) for name in SCHEMA if name != "k"}} for k in range(height)]
    random.shuffle(rows)
    return pl.DataFrame(rows, schema=SCHEMA)

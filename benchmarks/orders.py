"""The reference job: messy orders as CSV, and what is to be done with them.

The data: 20 columns, about 190 bytes a row. 1 % of the rows repeat an earlier key with other values, 1 % are exact
repetitions, 1 % of the prices are junk and 2 % missing, timestamps are text in two formats (one a column), notes are
quoted with ``""`` and line breaks inside.

Rows are a pure function of their number, so any size can be written in chunks in bounded memory, and every size has
the smaller one as its beginning. The random numbers are splitmix64 in wrapping 64-bit arithmetic: the same on every
machine and with every version of Polars.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import polars as pl

CHUNK = 250_000
SEED = 20_260

CATEGORIES = ["beauty", "books", "clothing", "electronics", "food", "garden", "home", "music", "sports", "toys"]
COUNTRIES = ["AT", "BE", "BR", "CA", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "IE", "IN", "IT", "JP", "NL", "PL"]
STATUSES = ["new", "paid", "packed", "shipped", "returned"]
CHANNELS = ["web", "app", "store", "phone"]
JUNK = ["n/a", "--", "ask", "12,50 EUR", "free?"]

DROP = ["internal_ref", "legacy_flag"]
RENAME = {"Cust Email": "customer_email", "Ship Cost": "shipping_cost"}
FILL = {"coupon": "NONE", "discount": 0.0, "channel": "unknown"}
MEDIANS = ["unit_price", "weight_kg"]
FLOATS = ["unit_price", "discount", "shipping_cost", "weight_kg", "rating"]
INTEGERS = ["customer_id", "quantity"]
NUMBERS = ["customer_id", "quantity", "unit_price", "discount", "shipping_cost", "weight_kg", "rating"]
STRINGS = ["customer_email", "category", "country", "channel", "status", "coupon", "notes"]
TIMES = {"created_at": "%Y-%m-%dT%H:%M:%S", "shipped_at": "%d/%m/%Y %H:%M"}
BOOLEAN = "is_gift"
KEY = "order_id"
PROFILED = [*NUMBERS, *STRINGS, *TIMES, BOOLEAN]
QUANTILES = [0.05, 0.25, 0.5, 0.75, 0.95]
TOP = 10
SCALED = ["unit_price", "weight_kg"]
ENCODED = "category"
DATED = "created_at"
PARTS = ["year", "month", "day", "weekday", "hour"]

HEADER = [
    "order_id", "customer_id", "Cust Email", "category", "country", "channel", "status", "quantity", "unit_price",
    "discount", "Ship Cost", "weight_kg", "rating", "coupon", "is_gift", "created_at", "shipped_at", "notes",
    "internal_ref", "legacy_flag",
]  # fmt: skip

_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _u64(value: int) -> pl.Expr:
    return pl.lit(value & 0xFFFFFFFFFFFFFFFF, dtype=pl.UInt64)


def _random(row: pl.Expr, stream: int) -> pl.Expr:
    """Splitmix64 of the row number, another sequence for each ``stream``."""
    x = (row + _u64((SEED + stream) * 0xD1342543DE82EF95)) * _u64(_GOLDEN)
    x = (x ^ (x // _u64(1 << 30))) * _u64(_MIX1)
    x = (x ^ (x // _u64(1 << 27))) * _u64(_MIX2)
    return x ^ (x // _u64(1 << 31))


def _below(row: pl.Expr, stream: int, bound: int) -> pl.Expr:
    return _random(row, stream) // _u64(1 << 11) % _u64(bound)


def _share(row: pl.Expr, stream: int) -> pl.Expr:
    """Uniform in [0, 1)."""
    return (_random(row, stream) // _u64(1 << 11)).cast(pl.Float64) / float(1 << 53)


def _pick(values: list[str], row: pl.Expr, stream: int) -> pl.Expr:
    """One of ``values``, the earlier ones more often."""
    place = (_share(row, stream) * _share(row, stream + 1) ** 0.5 * len(values)).floor().cast(pl.UInt32)
    return pl.lit(pl.Series(values)).gather(place)


def _missing(value: pl.Expr, row: pl.Expr, stream: int, percent: int) -> pl.Expr:
    return pl.when(_below(row, stream, 100) >= percent).then(value)


def _bell(row: pl.Expr, stream: int) -> pl.Expr:
    """About normal, mean 0, standard deviation 1."""
    total = _share(row, stream) + _share(row, stream + 1) + _share(row, stream + 2) + _share(row, stream + 3)
    return (total - 2.0) * pl.lit(3.0).sqrt()


def rows(start: int, count: int) -> pl.DataFrame:
    """Rows ``start`` to ``start + count`` of the endless table, as text and numbers ready for CSV."""
    number = pl.int_range(start, start + count, dtype=pl.UInt64, eager=True).alias("number")
    here, chance = pl.col("number"), _below(pl.col("number"), 1, 100)
    back = pl.when(here > 2000).then(here - 1 - _below(here, 2, 1000)).otherwise(here)
    frame = pl.DataFrame({"number": number}).select(
        pl.when(chance == 0).then(back).otherwise(here).alias("row"),
        pl.when(chance < 2).then(back).otherwise(here).alias("key"),
    )
    row = pl.col("row")
    price = (_bell(row, 20) * 0.8 + 3.2).exp().round(2)
    seconds = _below(row, 30, 3 * 365 * 86_400).cast(pl.Int64)
    created = pl.datetime(2023, 1, 1) + pl.duration(seconds=seconds)
    shipped = created + pl.duration(minutes=_below(row, 32, 9 * 1440).cast(pl.Int64))
    customer = _below(row, 40, 90_000) + 10_000
    notes = pl.concat_str(
        pl.lit('Customer said "'),
        _pick(["please", "leave it", "call first", "gift wrap", "no rush"], row, 42),
        pl.lit('",\nand asks for the usual place; see account '),
        customer.cast(pl.String),
        pl.lit(", thank you"),
    )
    return frame.select(
        (pl.col("key") + 1_000_000).alias("order_id"),
        customer.alias("customer_id"),
        pl.format("c{}@mail{}.example", customer, customer % 7).alias("Cust Email"),
        _pick(CATEGORIES, row, 50).alias("category"),
        _pick(COUNTRIES, row, 52).alias("country"),
        _missing(_pick(CHANNELS, row, 54), row, 56, 3).alias("channel"),
        _pick(STATUSES, row, 57).alias("status"),
        (_below(row, 59, 8) + 1).alias("quantity"),
        pl.when(_below(row, 60, 100) == 0)
        .then(_pick(JUNK, row, 61))
        .otherwise(_missing(price.cast(pl.String), row, 63, 2))
        .alias("unit_price"),
        _missing((_share(row, 64) * 0.3).round(3), row, 65, 40).alias("discount"),
        (_bell(row, 66) * 2 + 9).abs().round(2).alias("Ship Cost"),
        _missing((_bell(row, 70) * 0.5 + 1).exp().round(3), row, 74, 5).alias("weight_kg"),
        _missing((_share(row, 75) * 4 + 1).round(1), row, 76, 30).alias("rating"),
        _missing(_pick(["SPRING10", "VIP", "WELCOME5", "BULK"], row, 77), row, 79, 80).alias("coupon"),
        pl.when(_below(row, 80, 10) == 0).then(pl.lit("true")).otherwise(pl.lit("false")).alias("is_gift"),
        created.dt.strftime(TIMES["created_at"]).alias("created_at"),
        _missing(shipped.dt.strftime(TIMES["shipped_at"]), row, 81, 6).alias("shipped_at"),
        pl.when(_below(row, 82, 3) == 0).then(notes).alias("notes"),
        pl.format("ref-{}-{}", row, _random(row, 83)).alias("internal_ref"),
        _pick(["Y", "N"], row, 84).alias("legacy_flag"),
    )


def write_csv(path: Path, count: int) -> Path:
    """``count`` rows as one CSV file; memory stays that of one chunk. A file of the same name is kept as it is."""
    if path.exists():
        return path
    partial = path.with_suffix(".partial")
    with partial.open("wb") as out:
        for start in range(0, count, CHUNK):
            rows(start, min(CHUNK, count - start)).write_csv(out, include_header=start == 0)
    return partial.replace(path)


def pipeline(name: str, file: str, *, native: bool) -> dict[str, Any]:
    """The same job as a pipeline's configuration; ``native`` asks for the DuckDB table beside the Parquet."""
    casts: dict[str, Any] = {"unit_price": {"type": "float64", "on_error": "null"}}
    casts |= {column: {"type": "datetime", "format": text, "on_error": "null"} for column, text in TIMES.items()}
    return {
        "name": name,
        "collectors": [{"type": "csv", "file_path": file}],
        "processors": [
            {
                "type": "cleaner",
                "config": {
                    "rename_columns": RENAME,
                    "drop_columns": DROP,
                    "cast": casts,
                    "fill_na": dict(FILL),
                    "drop_duplicates": {"columns": [KEY], "keep": "first"},
                },
            },
            {"type": "cleaner", "config": {"fill_na": {column: {"strategy": "median"} for column in MEDIANS}}},
            {"type": "analyzer", "config": {"columns": PROFILED, "quantiles": QUANTILES, "top_k": TOP}},
            {
                "type": "transformer",
                "config": {
                    "datetime": {DATED: {"parts": PARTS}},
                    "normalize": dict.fromkeys(SCALED, "standard"),
                    "encode": {ENCODED: "onehot"},
                },
            },
        ],
        "storage": [{"type": "parquet"}, *([{"type": "duckdb"}] if native else [])],
    }


if __name__ == "__main__":
    write_csv(Path(sys.argv[1]), int(sys.argv[2]))


def scale(found: dict[str, Any], column: str) -> float:
    """What scaling divides by: the deviation over n, as scikit-learn's StandardScaler; a profile's is over n - 1."""
    count = found["rows"] - found[f"{column}|missing"]
    return float(found[f"{column}|std"]) * math.sqrt((count - 1) / count)

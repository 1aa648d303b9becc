"""One processor over the staged orders, as Penstock does it or written by hand; prints what it cost as JSON.

``CASES`` has for each case the processor's configuration and the hand-written form: what a person who knows Polars
well would write for it, fitted first and applied as literals where something is fitted. Both read the same lz4
Parquet stage and write zstd Parquet. Only the work is measured, not the start of the process.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from benchmarks.orders import COUNTRIES
from service.engine.polars_frame import PolarsFrame
from service.processors.cleaner import Cleaner
from service.processors.sql import Sql
from service.processors.transformer import Transformer
from service.processors.validator import Validator
from service.steps.context import ProcessContext

Rows = pl.LazyFrame
Case = tuple[Any, dict[str, Any], Callable[[Rows], Rows]]

PRICE, WEIGHT, SHIPPING, RATING = (pl.col(c) for c in ("unit_price", "weight_kg", "shipping_cost", "rating"))
CUSTOMER, MADE = "customer_id", "created_at"


def got(rows: Rows, *expressions: pl.Expr) -> dict[str, Any]:
    return rows.select(*expressions).collect(engine="streaming").row(0, named=True)


def mean_filled(rows: Rows) -> Rows:
    found = got(rows, PRICE.mean(), WEIGHT.mean())
    return rows.with_columns(pl.col(c).fill_null(v) for c, v in found.items())


def mode_filled(rows: Rows) -> Rows:
    counts = rows.group_by("coupon").len().drop_nulls().collect(engine="streaming")
    mode = counts.sort(["len", "coupon"], descending=[True, False])["coupon"][0]
    return rows.with_columns(pl.col("coupon").fill_null(mode))


def carried(rows: Rows) -> Rows:
    return rows.with_columns(RATING.forward_fill().over(CUSTOMER, order_by=MADE))


def clipped(rows: Rows) -> Rows:
    low, high = got(rows, SHIPPING.quantile([0.25, 0.75], "linear"))["shipping_cost"]
    reach = 1.5 * (high - low)
    return rows.with_columns(SHIPPING.clip(low - reach, high + reach))


def standard(rows: Rows) -> Rows:
    found = got(rows, *(f(c).alias(f"{c}|{n}") for c in ("unit_price", "weight_kg") for n, f in _MOMENTS.items()))
    return rows.with_columns((pl.col(c) - found[f"{c}|mean"]) / found[f"{c}|std"] for c in ("unit_price", "weight_kg"))


_MOMENTS: dict[str, Callable[[str], pl.Expr]] = {
    "mean": lambda c: pl.col(c).mean(),
    "std": lambda c: pl.col(c).std(ddof=0),
}


def robust(rows: Rows) -> Rows:
    low, middle, high = got(rows, SHIPPING.quantile([0.25, 0.5, 0.75], "linear"))["shipping_cost"]
    return rows.with_columns((SHIPPING - middle) / (high - low))


def cut(rows: Rows) -> Rows:
    edges = got(rows, SHIPPING.quantile([n / 10 for n in range(11)], "linear"))["shipping_cost"]
    return rows.with_columns(SHIPPING.cut(edges[1:-1], left_closed=True).to_physical().cast(pl.Int32))


def ordinal(rows: Rows) -> Rows:
    known = sorted(rows.select(pl.col("country").unique()).collect(engine="streaming")["country"])
    return rows.with_columns(pl.col("country").replace_strict(known, range(len(known)), return_dtype=pl.Int32))


def hot(rows: Rows) -> Rows:
    known = sorted(rows.select(pl.col("category").unique()).collect(engine="streaming")["category"])
    made = [(pl.col("category") == c).cast(pl.UInt8).alias(f"category_{c}") for c in known]
    return rows.with_columns(made).drop("category")


def target(rows: Rows) -> Rows:
    overall = got(rows, PRICE.mean())["unit_price"]
    means = rows.drop_nulls("unit_price").group_by("country").agg(PRICE.mean().alias("m"), pl.len().alias("n"))
    found = means.collect(engine="streaming")
    smoothed = found.select("country", value=(pl.col("n") * pl.col("m") + 10 * overall) / (pl.col("n") + 10))
    table = pl.col("country").replace_strict(smoothed["country"], smoothed["value"], return_dtype=pl.Float64)
    return rows.with_columns(table)


def lagged(rows: Rows) -> Rows:
    return rows.with_columns(PRICE.shift(1).over(CUSTOMER, order_by=MADE).alias("unit_price_lag_1"))


def rolled(rows: Rows) -> Rows:
    made = PRICE.rolling_mean(5).over(CUSTOMER, order_by=MADE)
    return rows.with_columns(made.alias("unit_price_rolling_mean_5"))


def aggregated(rows: Rows) -> Rows:
    return rows.group_by("country", "category", maintain_order=True).agg(
        PRICE.sum().alias("revenue"), pl.len().cast(pl.Int64).alias("orders"), SHIPPING.mean().alias("shipping")
    )


def quarantined(rows: Rows) -> Rows:
    """How often each rule is broken, and the broken rows with the names of the rules."""
    broken = {
        "priced": PRICE.is_null(),
        "fair": (PRICE > 60).fill_null(value=False),
        "reachable": ~pl.col("customer_email").str.contains(r"^\S+@\S+\.example$"),
    }
    got(rows, *(mark.sum().alias(name) for name, mark in broken.items()))
    bad = pl.any_horizontal(broken.values())
    names = pl.concat_list(pl.when(mark).then(pl.lit(name)) for name, mark in broken.items()).list.drop_nulls()
    aside = rows.filter(bad).with_columns(names.alias("_rules"))
    aside.sink_parquet(Path(sys.argv[2]) / "quarantine.parquet", compression="zstd", compression_level=3)
    return rows.filter(~bad)


def assured(rows: Rows) -> Rows:
    """Nothing may be written before it is known that the rules hold."""
    found = got(rows, pl.len(), (~pl.col("country").is_in(COUNTRIES)).sum().alias("wrong"))
    if found["wrong"] or not found["len"]:
        raise ValueError(found)
    return rows


def last(rows: Rows) -> Rows:
    with_row_index = rows.with_row_index("row")
    newest = with_row_index.group_by(CUSTOMER).agg(pl.col("row").max())
    return with_row_index.join(newest.select("row"), on="row", how="semi", maintain_order="left").drop("row")


def parts(rows: Rows) -> Rows:
    made = pl.col(MADE).dt
    angle = 2 * math.pi / 24
    return rows.with_columns(
        made.year().alias("created_at_year"), made.month().alias("created_at_month"),
        made.weekday().alias("created_at_weekday"),
        (made.hour().cast(pl.Float64) * angle).sin().alias("created_at_hour_sin"),
        (made.hour().cast(pl.Float64) * angle).cos().alias("created_at_hour_cos"),
    )  # fmt: skip


_WINDOW = {"by": [CUSTOMER], "order_by": [MADE]}
_SCALED = ["unit_price", "weight_kg"]
_RULES = [
    {"column": "unit_price", "check": "not_null"},
    {"column": "unit_price", "check": "in_range", "max": 60},
    {"column": "customer_email", "check": "regex", "pattern": r"^\S+@\S+\.example$"},
]
_KNOWN = [{"column": "country", "check": "in_set", "values": COUNTRIES}, {"row_count": {"min": 1}}]

CASES: dict[str, Case] = {
    "cast": (
        Cleaner,
        {"cast": {"order_id": "string", "quantity": "float64", "created_at": "date"}},
        lambda r: r.with_columns(
            pl.col("order_id").cast(pl.String), pl.col("quantity").cast(pl.Float64), pl.col(MADE).dt.date()
        ),
    ),
    "strip": (
        Cleaner,
        {"strip_strings": ["notes", "customer_email"]},
        lambda r: r.with_columns(pl.col("notes", "customer_email").str.strip_chars()),
    ),
    "replace": (
        Cleaner,
        {"replace": {"status": {"new": "open", "paid": "open", "packed": "open"}}},
        lambda r: r.with_columns(pl.col("status").replace({"new": "open", "paid": "open", "packed": "open"})),
    ),
    "filter": (
        Cleaner,
        {"filter": "unit_price > 20 AND country IN ('DE', 'FR', 'US') AND notes IS NULL"},
        lambda r: r.filter((PRICE > 20) & pl.col("country").is_in(["DE", "FR", "US"]) & pl.col("notes").is_null()),
    ),
    "fill mean": (Cleaner, {"fill_na": {c: {"strategy": "mean"} for c in ("unit_price", "weight_kg")}}, mean_filled),
    "fill mode": (Cleaner, {"fill_na": {"coupon": {"strategy": "mode"}}}, mode_filled),
    "fill forward by group": (
        Cleaner,
        {"fill_na": {"rating": {"strategy": "forward", "group_by": CUSTOMER, "order_by": MADE}}},
        carried,
    ),
    "outliers iqr": (Cleaner, {"outliers": {"shipping_cost": {"method": "iqr"}}}, clipped),
    "duplicate rows": (Cleaner, {"drop_duplicates": True}, lambda r: r.unique(keep="first", maintain_order=True)),
    "duplicates keep last": (Cleaner, {"drop_duplicates": {"columns": [CUSTOMER], "keep": "last"}}, last),
    "derive": (
        Transformer,
        {"derive": {"total": "unit_price * quantity + shipping_cost", "dear": "unit_price > 50"}},
        lambda r: r.with_columns(total=PRICE * pl.col("quantity") + SHIPPING, expensive=PRICE > 50),
    ),
    "datetime": (
        Transformer,
        {"datetime": {MADE: {"parts": ["year", "month", "weekday"], "cyclical": ["hour"]}}},
        parts,
    ),
    "bin quantile": (Transformer, {"bin": {"shipping_cost": {"method": "quantile", "bins": 10}}}, cut),
    "normalize standard": (Transformer, {"normalize": dict.fromkeys(_SCALED, "standard")}, standard),
    "normalize robust": (Transformer, {"normalize": {"shipping_cost": "robust"}}, robust),
    "encode onehot": (Transformer, {"encode": {"category": "onehot"}}, hot),
    "encode ordinal": (Transformer, {"encode": {"country": "ordinal"}}, ordinal),
    "encode target": (
        Transformer,
        {"encode": {"country": {"method": "target", "target": "unit_price", "smoothing": 10}}},
        target,
    ),
    "lag": (Transformer, {"lag": {"unit_price": {**_WINDOW, "periods": [1]}}}, lagged),
    "rolling": (Transformer, {"rolling": {"unit_price": {**_WINDOW, "function": "mean", "window": 5}}}, rolled),
    "aggregate": (
        Transformer,
        {"aggregate": {"by": ["country", "category"], "metrics": {
            "revenue": "SUM(unit_price)", "orders": "COUNT(*)", "shipping": "AVG(shipping_cost)"}}},
        aggregated,
    ),
    "sort": (
        Transformer,
        {"sort": ["-unit_price", "order_id"]},
        lambda r: r.sort(["unit_price", "order_id"], descending=[True, False], nulls_last=True, maintain_order=True),
    ),
    "rules hold": (Validator, {"rules": _KNOWN}, assured),
    "rules quarantine": (Validator, {"rules": _RULES, "on_fail": "quarantine"}, quarantined),
    "sql": (
        Sql,
        {"query": "SELECT country, SUM(unit_price) AS revenue FROM input GROUP BY country ORDER BY country"},
        lambda r: r.group_by("country").agg(PRICE.sum().alias("revenue")).sort("country"),
    ),
}  # fmt: skip


def ours(case: str, stage: Path, result: Path) -> None:
    kind, config, _ = CASES[case]
    ctx = ProcessContext(step="processors[0]", folder=result.parent)
    made = msgspec.convert(config, kind).apply(PolarsFrame(pl.scan_parquet(stage), result.parent, expensive=False), ctx)
    made.write(result, compression="zstd", compression_level=3, row_group_size=None)


def by_hand(case: str, stage: Path, result: Path) -> None:
    CASES[case][2](pl.scan_parquet(stage)).sink_parquet(result, compression="zstd", compression_level=3)


def summed(result: Path) -> dict[str, Any]:
    """What two results must agree in: their columns, rows, missing values and sums, whatever the order."""
    rows = pl.scan_parquet(result)
    numbers = [n for n, t in rows.collect_schema().items() if t.is_numeric()]
    others = [n for n in rows.collect_schema() if n not in numbers]
    return got(
        rows, pl.len().alias("rows"), *(pl.col(n).null_count().alias(f"{n}|missing") for n in (*numbers, *others)),
        *(pl.col(n).cast(pl.Float64).sum() for n in numbers), *(pl.col(n).hash(0).sum() for n in others),
    )  # fmt: skip


def main(stage: Path, folder: Path, case: str, form: str) -> None:
    result = folder / "result.parquet"
    wall, cpu = time.perf_counter(), time.process_time()
    (ours if form == "penstock" else by_hand)(case, stage, result)
    cost = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**cost, "peak_mib": peak, "found": summed(result)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])

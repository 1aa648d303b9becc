"""What most people would write: pandas in memory, the result into SQLite with an index on the key.

Needs the extra ``bench`` (``pip install -e ".[bench]"``). Holds the whole data several times over, so the runner gives
it at most a million rows.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]  # an extra, ships no types

from benchmarks import orders


def profile(frame: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": len(frame)}
    numbers = frame[orders.NUMBERS]
    quantiles, correlation = numbers.quantile(orders.QUANTILES), numbers.corr()
    for column in orders.PROFILED:
        found[f"{column}|missing"] = int(frame[column].isna().sum())
        found[f"{column}|distinct"] = int(frame[column].nunique())
    for column in orders.NUMBERS:
        found[f"{column}|mean"], found[f"{column}|std"] = frame[column].mean(), frame[column].std()
        found[f"{column}|min"], found[f"{column}|max"] = float(frame[column].min()), float(frame[column].max())
        found[f"{column}|quantiles"] = quantiles[column].tolist()
    for a, b in itertools.combinations(orders.NUMBERS, 2):
        found[f"{a}~{b}|corr"] = correlation.loc[a, b]
    for column in orders.STRINGS:
        found[f"{column}|top"] = list(frame[column].value_counts().head(orders.TOP).items())
    return found


def main(source: Path, out: Path) -> None:
    frame = pd.read_csv(source, low_memory=False).rename(columns=orders.RENAME).drop(columns=orders.DROP)
    frame["unit_price"] = pd.to_numeric(frame["unit_price"], errors="coerce")
    for column, text in orders.TIMES.items():
        frame[column] = pd.to_datetime(frame[column], format=text, errors="coerce")
    frame = frame.fillna(orders.FILL).drop_duplicates([orders.KEY], keep="first")
    medians = {column: frame[column].median() for column in orders.MEDIANS}
    frame = frame.fillna(medians)
    found = profile(frame)
    found["medians"] = medians
    parts = {**{part: part for part in orders.PARTS}, "weekday": "dayofweek"}
    for part, attribute in parts.items():
        frame[f"{orders.DATED}_{part}"] = getattr(frame[orders.DATED].dt, attribute) + (part == "weekday")
    for column in orders.SCALED:
        frame[column] = (frame[column] - found[f"{column}|mean"]) / orders.scale(found, column)
    frame = pd.get_dummies(frame, columns=[orders.ENCODED], dtype="uint8")
    with sqlite3.connect(out / "orders.sqlite") as connection:
        frame.to_sql("orders", connection, index=False, chunksize=50_000)
        connection.execute(f"CREATE UNIQUE INDEX orders_key ON orders ({orders.KEY})")
    (out / "found.json").write_text(json.dumps(found, default=str))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

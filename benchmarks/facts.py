"""What a result must contain, whoever made it: compared before any time is.

``QUERY`` sums every number of the result table; ``found`` are the medians, moments, quantiles, correlations and top
values on the way there. Both must agree within 1e-9 of their size.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import orders

TOLERANCE = 1e-9

_SUMMED = [
    *orders.NUMBERS,
    *(f"{orders.DATED}_{part}" for part in orders.PARTS),
    *(f"{orders.ENCODED}_{category}" for category in orders.CATEGORIES),
]
_SQUARED = [f"sum({c} * {c}) AS {c}_squared" for c in orders.SCALED]
QUERY = (
    "SELECT count(*) AS row_count, sum(CAST(order_id AS DOUBLE)) AS order_id, sum(length(coupon)) AS coupon, "
    "sum(length(channel)) AS channel, sum(length(notes)) AS notes, "
    + ", ".join([*(f"sum(CAST({c} AS DOUBLE)) AS {c}" for c in _SUMMED), *_SQUARED])
    + " FROM orders"
)


def of_result(folder: Path) -> dict[str, Any]:
    """The facts of the result that a contestant left in ``folder``."""
    if (folder / "orders.sqlite").exists():
        with sqlite3.connect(folder / "orders.sqlite") as connection:
            cursor = connection.execute(QUERY)
            return dict(zip([d[0] for d in cursor.description], cursor.fetchone(), strict=True))
    with duckdb.connect(folder / "orders.duckdb", read_only=True) as database:
        answer = database.execute(QUERY)
        row = answer.fetchone()
        assert row is not None
        return dict(zip([d[0] for d in answer.description], row, strict=True))


def same(a: Any, b: Any, scale: float = 1.0) -> bool:
    """Equal, numbers within ``TOLERANCE`` of their size (of ``scale`` where they are smaller)."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(same(x, y, scale) for x, y in zip(a, b, strict=True))
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE * scale)
    return bool(a == b)


def differences(expected: Mapping[str, Any], got: Mapping[str, Any], rows: int) -> list[str]:
    """Every fact that both know and that differs; sums near nought may differ by rounding over ``rows``.

    Of top values only the counts are compared: contestants break ties among equal counts in their own way.
    """
    problems = []
    for key in expected.keys() & got.keys():
        a, b = expected[key], got[key]
        if key.endswith("|top"):
            a, b = [count for _, count in a], [count for _, count in b]
        if not same(a, b, scale=float(rows) if "|" not in key else 1.0):
            problems.append(f"{key}: {a} and {b}")
    return sorted(problems)

"""Metric: a question about a whole column (or the whole frame), as a value.

The analyzer, the validator, the schema and every fit ask for metrics (``Frame.measure``). The kinds are a closed list,
so that a second engine knows what it must be able to compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal[
    "rows",  # of the frame: number of rows -> int
    "sample",  # of the frame: {"sample_rows", "share_error", "distinct_error"} of its estimates; None if all are exact
    "duplicates",  # of the frame: rows that repeat an earlier row -> int
    "nulls",  # missing values -> int
    "distinct",  # distinct values that are not missing -> int
    "min", "max", "sum", "mean",
    "std",  # ddof 1
    "variance",  # ddof 1
    "skew",  # bias-corrected, as pandas
    "kurtosis",  # bias-corrected, excess, as pandas
    "zeros", "negatives", "nan",
    "quantile",  # argument: tuple of shares, linear interpolation -> list of values
    "mode",  # the most frequent value; the least of several
    "top",  # argument: k -> list of (value, count), most frequent first, ties by value
    "categories",  # sorted distinct values that are not missing -> list; argument: k, None if there are more than that
    "histogram",  # argument: number of equal bins -> {"edges": [...], "counts": [...]}; times in seconds since 1970
    "means",  # argument: a number column; [(value, count, mean, variance with ddof 0)] of it by the values, sorted
    "forms",  # strings: {form: count} over a sample of the distinct values ("number", "date 2024-01-31", "text" …)
    "lengths",  # strings: {"min": int, "max": int, "empty": int} in characters
    "true",  # booleans: number of true values
    "spearman",  # argument: the other column; Pearson of the average ranks over pairwise complete rows -> float | None
    "corr",  # argument: the other column; Pearson over pairwise complete rows -> float | None
]  # fmt: skip


class Metric(msgspec.Struct, frozen=True, order=True):
    """One question. ``column`` is ``""`` for kinds that concern the whole frame; ``estimate``: an estimate will do."""

    column: str
    kind: Kind
    argument: str | int | tuple[float, ...] | None = None
    estimate: bool = False


Values = Mapping[Metric, Any]
"""The results of one ``measure``. Statistics leave out NaN and nulls; without any value they are None.
The values are Python values (int, float, str, date, list, dict or None)."""

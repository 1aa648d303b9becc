"""Answers metrics over a Polars plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from service.steps.metric import Metric


def answer(lf: pl.LazyFrame, schema: pl.Schema, metrics: Sequence[Metric]) -> dict[Metric, Any]:
    """The answers, one streaming query for each question."""
    simple: dict[str, Any] = {
        "rows": lambda c: pl.len(),
        "nulls": lambda c: pl.col(c).null_count(),
        "min": lambda c: pl.col(c).min(),
        "max": lambda c: pl.col(c).max(),
        "mean": lambda c: pl.col(c).mean(),
    }
    return {m: lf.select(simple[m.kind](m.column)).collect(engine="streaming").item() for m in metrics}

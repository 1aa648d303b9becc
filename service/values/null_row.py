"""A table of one row without values, on which a plan is tried before there is data."""

from __future__ import annotations

import datetime
from typing import Any

import polars as pl


def row(schema: pl.Schema) -> pl.LazyFrame:
    """One row of nulls, but lists, structs and such are empty: some casts of those types fail only on a value.

    Text and numbers are null, because no value of theirs suits every expression.
    """
    return pl.LazyFrame([pl.Series(name, [_empty(dtype)], dtype=dtype) for name, dtype in schema.items()])


def _empty(dtype: pl.DataType) -> Any:
    match dtype:
        case pl.List():
            return []
        case pl.Struct():
            return {field.name: None for field in dtype.fields}
        case pl.Binary():
            return b""
        case pl.Duration():
            return datetime.timedelta()
        case pl.Categorical():
            return ""
        case pl.Enum():
            return next(iter(dtype.categories), None)
        case _:
            return None

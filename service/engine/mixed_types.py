"""Mixed types: columns whose kinds of type differ between frames that are put one after another."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def names(schemas: Sequence[pl.Schema]) -> set[str]:
    """The columns that are a number in one of the frames and a date in another, for example."""
    sorts: dict[str, set[str]] = {}
    for schema in schemas:
        for name, dtype in schema.items():
            if not isinstance(dtype, pl.Null):
                sorts.setdefault(name, set()).add(_sort_of(dtype))
    return {name for name, found in sorts.items() if len(found) > 1 and not found & {"nested"}}


def _sort_of(dtype: pl.DataType) -> str:
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "date"
    return "nested" if dtype.is_nested() else str(dtype.base_type())

"""Columns that a setting of a storage names: their types, or an error that names the setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.kit import errors

if TYPE_CHECKING:
    import polars as pl


def type_of(column: str, schema: pl.Schema, step: str, setting: str) -> pl.DataType:
    """The type of the column. Raises ``errors.Permanent`` at ``setting`` if the data lacks the column."""
    dtype = schema.get(column)
    if dtype is None:
        hint = errors.did_you_mean(column, schema)
        raise errors.Permanent(f"the data has no column '{column}'{hint}", step=step, field=setting)
    return dtype

"""Columns that the engine adds to a plan for itself, and columns that it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl


def unused_name(name: str, taken: Collection[str]) -> str:
    """``name``, with underscores until it is not ``taken``."""
    while name in taken:
        name = f"_{name}"
    return name


def copied(schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """The texts anew: one that was filtered holds the whole batch that it comes from."""
    return [pl.concat_str(name, pl.lit("")) for name, dtype in schema.items() if dtype == pl.String]

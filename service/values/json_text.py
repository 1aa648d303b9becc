"""Lists and structs as JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from service.kit import lazy

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def json_text(column: pl.Expr, dtype: Any) -> pl.Expr:
    """A list or struct column as JSON text; null stays null."""
    if isinstance(dtype, pl.Struct):
        text = column.struct.json_encode()
    else:  # Polars encodes only structs: {"":[…]} without its first four characters and its last
        wrapped = pl.struct(column.alias("")).struct.json_encode()
        text = wrapped.str.slice(4).str.head(-1)
    return pl.when(column.is_not_null()).then(text)

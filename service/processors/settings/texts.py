"""Features of text: ``length`` in characters, ``words`` between white space, and the text in ``lower`` case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from service.kit import lazy
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Feature = Literal["length", "words", "lower"]

_FEATURES: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "length": lambda t: t.str.len_chars().cast(pl.Int64),
    "words": lambda t: t.str.count_matches(r"\S+").cast(pl.Int64),
    "lower": lambda t: t.str.to_lowercase(),
}


def expressions(column: str, features: Sequence[Feature], dtype: pl.DataType, ctx: ProcessContext) -> list[pl.Expr]:
    """The expressions of ``<column>_<feature>``. Raises ``errors.Permanent`` where the column holds no text."""
    if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        raise columns.setting_error(ctx, f"text.{column}", f"the column is {dtypes.name_of(dtype)}, not text")
    text = pl.col(column).cast(pl.String)
    return [_FEATURES[f](text).alias(f"{column}_{f}") for f in dict.fromkeys(features)]

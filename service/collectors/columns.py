"""The setting ``schema`` of collectors that read records: types of columns, after flattening."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from service.kit.errors import Problem
from service.steps import dtypes, parsing
from service.steps.context import Context


def problems(schema: Mapping[str, str]) -> Iterable[Problem]:
    """Types that there are not, and types that text cannot become."""
    for column, text in schema.items():
        try:
            dtype = dtypes.parse(text)
            if not isinstance(dtype, pl.List):
                parsing.tolerantly(pl.col(column), dtype)
        except ValueError as error:
            yield Problem(f"schema.{column}", str(error))


def typed(lf: pl.LazyFrame, schema: Mapping[str, str], ctx: Context) -> pl.LazyFrame:
    """``lf`` with the columns of ``schema`` as wanted; columns that never came are null, with a warning."""
    present = lf.collect_schema()
    casts = []
    for column, text in schema.items():
        dtype = dtypes.parse(text)
        if column not in present:
            ctx.warn("missing_column", f"no record has '{column}', which the schema names; it is null", column=column)
            casts.append(pl.lit(None, dtype=dtype).alias(column))
        elif present[column] == pl.String and not isinstance(dtype, pl.List):
            casts.append(parsing.parsed(column, dtype, why=f"schema.{column} of {ctx.step} says {text}"))
        else:
            casts.append(pl.col(column).cast(dtype))
    return lf.with_columns(casts)

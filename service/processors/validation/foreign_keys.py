"""Foreign keys: rows whose value is absent from another pipeline's stored version, found by a join in the plan.

The keys are made distinct first, so that the join adds no rows and keeps the order. A missing value breaks no rule,
as with FOREIGN KEY in SQL. A run always has the other version; ``apply`` does not have it and leaves the rule out,
like everything that needs other rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.kit import errors, lazy
from service.processors.settings import columns
from service.processors.validation.rules import Rule
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def mark_rows(frame: Frame, rule: Rule, at: str, mark: str, ctx: ProcessContext) -> Frame:
    """The frame with a column ``mark``: whether the row's value is absent from the keys of the rule.

    Raises ``errors.Permanent`` where the other version lacks the column, or its type cannot be compared.
    """
    column, there = str(rule.column), str(rule.to)
    stored = ctx.upstreams.get(f"config.{at}.pipeline")
    if stored is None:
        return frame.per_group([], [], [pl.lit(value=False).alias(mark)])
    keys = frame.scan(stored.parts)
    if there not in keys.schema:
        hint = errors.did_you_mean(there, keys.schema)
        raise columns.setting_error(
            ctx, f"{at}.to", f"{stored.pipeline}@{stored.version} has no column '{there}'{hint}"
        )
    here, far = frame.schema[column], keys.schema[there]
    common = _common(here, far)
    if common is None:
        kinds = f"'{column}' is {dtypes.name_of(here)} and '{there}' is {dtypes.name_of(far)}; cast one of them"
        raise columns.setting_error(ctx, f"{at}.column", f"values of different kinds are never equal: {kinds}")
    key, found = f"{mark}_key", f"{mark}_found"
    value = pl.when(~columns.is_missing(frame.schema, column)).then(pl.col(column)).cast(common)
    known = keys.rows(lambda lf: lf.select(pl.col(there).cast(common).alias(key))).distinct()
    known = known.rows(lambda lf: lf.with_columns(pl.lit(value=True).alias(found)))
    joined = frame.rows(lambda lf: lf.with_columns(value.alias(key))).join(known, [key], how="left")
    missing = pl.col(key).is_not_null() & pl.col(found).is_null()
    return joined.rows(lambda lf: lf.with_columns(missing.alias(mark)).drop(key, found))


def _common(here: pl.DataType, far: pl.DataType) -> pl.DataType | None:
    """The type to compare values of both types in; None where they cannot be equal."""
    texts = (pl.String, pl.Categorical, pl.Enum)
    if isinstance(here, texts) and isinstance(far, texts):
        return pl.String()
    if here == far:
        return None if here.is_nested() else here
    if here.is_integer() and far.is_integer():
        wide = any(isinstance(t, pl.UInt64 | pl.Int128 | pl.UInt128) for t in (here, far))
        return pl.Int128() if wide else pl.Int64()
    return pl.Float64() if here.is_numeric() and far.is_numeric() else None

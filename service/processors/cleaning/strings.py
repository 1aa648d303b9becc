"""Text values of the cleaner: trimmed, cleared where they mean missing, replaced by others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.processors.settings import columns
from service.processors.settings.columns import Scalar
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import dtypes, lookup

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


def strip(frame: Frame, names: Sequence[str] | None, ctx: ProcessContext) -> Frame:
    """The frame with white space trimmed in these columns, or in all text columns (None)."""
    texts = [n for n, t in frame.schema.items() if isinstance(t, pl.String)]
    chosen = texts if names is None else names
    for name in chosen:
        if name not in texts:
            kind = dtypes.name_of(frame.schema[name])
            raise columns.setting_error(ctx, "strip_strings", f"column '{name}' is {kind}, not text")
    return frame.rows(lambda lf: lf.with_columns(pl.col(chosen).str.strip_chars())) if chosen else frame


def clear(frame: Frame, marks: Sequence[str]) -> Frame:
    """The frame with the texts ``marks`` null in every column of text or categories."""
    names = [n for n, t in frame.schema.items() if isinstance(t, pl.String | pl.Categorical | pl.Enum)]
    if not names:
        return frame
    listed = pl.Series(marks, dtype=pl.String).implode()
    cleared = [pl.when(~pl.col(n).cast(pl.String).is_in(listed)).then(pl.col(n)).alias(n) for n in names]
    return frame.rows(lambda lf: lf.with_columns(cleared))


def replace(frame: Frame, settings: Mapping[str, Mapping[str, Scalar]], ctx: ProcessContext) -> Frame:
    """The frame with values replaced: by column (they exist), old value to new one, all at once."""
    replaced = [_replace_expression(n, table, frame.schema[n], ctx) for n, table in settings.items()]
    return frame.rows(lambda lf: lf.with_columns(replaced)) if replaced else frame


def _replace_expression(name: str, table: Mapping[str, Scalar], dtype: pl.DataType, ctx: ProcessContext) -> pl.Expr:
    if dtype.is_nested() or isinstance(dtype, pl.Binary):
        raise columns.setting_error(
            ctx, f"replace.{name}", f"values of type {dtypes.name_of(dtype)} cannot be replaced"
        )
    if isinstance(dtype, pl.Null):
        return pl.col(name)
    inner = pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype
    old = [columns.literal(ctx, f"replace.{name}.{k}", k, inner) for k in table]
    new = [columns.literal(ctx, f"replace.{name}.{k}", v, inner) for k, v in table.items()]
    if len(set(old)) < len(old):
        twice = next(v for i, v in enumerate(old) if v in old[:i])
        raise columns.setting_error(ctx, f"replace.{name}", f"two replacements for the value {twice!r}")
    value, known = pl.col(name).cast(inner), pl.Series(old, dtype=inner)
    by_table = lookup.replace(value, inner, known, pl.Series(new, dtype=inner))
    if isinstance(dtype, pl.Enum) and (unknown := [v for v in new if v is not None and v not in dtype.categories]):
        message = f"'{unknown[0]}' is not a value of {dtypes.name_of(dtype)}; cast the column first"
        raise columns.setting_error(ctx, f"replace.{name}", message)
    replaced = pl.when(lookup.index_of(value, inner, known).is_not_null()).then(by_table).otherwise(value)
    return replaced.cast(dtype, strict=False).alias(name)

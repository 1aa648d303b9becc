"""Columns that settings name: looking them up, and errors that name the setting and suggest a name."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import ProcessContext

if TYPE_CHECKING:
    import polars as pl

    from service.expressions import scalar
else:
    scalar = lazy.module("service.expressions.scalar")
    pl = lazy.module("polars")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="A column.")]
Scalar = str | int | float | bool | None


def write_null(setting: msgspec.Struct, field: str) -> None:
    """Replace a null by the word ``"null"``: YAML reads ``on_error: null`` as a null, and JSON has one, too."""
    if getattr(setting, field) is None:
        msgspec.structs.force_setattr(setting, field, "null")


def setting_error(ctx: ProcessContext, field: str, message: str) -> errors.Permanent:
    """The error of a setting that does not work with this data; ``field`` is relative to the processor's ``config``."""
    return errors.Permanent(f"{field}: {message}", step=ctx.step, field=f"config.{field}")


def missing_column(ctx: ProcessContext, field: str, column: str, known: Iterable[str]) -> errors.Permanent:
    """The error of a setting that names an absent column."""
    error = setting_error(ctx, field, f"no column '{column}' here{errors.did_you_mean(column, known)}")
    error.__cause__ = scalar.NoColumn(column)
    return error


def require_free(ctx: ProcessContext, field: str, column: str, known: Collection[str]) -> None:
    """Raise ``errors.Permanent`` where a new column would take the name of an existing one."""
    if column in known:
        raise setting_error(ctx, field, f"there is already a column '{column}'; drop or rename it first")


def literal(ctx: ProcessContext, field: str, value: Any, dtype: pl.DataType) -> Any:
    """A ``value`` of the configuration as a Python value for a column of ``dtype``.

    Dates, times (ISO 8601) and decimals are written as text. Raises ``errors.Permanent`` where it does not fit.
    """
    from service.values import dtypes

    if value is None or isinstance(dtype, pl.Null):
        return value
    if isinstance(value, float) and dtype.is_integer() and not value.is_integer():
        raise setting_error(
            ctx, field, f"{value!r} does not fit the column's type {dtypes.name_of(dtype)}; cast the column first"
        )
    try:
        return _cast_literal(value, dtype)
    except (ValueError, pl.exceptions.PolarsError) as error:
        message = f"{value!r} does not fit the column's type {dtypes.name_of(dtype)}; cast the column first"
        raise setting_error(ctx, field, message) from error


@functools.lru_cache(512, typed=True)  # called in the dry run and again in the run
def _cast_literal(value: Any, dtype: pl.DataType) -> Any:
    from service.values import cast

    source = pl.Series("value", [value])
    return source.to_frame().select(cast.cast("value", source.dtype, dtype, strict=True)).item()


def unused_name(name: str, known: Collection[str]) -> str:
    """``name``, with underscores until no column begins with it."""
    while any(k.startswith(name) for k in known):
        name = f"_{name}"
    return name


def is_missing(schema: Mapping[str, pl.DataType], column: str) -> pl.Expr:
    """Whether the value is missing: null, or NaN in a float column."""
    expr = pl.col(column)
    return expr.is_null() | expr.is_nan().fill_null(value=False) if schema[column].is_float() else expr.is_null()


def as_list(setting: str | list[str]) -> list[str]:
    """The names of a setting that takes one or several."""
    return [setting] if isinstance(setting, str) else setting


def repeated(field: str, names: Iterable[str]) -> Iterable[Problem]:
    """A problem for each name that ``field`` lists again."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield Problem(field, f"'{name}' is listed twice")
        seen.add(name)

"""Finding the columns that a setting names, with errors that say where and what was perhaps meant."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from typing import Annotated, Any

import msgspec
import polars as pl

from service.expressions import scalar
from service.kit import errors
from service.steps.context import ProcessContext

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, description="A column.")]
Scalar = str | int | float | bool | None


def write_null(setting: msgspec.Struct, field: str) -> None:
    """Make the word ``"null"`` of a null: ``on_error: null`` is what YAML makes of the word, and JSON has it, too."""
    if getattr(setting, field) is None:
        msgspec.structs.force_setattr(setting, field, "null")


def refused(ctx: ProcessContext, field: str, message: str) -> errors.Permanent:
    """The error of a setting that cannot be followed; ``field`` is relative to the processor's ``config``."""
    return errors.Permanent(f"{field}: {message}", step=ctx.step, field=f"config.{field}")


def missing(ctx: ProcessContext, field: str, column: str, known: Iterable[str]) -> errors.Permanent:
    """The error of a setting that names a column which is not there."""
    error = refused(ctx, field, f"no column '{column}' here{errors.did_you_mean(column, known)}")
    error.__cause__ = scalar.NoColumn(column)
    return error


def free(ctx: ProcessContext, field: str, column: str, known: Collection[str]) -> None:
    """Raise where a new column would take a name that exists."""
    if column in known:
        raise refused(ctx, field, f"there is a column '{column}' already; drop or rename it before")


def literal(ctx: ProcessContext, field: str, value: Any, dtype: pl.DataType) -> Any:
    """``value`` of a configuration as a Python value that fits a column of ``dtype``.

    Text stands for dates, times and decimals (ISO 8601). Raises ``errors.Permanent`` where it does not fit.
    """
    from service.values import dtypes

    if value is None or isinstance(dtype, pl.Null):
        return value
    if isinstance(value, float) and dtype.is_integer() and not value.is_integer():
        raise refused(
            ctx, field, f"{value!r} does not fit the column's type {dtypes.name_of(dtype)}; cast the column first"
        )
    try:
        return _fitting(value, dtype)
    except (ValueError, pl.exceptions.PolarsError) as error:
        message = f"{value!r} does not fit the column's type {dtypes.name_of(dtype)}; cast the column first"
        raise refused(ctx, field, message) from error


@functools.lru_cache(512, typed=True)  # asked in the rehearsal and in the run
def _fitting(value: Any, dtype: pl.DataType) -> Any:
    from service.values import cast

    source = pl.Series("value", [value])
    return source.to_frame().select(cast.cast("value", source.dtype, dtype, strict=True)).item()


def unused(name: str, known: Collection[str]) -> str:
    """``name``, with underscores until no column begins with it."""
    while any(k.startswith(name) for k in known):
        name = f"_{name}"
    return name

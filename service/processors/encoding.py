"""Categories as numbers: ``onehot`` makes a column for each category, ``ordinal`` counts them.

Categories are sorted; of more than ``max_categories`` the most frequent are kept (of equally frequent ones the least).
A value that is none of them is *unknown*: ``handle_unknown`` makes it missing (``null``: all zeros, or null),
a category of its own (``other``), or an error at the run (``fail``). Missing is never unknown: all zeros, or null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import polars as pl

from service.processors import columns
from service.processors.filling import plain
from service.steps import casting, dtypes, mapping
from service.steps.context import Context
from service.steps.metric import Metric, Values

Method = Literal["onehot", "ordinal"]

MAX_COLUMNS = 1_000
"""More one-hot columns than this are refused; ``max_categories`` keeps them in bounds."""


class Encode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to encode a column."""

    method: Annotated[Method, msgspec.Meta(description="onehot or ordinal.")]
    categories: Annotated[
        Annotated[list[str | int | float | bool], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="Known ones; otherwise fitted."),
    ] = None
    handle_unknown: Annotated[
        Literal["null", "other", "fail"], msgspec.Meta(description="What a value of no category becomes.")
    ] = "null"
    max_categories: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=MAX_COLUMNS)] | None,
        msgspec.Meta(description="Keep only the most frequent ones."),
    ] = None
    drop_first: Annotated[bool, msgspec.Meta(description="onehot without the first category, for linear models.")] = (
        False
    )
    keep: Annotated[bool, msgspec.Meta(description="onehot: the column itself stays, before the new ones.")] = False
    into: Annotated[columns.Name | None, msgspec.Meta(description="ordinal: a new column; the old one stays.")] = None

    def wrong(self) -> str | None:
        """What cannot be combined, or None."""
        if self.method == "onehot" and self.into is not None:
            return "onehot makes several columns; 'into' is for ordinal"
        if self.method == "ordinal" and (self.drop_first or self.keep):
            return "drop_first and keep are for onehot; ordinal has 'into'"
        if self.categories is not None:
            if self.max_categories is not None:
                return "either categories or max_categories"
            if len({str(c) for c in self.categories}) != len(self.categories):
                return "a category stands there twice"
        return None


def questions(column: str, setting: Encode, dtype: pl.DataType, ctx: Context) -> list[Metric]:
    """What must be known of the column. Raises ``errors.Permanent`` where its values are no categories."""
    if dtype.is_nested() or isinstance(dtype, pl.Binary):
        raise columns.refused(ctx, f"encode.{column}", f"values of a {dtypes.name_of(dtype)} are no categories")
    if setting.categories is not None:
        return []
    if setting.max_categories is not None:
        return [Metric(column, "top", setting.max_categories)]
    return [Metric(column, "categories")]


def fitted(column: str, setting: Encode, dtype: pl.DataType, answers: Values, ctx: Context) -> list[Any]:
    """The categories in order, as Python values of the column's type."""
    if setting.categories is not None:
        field = f"encode.{column}.categories"
        return [columns.literal(ctx, field, c, _inner(dtype)) for c in setting.categories]
    if setting.max_categories is not None:
        return sorted(value for value, _ in answers[Metric(column, "top", setting.max_categories)])
    found: list[Any] = answers[Metric(column, "categories")]
    if not found:
        ctx.warn("no_categories", f"column '{column}' has no values to make categories of", column=column)
    if setting.method == "onehot" and len(found) > MAX_COLUMNS:
        message = f"{len(found)} categories would be as many columns; set max_categories, or use ordinal"
        raise columns.refused(ctx, f"encode.{column}", message)
    return found


def recorded(setting: Encode, categories: list[Any]) -> dict[str, Any]:
    """What is kept with the version."""
    return {
        "method": setting.method,
        "categories": [plain(c) for c in categories],
        "handle_unknown": setting.handle_unknown,
    }


def encoded(column: str, setting: Encode, categories: list[Any], dtype: pl.DataType, ctx: Context) -> list[pl.Expr]:
    """The expressions of the new columns; a onehot's are uint8, an ordinal's is int32."""
    inner = _inner(dtype)
    value = pl.col(column) if inner == dtype else pl.col(column).cast(inner)
    if inner.is_float():
        value = value.fill_nan(None)
    known = pl.Series(categories, dtype=inner)
    unknown = value.is_not_null() & ~value.is_in(known.implode())
    made = _onehot(column, setting, categories, value, unknown, inner) if setting.method == "onehot" else []
    if setting.method == "ordinal":
        code = mapping.place(value, inner, known).cast(pl.Int32)
        if setting.handle_unknown == "other":
            code = pl.when(unknown).then(pl.lit(len(categories), dtype=pl.Int32)).otherwise(code)
        made = [code.alias(setting.into or column)]
    if setting.handle_unknown == "fail":
        shown = pl.concat_str(pl.lit(f"column '{column}': "), value.cast(pl.String), pl.lit(" is no known category"))
        at = (ctx.step, f"config.encode.{column}.handle_unknown")
        made = [casting.refuse(unknown, shown, e, at).alias(e.meta.output_name()) for e in made]
    return made


def _onehot(
    column: str, setting: Encode, categories: list[Any], value: pl.Expr, unknown: pl.Expr, inner: pl.DataType
) -> list[pl.Expr]:
    made = [
        (value == pl.lit(c, dtype=inner)).fill_null(value=False).cast(pl.UInt8).alias(f"{column}_{label(c)}")
        for c in categories[1 if setting.drop_first else 0 :]
    ]
    if setting.handle_unknown == "other":
        made.append(unknown.cast(pl.UInt8).alias(f"{column}_other"))
    return made


def label(category: Any) -> str:
    """The category as part of a column's name."""
    if isinstance(category, bool):
        return "true" if category else "false"
    return str(plain(category))


def _inner(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null) else dtype

"""Encodings: categories as numbers.

``onehot`` makes a column for each category, ``binary`` one for each bit of its number, ``ordinal`` numbers them,
``frequency`` is their share of the known values, ``target`` the mean of another column over their rows, ``hash`` a
bucket that needs no fitting.

Categories are sorted; of more than ``max_categories`` the most frequent are kept (of equally frequent ones the least).
Any other value is *unknown*: ``handle_unknown`` makes it missing (``null``: all zeros, or null), a category ``other``
(one more column or number, the share 0, the mean of all), or an error of the run (``fail``). A missing value is never
unknown: all zeros, or null.

``target`` follows scikit-learn's TargetEncoder (``fit`` then ``transform``, without its cross fitting): with
``smoothing`` m a category of n rows is (n · its mean + m · the mean of all) / (n + m); ``auto`` takes m from the
variances (empirical Bayes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.processors.settings.json_value import json_value
from service.steps.context import ProcessContext
from service.steps.metric import Metric, Values
from service.values import cast, dtypes, lookup, parse, stable_hash
from service.values.losses import Conversion

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Method = Literal["onehot", "ordinal", "frequency", "target", "hash", "binary"]

MAX_COLUMNS = 1_000
"""More one-hot columns than this are refused; ``max_categories`` keeps them in bounds."""
_EVERY = 2**62
_SEVERAL = ("onehot", "binary")
_BUCKETS = 1024
_BY_CATEGORIES = ("onehot", "ordinal", "binary")


class Encode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to encode a column.

    Categories are in ascending order of their values (text by code points, capitals first). Of more than
    `max_categories` the most frequent are kept, of equally frequent ones the least. Missing (NaN too) is not a
    category: all zeros, or null.
    """

    method: Annotated[
        Method,
        msgspec.Meta(
            description="onehot: a column for each category, sorted; ordinal: its number from 0; frequency: its share "
            "of the known values; target: the mean of another column, smoothed as scikit-learn does, without cross "
            "fitting; hash: a bucket; binary: a column for each bit of its number from 1, the highest first."
        ),
    ]
    categories: Annotated[
        Annotated[list[str | int | float | bool], msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="onehot, ordinal, binary: the known categories; fitted by default."),
    ] = None
    handle_unknown: Annotated[
        Literal["null", "other", "fail"] | None,
        msgspec.Meta(
            description="What to do with any other value: missing (all zeros, or null), a category 'other' "
            "(one more column or number, the share 0, the mean of all), or an error of the run."
        ),
    ] = "null"
    max_categories: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=MAX_COLUMNS)] | None,
        msgspec.Meta(description="Keep only the most frequent ones."),
    ] = None
    drop_first: Annotated[bool, msgspec.Meta(description="onehot without the first category, for linear models.")] = (
        False
    )
    keep: Annotated[bool, msgspec.Meta(description="onehot, binary: the column itself stays, before the new ones.")] = (
        False
    )
    into: Annotated[
        columns.Name | None, msgspec.Meta(description="The other methods: the name of a new column; the old one stays.")
    ] = None
    target: Annotated[
        columns.Name | None, msgspec.Meta(description="target: the column of numbers or booleans to average.")
    ] = None
    smoothing: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | Literal["auto"],
        msgspec.Meta(
            description="target: m in (n · mean of the category + m · mean of all) / (n + m); auto takes it from the "
            "variances (empirical Bayes)."
        ),
    ] = "auto"
    buckets: Annotated[
        Annotated[int, msgspec.Meta(ge=2, le=2**31 - 1)] | None,
        msgspec.Meta(description="hash: the number of buckets, 1024 by default."),
    ] = None

    def __post_init__(self) -> None:
        columns.write_null(self, "handle_unknown")

    @property
    def bucket_count(self) -> int:
        """How many buckets ``hash`` has."""
        return self.buckets or _BUCKETS

    @property
    def dynamic_columns(self) -> bool:
        """Whether the names of the new columns depend on the data."""
        return self.method in _SEVERAL and self.categories is None

    def conflict(self) -> str | None:
        """What cannot be combined, or None."""
        if self.method in _SEVERAL and self.into is not None:
            return f"{self.method} makes several columns; 'into' applies to methods that make one"
        if self.keep and self.method not in _SEVERAL:
            return f"keep applies to onehot and binary; {self.method} has 'into'"
        if self.drop_first and self.method != "onehot":
            return "drop_first applies to onehot only"
        if (self.target is None) != (self.method != "target"):
            return (
                "target needs 'target', the column to average"
                if self.method == "target"
                else "target applies to the method target only"
            )
        if self.buckets is not None and self.method != "hash":
            return "buckets applies to hash only"
        if self.method in ("target", "hash") and self.max_categories is not None:
            return f"max_categories does not apply to {self.method}"
        if self.method == "hash" and self.handle_unknown != "null":
            return "handle_unknown does not apply to hash, which has a bucket for every value"
        if self.method != "target" and self.smoothing != "auto":
            return "smoothing applies to target only"
        if self.categories is not None:
            if self.method not in _BY_CATEGORIES:
                return f"categories applies to {', '.join(_BY_CATEGORIES)} only"
            if self.max_categories is not None:
                return "set either categories or max_categories"
            if len({str(c) for c in self.categories}) != len(self.categories):
                return "a category is listed twice"
        return None


@dataclass
class FittedEncoding:
    """The fitted categories of a column, for some methods with a number for each and one for unknown values."""

    categories: list[Any]
    values: list[float] | None = None
    other: float | None = None
    more: dict[str, Any] = field(default_factory=dict)


def metrics(column: str, setting: Encode, schema: pl.Schema, ctx: ProcessContext) -> list[Metric]:
    """The metrics to fit by. Raises ``errors.Permanent`` where the values cannot be categories."""
    dtype, target = schema[column], setting.target
    if dtype.is_nested() or isinstance(dtype, pl.Binary):
        raise columns.setting_error(
            ctx, f"encode.{column}", f"values of type {dtypes.name_of(dtype)} cannot be categories"
        )
    if setting.categories is not None or setting.method == "hash":
        return []
    if target is not None:
        where = f"encode.{column}.target"
        if target not in schema:
            raise columns.missing_column(ctx, where, target, schema)
        if target == column or not (schema[target].is_numeric() or isinstance(schema[target], pl.Boolean)):
            kind = dtypes.name_of(schema[target])
            raise columns.setting_error(
                ctx, where, f"another column with numbers or booleans is needed; '{target}' is {kind}"
            )
        return [Metric(column, "means", target), Metric(target, "mean"), Metric(target, "variance"), Metric("", "rows"),
                Metric(target, "nulls"), Metric(target, "nan")]  # fmt: skip
    if setting.method == "frequency":
        most = setting.max_categories or _EVERY
        return [Metric(column, "top", most), Metric("", "rows"), Metric(column, "nulls"), Metric(column, "nan")]
    if setting.max_categories is not None:
        return [Metric(column, "top", setting.max_categories)]
    return [_categories(column, setting)]


def _categories(column: str, setting: Encode) -> Metric:
    """All categories; for columns of their own only as many as there may be."""
    return Metric(column, "categories", MAX_COLUMNS if setting.method == "onehot" else None)


def fit(column: str, setting: Encode, dtype: pl.DataType, answers: Values, ctx: ProcessContext) -> FittedEncoding:
    """The categories in order, as Python values of the column's type, with their numbers.

    Raises ``errors.Permanent`` where the categories do not fit the column, or are too many.
    """
    if setting.method == "hash":
        return FittedEncoding([], more={"buckets": setting.bucket_count, "hash": stable_hash.NAME})
    if setting.categories is not None:
        where = f"encode.{column}.categories"
        categories = [columns.literal(ctx, where, c, _inner(dtype)) for c in setting.categories]
        if len(set(categories)) < len(categories):
            twice = next(c for i, c in enumerate(categories) if c in categories[:i])
            raise columns.setting_error(ctx, where, f"two of them are the same value {label(twice)}")
        return FittedEncoding(categories)
    if setting.target is not None:
        found = _means(column, setting, answers)
    elif setting.method == "frequency":
        top = answers[Metric(column, "top", setting.max_categories or _EVERY)]
        known = answers[Metric("", "rows")] - answers[Metric(column, "nulls")] - answers[Metric(column, "nan")]
        shares = sorted((value, count / known) for value, count in top)
        found = FittedEncoding([v for v, _ in shares], [s for _, s in shares], 0.0)
    elif setting.max_categories is not None:
        found = FittedEncoding(sorted(value for value, _ in answers[Metric(column, "top", setting.max_categories)]))
    else:
        categories = answers[_categories(column, setting)]
        if categories is None:
            message = (
                f"more than {MAX_COLUMNS} categories would become as many columns; set max_categories, or use ordinal"
            )
            raise columns.setting_error(ctx, f"encode.{column}", message)
        found = FittedEncoding(categories)
    if not found.categories:
        ctx.warn("no_categories", f"column '{column}' has no values, so it has no categories", column=column)
    return found


def column_names(column: str, categories: Sequence[Any], taken: Iterable[str] = ()) -> list[str]:
    """The names of the one-hot columns: ``<column>_<category>``, with ``_2``, ``_3`` where SQL sees a name again.

    SQL does not tell "a_Yes" from "a_yes".
    """
    labels = [f"{column}_{label(category)}" for category in categories]
    seen = {name.lower() for name in taken}
    names: list[str] = []
    for name in labels:
        new, count = name, 1
        while new.lower() in seen or (count > 1 and new in labels):
            count += 1
            new = f"{name}_{count}"
        seen.add(new.lower())
        names.append(new)
    return names


def _means(column: str, setting: Encode, answers: Values) -> FittedEncoding:
    target = str(setting.target)
    groups = answers[Metric(column, "means", target)]
    mean = answers[Metric(target, "mean")]
    count = answers[Metric("", "rows")] - answers[Metric(target, "nulls")] - answers[Metric(target, "nan")]
    spread = (answers[Metric(target, "variance")] or 0.0) * (count - 1) / count if count else 0.0
    values = []
    for _, n, own, variance in groups:
        if setting.smoothing == "auto":
            weight = n * spread / (n * spread + variance) if spread else 0.0
            values.append(weight * own + (1 - weight) * mean)
        else:
            values.append((n * own + setting.smoothing * mean) / (n + setting.smoothing))
    more = {"target": target, "smoothing": setting.smoothing, "mean": json_value(mean)}
    return FittedEncoding([g[0] for g in groups], values, mean, more)


def record(setting: Encode, found: FittedEncoding) -> dict[str, Any]:
    """The parameters to keep with the version: enough to encode another row."""
    parameters: dict[str, Any] = {"method": setting.method, **found.more}
    if setting.method == "hash":
        return parameters
    parameters |= {
        "categories": [_json_category(c) for c in found.categories],
        "handle_unknown": setting.handle_unknown,
    }
    if setting.method == "onehot":
        parameters["drop_first"] = setting.drop_first
    return parameters | ({"values": found.values} if found.values is not None else {})


def expressions(
    column: str, setting: Encode, found: FittedEncoding, schema: pl.Schema, ctx: ProcessContext
) -> list[pl.Expr]:
    """The expressions of the new columns: uint8 (onehot, binary), int32 (ordinal, hash) or float64."""
    dtype, name = schema[column], setting.into or column
    if setting.method == "hash":
        bucket = (stable_hash.stable([column], schema) % pl.lit(setting.bucket_count, dtype=pl.UInt64)).cast(pl.Int32)
        missing = pl.col(column).is_nan() if dtype.is_float() else pl.lit(value=False)
        return [pl.when(pl.col(column).is_null() | missing).then(None).otherwise(bucket).alias(name)]
    inner = _inner(dtype)
    value, unknown = _value_and_unknown(column, found, dtype)
    known = pl.Series(found.categories, dtype=inner)
    code = lookup.index_of(value, inner, known).cast(pl.Int32)
    other = setting.handle_unknown == "other"
    if setting.method == "onehot":
        made = _onehot(column, setting, found.categories, value, unknown, inner)
        _warn_renamed(column, found.categories, made, ctx)
    elif setting.method == "ordinal":
        made = [_replace_unknown(code, unknown, pl.lit(len(known), dtype=pl.Int32), other=other).alias(name)]
    elif setting.method == "binary":
        number = _replace_unknown(code + 1, unknown, pl.lit(len(known) + 1, dtype=pl.Int32), other=other).fill_null(0)
        width = (len(known) + other).bit_length()
        places = [(width - 1 - i, f"{column}_{i}") for i in range(width)]
        made = [(number // 2**place % 2).cast(pl.UInt8).alias(bit) for place, bit in places]
    else:
        number = lookup.replace(value, inner, known, pl.Series(found.values, dtype=pl.Float64))
        made = [_replace_unknown(number, unknown, pl.lit(found.other, dtype=pl.Float64), other=other).alias(name)]
    if setting.handle_unknown == "fail":
        shown = cast.error_text(value, inner)
        message = pl.concat_str(pl.lit(f"column '{column}': "), shown, pl.lit(" is not a known category"))
        at = (ctx.step, f"config.encode.{column}.handle_unknown")
        made = [parse.refuse(unknown, message, e, at).alias(e.meta.output_name()) for e in made]
    return made


def count_unknown(
    column: str, setting: Encode, found: FittedEncoding, schema: pl.Schema, made: list[pl.Expr], ctx: ProcessContext
) -> list[pl.Expr | Conversion]:
    """The expressions of the new columns, with the unknown values counted, where there may be any."""
    fixed = setting.categories is not None or setting.max_categories is not None or setting.method == "target"
    if not made or setting.method == "hash" or setting.handle_unknown == "fail" or not (fixed or ctx.split is not None):
        return [*made]
    value, unknown = _value_and_unknown(column, found, schema[column])
    outcome = "are not among the categories and became " + (
        "missing" if setting.handle_unknown == "null" else "'other'"
    )
    name = made[0].meta.output_name()
    return [Conversion(name, made[0], value, column, "encode", outcome, lost=unknown), *made[1:]]


def _value_and_unknown(column: str, found: FittedEncoding, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """The value of a row (NaN is missing), and whether it is not one of the categories."""
    inner = _inner(dtype)
    value = pl.col(column) if inner == dtype else pl.col(column).cast(inner)
    if inner.is_float():
        value = value.fill_nan(None)
    known = pl.Series(found.categories, dtype=inner)
    return value, value.is_not_null() & ~value.is_in(known.implode())


def _replace_unknown(number: pl.Expr, unknown: pl.Expr, instead: pl.Expr, *, other: bool) -> pl.Expr:
    return pl.when(unknown).then(instead).otherwise(number) if other else number


def _onehot(
    column: str, setting: Encode, categories: list[Any], value: pl.Expr, unknown: pl.Expr, inner: pl.DataType
) -> list[pl.Expr]:
    first = 1 if setting.drop_first else 0
    other = [f"{column}_other"] if setting.handle_unknown == "other" else []
    names = column_names(column, categories, other)
    made = [
        (value == pl.lit(c, dtype=inner)).fill_null(value=False).cast(pl.UInt8).alias(name)
        for c, name in list(zip(categories, names, strict=True))[first:]
    ]
    if other:
        made.append(unknown.cast(pl.UInt8).alias(f"{column}_other"))
    return made


def _warn_renamed(column: str, categories: list[Any], made: list[pl.Expr], ctx: ProcessContext) -> None:
    plain = {f"{column}_{label(c)}" for c in categories} | {f"{column}_other"}
    renamed = [name for e in made if (name := e.meta.output_name()) not in plain]
    if renamed:
        message = (
            f"encode.{column}: categories whose columns SQL could not tell apart got the names {', '.join(renamed)}"
        )
        ctx.warn("columns_renamed", message, column=column, columns=renamed)


def label(category: Any) -> str:
    """The category as part of a column's name."""
    if isinstance(category, bool):
        return "true" if category else "false"
    return str(category if isinstance(category, float) else json_value(category))


def _json_category(category: Any) -> Any:
    """The category as a value of JSON, with infinity as text."""
    return label(category) if isinstance(category, float) and math.isinf(category) else json_value(category)


def _inner(dtype: pl.DataType) -> pl.DataType:
    return pl.String() if isinstance(dtype, pl.Categorical | pl.Enum | pl.Null) else dtype

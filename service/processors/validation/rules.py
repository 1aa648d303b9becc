"""Rules of a validator: conditions on one row, or on the whole frame.

A condition that is neither true nor false (a missing value) does not break its rule, as with CHECK in SQL: only
``not_null`` refuses missing values. NaN in a float column is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.settings import columns
from service.processors.settings.columns import Name, Scalar
from service.steps.context import ProcessContext
from service.values import cast as casting
from service.values import dtypes, type_names
from service.values.version_name import VersionName

if TYPE_CHECKING:
    import polars as pl

    from service.expressions import scalar
else:
    scalar = lazy.module("service.expressions.scalar")
    pl = lazy.module("polars")

Check = Literal["not_null", "unique", "in_set", "in_range", "regex", "type", "foreign_key"]

_NEEDS = {
    "in_set": ("values",), "in_range": ("min", "max"), "regex": ("pattern",), "type": ("type",),
    "foreign_key": ("pipeline", "to", "version"),
}  # fmt: skip
_PARAMETERS = ("values", "min", "max", "pattern", "type", "pipeline", "to", "version")
_SHOWN_VALUES = 5


class RowCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows there must be."""

    min: Annotated[Annotated[int, msgspec.Meta(ge=0)] | None, msgspec.Meta(description="The least number.")] = None
    max: Annotated[Annotated[int, msgspec.Meta(ge=0)] | None, msgspec.Meta(description="The greatest number.")] = None


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How old the newest time of a column may be."""

    column: Annotated[Name, msgspec.Meta(description="A date or datetime; without a zone it is UTC.")]
    max_age_seconds: Annotated[float, msgspec.Meta(gt=0, description="From the greatest value to the time of the run.")]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule: a check of a column, an expression, a row count or a freshness."""

    name: Annotated[
        Annotated[str, msgspec.Meta(min_length=1, max_length=120)] | None,
        msgspec.Meta(description="The name in reports; by default column and check."),
    ] = None
    severity: Annotated[
        Literal["error", "warning"], msgspec.Meta(description="A broken 'warning' is only reported.")
    ] = "error"
    column: Annotated[Name | None, msgspec.Meta(description="The column to check.")] = None
    columns: Annotated[list[Name], msgspec.Meta(description="unique: several columns that form a key.")] = []
    check: Annotated[
        Check | None,
        msgspec.Meta(
            description="not_null, unique, in_set (values), in_range (min, max), regex (pattern), type (type) or "
            "foreign_key (pipeline, to, version)."
        ),
    ] = None
    values: Annotated[list[Scalar] | None, msgspec.Meta(description="in_set: the values that may occur.")] = None
    min: Annotated[Scalar, msgspec.Meta(description="in_range: the least value that may occur.")] = None
    max: Annotated[Scalar, msgspec.Meta(description="in_range: the greatest value that may occur.")] = None
    pattern: Annotated[
        str | None, msgspec.Meta(description="regex: matches anywhere in the text; ^ and $ anchor it.")
    ] = None
    type: Annotated[
        str | None,
        msgspec.Meta(description="type: the column has this type, or its values can be cast to it without loss."),
    ] = None
    pipeline: Annotated[
        Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")] | None,
        msgspec.Meta(
            description="foreign_key: every value that is not missing must occur in this pipeline's stored rows. A run "
            "reads one version of it, even if several rules and collectors name it."
        ),
    ] = None
    to: Annotated[Name | None, msgspec.Meta(description="foreign_key: the column in that pipeline.")] = None
    version: Annotated[
        VersionName | None,
        msgspec.Meta(description="foreign_key: its version or a tag; by default the newest at the start of the run."),
    ] = None
    expression: Annotated[str | None, msgspec.Meta(description="A SQL condition over one row.")] = None
    row_count: Annotated[RowCount | None, msgspec.Meta(description="How many rows there must be.")] = None
    freshness: Annotated[Freshness | None, msgspec.Meta(description="How old the newest row may be.")] = None

    @property
    def names(self) -> list[str]:
        """The columns of the check."""
        return [*([self.column] if self.column is not None else []), *self.columns]

    @property
    def whole(self) -> bool:
        """Whether it is about the whole frame, so that no single row breaks it."""
        return self.row_count is not None or self.freshness is not None

    def label(self, place: int) -> str:
        """The name of the rule: the configured one, or one from column and check. ``place`` is its index."""
        if self.name is not None:
            return self.name
        if self.check is not None:
            return "_".join([*self.names, self.check])
        return "row_count" if self.row_count else "freshness" if self.freshness else f"expression_{place + 1}"

    @property
    def expected(self) -> str:
        """What is wrong with a row that breaks it, as the end of a sentence."""
        match self.check:
            case "not_null":
                return "is missing"
            case "unique":
                return "occurs more than once"
            case "in_set":
                known = [str(v) for v in self.values or ()]
                more = f" and {len(known) - _SHOWN_VALUES} more" if len(known) > _SHOWN_VALUES else ""
                return f"is not one of {', '.join(known[:_SHOWN_VALUES])}{more}"
            case "in_range":
                ends = (("less than", self.min), ("more than", self.max))
                return "is " + " or ".join(f"{word} {end}" for word, end in ends if end is not None)
            case "regex":
                return f"does not match {self.pattern}"
            case "type":
                return f"is not {self.type}"
            case "foreign_key":
                which = f"@{self.version}" if self.version is not None else ""
                return f"is not in '{self.to}' of {self.pipeline}{which}"
            case _:
                return f"does not hold: {self.expression}"

    def problems(self, at: str) -> Iterable[Problem]:
        """Problems that do not depend on data; ``at`` is the path of the rule."""
        kinds = [k for k in ("check", "expression", "row_count", "freshness") if getattr(self, k) is not None]
        if len(kinds) != 1:
            several = f", not {' and '.join(kinds)}" if kinds else ""
            yield Problem(at, f"a rule needs exactly one of check, expression, row_count and freshness{several}")
            return
        if kinds[0] != "check":
            superfluous = [k for k in ("column", "columns", *_PARAMETERS) if getattr(self, k)]
            yield from (Problem(f"{at}.{k}", f"applies to a check, not to {kinds[0]}") for k in superfluous)
        yield from getattr(self, f"_{kinds[0]}_problems")(at)

    def _check_problems(self, at: str) -> Iterable[Problem]:
        needs = _NEEDS.get(str(self.check), ())
        if not self.names:
            yield Problem(f"{at}.column", "is required")
        if self.columns and self.check != "unique":
            yield Problem(f"{at}.columns", f"applies to unique; {self.check} takes one 'column'")
        for parameter in _PARAMETERS:
            if getattr(self, parameter) is not None and parameter not in needs:
                yield Problem(f"{at}.{parameter}", f"does not apply to {self.check}")
        if self.check == "foreign_key":
            yield from (Problem(f"{at}.{n}", "is required") for n in ("pipeline", "to") if getattr(self, n) is None)
        elif needs and all(getattr(self, n) is None for n in needs):
            yield Problem(f"{at}.{needs[0]}", "is required" if len(needs) == 1 else f"{' or '.join(needs)} is required")
        ends = [n for n in (self.min, self.max) if isinstance(n, int | float)]
        if len(ends) == 2 and ends[0] > ends[1]:
            yield Problem(f"{at}.min", "is more than max; no value is between them")
        if self.values == []:
            yield Problem(f"{at}.values", "an empty list allows no value")
        try:
            if self.pattern is not None:
                pl.Series([""]).str.contains(self.pattern)
        except pl.exceptions.PolarsError as error:
            lines = str(error).splitlines()
            why = next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[0])
            yield Problem(f"{at}.pattern", f"is not a regular expression: {why}")
        try:
            if self.type is not None:
                type_names.read(self.type)
        except ValueError as error:
            yield Problem(f"{at}.type", str(error))

    def _expression_problems(self, at: str) -> Iterable[Problem]:
        try:
            scalar.parse(str(self.expression))
        except ValueError as error:
            yield Problem(f"{at}.expression", str(error))

    def _row_count_problems(self, at: str) -> Iterable[Problem]:
        bounds = self.row_count
        if bounds is None or (bounds.min is None and bounds.max is None):
            yield Problem(f"{at}.row_count", "min or max is required")
        elif bounds.min is not None and bounds.max is not None and bounds.min > bounds.max:
            yield Problem(f"{at}.row_count", "min is more than max")

    def _freshness_problems(self, at: str) -> Iterable[Problem]:
        return ()


def breaks(rule: Rule, at: str, schema: pl.Schema, ctx: ProcessContext) -> pl.Expr:
    """Whether a row breaks the rule: true or false, never null. Not for expressions, unique and foreign_key.

    Raises ``errors.Permanent`` where the rule does not fit the column; ``at`` is the path of the rule.
    """
    column = str(rule.column)
    dtype, value = schema[column], pl.col(column)
    if rule.check == "not_null":
        return columns.is_missing(schema, column)
    known = ~columns.is_missing(schema, column)
    violated = _violates(rule, at, column, value, dtype, ctx)
    return known & violated.fill_null(value=False)


def _violates(rule: Rule, at: str, column: str, value: pl.Expr, dtype: pl.DataType, ctx: ProcessContext) -> pl.Expr:
    if rule.check == "in_set":
        inner = pl.String() if isinstance(dtype, pl.Categorical | pl.Enum) else dtype
        allowed = [columns.literal(ctx, f"{at}.values[{i}]", v, inner) for i, v in enumerate(rule.values or ())]
        return ~value.cast(inner).is_in(pl.Series(allowed, dtype=inner).implode())
    if rule.check == "in_range":
        return pl.any_horizontal(_outside(rule, at, value, dtype, ctx))
    if rule.check == "regex":
        if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
            raise columns.setting_error(
                ctx, f"{at}.column", f"a regex applies to text, and '{column}' is {dtypes.name_of(dtype)}"
            )
        return ~value.cast(pl.String).str.contains(str(rule.pattern))
    target = dtypes.parse(str(rule.type))
    if dtype == target:
        return pl.lit(value=False)
    if dtype.is_nested() and not target.is_nested():  # it can be shown as text, but it is not text
        return pl.lit(value=True)
    try:
        cast = casting.cast(column, dtype, target)
    except ValueError:
        return pl.lit(value=True)
    if dtype.is_numeric() and (target.is_integer() or isinstance(target, pl.Boolean)):  # such a cast cuts
        return cast.is_null() | (value.cast(pl.Float64) != cast.cast(pl.Float64))
    return cast.is_null()


def _outside(rule: Rule, at: str, value: pl.Expr, dtype: pl.DataType, ctx: ProcessContext) -> Sequence[pl.Expr]:
    if not (dtype.is_numeric() or dtype.is_temporal() or isinstance(dtype, pl.String)):
        raise columns.setting_error(ctx, f"{at}.column", f"values of a {dtypes.name_of(dtype)} have no order")
    conditions = []
    for end, bound in (("min", rule.min), ("max", rule.max)):
        if bound is None:
            continue
        if isinstance(bound, float) and dtype.is_numeric():
            limit: Any = pl.lit(bound)
            value = value.cast(pl.Float64) if dtype.is_decimal() else value
        else:
            limit = pl.lit(columns.literal(ctx, f"{at}.{end}", bound, dtype), dtype=dtype)
        conditions.append(value < limit if end == "min" else value > limit)
    return conditions

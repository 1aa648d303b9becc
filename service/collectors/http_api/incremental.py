"""Incremental: only what is new since the last committed version is asked for.

The cursor is the greatest value of a field among the records so far; the source is asked for records from there on,
with the boundary itself, because more of the same value may have come meanwhile. What a cursor is, its values tell:
numbers (also as text), times (ISO 8601), or text in its own order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import CollectContext
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Cursor = str | int | float
Order = Literal["integer", "number", "time", "text"]
Columns = str | list[Annotated[str, msgspec.Meta(min_length=1)]]
PrimaryKey = Annotated[
    Columns | None,
    msgspec.Meta(description="Columns that tell a record from all others: the newest of equal ones stays."),
]
_EXTENDED = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d|$)")  # neither weeks nor 20240131T10: they are written another way


class Incremental(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask only for what is new, and add it to what the newest version has."""

    cursor_field: Annotated[
        str, msgspec.Meta(min_length=1, description="The field that grows, e.g. 'updated_at' or 'meta.updated_at'.")
    ]
    param: Annotated[str, msgspec.Meta(min_length=1, description="The query parameter that says from where on.")]
    initial: Annotated[Cursor | None, msgspec.Meta(description="From where the first run asks; all by default.")] = None
    lookback: Annotated[
        float, msgspec.Meta(ge=0, description="How far before the cursor to ask again: seconds, or units of a number.")
    ] = 0.0
    primary_key: PrimaryKey = None

    def problems(self, params: Iterable[str]) -> Iterable[Problem]:
        """What is wrong with the settings."""
        if self.param in params:
            yield Problem("incremental.param", f"'{self.param}' is among params, too; the cursor takes its place")
        if isinstance(self.initial, str) and self.initial == "":
            yield Problem("incremental.initial", "is empty; leave it out to begin with all records")

    def column(self, names: Iterable[str], ctx: CollectContext) -> str:
        """The column of the cursor after flattening. Raises ``errors.Permanent`` where no record has it."""
        known = list(names)
        for name in (self.cursor_field, self.cursor_field.replace(".", "_")):
            if name in known:
                return name
        raise errors.Permanent(
            f"no record has '{self.cursor_field}'{errors.did_you_mean(self.cursor_field, known)}",
            step=ctx.step, field="incremental.cursor_field",
        )  # fmt: skip

    def start(self, cursor: Cursor | None, ctx: CollectContext) -> Cursor | None:
        """From where to ask: the cursor less ``lookback``, or ``initial``. Raises ``errors.Permanent``."""
        if cursor is None:
            return ctx.fill(self.initial) if isinstance(self.initial, str) else self.initial
        if not self.lookback:
            return cursor
        try:
            return _before(cursor, self.lookback)
        except (ValueError, OverflowError, InvalidOperation):
            raise errors.Permanent(
                f"'{cursor}' is neither a number nor a time; there is nothing before it to look back at",
                step=ctx.step, field="incremental.lookback",
            ) from None  # fmt: skip


def keys(own: Columns | None, other: Columns | None) -> list[str]:
    """The columns of a primary key: ``own``, or else ``other``."""
    named = own if own is not None else other
    return [named] if isinstance(named, str) else list(named or ())


def order_of(rows: pl.LazyFrame, column: str, cursors: Iterable[Cursor], ctx: CollectContext) -> Order:
    """How the values of a column, and the cursors so far, are compared. Reads the column.

    Raises ``errors.Permanent`` for what has no order.
    """
    dtype = rows.collect_schema()[column]
    if not dtype.is_numeric() and dtype != pl.String:
        raise errors.Permanent(
            f"the values of '{column}' are {dtypes.name_of(dtype)}; a cursor is a number, a time or text",
            step=ctx.step, field="incremental.cursor_field",
        )  # fmt: skip
    before = pl.LazyFrame({column: [str(c) for c in cursors]}, schema={column: pl.String})
    every = pl.concat([rows.select(pl.col(column).cast(pl.String)), before])
    orders: tuple[Order, ...] = ("integer", "number", "time")
    fits = (comparable(pl.col(column), order).null_count() == pl.col(column).null_count() for order in orders)
    found = every.select(fit.alias(order) for order, fit in zip(orders, fits, strict=True))
    held = found.collect(engine="streaming").row(0)
    return next((order for order, fit in zip(orders, held, strict=True) if fit), "text")


def comparable(value: pl.Expr, order: Order) -> pl.Expr:
    """A cursor's value in the type that has its order; null where it is of another kind."""
    value = value.cast(pl.String)
    match order:
        case "integer":
            return value.cast(pl.Int64, strict=False)
        case "number":
            return value.cast(pl.Float64, strict=False).fill_nan(None)
        case "time":
            return parse.tolerantly(value, pl.Datetime("us", "UTC"))
        case "text":
            return value


def _before(cursor: Cursor, distance: float) -> Cursor:
    if isinstance(cursor, int):
        exact = cursor - Fraction(str(distance))  # a float would round an identifier of 19 digits, also to after it
        return int(exact) if exact.denominator == 1 else float(exact)
    if isinstance(cursor, float):
        return cursor - distance
    try:
        number = Decimal(cursor) - Decimal(str(distance))
        return format(number.normalize() if number != number.to_integral() else number.quantize(Decimal(1)), "f")
    except InvalidOperation:
        pass
    if not _EXTENDED.match(cursor):
        raise ValueError(cursor)
    moment = datetime.fromisoformat(cursor) - timedelta(seconds=distance)
    if len(cursor) == len("2024-01-31"):
        return moment.date().isoformat()
    fraction = cursor.partition(".")[2]
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    spec: Literal["seconds", "milliseconds", "microseconds"] = (
        "microseconds" if digits > 3 or (moment.microsecond and not digits) else "milliseconds" if digits else "seconds"
    )
    text = moment.isoformat(sep=cursor[10], timespec=spec)
    return text.removesuffix("+00:00") + "Z" if cursor.endswith(("Z", "z")) else text


def newest(cursors: Iterable[Cursor], order: Order) -> Cursor | None:
    """The greatest of some cursors."""
    every = list(cursors)
    found = pl.DataFrame({"t": [str(c) for c in every]}, schema={"t": pl.String})
    place = found.select(comparable(pl.col("t"), order).arg_max()).item()
    return every[place] if place is not None else None

"""Incremental collection: request only what is new since the last committed version.

The cursor is the greatest value of a field among the records so far. The source is asked for records from that value
on, boundary included, because more records of the same value may exist now. The values determine how cursors compare:
as numbers (also written as text), as times (ISO 8601, or in ``cursor_format``), or as text. Text that does not sort in
the order of what it means ("03/01/2024", "v9" and "v10") is refused at first sight: its greatest value is not the
newest one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from service.collectors.http_api import pagination
from service.collectors.http_api.pagination import Location, Next
from service.kit import errors, lazy
from service.kit.errors import Problem
from service.steps.context import CollectContext
from service.values import dtypes, parse

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Cursor = str | int | float
Order = Literal["integer", "number", "time", "format", "text"]
Columns = str | list[Annotated[str, msgspec.Meta(min_length=1)]]
PrimaryKey = Annotated[
    Columns | None,
    msgspec.Meta(description="Columns that identify a record; of records with the same key the newest is kept."),
]
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_UNSORTED = (
    r"(?i)^\s*\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}"  # 03/01/2024
    r"|^\s*\d{4}[/.-]\d[/.-]|^\s*\d{4}[/.-]\d{2}[/.-]\d(\D|$)"  # 2024-1-5
    rf"|\b\d{{1,2}}[ -]({_MONTHS})[a-z]*[ ,.-]+\d|\b({_MONTHS})[a-z]*[ .]+\d{{1,2}}(st|nd|rd|th)?\b"  # 5 Jan 2024
    rf"|^\s*({_MONTHS})[a-z]*[ ,./'-]+\d{{2,4}}\s*$|^\s*\d{{4}}[ ,./-]+({_MONTHS})[a-z]*\b"  # Jan 2024
    r"|^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +\d|\d\s*(am|pm)\b"
)
"""Text that means a date or a time and does not sort like it."""
_EXTENDED = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d|$)"
)  # not week dates and not 20240131T10, which cannot be written back in their own form


class Incremental(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch only new records and add them to those of the newest version."""

    cursor_field: Annotated[
        str, msgspec.Meta(min_length=1, description="The field that grows, e.g. 'updated_at' or 'meta.updated_at'.")
    ]
    param: Annotated[
        str,
        msgspec.Meta(
            min_length=1, description="Parameter that takes the cursor; in the body a path, 'a.b' or 'filters.0.value'."
        ),
    ]
    location: Annotated[
        Location,
        msgspec.Meta(
            description="Where param is sent: in the query, in the JSON body, as a header or in place of {param} in "
            "the endpoint's path."
        ),
    ] = msgspec.field(default="query", name="in")
    initial: Annotated[
        Cursor | None, msgspec.Meta(description="Cursor of the first run; by default it fetches all records.")
    ] = None
    lookback: Annotated[
        float, msgspec.Meta(ge=0, description="How far before the cursor to start: seconds, or units of a number.")
    ] = 0.0
    cursor_format: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(
            description="strptime format of a cursor_field that does not sort as text, e.g. '%m/%d/%Y'.",
            examples=["%m/%d/%Y"],
        ),
    ] = None
    primary_key: PrimaryKey = None

    def problems(self, params: Iterable[str], method: str, endpoint: str, body: Any) -> Iterable[Problem]:
        """What is wrong with the settings, for a request like this."""
        names: dict[Location, list[str]] = {self.location: [self.param]}
        yield from pagination.location_problems("incremental.in", names, method, endpoint, body)
        if self.location == "query" and self.param in params:
            yield Problem("incremental.param", f"'{self.param}' is also in params; the cursor would replace it")
        if isinstance(self.initial, str) and self.initial == "":
            yield Problem("incremental.initial", "is empty; omit it to start with all records")
        if self.cursor_format is not None and not _is_format(self.cursor_format):
            yield Problem(
                "incremental.cursor_format", f"'{self.cursor_format}' is not a strptime format of a date or time"
            )

    def request(self, start: Cursor | None) -> Next:
        """The parameters of a request from ``start`` on."""
        return pagination.placed([(self.location, self.param, start)])

    @property
    def settings(self) -> dict[str, Any]:
        """As a configuration, without a location that is the default (states of earlier releases do not have it)."""
        given: dict[str, Any] = msgspec.to_builtins(self)
        if self.location == "query":
            del given["in"]
        return given

    def column(self, names: Iterable[str], ctx: CollectContext) -> str:
        """The column of the cursor after flattening. Raises ``errors.Permanent`` if no record has it."""
        known = list(names)
        for name in (self.cursor_field, self.cursor_field.replace(".", "_")):
            if name in known:
                return name
        raise errors.Permanent(
            f"no record has '{self.cursor_field}'{errors.did_you_mean(self.cursor_field, known)}",
            step=ctx.step, field="incremental.cursor_field",
        )  # fmt: skip

    def start(self, cursor: Cursor | None, ctx: CollectContext) -> Cursor | None:
        """The cursor to request from: ``cursor`` less ``lookback``, or ``initial``. Raises ``errors.Permanent``."""
        if cursor is None:
            return ctx.fill(self.initial) if isinstance(self.initial, str) else self.initial
        if not self.lookback:
            return cursor
        try:
            if self.cursor_format is not None:
                moment = datetime.strptime(str(cursor), self.cursor_format) - timedelta(seconds=self.lookback)
                return moment.strftime(self.cursor_format)
            return _before(cursor, self.lookback)
        except (ValueError, OverflowError, InvalidOperation):
            raise errors.Permanent(
                f"nothing lies {self.lookback:g} before the cursor '{cursor}'; lookback needs a number or a time",
                step=ctx.step, field="incremental.lookback",
            ) from None  # fmt: skip


def keys(own: Columns | None, other: Columns | None) -> list[str]:
    """The columns of a primary key: ``own``, or else ``other``."""
    named = own if own is not None else other
    return [named] if isinstance(named, str) else list(named or ())


def order_of(
    rows: pl.LazyFrame, column: str, cursors: Iterable[Cursor], ctx: CollectContext, cursor_format: str | None = None
) -> Order:
    """How the values of a column and the cursors so far compare. Reads the column.

    Raises ``errors.Permanent`` for values without an order: other types, text that does not sort, and text that is not
    in ``cursor_format``.
    """
    dtype = rows.collect_schema()[column]
    if not dtype.is_numeric() and dtype != pl.String:
        raise errors.Permanent(
            f"the values of '{column}' are {dtypes.name_of(dtype)}; a cursor is a number, a time or text",
            step=ctx.step, field="incremental.cursor_field",
        )  # fmt: skip
    before = pl.LazyFrame({column: [str(c) for c in cursors]}, schema={column: pl.String})
    every = pl.concat([rows.select(pl.col(column).cast(pl.String)), before])
    if cursor_format is not None:
        _check_format(every, column, cursor_format, ctx)
        return "format"
    orders: tuple[Order, ...] = ("integer", "number", "time")
    fits = (comparable(pl.col(column), order).null_count() == pl.col(column).null_count() for order in orders)
    found = every.select(fit.alias(order) for order, fit in zip(orders, fits, strict=True))
    held = found.collect(engine="streaming").row(0)
    order: Order = next((order for order, fit in zip(orders, held, strict=True) if fit), "text")
    if order == "text":
        _check_text(every.drop_nulls(), column, ctx)
    return order


def _check_format(values: pl.LazyFrame, column: str, cursor_format: str, ctx: CollectContext) -> None:
    read = comparable(pl.col(column), "format", cursor_format)
    wrong = values.filter(pl.col(column).is_not_null() & read.is_null()).collect(engine="streaming")[column]
    if len(wrong):
        raise errors.Permanent(
            f"{len(wrong)} values of '{column}' are not in cursor_format '{cursor_format}', such as '{wrong[0]}'",
            step=ctx.step, field="incremental.cursor_format",
        )  # fmt: skip


def _check_text(values: pl.LazyFrame, column: str, ctx: CollectContext) -> None:
    """Raise ``errors.Permanent`` for text whose greatest value is not the newest one."""
    text = pl.col(column)
    kinds = [comparable(text, order).is_not_null() for order in ("integer", "number", "time")]
    parts = text.str.extract_groups(r"^(.*?)(\d+)(\D*)$").struct
    found = values.select(
        text.filter(text.str.contains(_UNSORTED)).first().alias("date"),
        text.filter(pl.any_horizontal(kinds)).first().alias("typed"),
        text.filter(~pl.any_horizontal(kinds)).first().alias("other"),
        (text.str.len_chars().n_unique() > 1).alias("ragged"),
        (parts.field("2").is_not_null().all() & (parts.field("1").n_unique() == 1) & (parts.field("3").n_unique() == 1)
         & ~parts.field("2").str.starts_with("0").any()).alias("numbered"),
        text.last().alias("last"),
    ).collect(engine="streaming").row(0, named=True)  # fmt: skip
    if found["date"] is not None:
        text_of = (
            f"'{found['date']}' is a date or time that does not sort as text; set cursor_format, such as '%m/%d/%Y'"
        )
    elif found["ragged"] and found["typed"] is not None and found["other"] is not None:
        text_of = f"'{found['typed']}' and '{found['other']}' have no common order; take a field that grows"
    elif found["ragged"] and found["numbered"]:
        text_of = f"numbers in text such as '{found['last']}' do not sort by their value; take a field that grows"
    else:
        return
    raise errors.Permanent(
        f"the values of '{column}' cannot be a cursor: {text_of}", step=ctx.step, field="incremental.cursor_field"
    )


def comparable(value: pl.Expr, order: Order, cursor_format: str | None = None) -> pl.Expr:
    """A cursor value in the type that orders it; null if it does not have that type."""
    value = value.cast(pl.String)
    match order:
        case "integer":
            return value.cast(pl.Int64, strict=False)
        case "number":
            return value.cast(pl.Float64, strict=False).fill_nan(None)
        case "time":
            return parse.tolerantly(value, _moment())
        case "format":
            return value.map_batches(functools.partial(_read_all, cursor_format=str(cursor_format)), _moment())
        case "text":
            return value


def _moment() -> pl.DataType:
    return pl.Datetime("us", "UTC")


def _read_all(values: pl.Series, *, cursor_format: str) -> pl.Series:
    """Python's own ``strptime``, which everybody means by a format, once for each different text."""
    read: dict[str | None, datetime | None] = {None: None}
    for text in values.unique():
        if text is not None:
            read[text] = _read(text, cursor_format)
    return pl.Series(values.name, [read[text] for text in values], dtype=_moment())


def _read(text: str, cursor_format: str) -> datetime | None:
    try:
        moment = datetime.strptime(text.strip(), cursor_format)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _is_format(text: str) -> bool:
    shown = datetime(2024, 11, 23, 21, 34, 56, tzinfo=UTC).strftime(text)
    return shown != text and _read(shown, text) is not None


def _before(cursor: Cursor, distance: float) -> Cursor:
    if isinstance(cursor, int):
        exact = cursor - Fraction(str(distance))  # a float would round an identifier of 19 digits, possibly upwards
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


def newest(cursors: Iterable[Cursor], order: Order, cursor_format: str | None = None) -> Cursor | None:
    """The greatest of some cursors."""
    every = list(cursors)
    found = pl.DataFrame({"t": [str(c) for c in every]}, schema={"t": pl.String})
    place = found.select(comparable(pl.col("t"), order, cursor_format).arg_max()).item()
    return every[place] if place is not None else None

"""Casts from one type to another as row-local expressions: a bad value becomes null or an error.

Polars does not cast text to booleans, dates or times by itself, and without a format it guesses one from the first
value, so that the result would depend on the order of rows. Therefore every form is defined here:

* text is trimmed first; ``""`` is a bad value for every type but text;
* whole numbers: ``12``, ``+12``, ``12.0``, ``1e3``; ``12.5`` is bad, and so is ``12.0`` beyond 2^53 (no digit is
  lost in silence);
* floats and decimals: ``12.5``, ``1e3``; floats also ``nan``, ``inf``; decimals round to their scale, halves to even;
* booleans: true/false, t/f, yes/no, y/n, on/off, 1/0 in any case;
* dates: ISO 8601, with or without a time (the date as written); datetimes: ISO 8601 with ``T`` or a space, to the
  minute or the (fractional) second, or a date alone (midnight); times: ``HH:MM`` and ``HH:MM:SS[.fff]``;
* an offset (``Z``, ``+02:00``, ``+02``) is followed: a ``datetime`` becomes UTC, a ``datetime[tz]`` is shown in its
  zone. A text without one is local time in that zone (of two the earlier; a time that the clocks skipped is bad);
* ``format``: one or several ``strptime`` formats, tried in order instead of ISO; ``epoch``, ``epoch_ms`` and
  ``epoch_us`` read numbers (or digits) since 1970;
* durations to numbers: seconds, as everywhere in the API;
* floats to whole numbers are cut towards zero; NaN and values out of range are bad values;
* dates, times and datetimes to text: ISO 8601, or the first ``format``; lists and structs to text: JSON;
* bytes are read as UTF-8 text; other bytes are a bad value;
* text to a list: a JSON array of scalars; each item of a list follows the rules above, and a bad one becomes null.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import dtypes, json_text, parse

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass
else:
    pl = lazy.module("polars")

_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")

_ISO = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
_ISO_OFFSET = r":\d\d.*(?:[zZ]|UTC|[+-]\d\d(?::?\d\d)?)$"
_ISO_TIME = ("%H:%M:%S%.f", "%H:%M")
_EXACT = 2**53  # from here on, a float may stand for several whole numbers
_A_SECOND = {"ms": 1e3, "us": 1e6, "ns": 1e9}
_EPOCHS = {"epoch": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_PLAIN_VALUE = r'"(?:[^"\\]|\\.)*"|[^"\[\]{},\s]+'
_PLAIN_ARRAY = rf"^\s*\[\s*(?:(?:{_PLAIN_VALUE})\s*,?\s*)*\]\s*$"
_CONTINUATION = "[89ab][0-9a-f]"
_UTF_8 = (
    f"^(?:[0-7][0-9a-f]|(?:c[2-9a-f]|d[0-9a-f]){_CONTINUATION}|(?:e0[ab][0-9a-f]|ed[89][0-9a-f]|e[1-9abcef]{_CONTINUATION}){_CONTINUATION}"
    f"|(?:f0[9ab][0-9a-f]|f4[8][0-9a-f]|f[123]{_CONTINUATION}){_CONTINUATION}{_CONTINUATION})*$"
)
"""UTF-8 text as hexadecimal digits."""
_WITH_OFFSET = ("%z", "%:z", "%#z", "%::z", "%+")


def cast(
    name: str,
    source: pl.DataType,
    target: pl.DataType,
    formats: Sequence[str] = (),
    *,
    strict: bool = False,
    at: tuple[str, str] | None = None,
) -> pl.Expr:
    """The expression that casts column ``name``. ``strict`` makes a bad value an error that shows it.

    ``at`` is the step and the field that such an error names, wherever the plan is executed.

    Raises ``ValueError`` where there is no such cast, or a format is not valid.
    """
    _check_formats(target, source, tuple(formats))
    column = pl.col(name)
    value = _cast(column, source, target, formats).cast(target, strict=False)
    if strict and not isinstance(source, pl.Null):
        bad = column.is_not_null() & value.is_null()
        if isinstance(target, pl.List):
            items = _json_array_items(column) if isinstance(source, pl.String) else column
            bad |= _missing_count(value, target) > _missing_count(
                items, pl.List(pl.String) if isinstance(source, pl.String) else source
            )
        message = pl.format(
            f"column '{_escaped(name)}': {{}} is not {_escaped(dtypes.name_of(target))}", error_text(column, source)
        )
        value = parse.refuse(bad, message, value, at)
    return value.alias(name)


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def error_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The value for an error message."""
    if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Duration):
        return pl.lit("a value")
    return value.cast(pl.String, strict=False).fill_null("a value")


def _cast(column: pl.Expr, source: pl.DataType, target: pl.DataType, formats: Sequence[str]) -> pl.Expr:
    if isinstance(source, pl.Categorical | pl.Enum) and not isinstance(target, pl.String | pl.Categorical | pl.Enum):
        return _cast(column.cast(pl.String), pl.String(), target, formats)
    if isinstance(source, pl.Null) or (source == target and not formats):
        return column
    if isinstance(source, pl.Binary):
        return _cast(_utf8_text(column), pl.String(), target, formats)
    if isinstance(source, pl.List) and isinstance(target, pl.List):
        return _cast_items(column, source, target)
    if isinstance(source, pl.String) and isinstance(target, pl.List) and not target.inner.is_nested():
        return _cast_items(_json_array_items(column), pl.List(pl.String()), target)
    if isinstance(source, pl.List | pl.Struct) and isinstance(target, pl.String):
        return json_text.json_text(column, source)
    if source.is_nested() or target.is_nested():
        raise _no_such_cast(source, target)
    if isinstance(source, pl.String):
        return _from_text(column, target, formats)
    if isinstance(target, pl.String) and source.is_temporal():
        return column.dt.strftime(formats[0]) if formats else column.dt.to_string("iso:strict")
    if target.is_temporal():
        return _to_temporal(column, source, target, formats)
    if isinstance(source, pl.Duration) and target.is_numeric():
        return _cast(column.to_physical() / _A_SECOND[source.time_unit or "us"], pl.Float64(), target, formats)
    if isinstance(target, pl.Boolean) and source.is_numeric():
        return column.cast(pl.Float64, strict=False).fill_nan(None) != 0
    if isinstance(source, pl.Boolean) and target.is_decimal():
        return column.cast(pl.Int64)
    if source.is_float() and isinstance(target, pl.Decimal):  # Polars' own cast fails the query at one digit too many
        digits = (column.cast(pl.Float64) * 10.0**target.scale).round().abs()
        return pl.when(digits < 10.0 ** (target.precision or 38)).then(column)
    if source.is_temporal() and not isinstance(target, pl.Categorical | pl.Enum):
        raise _no_such_cast(source, target)
    if isinstance(target, pl.Categorical | pl.Enum) and not isinstance(source, pl.Categorical | pl.Enum):
        return _cast(column, source, pl.String(), ()).cast(pl.String)
    return column


def _utf8_text(column: pl.Expr) -> pl.Expr:
    """Bytes as text; null where they are not UTF-8, for which Polars' own cast fails the query."""
    valid = column.bin.encode("hex").str.contains(_UTF_8)
    return pl.when(valid).then(pl.when(valid).then(column).otherwise(b"").cast(pl.String))


def _cast_items(column: pl.Expr, source: pl.List, target: pl.List) -> pl.Expr:
    """A list with each of its items cast."""
    inner, wanted = _instance(source.inner), _instance(target.inner)
    return column.list.eval(_cast(pl.element(), inner, wanted, ()).cast(wanted, strict=False))


def _json_array_items(column: pl.Expr) -> pl.Expr:
    """The items of a JSON array of scalars as texts; null for every other text.

    Polars' own ``json_decode`` fails the query at the first text that is not such an array. Numbers are not decoded:
    a float would lose digits.
    """
    valid = column.str.json_path_match("$").is_not_null() & column.str.contains(_PLAIN_ARRAY)
    value = pl.element()
    decoded = pl.when(value.str.starts_with('"')).then(value.str.json_path_match("$")).otherwise(value)
    plain = pl.when(value != "null").then(decoded)
    return pl.when(valid).then(column.str.extract_all(_PLAIN_VALUE)).list.eval(plain)


def _missing_count(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The number of missing values, at every depth of a list."""
    missing = value.is_null().cast(pl.Int64)
    if not isinstance(dtype, pl.List):
        return missing
    return missing + value.list.eval(_missing_count(pl.element(), _instance(dtype.inner))).list.sum().fill_null(0)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _from_text(column: pl.Expr, target: pl.DataType, formats: Sequence[str]) -> pl.Expr:
    text = column.str.strip_chars()
    if isinstance(target, pl.String | pl.Categorical | pl.Enum):
        return column
    if isinstance(target, pl.Boolean):
        return parse.boolean(text, _TRUE, _FALSE)
    if target.is_integer():
        number = text.cast(pl.Float64, strict=False)
        exact = (number == number.round()) & (number.abs() < _EXACT)
        whole = pl.when(exact).then(number).otherwise(None).cast(pl.Int64, strict=False)
        return pl.coalesce(text.cast(target, strict=False), whole.cast(target, strict=False))
    if isinstance(target, pl.Date):
        if formats and formats[0] in _EPOCHS:
            return _epoch(text.cast(pl.Float64, strict=False), formats[0]).dt.date()
        return pl.coalesce([t.str.to_date(f, strict=False) for t, f in _readings(text, formats)])
    if isinstance(target, pl.Datetime):
        if formats and formats[0] in _EPOCHS:
            return _in_zone(_epoch(text.cast(pl.Float64, strict=False), formats[0]), "UTC", target)
        return pl.coalesce([_datetime(t, f, target) for t, f in _readings(text, formats)])
    if isinstance(target, pl.Time):
        return pl.coalesce([text.str.to_time(f, strict=False) for f in formats or _ISO_TIME])
    return text


def _readings(text: pl.Expr, formats: Sequence[str]) -> list[tuple[pl.Expr, str]]:
    """The texts and the formats to read them by, in order. The few with an offset are completed first."""
    if formats:
        return [(text, form) for form in formats]
    zoned = pl.when(text.str.contains(_ISO_OFFSET)).then(text)
    to_minutes = zoned.str.replace(r"([+-]\d\d)$", "${1}:00")
    to_seconds = to_minutes.str.replace(r"^(.{10}[ Tt]\d\d:\d\d)(\s?[-+Zz])", "${1}:00${2}")
    return [*((text, form) for form in _ISO), (to_seconds, "%+")]


def _datetime(text: pl.Expr, form: str, target: pl.Datetime) -> pl.Expr:
    parsed = text.str.to_datetime(form, strict=False, time_unit="us")
    if any(mark in form for mark in _WITH_OFFSET):
        there = parsed.dt.convert_time_zone(target.time_zone or "UTC")
        return there if target.time_zone else there.dt.replace_time_zone(None)
    return _in_zone(parsed, None, target)


def _in_zone(value: pl.Expr, zone: str | None, target: pl.Datetime) -> pl.Expr:
    """A datetime without a zone, understood as local time of ``zone`` (None: of the target's zone)."""
    if zone is None:
        if target.time_zone is None:
            return value
        return value.dt.replace_time_zone(target.time_zone, ambiguous="earliest", non_existent="null")
    known = value.dt.replace_time_zone(zone)
    return known.dt.convert_time_zone(target.time_zone) if target.time_zone else known.dt.replace_time_zone(None)


def _epoch(number: pl.Expr, unit: str) -> pl.Expr:
    return (number * _EPOCHS[unit]).round().cast(pl.Int64, strict=False).cast(pl.Datetime("us"))


def _to_temporal(column: pl.Expr, source: pl.DataType, target: pl.DataType, formats: Sequence[str]) -> pl.Expr:
    if source.is_numeric() and isinstance(target, pl.Date | pl.Datetime):
        if not formats or formats[0] not in _EPOCHS:
            raise ValueError(
                f"a number becomes a {dtypes.name_of(target)} only with format: epoch (seconds), epoch_ms or epoch_us"
            )
        moment = _epoch(column.cast(pl.Float64, strict=False), formats[0])
        return _in_zone(moment, "UTC", target) if isinstance(target, pl.Datetime) else moment.dt.date()
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Datetime):
        if source.time_zone and not target.time_zone:
            return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if source.time_zone:
            return column.dt.convert_time_zone(str(target.time_zone))
        return _in_zone(column, None, target)
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Date):
        return column.dt.date()
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Time):
        return column.dt.time()
    if isinstance(source, pl.Date) and isinstance(target, pl.Datetime):
        return _in_zone(column.cast(pl.Datetime("us")), None, target)
    if type(source) is type(target):
        return column
    raise _no_such_cast(source, target)


@functools.lru_cache(256)  # called in the dry run and again in the run
def _check_formats(target: pl.DataType, source: pl.DataType, formats: tuple[str, ...]) -> None:
    if not formats:
        return
    if not target.is_temporal() and not (isinstance(target, pl.String) and source.is_temporal()):
        raise ValueError(f"a format applies to dates and times, not to {dtypes.name_of(target)}")
    if any(f in _EPOCHS for f in formats):
        if len(formats) > 1 or not isinstance(target, pl.Date | pl.Datetime):
            raise ValueError(
                "epoch, epoch_ms and epoch_us cannot be combined with other formats, and need a date or datetime"
            )
        return
    moment = pl.Series([datetime.datetime(2020, 12, 31, 22, 30, 10)], dtype=pl.Datetime("us", "UTC"))
    sample = moment.dt.date() if isinstance(source, pl.Date) else moment
    sample = moment.dt.time() if isinstance(source, pl.Time) else sample
    for form in formats:
        try:
            if not target.is_temporal():
                sample.dt.strftime(form)
                continue
            text = moment.dt.strftime(form)
            if isinstance(target, pl.Date):
                read = text.str.to_date(form, strict=False)
            elif isinstance(target, pl.Datetime):
                read = text.str.to_datetime(form, strict=False)
            else:
                read = text.str.to_time(form, strict=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise ValueError(f"'{form}' is not a format for {dtypes.name_of(target)}, such as %d.%m.%Y") from error
        known = read.dt.hour() if isinstance(target, pl.Time) else read.dt.year()
        if known[0] != (22 if isinstance(target, pl.Time) else 2020):
            raise ValueError(f"'{form}' lacks a part of a {dtypes.name_of(target)}; no value could be read with it")


def _no_such_cast(source: pl.DataType, target: pl.DataType) -> ValueError:
    return ValueError(f"there is no cast from {dtypes.name_of(source)} to {dtypes.name_of(target)}")

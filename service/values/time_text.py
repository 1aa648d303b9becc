"""Dates and times as text: formats, and strict readings as row-local expressions.

Polars reads text by the formats of chrono, which accept more than people mean by them. Here a text is a bad value
(null) where its year does not have four digits for ``%Y``, where it lies outside of the years 1 to 9999, and where its
seconds are 60. ``%f`` is a fraction of a second of one to nine digits, as in Python and DuckDB, after a dot or without
one; in chrono it is a number of nanoseconds.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import dtypes
from service.values.number_text import any_of_few, trimmed_where_missing

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

ISO = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
)
ISO_TIME = ("%H:%M:%S%.f", "%H:%M")
EPOCHS = {"epoch": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Names of formats that are numbers since 1970, and the microseconds of their unit."""

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])"
_ISO_YEAR = f"^{_YEAR}-"
_ISO_OFFSET = r":\d\d.*(?:[zZ]|UTC|[+-]\d\d(?::?\d\d)?)$"
_WITH_OFFSET = ("%z", "%:z", "%#z", "%::z", "%+")
_WITH_SHORT_YEAR = ("%y", "%D", "%x")
_WITH_SECONDS = ("%S", "%T", "%X", "%r", "%c")
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # microseconds of the years 1 to 9999
_YEAR_1000, _DAY, _MINUTE = -30_610_224_000_000_000, 86_400_000_000, 60_000_000  # microseconds
_BEYOND = r"\.[0-9]{6}[0-9]*[1-9]"
_TO_MICROSECONDS = len("2024-01-31T10:00:00.123456")
_PART = re.compile(r"%[-_0]?[.:#]*\d?[A-Za-z+%]|\s+|[^%]|%")
_NUMBERS = {
    "Y": _YEAR, "m": r"\d\d?", "d": r"\d\d?", "H": r"\d\d?", "I": r"\d\d?", "M": r"\d\d?", "S": r"[0-5]?\d",
    "y": r"\d\d", "j": r"\d{1,3}", "e": r"\d\d?", "k": r"\d\d?", "l": r"\d\d?", "u": r"\d", "w": r"\d",
}  # fmt: skip
_OTHERS = {
    "%b": r"\p{L}+\.?", "%B": r"\p{L}+\.?", "%h": r"\p{L}+\.?", "%a": r"\p{L}+\.?", "%A": r"\p{L}+\.?",
    "%p": "[AaPp][Mm]", "%P": "[AaPp][Mm]", "%z": r"(?:[-+]\d\d:?\d\d|[zZ])", "%Z": r"\S+",
    "%F": rf"{_YEAR}-\d\d?-\d\d?", "%T": r"\d\d?:\d\d?:[0-5]?\d", "%X": r"\d\d?:\d\d?:[0-5]?\d", "%R": r"\d\d?:\d\d?",
    "%D": r"\d\d?/\d\d?/\d\d", "%%": "%", "%.f": r"(?:\.\d+)?",
}  # fmt: skip
"""Regular expressions of the directives whose texts are checked; every other directive may be any text."""


def dated(text: pl.Expr) -> pl.Expr:
    """The text where it begins with a year of four digits from 1 to 9999, and a hyphen; null elsewhere."""
    return pl.when(text.str.contains(_ISO_YEAR)).then(text)


def timed(text: pl.Expr) -> pl.Expr:
    """The text where its minutes and seconds are below 60; null elsewhere."""
    return pl.when(~text.str.contains(":60", literal=True)).then(text)


def read_date(text: pl.Expr, formats: Sequence[str] = ()) -> pl.Expr:
    """The text as a date by the first format that fits; by default ISO 8601, with or without a time."""
    if formats:
        return pl.coalesce([_read(text, form, pl.Date()) for form in formats])
    usual = timed(dated(text))
    return pl.coalesce([t.str.to_date(f, strict=False) for t, f in [*((usual, f) for f in ISO), _zoned(usual)]])


def read_datetime(text: pl.Expr, target: pl.Datetime, formats: Sequence[str] = ()) -> pl.Expr:
    """The text as ``target`` by the first format that fits; by default ISO 8601 to the minute, second or fraction.

    An offset is followed: the result is UTC, or in the target's zone. Without one the text is local time of that zone.
    """
    if formats:
        return _within_years(pl.coalesce([_read(text, form, target) for form in formats]), target)
    usual = timed(dated(text))
    local = pl.coalesce([usual.str.to_datetime(f, strict=False, time_unit="us") for f in ISO])
    completed, form = _zoned(usual)
    zoned = _from_offset(completed.str.to_datetime(form, strict=False, time_unit="us"), target)
    return _within_years(pl.coalesce(_in_zone(local, None, target), zoned), target)


def read_time(text: pl.Expr, formats: Sequence[str] = ()) -> pl.Expr:
    """The text as a time by the first format that fits; by default ``HH:MM`` and ``HH:MM:SS[.fff]``."""
    if formats:
        return pl.coalesce([_read(text, form, pl.Time()) for form in formats])
    usual = timed(text)
    return pl.coalesce([usual.str.to_time(f, strict=False) for f in ISO_TIME])


def read_epoch(number: pl.Expr, source: pl.DataType, unit: str, target: pl.Date | pl.Datetime) -> pl.Expr:
    """A number since 1970 (``EPOCHS``) as a date or datetime; null outside of the years 1 to 9999.

    Whole numbers are exact; text is read as a number first.
    """
    scale = EPOCHS[unit]
    moment = number
    if source.is_integer():
        inside = number.is_between(_FIRST // scale, _LAST // scale)
        moment = pl.when(inside).then(number.cast(pl.Int64, strict=False)) * scale
    elif isinstance(source, pl.String):
        whole, real = number.cast(pl.Int64, strict=False), number.cast(pl.Float64, strict=False)
        exact = pl.when(whole.is_between(_FIRST // scale, _LAST // scale)).then(whole) * scale
        moment = pl.when(whole.is_not_null()).then(exact).otherwise(_microseconds(real, scale))
    else:
        moment = _microseconds(number.cast(pl.Float64, strict=False), scale)
    stamp = moment.cast(pl.Datetime("us"))
    return stamp.dt.date() if isinstance(target, pl.Date) else _within_years(_in_zone(stamp, "UTC", target), target)


def _microseconds(seconds: pl.Expr, scale: int) -> pl.Expr:
    moment = (seconds * scale).round().cast(pl.Int64, strict=False)
    return pl.when(moment.is_between(_FIRST, _LAST)).then(moment)


def local_time(value: pl.Expr, source: pl.Datetime, target: pl.Datetime) -> pl.Expr:
    """A datetime as another type of datetime: the same instant, or local time of the target's zone."""
    if source.time_zone is None:
        return _within_years(_in_zone(value, None, target), target)
    if target.time_zone is None:
        return value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return _within_years(value.dt.convert_time_zone(target.time_zone), target)


def midnight(value: pl.Expr, target: pl.Datetime) -> pl.Expr:
    """A date as the beginning of its day in the target's zone."""
    return _in_zone(value.cast(pl.Datetime("us")), None, target)


def beyond_microseconds(text: pl.Expr, formats: Sequence[str] = ()) -> pl.Expr:
    """Whether a text has digits beyond the microseconds of a datetime; zeros do not count."""
    if not formats:  # shorter texts have no such digits, and most are shorter
        return pl.when(text.str.len_bytes() > _TO_MICROSECONDS).then(text).str.contains(_BEYOND)
    dotted = [_fraction(text, form)[0] for form in formats if "f" in form]
    return pl.any_horizontal(
        [one.str.contains(_BEYOND).fill_null(value=False) for one in dotted] or [pl.lit(value=False)]
    )


def write(value: pl.Expr, form: str) -> pl.Expr:
    """A date or time as text by a format; ``%f`` has six digits."""
    return value.dt.strftime(re.sub(r"(%%)|%f", lambda m: m[1] or "%6f", form))


# -- one format ----------------------------------------------------------------------------------------------


def _read(text: pl.Expr, form: str, target: pl.DataType) -> pl.Expr:
    trimmed = text.str.strip_chars()
    rewritten, form = _fraction(trimmed, form)
    shown = text if rewritten is trimmed else rewritten
    if isinstance(target, pl.Date):
        return _with_check(lambda t: t.str.to_date(form, strict=False), shown, _dates, form, pl.Date())
    if isinstance(target, pl.Time):
        return _with_check(lambda t: t.str.to_time(form, strict=False), shown, _times, form, pl.Time())
    assert isinstance(target, pl.Datetime)

    def read(shown: pl.Expr) -> pl.Expr:
        return shown.str.to_datetime(form, strict=False, time_unit="us")

    if any(mark in form for mark in _WITH_OFFSET):
        result = pl.Datetime("us", "UTC")
        moment = _with_check(lambda t: read(t).dt.convert_time_zone("UTC"), shown, _moments, form, result)
        return _from_offset(moment, target)
    return _in_zone(_with_check(read, shown, _moments, form, pl.Datetime("us")), None, target)


def _with_check(
    read: Callable[[pl.Expr], pl.Expr], text: pl.Expr, check: Callable[..., pl.Series], form: str, result: pl.DataType
) -> pl.Expr:
    """``read`` of the text, trimmed, and checked a batch at a time. As an expression this would read each text often.

    (Polars does not share the common parts of an expression in which a function has a null argument.)
    """

    def checked(batch: Sequence[pl.Series]) -> pl.Series:
        value, shown = batch
        return check((trimmed_where_missing(value, shown, read), shown), form=form)

    return pl.map_batches([read(text), text], checked, return_dtype=result, is_elementwise=True)


def _dates(read: Sequence[pl.Series], form: str) -> pl.Series:
    value, text = _century(read[0], form), read[1]
    day = value.cast(pl.Int32)
    return _checked(value, (day < _YEAR_1000 // _DAY) | (day > _LAST // _DAY), text, form)


def _times(read: Sequence[pl.Series], form: str) -> pl.Series:
    value, text = read
    if not any(mark in form for mark in _WITH_SECONDS):
        return value
    return _checked(value, value.cast(pl.Int64) % (_MINUTE * 1_000) < 1_000_000_000, text, form, only="60")


def _moments(read: Sequence[pl.Series], form: str) -> pl.Series:
    value, text = _century(read[0], form), read[1]
    moment = value.cast(pl.Int64)
    value = _checked(value, (moment < _YEAR_1000) | (moment > _LAST), text, form)
    if any(mark in form for mark in _WITH_SECONDS):
        value = _checked(value, moment % _MINUTE < 1_000_000, text, form, only="60")
    return value


def _century(value: pl.Series, form: str) -> pl.Series:
    """``value``; the year 69 of two digits is 1969, as in POSIX, Python and DuckDB, and not 2069."""
    if not any(mark in form for mark in _WITH_SHORT_YEAR):
        return value
    late = (value.dt.year() >= 2069).fill_null(value=False)
    return value.dt.offset_by("-100y").zip_with(late, value) if late.any() else value


def _checked(value: pl.Series, doubtful: pl.Series, text: pl.Series, form: str, only: str = "") -> pl.Series:
    """``value``, null where it is doubtful and its text does not have the digits of ``form``.

    Only the few doubtful texts are compared with the regular expression of the format: years below 1000 or above 9999,
    and seconds of 0, which chrono makes of 60, too. A text without ``only`` in it is right.
    """
    if not doubtful.any():
        return value
    texts = text.filter(doubtful)
    if only and any_of_few(texts, lambda shown: only in shown) is False:
        return value
    fits = texts.str.contains(rf"^\s*{_pattern(_PART.findall(form))}\s*$")
    if fits.all():
        return value
    return value.scatter(doubtful.arg_true().filter(~fits), None)


def _zoned(text: pl.Expr) -> tuple[pl.Expr, str]:
    """The ISO texts with an offset, completed to seconds and minutes of the offset, and their format."""
    zoned = pl.when(text.str.contains(_ISO_OFFSET)).then(text)
    to_minutes = zoned.str.replace(r"([+-]\d\d)$", "${1}:00")
    to_seconds = to_minutes.str.replace(r"^(.{10}[ Tt]\d\d:\d\d)(\s?[-+Zz])", "${1}:00${2}")
    return to_seconds, "%+"


def _fraction(text: pl.Expr, form: str) -> tuple[pl.Expr, str]:
    """The text and format with ``%f`` in a form that Polars reads as a fraction.

    Raises ``ValueError`` where ``%f`` follows a directive of unknown width without a dot.
    """
    parts = _PART.findall(form)
    places = [i for i, part in enumerate(parts) if part == "%f"]
    if not places:
        return text, form
    at = places[0]
    if len(places) > 1:
        raise ValueError(f"'{form}' has %f twice")
    rewritten = [*parts[: at - (at > 0 and parts[at - 1] == ".")], "%.f", *parts[at + 1 :]]
    if at and parts[at - 1] == ".":
        return text, "".join(rewritten)
    if any(p.startswith("%") and p not in _OTHERS and p[1:] not in _NUMBERS for p in parts[:at]):
        raise ValueError(f"'{form}': %f cannot be told from the text before it; write the fraction as .%f")
    pattern = rf"^({_pattern(parts[: at + 1])})([0-9]{{1,9}})({_pattern(parts[at + 1 :])})$"
    dotted = pl.when(text.str.contains(pattern)).then(text.str.replace(pattern, "${1}.${2}${3}"))
    return dotted, "".join(rewritten)


def _pattern(parts: Sequence[str]) -> str:
    """A regular expression for these parts of a format; numbers without a separator have their full width.

    A last part ``%f`` only says that a number follows.
    """
    found = ""
    for at, part in enumerate(parts):
        if part[1:] in _NUMBERS and part.startswith("%"):
            number = _NUMBERS[part[1:]]
            following = parts[at + 1] if at + 1 < len(parts) else ""
            if following == "%f" or (following[1:] in _NUMBERS and following.startswith("%")):
                number = number.replace(r"\d\d?", r"\d\d").replace("{1,3}", "{3}").replace("[0-5]?", "[0-5]")
            found += r"\s*" + number
        elif part != "%f":
            found += r"\s*" if part.isspace() else _OTHERS.get(part, ".*?" if part.startswith("%") else re.escape(part))
    return found


# -- the ends of time ----------------------------------------------------------------------------------------


def _within_years(value: pl.Expr, target: pl.Datetime) -> pl.Expr:
    """``value``, null where its year is not from 1 to 9999 in its zone and in UTC: an offset may lead beyond."""
    if target.time_zone is None:
        return value
    moment = value.to_physical()
    edge = pl.when(~moment.is_between(_FIRST + _DAY, _LAST - _DAY)).then(value).dt.year()
    inside = moment.is_between(_FIRST, _LAST) & (edge.is_null() | edge.is_between(1, 9999))
    return pl.when(inside).then(value)


# -- zones ---------------------------------------------------------------------------------------------------


def _from_offset(value: pl.Expr, target: pl.Datetime) -> pl.Expr:
    """A moment in UTC as ``target``; null where the offset led beyond the years 1 to 9999."""
    if target.time_zone:
        return value.dt.convert_time_zone(target.time_zone)  # ``_within_years`` also knows the year in that zone
    there = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return pl.when(there.to_physical().is_between(_FIRST, _LAST)).then(there)


def _in_zone(value: pl.Expr, zone: str | None, target: pl.Datetime) -> pl.Expr:
    """A datetime without a zone, understood as local time of ``zone`` (None: of the target's zone)."""
    if zone is None:
        if target.time_zone is None:
            return value
        return value.dt.replace_time_zone(target.time_zone, ambiguous="earliest", non_existent="null")
    known = value.dt.replace_time_zone(zone)
    return known.dt.convert_time_zone(target.time_zone) if target.time_zone else known.dt.replace_time_zone(None)


# -- formats that settings name ------------------------------------------------------------------------------


@functools.lru_cache(256)  # called in the dry run and again in the run
def check_formats(target: pl.DataType, source: pl.DataType, formats: tuple[str, ...]) -> None:
    """Raise ``ValueError`` where a format does not fit the types, or cannot be read or written."""
    if not formats:
        return
    if not target.is_temporal() and not (isinstance(target, pl.String) and source.is_temporal()):
        raise ValueError(f"a format applies to dates and times, not to {dtypes.name_of(target)}")
    if any(f in EPOCHS for f in formats):
        if len(formats) > 1 or not isinstance(target, pl.Date | pl.Datetime):
            raise ValueError(
                "epoch, epoch_ms and epoch_us cannot be combined with other formats, and need a date or datetime"
            )
        return
    for form in formats:
        _check(target, source, form)


def _check(target: pl.DataType, source: pl.DataType, form: str) -> None:
    moment = pl.Series("moment", [datetime.datetime(2020, 12, 31, 22, 30, 10)], dtype=pl.Datetime("us", "UTC"))
    sample = moment.dt.date() if isinstance(source, pl.Date) else moment
    sample = moment.dt.time() if isinstance(source, pl.Time) else sample
    try:
        if not target.is_temporal():
            sample.to_frame().select(write(pl.col("moment"), form))
            return
        text = moment.to_frame().select(write(pl.col("moment"), form))
        plain = pl.Datetime("us") if isinstance(target, pl.Datetime) else target
        value = text.select(_read(pl.col("moment"), form, plain)).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"'{form}' is not a format for {dtypes.name_of(target)}, such as %d.%m.%Y") from error
    known = value.dt.hour() if isinstance(target, pl.Time) else value.dt.year()
    if known[0] != (22 if isinstance(target, pl.Time) else 2020):
        raise ValueError(f"'{form}' lacks a part of a {dtypes.name_of(target)}; no value could be read with it")

"""Casts from one type to another as row-local expressions: a bad value becomes null or an error.

Polars does not cast text to booleans, dates or times by itself, and without a format it guesses one from the first
value, so that the result would depend on the order of rows. Therefore every form is defined here:

* text is trimmed first; ``""`` is a bad value for every type but text;
* whole numbers: ``12``, ``+12``, ``12.0``, ``1e3``; ``12.5`` and 0.99999999999999999999 are bad, and so is ``12.0``
  beyond 2^53 (no digit is lost in silence);
* numbers with ``decimal_comma``, ``thousands``, ``percent``, ``currency``: see ``number_text``;
* floats and decimals: ``12.5``, ``1e3``; floats also ``nan``, ``inf``, but a number beyond their range is bad (1e400,
  and 1e39 for float32, from text and from float64); decimals round to their scale, halves to even (``cut`` tells
  where);
* booleans: true/false, t/f, yes/no, y/n, on/off, 1/0 in any case, or other words by ``true_values``/``false_values``;
* dates: ISO 8601, with or without a time (the date as written); datetimes: ISO 8601 with ``T`` or a space, to the
  minute or the (fractional) second, or a date alone (midnight); times: ``HH:MM`` and ``HH:MM:SS[.fff]``. Years have
  four digits and are from 1 to 9999; see ``time_text``;
* datetimes count in microseconds: further digits are cut (``cut`` tells where);
* an offset (``Z``, ``+02:00``, ``+02``) is followed: a ``datetime`` becomes UTC, a ``datetime[tz]`` is shown in its
  zone. A text without one is local time in that zone (of two the earlier; a time that the clocks skipped is bad);
* ``format``: one or several ``strptime`` formats, tried in order instead of ISO; ``epoch``, ``epoch_ms`` and
  ``epoch_us`` read numbers (or digits) since 1970;
* durations to numbers: seconds, as everywhere in the API;
* whole numbers to floats: one that the float cannot hold exactly is a bad value (2^53 + 1);
* floats and decimals to whole numbers are cut towards zero (``cut`` tells where); NaN and values out of range are bad
  values;
* dates, times and datetimes to text: ISO 8601, or the first ``format``; lists and structs to text: JSON;
* bytes are read as UTF-8 text; other bytes are a bad value;
* text to a list: a JSON array of scalars; each item of a list follows the rules above, and a bad one becomes null.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.kit import lazy
from service.values import common_type, decimal_text, dtypes, json_text, number_text, parse, seconds, time_text
from service.values.losses import Cut
from service.values.number_text import NumberText

if TYPE_CHECKING:
    import polars as pl
    from polars.datatypes import DataTypeClass
else:
    pl = lazy.module("polars")

_TRUE = ("true", "t", "yes", "y", "on", "1")
_FALSE = ("false", "f", "no", "n", "off", "0")

_PLAIN_VALUE = r'"(?:[^"\\]|\\.)*"|[^"\[\]{},\s]+'
_PLAIN_ARRAY = rf"^\s*\[\s*(?:(?:{_PLAIN_VALUE})\s*,?\s*)*\]\s*$"
_CONTINUATION = "[89ab][0-9a-f]"
_UTF_8 = (
    f"^(?:[0-7][0-9a-f]|(?:c[2-9a-f]|d[0-9a-f]){_CONTINUATION}|(?:e0[ab][0-9a-f]|ed[89][0-9a-f]|e[1-9abcef]{_CONTINUATION}){_CONTINUATION}"
    f"|(?:f0[9ab][0-9a-f]|f4[8][0-9a-f]|f[123]{_CONTINUATION}){_CONTINUATION}{_CONTINUATION})*$"
)
"""UTF-8 text as hexadecimal digits."""


@dataclass(frozen=True)
class TextForm:
    """How values are written as text: numbers, and the words of booleans (None: the usual ones)."""

    numbers: NumberText = field(default_factory=NumberText)
    true_values: tuple[str, ...] | None = None
    false_values: tuple[str, ...] | None = None

    def conflict(self, kind: str) -> tuple[str, str] | None:
        """A (setting, message) that does not go with the others or a type of this kind (``type_names``), or None."""
        whole = kind.startswith(("int", "uint"))
        numeric = whole or kind.startswith("float") or kind == "decimal"
        for name in ("decimal_comma", "thousands", "percent", "currency"):
            if getattr(self.numbers, name) not in (False, None) and not numeric:
                return name, f"applies to numbers, not to {kind}"
        if self.numbers.percent and whole:
            return "percent", f"needs a float or decimal, as 50% is 0.5; the type is {kind}"
        for name in ("true_values", "false_values"):
            chosen = getattr(self, name)
            if chosen is not None and kind != "boolean":
                return name, f"applies to boolean, not to {kind}"
            if chosen == ():
                return name, "an empty list; name a word or leave it out"
        both = set(number_text.words(self.true_values or ())) & set(number_text.words(self.false_values or ()))
        if both:
            return "false_values", f"'{min(both)}' is among true_values, too"
        return self.numbers.conflict()


def cast(
    name: str,
    source: pl.DataType,
    target: pl.DataType,
    formats: Sequence[str] = (),
    *,
    form: TextForm = TextForm(),
    strict: bool = False,
    at: tuple[str, str] | None = None,
) -> pl.Expr:
    """The expression that casts column ``name``. ``strict`` makes a bad value an error that shows it.

    ``formats`` and ``form`` say how values are written as text; a source that is not text needs no ``form``.

    ``at`` is the step and the field that such an error names, wherever the plan is executed.

    Raises ``ValueError`` where there is no such cast, or a format is not valid.
    """
    time_text.check_formats(target, source, tuple(formats))
    column = pl.col(name)
    value = _cast(column, source, target, formats, form).cast(target, strict=False)
    if strict and not isinstance(source, pl.Null):
        bad = lost(column, value, source, target)
        message = pl.format(
            f"column '{_escaped(name)}': {{}} is not {_escaped(dtypes.name_of(target))}", error_text(column, source)
        )
        value = parse.refuse(bad, message, value, at)
    return value.alias(name)


def lost(column: pl.Expr, value: pl.Expr, source: pl.DataType, target: pl.DataType) -> pl.Expr:
    """Whether a cast turned the value of a row, or an item of its list, into null. ``value`` is the result."""
    bad = column.is_not_null() & value.is_null()
    if isinstance(target, pl.List):
        of_text = isinstance(source, pl.String)
        items = _json_array_items(column) if of_text else column
        bad |= _missing_count(value, target) > _missing_count(items, pl.List(pl.String) if of_text else source)
    return bad


def cut(
    column: pl.Expr,
    source: pl.DataType,
    target: pl.DataType,
    formats: Sequence[str] = (),
    form: TextForm = TextForm(),
) -> Cut | None:
    """Where a cast keeps the value of a row with fewer digits; None where it cannot come to that."""
    if isinstance(source, pl.Categorical | pl.Enum):
        column, source = column.cast(pl.String), pl.String()
    if isinstance(target, pl.Decimal) or (target.is_integer() and not isinstance(source, pl.String)):
        scale = target.scale if isinstance(target, pl.Decimal) else 0
        both = None
        if isinstance(source, pl.String) and isinstance(target, pl.Decimal):
            both = decimal_text.counted(_plain_number(column, form), target)
        where = _beyond_digits(column, source, scale) if both is None else both.struct.field("cut")
        what = f"more than {scale} digits after the point and were rounded" if scale else "a fraction, which was cut"
        return None if where is None else Cut(where, "digits", f"have {what}", both)
    where = _beyond_microseconds(column, source, target, formats)
    return None if where is None else Cut(where, "microseconds", "have digits beyond microseconds, which were cut")


def _beyond_digits(column: pl.Expr, source: pl.DataType, scale: int) -> pl.Expr | None:
    if source.is_float():
        return number_text.real_beyond_scale(column.cast(pl.Float64), scale)
    if isinstance(source, pl.Decimal) and source.scale > scale:
        return column.round(scale) != column
    return None


def _beyond_microseconds(
    column: pl.Expr, source: pl.DataType, target: pl.DataType, formats: Sequence[str]
) -> pl.Expr | None:
    if not isinstance(target, pl.Datetime) or target.time_unit == "ns" or (formats and formats[0] in time_text.EPOCHS):
        return None
    if isinstance(source, pl.Datetime):
        return column.to_physical() % 1000 != 0 if source.time_unit == "ns" else None
    fine = isinstance(source, pl.String) and (not formats or any("f" in form for form in formats))
    return time_text.beyond_microseconds(column, formats) if fine else None


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def error_text(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The value for an error message."""
    if dtype.is_nested() or isinstance(dtype, pl.Binary | pl.Duration):
        return pl.lit("a value")
    return value.cast(pl.String, strict=False).fill_null("a value")


def _cast(
    column: pl.Expr,
    source: pl.DataType,
    target: pl.DataType,
    formats: Sequence[str] = (),
    form: TextForm = TextForm(),
) -> pl.Expr:
    if isinstance(source, pl.Categorical | pl.Enum) and not isinstance(target, pl.String | pl.Categorical | pl.Enum):
        return _cast(column.cast(pl.String), pl.String(), target, formats, form)
    if isinstance(source, pl.Null) or (source == target and not formats):
        return column
    if isinstance(source, pl.Binary):
        return _cast(_utf8_text(column), pl.String(), target, formats, form)
    if isinstance(source, pl.List) and isinstance(target, pl.List):
        return _cast_items(column, source, target)
    if isinstance(source, pl.String) and isinstance(target, pl.List) and not target.inner.is_nested():
        return _cast_items(_json_array_items(column), pl.List(pl.String()), target)
    if isinstance(source, pl.List | pl.Struct) and isinstance(target, pl.String):
        return json_text.json_text(column, source)
    if source.is_nested() or target.is_nested():
        raise _no_such_cast(source, target)
    if isinstance(source, pl.String):
        return _from_text(column, target, formats, form)
    if isinstance(target, pl.String) and source.is_temporal():
        return time_text.write(column, formats[0]) if formats else column.dt.to_string("iso:strict")
    if target.is_temporal():
        return _to_temporal(column, source, target, formats)
    if isinstance(source, pl.Duration) and (target.is_decimal() or target.is_integer()):
        return _cast(seconds.exactly(column.to_physical(), source.time_unit), pl.Decimal(38, 9), target)
    if isinstance(source, pl.Duration) and target.is_numeric():
        return _cast(seconds.from_ticks(column.to_physical(), source.time_unit), pl.Float64(), target, formats)
    if isinstance(target, pl.Boolean) and source.is_integer() and (form.true_values or form.false_values):
        return _from_text(column.cast(pl.String), target, (), form)
    if isinstance(target, pl.Boolean) and source.is_numeric():
        return column.cast(pl.Float64, strict=False).fill_nan(None) != 0
    if isinstance(source, pl.Boolean) and target.is_decimal():
        return column.cast(pl.Int64)
    if source.is_float() and isinstance(target, pl.Decimal):  # Polars' own cast fails the query at one digit too many
        digits = (column.cast(pl.Float64) * 10.0**target.scale).round().abs()
        return pl.when(digits < 10.0 ** (target.precision or 38)).then(column)
    if source.is_integer() and target.is_float() and common_type.could_round(source, target):
        real = column.cast(target)
        return pl.when(real.cast(source, strict=False) == column).then(real)
    if isinstance(source, pl.Float64) and isinstance(target, pl.Float32):
        narrow = column.cast(pl.Float32)
        return pl.when(narrow.is_finite() | ~column.is_finite()).then(narrow)
    if source.is_temporal() and not isinstance(target, pl.Categorical | pl.Enum):
        raise _no_such_cast(source, target)
    if isinstance(target, pl.Categorical | pl.Enum) and not isinstance(source, pl.Categorical | pl.Enum):
        return _cast(column, source, pl.String()).cast(pl.String)
    return column


def _utf8_text(column: pl.Expr) -> pl.Expr:
    """Bytes as text; null where they are not UTF-8, for which Polars' own cast fails the query."""
    valid = column.bin.encode("hex").str.contains(_UTF_8)
    return pl.when(valid).then(pl.when(valid).then(column).otherwise(b"").cast(pl.String))


def _cast_items(column: pl.Expr, source: pl.List, target: pl.List) -> pl.Expr:
    """A list with each of its items cast."""
    inner, wanted = _instance(source.inner), _instance(target.inner)
    return column.list.eval(_cast(pl.element(), inner, wanted).cast(wanted, strict=False))


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


def _from_text(column: pl.Expr, target: pl.DataType, formats: Sequence[str], form: TextForm) -> pl.Expr:
    text = column.str.strip_chars()
    if isinstance(target, pl.String | pl.Categorical | pl.Enum):
        return column
    if isinstance(target, pl.Boolean):
        return _boolean(text, form)
    if target.is_integer():
        return number_text.whole_number(number_text.plain(text, form.numbers), target)
    if isinstance(target, pl.Date | pl.Datetime) and formats and formats[0] in time_text.EPOCHS:
        return time_text.read_epoch(text, pl.String(), formats[0], target)
    if isinstance(target, pl.Date):
        return time_text.read_date(column if formats else text, formats)
    if isinstance(target, pl.Datetime):
        return time_text.read_datetime(column if formats else text, target, formats)
    if isinstance(target, pl.Time):
        return time_text.read_time(column if formats else text, formats)
    if target.is_float():
        return number_text.real_number(_plain_number(column, form), target)
    if isinstance(target, pl.Decimal):
        return decimal_text.rounded(_plain_number(column, form), target)
    return number_text.plain(text, form.numbers)


def _plain_number(column: pl.Expr, form: TextForm) -> pl.Expr:
    """The text in plain digits. Without a form it is as it came: whoever reads it trims the few that need it."""
    return number_text.plain(column.str.strip_chars(), form.numbers) if form.numbers else column


def _boolean(text: pl.Expr, form: TextForm) -> pl.Expr:
    """True and false by the words of ``form``; where one list is set, the usual words of the other still count."""
    if form.true_values is None and form.false_values is None:
        return parse.boolean(text, _TRUE, _FALSE)
    true, false = number_text.words(form.true_values or ()), number_text.words(form.false_values or ())
    if form.true_values is None:
        true = [word for word in _TRUE if word not in false]
    if form.false_values is None:
        false = [word for word in _FALSE if word not in true]
    word = text.str.to_lowercase()
    return pl.when(word.is_in(true)).then(True).when(word.is_in(false)).then(False)


def _to_temporal(column: pl.Expr, source: pl.DataType, target: pl.DataType, formats: Sequence[str]) -> pl.Expr:
    if source.is_numeric() and isinstance(target, pl.Date | pl.Datetime):
        if not formats or formats[0] not in time_text.EPOCHS:
            raise ValueError(
                f"a number becomes a {dtypes.name_of(target)} only with format: epoch (seconds), epoch_ms or epoch_us"
            )
        return time_text.read_epoch(column, source, formats[0], target)
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Datetime):
        return time_text.local_time(column, source, target)
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Date):
        return column.dt.date()
    if isinstance(source, pl.Datetime) and isinstance(target, pl.Time):
        return column.dt.time()
    if isinstance(source, pl.Date) and isinstance(target, pl.Datetime):
        return time_text.midnight(column, target)
    if type(source) is type(target):
        return column
    raise _no_such_cast(source, target)


def _no_such_cast(source: pl.DataType, target: pl.DataType) -> ValueError:
    return ValueError(f"there is no cast from {dtypes.name_of(source)} to {dtypes.name_of(target)}")

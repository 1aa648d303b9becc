"""Suggestions: what to write in ``cast`` so that values which were lost are read."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from service.kit import lazy
from service.values import cast, dtypes, time_text
from service.values.cast import TextForm
from service.values.number_text import NumberText

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_MARKS = ((None, False), (",", False), (None, True), (".", True), (" ", True), ("'", False))
_NUMBERS = tuple(
    NumberText(decimal_comma=comma, thousands=thousands, percent=percent, currency=currency)
    for currency, percent, (thousands, comma) in itertools.product((False, True), (False, True), _MARKS)
)
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y", "%d.%m.%y", "%b %d, %Y", "%d %b %Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", "T%H:%M:%S")
_ISO = (("%Y-%m-%d",), ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"))
_MOST_FORMS = 3
_FEW = 50  # texts that rule out most ways of writing
_TIMES = ("%H%M", "%H%M%S", "%I:%M %p", "%I:%M:%S %p", "%Hh%M")


def suggest(samples: Sequence[str], target: pl.DataType, *, of_text: bool = True) -> str | None:
    """A setting that reads all these texts as ``target``, as the end of "mend it: …", or None.

    ``of_text``: the column holds texts; settings for texts do not help values of other types.
    """
    texts, name = list(samples), dtypes.name_of(target)
    if not texts:
        return None
    if target.is_integer() and reads(texts, pl.Float64()):
        return "write float64, as some values are not whole numbers or do not fit"
    if not of_text:
        return None
    settings = spelling(texts, target)
    if settings is not None:
        return f"write {{{', '.join([f'type: {name}', *map(_written, settings.items())])}}}"
    if isinstance(target, pl.Boolean):
        return "name the words in true_values and false_values"
    if isinstance(target, pl.Enum):
        return "add the values to the enum, or replace them before"
    return "name texts that mean missing in null_values"


def spelling(texts: Sequence[str], target: pl.DataType) -> dict[str, Any] | None:
    """The settings beside ``type`` by which a cast reads all these texts, which it does not without, or None."""
    few = list(texts[:_FEW])
    if target.is_numeric():
        for form in _NUMBERS:
            if not form or (form.percent and target.is_integer()):
                continue
            if reads(few, target, form=form) and reads(texts, target, form=form):
                names = ("thousands", "decimal_comma", "percent", "currency")
                return {name: value for name in names if (value := getattr(form, name))}
    for format_ in _formats(target):
        if reads(few, target, (format_,)) and reads(texts, target, (format_,)):
            return {"format": format_}
    return None


def forms(texts: Sequence[str], target: pl.DataType) -> tuple[list[str], list[str]]:
    """The formats that together read the most of these texts, the most frequent first, and the texts that none reads.

    ``target`` is a date or a datetime. Formats that differ only in the order of day and month are not mixed.
    """
    found: list[str] = []
    left = list(texts)
    while left and len(found) < _MOST_FORMS:
        free = [form for form in (*_ISO[isinstance(target, pl.Datetime)], *_formats(target)) if _free(form, found)]
        some = left[: _FEW * 4]
        counts = {form: len(some) - len(unread(some, target, (form,))) for form in free}
        best = max(counts, key=lambda form: counts[form], default=None)
        if best is None or not counts[best]:
            break
        found.append(best)
        left = unread(left, target, (best,))
    return found, left


def _free(form: str, taken: Sequence[str]) -> bool:
    """Whether a format can be told from those that are taken."""
    return form not in time_text.EPOCHS and all(_shape(form) != _shape(other) for other in taken)


def _shape(form: str) -> str:
    return form.replace("%m", "%d")


def unread(texts: Sequence[str], target: pl.DataType, formats: Sequence[str] = ()) -> list[str]:
    """The texts that a cast to ``target`` does not read."""
    read = cast.cast("text", pl.String(), target, formats, form=TextForm())
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String()})
    return frame.filter(read.is_null())["text"].to_list()


def _formats(target: pl.DataType) -> Sequence[str]:
    if isinstance(target, pl.Date):
        return (*_DATES, *time_text.EPOCHS)
    if isinstance(target, pl.Datetime):
        return [*(date + clock for date in _DATES for clock in _CLOCKS), *time_text.EPOCHS]
    return _TIMES if isinstance(target, pl.Time) else ()


def _written(setting: tuple[str, Any]) -> str:
    name, value = setting
    return f"{name}: {'true' if value is True else repr(value)}"


def reads(
    texts: Sequence[str], target: pl.DataType, formats: Sequence[str] = (), form: NumberText | None = None
) -> bool:
    """Whether a cast to ``target`` reads all these texts."""
    if isinstance(target, pl.Datetime):
        target = pl.Datetime("us")
    how = TextForm() if form is None else TextForm(form)
    expression = cast.cast("text", pl.String(), target, formats, form=how)
    return pl.DataFrame({"text": list(texts)}).select(expression.is_not_null().all()).item() is True

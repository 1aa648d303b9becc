"""Casts of columns: their settings, and the expressions with errors that name the setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.cleaning import cast_hints
from service.processors.settings import columns
from service.processors.validation import originals
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import cast, dtypes, type_names
from service.values.cast import TextForm
from service.values.losses import Conversion
from service.values.number_text import NumberText

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")


class Cast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cast with its format and its treatment of values that cannot be cast."""

    type: Annotated[str, msgspec.Meta(description="Such as int64, decimal(12,2), datetime[Europe/Berlin], enum(a,b).")]
    format: Annotated[
        str | list[str] | None,
        msgspec.Meta(description="strptime format of dates and times, or several tried in order; or epoch, epoch_ms."),
    ] = None
    on_error: Annotated[
        Literal["null", "fail", "quarantine"] | None,
        msgspec.Meta(
            description="What to do with a value that cannot be cast: make it missing (counted, see max_lost_share), "
            "fail the run, or move the row as it came into quarantine."
        ),
    ] = "null"
    decimal_comma: Annotated[bool, msgspec.Meta(description="Numbers as text: 6,5 is 6.5; 6.5 is a bad value.")] = False
    thousands: Annotated[
        bool | str,
        msgspec.Meta(
            description="Numbers as text: the separator of groups of digits, one of , . ' _ or a space (any kind). "
            "true is a comma, or a point with decimal_comma."
        ),
    ] = False
    percent: Annotated[
        bool, msgspec.Meta(description="Numbers as text: 12.5% is 0.125; a number without the sign stays as it is.")
    ] = False
    currency: Annotated[
        bool | str | list[str],
        msgspec.Meta(
            description="Numbers as text: symbols or codes to leave out before or after the number, such as € or EUR; "
            "true for any. An amount in brackets is negative."
        ),
    ] = False
    true_values: Annotated[
        list[str] | None,
        msgspec.Meta(description="boolean: the words for true instead of the usual ones, in any case."),
    ] = None
    false_values: Annotated[
        list[str] | None,
        msgspec.Meta(description="boolean: the words for false instead of the usual ones, in any case."),
    ] = None

    def __post_init__(self) -> None:
        columns.write_null(self, "on_error")

    @property
    def target(self) -> pl.DataType:
        return dtypes.parse(self.type)

    @property
    def formats(self) -> list[str]:
        return columns.as_list(self.format) if self.format is not None else []

    @property
    def text_form(self) -> TextForm:
        """How the values are written as text."""
        thousands = ("." if self.decimal_comma else ",") if self.thousands is True else self.thousands or None
        currency = self.currency if isinstance(self.currency, bool) else tuple(columns.as_list(self.currency))
        words = [None if w is None else tuple(w) for w in (self.true_values, self.false_values)]
        return TextForm(NumberText(self.decimal_comma, thousands, self.percent, currency), *words)


def long_form(setting: str | Cast) -> Cast:
    """The setting with its defaults: a type name alone is a cast without a format."""
    return Cast(setting) if isinstance(setting, str) else setting


def problems(field: str, setting: str | Cast) -> Iterable[Problem]:
    """The fault of a setting that does not depend on the data."""
    try:
        target = type_names.read(setting if isinstance(setting, str) else setting.type)
    except ValueError as error:
        yield Problem(field + ("" if isinstance(setting, str) else ".type"), str(error))
        return
    if isinstance(setting, Cast):
        if setting.format == []:
            yield Problem(f"{field}.format", "an empty list; name a format or leave it out")
        conflict = setting.text_form.conflict(target.kind)
        if conflict is not None:
            yield Problem(f"{field}.{conflict[0]}", conflict[1])


def cast_columns(frame: Frame, settings: Mapping[str, Cast], most: float | None, ctx: ProcessContext) -> Frame:
    """The frame with the columns (they exist) cast; lost values are counted, and bounded by the share ``most``.

    Raises ``errors.Permanent`` where there is no such cast.
    """
    schema = frame.schema
    made = [_conversion(c, schema[c], s, most, ctx) for c, s in settings.items()]
    lossy = [e for e in made if isinstance(e, Conversion)]
    if ctx.keep_originals and lossy:
        made.append(originals.column(schema, lossy))
    return frame.convert(ctx.step, made)


def lost_rows(schema: pl.Schema, settings: Mapping[str, Cast], ctx: ProcessContext) -> dict[str, pl.Expr]:
    """For each column to be cast whether its value would be lost. Raises ``errors.Permanent`` as ``cast_columns``."""
    lost = {}
    for column, setting in settings.items():
        value, source = _value(column, schema[column], setting, ctx), schema[column]
        if isinstance(source, pl.Null):
            lost[column] = pl.lit(value=False)
        else:
            lost[column] = cast.lost(_source(column, source, setting.target), value, source, setting.target)
    return lost


def _conversion(
    column: str, source: pl.DataType, setting: Cast, most: float | None, ctx: ProcessContext
) -> pl.Expr | Conversion:
    value, target = _value(column, source, setting, ctx), setting.target
    cut = cast.cut(pl.col(column), source, target, setting.formats, setting.text_form)
    if isinstance(source, pl.Null) or source == target or (setting.on_error == "fail" and cut is None):
        return value
    if cut is not None and setting.on_error == "fail":
        cut = dataclasses.replace(cut, both=None)  # which does not fail
    original = _source(column, source, target)
    lost = cast.lost(original, value, source, target) if isinstance(target, pl.List) else None
    return Conversion(
        column, value, original, column, "cast",
        f"cannot be cast to {dtypes.name_of(target)} and became missing",
        lost=lost, hint=lambda samples: cast_hints.suggest(samples, target, of_text=not source.is_numeric()), most=most,
        cut=cut,
    )  # fmt: skip


def _value(column: str, source: pl.DataType, setting: Cast, ctx: ProcessContext) -> pl.Expr:
    strict, at = setting.on_error == "fail", (ctx.step, f"config.cast.{column}")
    try:
        return cast.cast(column, source, setting.target, setting.formats, form=setting.text_form, strict=strict, at=at)
    except ValueError as error:
        raise columns.setting_error(ctx, f"cast.{column}", str(error)) from error


def _source(column: str, source: pl.DataType, target: pl.DataType) -> pl.Expr:
    """The values that can be lost. NaN is missing already, unless the target holds it: nulls are compared in number."""
    holds_nan = target.is_float() or isinstance(target, pl.String | pl.Categorical)
    return pl.col(column).fill_nan(None) if source.is_float() and not holds_nan else pl.col(column)

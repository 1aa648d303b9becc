"""Casts of columns: their settings, and the expressions with errors that name the setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.kit import lazy
from service.kit.errors import Problem
from service.processors.settings import columns
from service.steps.context import ProcessContext
from service.steps.frame import Frame
from service.values import cast, dtypes, type_names

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
        Literal["null", "fail"] | None, msgspec.Meta(description="What to do with a value that cannot be cast.")
    ] = "null"

    def __post_init__(self) -> None:
        columns.write_null(self, "on_error")


def long_form(setting: str | Cast) -> Cast:
    """The setting with its defaults: a type name alone is a cast without a format."""
    return Cast(setting) if isinstance(setting, str) else setting


def problems(field: str, setting: str | Cast) -> Iterable[Problem]:
    """What is wrong with a setting whatever the data is."""
    try:
        type_names.read(setting if isinstance(setting, str) else setting.type)
    except ValueError as error:
        yield Problem(field + ("" if isinstance(setting, str) else ".type"), str(error))
    if isinstance(setting, Cast) and setting.format == []:
        yield Problem(f"{field}.format", "an empty list; name a format or leave it out")


def cast_columns(frame: Frame, settings: Mapping[str, Cast], ctx: ProcessContext) -> Frame:
    """The frame with the columns (they exist) cast. Raises ``errors.Permanent`` where there is no such cast."""
    casts: list[pl.Expr] = []
    for name, setting in settings.items():
        formats = [setting.format] if isinstance(setting.format, str) else setting.format or []
        strict, at = setting.on_error == "fail", (ctx.step, f"config.cast.{name}")
        try:
            target = dtypes.parse(setting.type)
            casts.append(cast.cast(name, frame.schema[name], target, formats, strict=strict, at=at))
        except ValueError as error:
            raise columns.setting_error(ctx, f"cast.{name}", str(error)) from error
    return frame.rows(lambda lf: lf.with_columns(casts)) if casts else frame

"""Windows: columns computed from earlier rows, ``lag`` and ``rolling``, within groups and in an order.

A window is a number of rows, or a length of time that ends with the row's own time. As in pandas, a rolling value
needs ``window`` known values in a window of rows and one in a window of time (``min_values`` changes that), and NaN
counts as missing. Rows with a missing group key are a group; missing order values are last, and have no window of
time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from service.kit import lazy
from service.processors.settings import columns
from service.processors.settings.columns import Name
from service.steps.context import ProcessContext
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

Function = Literal["mean", "sum", "min", "max", "std", "median"]
By = Annotated[Name | list[Name], msgspec.Meta(description="Use only rows that agree in these columns.")]
Order = Annotated[Name | list[Name], msgspec.Meta(description="The order of the rows; by default as stored.")]
Length = Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,6}[smhdw]\Z", examples=["7d"])]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
Period = Annotated[int, msgspec.Meta(ge=-100_000, le=100_000)]


class _Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which rows are a group, and their order."""

    by: By = []
    order_by: Order = []

    @property
    def groups(self) -> list[str]:
        return columns.as_list(self.by)

    @property
    def order(self) -> list[str]:
        return columns.as_list(self.order_by)


class Lag(_Window, frozen=True, forbid_unknown_fields=True):
    """The value of an earlier row: ``<column>_lag_<n>``, or of a later one: ``<column>_lead_<n>``."""

    periods: Annotated[
        Period | list[Period], msgspec.Meta(description="How many rows back; negative is ahead. Each makes a column.")
    ] = 1

    @property
    def steps(self) -> list[int]:
        return [self.periods] if isinstance(self.periods, int) else self.periods


class Rolling(_Window, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statistic of the row and those before it: ``<column>_rolling_<function>_<window>``."""

    function: Annotated[
        Function | list[Function],
        msgspec.Meta(description="mean, sum, min, max, std (ddof 1) or median, or several. NaN is missing."),
    ]
    window: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | Length,
        msgspec.Meta(
            description="The number of rows, this one included; or a length of time (7d; s, m, h, d of 24 hours, w) "
            "that ends with the row's own time, its start excluded, by the one date or datetime in order_by."
        ),
    ]
    min_values: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(
            description="The number of known values a window needs; by default all rows, or one in a window of time."
        ),
    ] = None

    @property
    def functions(self) -> list[str]:
        return [self.function] if isinstance(self.function, str) else list(self.function)


def lag_problems(setting: Lag) -> Iterable[tuple[str, str]]:
    """Settings that cannot be combined, as (setting, message)."""
    if not setting.steps or 0 in setting.steps:
        yield "periods", "whole numbers other than 0, at least one"
    if len(set(setting.steps)) < len(setting.steps):
        yield "periods", "a number is listed twice"


def rolling_problems(setting: Rolling) -> Iterable[tuple[str, str]]:
    """Settings that cannot be combined, as (setting, message)."""
    if not setting.functions or len(set(setting.functions)) < len(setting.functions):
        yield "function", "name at least one function, each once"
    if isinstance(setting.window, str):
        if len(setting.order) != 1:
            yield "order_by", f"a window of {setting.window} needs one date or datetime column"
    elif setting.min_values is not None and setting.min_values > setting.window:
        yield "min_values", f"a window of {setting.window} rows cannot hold {setting.min_values}"


def require_columns(field: str, column: str, setting: Lag | Rolling, schema: pl.Schema, ctx: ProcessContext) -> None:
    """Raise ``errors.Permanent`` where a column that the setting names is missing."""
    for name, where in (
        (column, ""),
        *((g, ".by") for g in setting.groups),
        *((o, ".order_by") for o in setting.order),
    ):
        if name not in schema:
            raise columns.missing_column(ctx, f"{field}.{column}{where}", name, schema)


def lag(column: str, setting: Lag) -> list[pl.Expr]:
    """The expressions over a group."""
    return [pl.col(column).shift(n).alias(f"{column}_{'lag' if n > 0 else 'lead'}_{abs(n)}") for n in setting.steps]


def rolling(column: str, setting: Rolling, schema: pl.Schema, ctx: ProcessContext) -> list[pl.Expr]:
    """The expressions over a group. Raises ``errors.Permanent`` where the column holds no numbers, or no times."""
    dtype = schema[column]
    if not (dtype.is_numeric() or isinstance(dtype, pl.Boolean)):
        raise columns.setting_error(ctx, f"rolling.{column}", f"the column is {dtypes.name_of(dtype)}, not a number")
    if isinstance(setting.window, str) and not isinstance(schema[setting.order[0]], pl.Date | pl.Datetime):
        kind = dtypes.name_of(schema[setting.order[0]])
        message = f"a window of {setting.window} needs a date or datetime, and '{setting.order[0]}' is {kind}"
        raise columns.setting_error(ctx, f"rolling.{column}.order_by", message)
    value = pl.col(column).cast(pl.Float64).fill_nan(None)
    if isinstance(setting.window, str):
        seconds = int(setting.window[:-1]) * _SECONDS[setting.window[-1]]
        when = pl.col(setting.order[0]).cast(pl.Datetime("us"))  # without a zone: a day has 24 hours
        return [
            getattr(value, f"rolling_{f}_by")(when, f"{seconds}s", min_samples=setting.min_values or 1).alias(
                f"{column}_rolling_{f}_{setting.window}"
            )
            for f in setting.functions
        ]
    least = setting.min_values or setting.window
    return [
        getattr(value, f"rolling_{f}")(setting.window, min_samples=least).alias(
            f"{column}_rolling_{f}_{setting.window}"
        )
        for f in setting.functions
    ]

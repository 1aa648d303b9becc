"""Far dates: those outside of the years 1 to 9999, which neither Python nor JSON can write."""

from __future__ import annotations

import datetime as dt

import polars as pl

from service.kit import errors

ERRORS = (ValueError, OverflowError, pl.exceptions.PanicException)
"""What Python's dates raise for them, and those of Polars."""


def explained(lf: pl.LazyFrame, schema: pl.Schema) -> errors.Permanent | None:
    """The column of these rows that holds some, as an error; None without one."""
    first, last = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)
    asked = []
    for name, dtype in schema.items():
        if dtype == pl.Date or (isinstance(dtype, pl.Datetime) and dtype.time_unit != "ns"):
            plain = pl.Datetime(dtype.time_unit) if isinstance(dtype, pl.Datetime) else dtype  # a zone shifts by hours
            ends = pl.Series([first, last]).cast(plain).to_physical()
            asked.append((~pl.col(name).to_physical().is_between(ends[0], ends[1])).any())
    found = lf.select(asked).collect() if asked else pl.DataFrame()
    for name in found.columns:
        if found[name].item():
            text = f"column '{name}' holds dates outside of the years 1 to 9999"
            return errors.Permanent(f"{text}; filter them before, by year({name}) BETWEEN 1 AND 9999")
    return None

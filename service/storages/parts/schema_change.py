"""Changes of the schema under append and merge: one schema that holds the rows before and the rows of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from service.kit import errors, lazy
from service.values import dtypes

if TYPE_CHECKING:
    import polars as pl
else:
    pl = lazy.module("polars")

_UNITS = ("ns", "us", "ms")
Blank = Callable[[str], bool]
"""Whether a column has no value at all, so that its type means nothing."""


def united(before: pl.Schema, now: pl.Schema, blank_before: Blank, blank_now: Blank, version: int) -> pl.Schema:
    """The columns before, then the new ones; a type that changed is the one that holds both.

    Raises ``errors.Permanent`` (SCHEMA_CHANGED).
    """
    types = dict(before)
    cases = {name.lower(): name for name in before}
    for name, dtype in now.items():
        known = cases.setdefault(name.lower(), name)
        if known != name:
            raise _changed(f"the column '{name}' is '{known}' in version {version}, and SQL cannot tell them apart")
        if name not in before or before[name] == dtype:
            types[name] = dtype
        elif blank_now(name):
            types[name] = before[name]
        elif blank_before(name):
            types[name] = dtype
        else:
            wider = _wider(before[name], dtype)
            if wider is None:
                raise _changed(
                    f"the column '{name}' is {dtypes.name_of(dtype)} now and {dtypes.name_of(before[name])} in version "
                    f"{version}; cast it in a cleaner, or execute with full_refresh",
                )
            types[name] = wider
    return pl.Schema(types)


def cast(lf: pl.LazyFrame, schema: pl.Schema, version: int) -> pl.LazyFrame:
    """The rows with the columns of ``schema``; columns that they lack are null.

    Raises ``errors.Permanent`` (SCHEMA_CHANGED) for a whole number that a float would round, and for a time that is
    too far away to have nanoseconds.
    """
    own = lf.collect_schema()
    if list(own.items()) == list(schema.items()):
        return lf
    for name in (n for n, d in own.items() if _may_lose(d, schema[n])):
        back = pl.Int128() if own[name].is_integer() else own[name]
        differs = pl.col(name).cast(schema[name], strict=False).cast(back).ne_missing(pl.col(name).cast(back))
        count = lf.select(differs.sum()).collect(engine="streaming").item()
        if count:
            one, other = (dtypes.name_of(own[name]), dtypes.name_of(schema[name]))
            raise _changed(
                f"the column '{name}' is {one} beside {other} in version {version} or now, and {count} of its values "
                f"have no exact {other}"
            )
    return lf.select(pl.col(n).cast(d) if n in own else pl.lit(None, dtype=d).alias(n) for n, d in schema.items())


def blank_in(files: Iterable[Path]) -> Blank:
    """``Blank`` for the columns of Parquet files."""
    paths = list(files)

    def blank(name: str) -> bool:
        scan = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        return bool(scan.select(pl.col(name).null_count() == pl.len()).collect(engine="streaming").item())

    return blank


def _may_lose(own: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether some value of a type has no equal in the wider one."""
    return own != wanted if own.is_temporal() else own.is_integer() and wanted.is_float()


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    if isinstance(one, pl.Datetime) and isinstance(other, pl.Datetime):
        finer = min((one, other), key=lambda dtype: _UNITS.index(dtype.time_unit))
        return finer if one.time_zone == other.time_zone else None
    if one.is_integer() and other.is_integer():
        return _wider_integer(one, other)
    if one.is_float() and other.is_float():
        return max((one, other), key=_bits)
    whole, real = (one, other) if one.is_integer() else (other, one)
    if whole.is_integer() and real.is_float() and _bits(whole) <= 64:
        return real if _bits(whole) * 2 <= _bits(real) else pl.Float64()
    return None


def _wider_integer(one: pl.DataType, other: pl.DataType) -> pl.DataType | None:
    signed = [d for d in (one, other) if d.is_signed_integer()]
    if len(signed) != 1:
        return max((one, other), key=_bits)
    unsigned = other if signed[0] is one else one
    kinds = (pl.Int16(), pl.Int32(), pl.Int64(), signed[0])
    return next((k for k in kinds if _bits(k) > _bits(unsigned) and _bits(k) >= _bits(signed[0])), None)


def _bits(dtype: pl.DataType) -> int:
    return int("".join(c for c in type(dtype).__name__ if c.isdigit()))


def _changed(text: str) -> errors.Permanent:
    return errors.Permanent(text, code="SCHEMA_CHANGED")

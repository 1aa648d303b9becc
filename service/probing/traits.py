"""Traits of the columns of a sample: types, values, and candidates for keys and cursors.

A sample can prove that a column is *not* unique or *not* ordered; the opposite is only proposed, with a reason.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from service.probing import suggestions
from service.probing.finding import ColumnTraits, CursorColumn, Key
from service.values import dtypes, parse

SAMPLES = 5
_MOST = 5
_LONGEST = 200
_KEY_LENGTH = 64
_MOMENTS = (pl.Datetime("us"), pl.Date())
_KEYS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"_?id", r".*(uuid|guid)", r"(pk|key|.*[_ -]?key)", r".*([_ .-]id|Id|ID)", r"(.*[_ -])?(code|sku|number|no|nr)",
        r"(.*[_ -])?(slug|url|uri|href|link|email|isbn|name|login)",
    )
)  # fmt: skip
_CHANGED = re.compile(r"(updated|modified|changed|last_?(update|modif|change|seen)|mtime|revis)", re.IGNORECASE)
_CREATED = re.compile(
    r"(created|inserted|added|published|posted|occurred|timestamp|_at$|_on$|time|date)", re.IGNORECASE
)


def columns(sample: pl.DataFrame) -> list[ColumnTraits]:
    """Every column of the sample, in order."""
    found = []
    for series in sample.get_columns():
        moment = _moment(series)
        like = moment.dtype if moment is not None and moment.dtype != series.dtype else None
        text = series.dtype == pl.String
        missing = suggestions.missing_texts(series) if text else []
        cast, lost = (suggestions.cast(series, missing), 0) if text else (None, 0)
        if text and cast is None:
            cast, lost = suggestions.cast_of_most(series, missing)
        if text and cast is None:
            cast, lost = suggestions.cast_of_moments(series, missing)
        found.append(
            ColumnTraits(
                name=series.name,
                type=dtypes.name_of(series.dtype),
                missing=series.null_count(),
                samples=[_shown(v) for v in series.drop_nulls().head(SAMPLES).to_list()],
                looks_like=dtypes.name_of(like) if like is not None else None,
                cast=cast,
                cast_losses=lost,
                missing_texts=missing,
                padded=suggestions.padded(series) if text else 0,
                distinct=None if series.dtype.is_nested() else series.drop_nulls().n_unique(),
            )
        )
    return found


def repeated(sample: pl.DataFrame) -> int:
    """How many rows are the same as an earlier one."""
    plain = [series.name for series in sample.get_columns() if not series.dtype.is_nested()]
    if len(plain) < sample.width or sample.is_empty():
        return 0
    return sample.height - sample.n_unique()


def keys(sample: pl.DataFrame) -> list[Key]:
    """Candidates for a primary key, the likeliest first; pairs of columns only if no single column is unique."""
    rows = sample.height
    if rows < 2:
        return []
    usable = [s for s in sample.get_columns() if _identifies(s)]
    single = sorted((s for s in usable if s.n_unique() == rows), key=lambda s: _rank(s, sample))
    if single:
        return [Key(columns=[s.name], reason=_why_key(s, rows)) for s in single[:_MOST]]
    named = [s.name for s in usable if _rank(s, sample)[0] < len(_KEYS)][:6]
    pairs = [list(p) for p in itertools.combinations(named, 2) if sample.select(p).n_unique() == rows]
    return [Key(columns=p, reason=f"together unique in {rows} rows, never missing") for p in pairs[:_MOST]]


def cursors(sample: pl.DataFrame) -> list[CursorColumn]:
    """Candidates for a cursor, the likeliest first: times of change, other times, and monotonic ids."""
    if sample.height < 2:
        return []
    found: list[tuple[int, CursorColumn]] = []
    for series in sample.get_columns():
        if series.null_count():
            continue
        moment = _moment(series)
        order = _order(moment if moment is not None else series)
        if moment is not None:
            changed = bool(_CHANGED.search(series.name))
            if order == "none" and not changed and not _CREATED.search(series.name):
                continue
            rank = (0 if changed else 1 if _CREATED.search(series.name) else 2) * 2 + (order == "none")
            reason = "a time, by its name that of the last change" if changed else "a time"
            found.append((rank, CursorColumn(column=series.name, order=order, reason=reason)))
        elif series.dtype.is_integer() and order != "none" and _rank(series, sample)[0] < len(_KEYS):
            reason = "a monotonic whole number; it shows new rows but not changed ones"
            if series.n_unique() == sample.height:
                found.append((10, CursorColumn(column=series.name, order=order, reason=reason)))
    return [cursor for _, cursor in sorted(found, key=lambda f: f[0])][:_MOST]


def _identifies(series: pl.Series) -> bool:
    if series.null_count() or not (series.dtype.is_integer() or series.dtype == pl.String):
        return False
    if series.dtype == pl.String:
        longest = series.str.len_chars().max()
        return isinstance(longest, int) and 0 < longest <= _KEY_LENGTH * 4 and series.str.len_bytes().min() != 0
    return True


def _rank(series: pl.Series, sample: pl.DataFrame) -> tuple[int, int]:
    named = next((i for i, pattern in enumerate(_KEYS) if pattern.fullmatch(series.name)), len(_KEYS))
    return named, sample.columns.index(series.name)


def _why_key(series: pl.Series, rows: int) -> str:
    named = any(pattern.fullmatch(series.name) for pattern in _KEYS)
    return f"unique in {rows} rows, never missing{', and named like a key' if named else ''}"


def _moment(series: pl.Series) -> pl.Series | None:
    """The column as datetimes or dates if it is one, or if its text reads as one in every row; else None."""
    if series.dtype in (pl.Datetime, pl.Date):
        return series
    if series.dtype != pl.String or series.null_count() == series.len():
        return None
    frame = series.to_frame()
    for dtype in reversed(_MOMENTS):
        read = frame.select(parse.tolerantly(pl.col(series.name), dtype)).to_series()
        if read.null_count() == series.null_count():
            return read
    return None


def _order(series: pl.Series) -> str:
    if not (series.dtype.is_integer() or series.dtype.is_temporal()) or series.n_unique() < 2:
        return "none"
    if series.is_sorted():
        return "ascending"
    return "descending" if series.is_sorted(descending=True) else "none"


def _shown(value: Any) -> Any:
    """A value for JSON, cut if it is long."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    if isinstance(value, dict):
        return {k: _shown(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_shown(v) for v in value[:_MOST]]
    if isinstance(value, bytes):
        value = value[:_LONGEST]
    return msgspec.to_builtins(value)
